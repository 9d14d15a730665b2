// The sections of a snapshot that perpetuals have: matching/perpetual_state_codec.py.
#pragma once

#include "snapshot_io.hpp"
#include "state.hpp"

namespace rialto {

void write_perpetuals(const State& state, Writer& out);
void read_perpetuals(State& state, Reader& in);

// The line of a perpetual market, by id of all; of kept seats, an account's or all,
// by market and account.
std::string perpetual_lines(const State& state);
std::string seat_lines(const State& state, std::uint32_t account);
std::string all_seat_lines(const State& state);

}  // namespace rialto
