#include "scopes.hpp"

namespace rialto {

// Adds up anew what the orders in the book that add lose at the mark, and which is the farthest.
void walk_losses(const State& state, const Market& market,
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

std::size_t count_members(const State& state, std::uint32_t account, std::uint16_t symbol_id) {
  std::size_t count = 0;
  each_member(state, account, symbol_id,
              [&count](const Market&, const Perpetual&, const Seat&) { ++count; });
  return count;
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
Wide required_units(const State& state, std::uint32_t account, std::uint16_t symbol_id) {
  Wide sum = 0;
  each_member(state, account, symbol_id,
              [&](const Market& market, const Perpetual&, const Seat& seat) {
                sum += seat_units(state, market, seat, nullptr, Losses::kExact);
              });
  return sum;
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

// Whether an uncovered loss keeps the collateral of all accounts in the shard.
bool is_gated(const State& state) {
  return std::any_of(state.perpetuals.begin(), state.perpetuals.end(), [](const Market* market) {
    return market->perpetual->gates_collateral();
  });
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
