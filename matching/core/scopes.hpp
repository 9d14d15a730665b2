// What backs a position, what its margin needs, what is free: matching/scopes.py. A scope is named
// by account and symbol: 0 is the account's cross margin, else the isolated position in that market.
#pragma once

#include "state.hpp"

namespace rialto {

// What an order would come to: the lots that trade at once with what they lose against the mark, in
// ticks x lots and of each fill at least 0, and the lots that count at its limit.
struct Prospect {
  std::int64_t taken;
  Wide loss;
  std::int64_t left;
};

struct Wanted {  // an order that is asked for, counted as if it stood in its book
  const Market* market;
  Slot slot;  // of one that is there already with other terms, or 0
  std::uint16_t flags;
  std::int64_t limit;
  std::int64_t more_lots;  // of its side than now
  std::int64_t lots;       // at its limit
  std::int64_t taken = 0;  // lots that trade at once, which lose `loss` ticks x lots
  Wide loss = 0;
};

// Whether open losses that would have to be added up anew may be counted too high: who has margin
// for more than them has it for them.
enum class Losses : std::uint8_t { kExact, kAtMost };

// Why a command about a perpetual cannot mean this market.
inline Reason refuse_perpetual(const Market* market) {
  if (market == nullptr) return Reason::kUnknownSymbol;
  return market->perpetual == nullptr ? Reason::kNotAPerpetual : Reason::kNone;
}

// The same of a command that needs a key and a shard that is not halted.
inline Reason refuse_keyed(const State& state, const Market* market, const Command& command) {
  if ((command.key_low | command.key_high) == 0) return Reason::kMalformedCommand;
  if (const Reason reason = refuse_perpetual(market); reason != Reason::kNone) return reason;
  return state.mode == kHalted ? Reason::kShardHalted : Reason::kNone;
}

// Which scope an account's position in a market belongs to.
inline std::uint16_t scope_symbol(const Market& market, std::uint32_t account) {
  const Seat* seat = market.perpetual->look(account);
  return seat != nullptr && seat->is_isolated ? market.rules.symbol_id : std::uint16_t{0};
}

// Calls `use(market, perpetual, seat)` for the used seats of a scope, by market.
template <typename Use>
void each_member(const State& state, std::uint32_t account, std::uint16_t symbol_id, Use use) {
  for (const Seat* seat = state.first_seat(account); seat != nullptr; seat = seat->next) {
    if (!seat->is_used()) continue;
    const Market& market = *seat->market;
    if ((seat->is_isolated ? market.rules.symbol_id : 0) == symbol_id)
      use(market, *market.perpetual, *seat);
  }
}

std::size_t count_members(const State& state, std::uint32_t account, std::uint16_t symbol_id);
std::int64_t cash_units(const State& state, std::uint32_t account, std::uint16_t symbol_id);
std::int64_t spot_held_units(const State& state, std::uint32_t account, std::uint16_t symbol_id);
std::int64_t equity_units(const State& state, std::uint32_t account, std::uint16_t symbol_id);
Scope scope_of(const State& state, std::uint32_t account, std::uint16_t symbol_id);
void add_cash(State& state, const Market& market, Seat& seat, std::int64_t units);
Wide required_units(const State& state, std::uint32_t account, std::uint16_t symbol_id,
                    const Wanted* wanted = nullptr, Losses exactness = Losses::kExact);
Wide fee_reserve_units(const State& state, std::uint32_t account, const Wanted& wanted);
Wide shortage_units(const State& state, std::uint32_t account, std::uint16_t symbol_id);
bool marks_are_fresh(const State& state, std::uint32_t account, std::uint16_t symbol_id);
std::int64_t leaving_units(const State& state, std::uint32_t account, std::uint16_t symbol_id);
std::int64_t free_units(const State& state, std::uint32_t account, std::uint16_t asset);

}  // namespace rialto
