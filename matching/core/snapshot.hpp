// The canonical bytes of the state, as matching/state_codec.py has them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine.hpp"

namespace rialto {

std::string encode_state(const Engine& engine);

// One order as its line in the snapshot.
std::string order_line(const Engine& engine, Slot slot);

// Every market as its line in the snapshot, by id.
std::string market_lines(const State& state);

// Throws std::invalid_argument where the bytes are not a snapshot of this version.
std::unique_ptr<Engine> decode_state(const std::string& bytes);

}  // namespace rialto
