#include "scopes.hpp"

namespace rialto {

namespace {

// Adds up anew what the orders in the book that add lose at the mark, and which is the farthest.
[[gnu::noinline, gnu::cold]] void walk_losses(const State& state, const Market& market,
                                              const Seat& seat) {
  OpenLosses& losses = seat.losses;
  losses.farthest = {0, kInt64Max};
  for (Slot slot = state.accounts[seat.account].open_head; slot != 0;
       slot = state.links[slot].account_next) {
    const Order& order = state.orders[slot];
    if (order.symbol != market.at || order.is_outside() || (order.flags & kReduces) != 0) continue;
    const int side = order.side();
    std::int64_t& farthest = losses.farthest[static_cast<std::size_t>(side)];
    farthest = side == kBuy ? std::max(farthest, order.price) : std::min(farthest, order.price);
    losses.sums[static_cast<std::size_t>(side)] +=
        loss_of(side, order.price, state.open_lots(slot), losses.mark);
  }
}

// What the orders of a seat that add would lose at the mark as it is, in ticks x lots; or at least
// no less than that, if it would have to be added up anew.
std::array<Wide, 2> losses_of(const State& state, const Market& market, const Seat& seat,
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
Wide own_loss(const State& state, const Perpetual& perpetual, Slot slot) {
  const Order& order = state.orders[slot];
  if ((order.flags & kReduces) != 0) return 0;
  return loss_of(order.side(), order.price, state.open_lots(slot), perpetual.mark_ticks);
}

// Initial margin by the worse side, and the worse side's open losses, of one market.
Wide seat_units(const State& state, const Market& market, const Seat& seat, const Wanted* wanted,
                Losses exactness) {
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
  return initial_units(worst, perpetual.terms.brackets, seat.leverage,
                       perpetual.terms.open_interest(static_cast<std::int64_t>(interest))) +
         std::max(losses[0], losses[1]) * perpetual.units_per_tick_lot;
}

}  // namespace

std::size_t count_members(const State& state, std::uint32_t account, std::uint16_t symbol_id) {
  std::size_t count = 0;
  each_member(state, account, symbol_id,
              [&count](const Market&, const Perpetual&, const Seat&) { ++count; });
  return count;
}

// It may be negative against unrealised profit.
std::int64_t cash_units(const State& state, std::uint32_t account, std::uint16_t symbol_id) {
  if (symbol_id == 0) {
    const bool has_any = account != 0 && state.collateral != kNone16;
    return has_any ? state.balance(account, state.collateral).total : 0;
  }
  const Seat* seat = state.market(symbol_id)->perpetual->look(account);
  return seat == nullptr ? 0 : seat->margin_units;
}

// What of a scope's cash open spot orders hold.
std::int64_t spot_held_units(const State& state, std::uint32_t account, std::uint16_t symbol_id) {
  const bool has_any = symbol_id == 0 && account != 0 && state.collateral != kNone16;
  return has_any ? state.balance(account, state.collateral).held : 0;
}

std::int64_t equity_units(const State& state, std::uint32_t account, std::uint16_t symbol_id) {
  Wide sum = cash_units(state, account, symbol_id);
  each_member(state, account, symbol_id,
              [&sum](const Market& market, const Perpetual& perpetual, const Seat& seat) {
                sum += perpetual.exposure(market.rules.symbol_id, seat).unrealised_units();
              });
  return static_cast<std::int64_t>(sum);
}

// Cash and positions, valued at their marks.
Scope scope_of(const State& state, std::uint32_t account, std::uint16_t symbol_id) {
  Scope scope{cash_units(state, account, symbol_id), {}};
  each_member(state, account, symbol_id,
              [&scope](const Market& market, const Perpetual& perpetual, const Seat& seat) {
                if (seat.position.lots != 0)
                  scope.exposures.push_back(perpetual.exposure(market.rules.symbol_id, seat));
              });
  return scope;
}

// Adds to the cash that backs a seat.
void add_cash(State& state, const Market& market, Seat& seat, std::int64_t units) {
  if (seat.is_isolated)
    seat.margin_units += units;
  else
    state.balance(seat.account, market.quote).total += units;
}

// The initial margin of a scope, and what its orders lose at once where they fill.
Wide required_units(const State& state, std::uint32_t account, std::uint16_t symbol_id,
                    const Wanted* wanted, Losses exactness) {
  Wide sum = 0;
  bool counted = wanted == nullptr;
  each_member(state, account, symbol_id,
              [&](const Market& market, const Perpetual&, const Seat& seat) {
                const bool here = wanted != nullptr && wanted->market == &market;
                sum += seat_units(state, market, seat, here ? wanted : nullptr, exactness);
                counted |= here;
              });
  if (!counted) {
    const Seat* seat = wanted->market->perpetual->look(account);
    sum += seat_units(state, *wanted->market, seat != nullptr ? *seat : Seat{}, wanted, exactness);
  }
  return sum;
}

// The fee of an order at the worse of limit and mark, rounded up.
Wide fee_reserve_units(const State& state, std::uint32_t account, const Wanted& wanted) {
  const Perpetual& perpetual = *wanted.market->perpetual;
  const std::int64_t price = std::max(wanted.limit, perpetual.mark_ticks);
  const std::int32_t taker_ppm =
      wanted.market->rules.fees.tier[state.accounts[account].tier].taker_ppm;
  const std::int64_t lots = wanted.lots + wanted.taken;
  return ceil_rate(price * perpetual.units_per_tick_lot * lots, taker_ppm);
}

// MM + buffers - equity; a liquidation ends where this is not above 0.
Wide shortage_units(const State& state, std::uint32_t account, std::uint16_t symbol_id) {
  Wide sum = -Wide{cash_units(state, account, symbol_id)};
  each_member(state, account, symbol_id,
              [&sum](const Market& market, const Perpetual& perpetual, const Seat& seat) {
                const Exposure exposure = perpetual.exposure(market.rules.symbol_id, seat);
                sum += ceil_rate(exposure.notional_units(), perpetual.terms.exit_buffer_ppm);
                sum -= exposure.unrealised_units();
                if (seat.position.lots != 0) sum += exposure.maintenance_units();
              });
  return sum;
}

// Whether all marks that value a scope are fresh.
bool marks_are_fresh(const State& state, std::uint32_t account, std::uint16_t symbol_id) {
  bool fresh = true;
  each_member(state, account, symbol_id,
              [&](const Market&, const Perpetual& perpetual, const Seat& seat) {
                fresh &= seat.position.lots == 0 || perpetual.is_fresh(state.time_us);
              });
  return fresh;
}

// What may leave a scope now, not counting what spot orders hold:
// min(cash, equity - max(required, transfer floors x notional)), within the markets' gates.
std::int64_t leaving_units(const State& state, std::uint32_t account, std::uint16_t symbol_id) {
  if (state.is_frozen(account, symbol_id)) return 0;
  Wide floors = 0;
  bool shut = false, guarded = false;
  each_member(state, account, symbol_id,
              [&](const Market& market, const Perpetual& perpetual, const Seat& seat) {
                if (seat.position.lots == 0) return;
                const Exposure exposure = perpetual.exposure(market.rules.symbol_id, seat);
                floors += ceil_rate(exposure.notional_units(), perpetual.terms.transfer_floor_ppm);
                shut |= perpetual.phase >= PerpetualState::kHalted ||
                        !perpetual.is_fresh(state.time_us);
                guarded |= perpetual.phase == PerpetualState::kGuarded;
              });
  if (shut) return 0;
  const Wide required = required_units(state, account, symbol_id);
  const Wide cash = cash_units(state, account, symbol_id);
  const Wide kept = equity_units(state, account, symbol_id) - std::max(required, floors);
  Wide leaving = std::min(cash, kept);
  if (guarded) leaving = std::min(leaving, cash - required);
  return static_cast<std::int64_t>(std::max<Wide>(0, leaving));
}

// What an account may spend of an asset; of collateral what its margin leaves.
std::int64_t free_units(const State& state, std::uint32_t account, std::uint16_t asset) {
  const Balance balance = account == 0 ? Balance{} : state.balance(account, asset);
  if (asset != state.collateral) return balance.total - balance.held;
  if (count_members(state, account, 0) == 0 && !state.is_frozen(account, 0))
    return balance.total - balance.held;
  return leaving_units(state, account, 0) - balance.held;
}

}  // namespace rialto
