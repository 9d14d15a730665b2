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

[[gnu::cold]] void walk_losses(const State& state, const Market& market, const Seat& seat);

// It may be negative against unrealised profit.
inline std::int64_t cash_units(const State& state, std::uint32_t account, std::uint16_t symbol_id) {
  if (symbol_id == 0) {
    const bool has_any = account != 0 && state.collateral != kNone16;
    return has_any ? state.balance(account, state.collateral).total : 0;
  }
  const Seat* seat = state.market(symbol_id)->perpetual->look(account);
  return seat == nullptr ? 0 : seat->margin_units;
}

// What of a scope's cash open spot orders hold.
inline std::int64_t spot_held_units(const State& state, std::uint32_t account,
                                    std::uint16_t symbol_id) {
  const bool has_any = symbol_id == 0 && account != 0 && state.collateral != kNone16;
  return has_any ? state.balance(account, state.collateral).held : 0;
}

// What the orders of a seat that add would lose at the mark as it is, in ticks x lots; or at least
// no less than that, if it would have to be added up anew.
inline std::array<Wide, 2> losses_of(const State& state, const Market& market, const Seat& seat,
                              Losses wanted) {
  OpenLosses& losses = seat.losses;
  const std::int64_t mark = market.perpetual->mark_ticks;
  if (losses.mark == mark) [[likely]]
    return losses.sums;
  const Wide buys = loss_of(kBuy, losses.farthest[0], seat.adding[0], mark);
  const Wide sells = loss_of(1 - kBuy, losses.farthest[1], seat.adding[1], mark);
  if (wanted == Losses::kAtMost && buys + sells != 0) return {buys, sells};
  losses.mark = mark;
  losses.sums = {0, 0};
  if (buys + sells != 0) walk_losses(state, market, seat);
  return losses.sums;
}

// What an order that stands with other terms is counted with.
inline Wide own_loss(const State& state, const Perpetual& perpetual, Slot slot) {
  const Order& order = state.orders[slot];
  if ((order.flags & kReduces) != 0) return 0;
  return loss_of(order.side(), order.price, state.open_lots(slot), perpetual.mark_ticks);
}

// Initial margin by the worse side, and the worse side's open losses, of one market.
inline Wide seat_units(const State& state, const Market& market, const Seat& seat,
                       const Wanted* wanted, Losses exactness) {
  const Perpetual& perpetual = *market.perpetual;
  std::int64_t lots[2] = {seat.adding[0], seat.adding[1]};
  if (wanted != nullptr) lots[side_of(wanted->flags)] += wanted->more_lots;
  const std::int64_t held = seat.position.lots;
  const Wide worst =
      perpetual.notional_units(std::max(std::abs(held + lots[0]), std::abs(held - lots[1])));
  const Wide interest = perpetual.notional_units(perpetual.open_lots);
  std::array<Wide, 2> losses = losses_of(state, market, seat, exactness);
  if (wanted != nullptr) {
    const auto side = static_cast<std::size_t>(side_of(wanted->flags));
    losses[side] += wanted->loss + loss_of(side_of(wanted->flags), wanted->limit, wanted->lots,
                                           perpetual.mark_ticks);
    if (wanted->slot != 0) losses[side] -= own_loss(state, perpetual, wanted->slot);
  }
  return initial_units(worst, perpetual.terms.brackets, seat.leverage_ppm,
                       perpetual.terms.open_interest(static_cast<std::int64_t>(interest))) +
         std::max(losses[0], losses[1]) * perpetual.units_per_tick_lot;
}

// equity - spot holds - what is required, with a wanted order: one walk over the scope.
inline Wide margin_room_units(const State& state, std::uint32_t account, std::uint16_t symbol_id,
                              const Wanted* wanted = nullptr, Losses exactness = Losses::kExact) {
  Wide sum = Wide{cash_units(state, account, symbol_id)} -
             spot_held_units(state, account, symbol_id);
  bool counted = wanted == nullptr;
  each_member(state, account, symbol_id,
              [&](const Market& market, const Perpetual& perpetual, const Seat& seat) {
                const bool here = wanted != nullptr && wanted->market == &market;
                sum += perpetual.exposure(market.rules.symbol_id, seat).unrealised_units();
                sum -= seat_units(state, market, seat, here ? wanted : nullptr, exactness);
                counted |= here;
              });
  if (!counted) {
    const Seat* seat = wanted->market->perpetual->look(account);
    sum -= seat_units(state, *wanted->market, seat != nullptr ? *seat : Seat{}, wanted, exactness);
  }
  return sum;
}

// The fee of an order at the worse of limit and mark, rounded up.
inline Wide fee_reserve_units(const State& state, std::uint32_t account, const Wanted& wanted) {
  const Perpetual& perpetual = *wanted.market->perpetual;
  const std::int64_t price = std::max(wanted.limit, perpetual.mark_ticks);
  const std::int32_t taker_ppm =
      wanted.market->rules.fees.tier[state.accounts[account].tier].taker_ppm;
  const std::int64_t lots = wanted.lots + wanted.taken;
  return ceil_rate(price * perpetual.units_per_tick_lot * lots, taker_ppm);
}

std::size_t count_members(const State& state, std::uint32_t account, std::uint16_t symbol_id);
std::int64_t equity_units(const State& state, std::uint32_t account, std::uint16_t symbol_id);
Scope scope_of(const State& state, std::uint32_t account, std::uint16_t symbol_id);
void add_cash(State& state, const Market& market, Seat& seat, std::int64_t units);
Wide required_units(const State& state, std::uint32_t account, std::uint16_t symbol_id);
Wide shortage_units(const State& state, std::uint32_t account, std::uint16_t symbol_id);
bool marks_are_fresh(const State& state, std::uint32_t account, std::uint16_t symbol_id);
std::int64_t leaving_units(const State& state, std::uint32_t account, std::uint16_t symbol_id);
bool is_gated(const State& state);
std::int64_t free_units(const State& state, std::uint32_t account, std::uint16_t asset);

}  // namespace rialto
