// What an order on a perpetual has to pass beside the checks of every order:
// matching/perpetual_admission.py.
#include <algorithm>

#include "engine.hpp"
#include "money.hpp"
#include "scopes.hpp"

namespace rialto {

namespace {

const Seat kNoSeat{};

}  // namespace

// Why a market does not take an order, or one of this kind from this account.
Reason Engine::refuse_kind(const Command& command, const Market& market, std::uint32_t account,
                           const Terms& terms) const {
  const Perpetual* perpetual = market.perpetual.get();
  if (perpetual == nullptr) {
    if ((command.flags & (kReduces | kSourceFlags)) != 0)  // there is but the last price
      return Reason::kInvalidCombination;
    return account != 0 && state.is_frozen(account, 0) ? Reason::kScopeFrozen : Reason::kNone;
  }
  if (const Reason shut = closed_market(market); shut != Reason::kNone) return shut;
  if (terms.quote_budget != 0) return Reason::kInvalidCombination;
  if (std::max(command.a, terms.trigger) > kMaxPriceTicks) return Reason::kInvalidPrice;
  if (perpetual->mark_ticks == 0) return Reason::kMarkUnknown;
  if (!state.frozen.empty() && account != 0 &&
      state.is_frozen(account, scope_symbol(market, account)))
    return Reason::kScopeFrozen;
  if (perpetual->phase == PerpetualState::kGuarded && type_of(command.flags) == kMarket)
    return Reason::kMarketGuarded;
  return Reason::kNone;
}

// Whether the account's scope, or the market, has no room for one more position.
bool Engine::is_full(const Market& market, std::uint32_t account) const {
  if (market.perpetual->used >= kMaxPositions) return true;
  return account != 0 && count_members(state, account, scope_symbol(market, account)) >=
                             static_cast<std::size_t>(kMaxPositionsPerScope);
}

// Why a position may not grow by `more_lots` of an order's side. A reduce-only order is cut to
// what it can close, `left` being what is left of it (or, without `clamps`, refused beyond it);
// orders that can only reduce, even if all others of their side fill first, pass. In a market that
// only reduces, an order that may do more does not move to another price either.
Reason Engine::refuse_position(const Market& market, std::uint16_t flags, std::uint32_t account,
                               std::int64_t more_lots, bool clamps, std::int64_t& left) const {
  const Perpetual& perpetual = *market.perpetual;
  const Seat* found = perpetual.look(account);
  const Seat& seat = found != nullptr ? *found : kNoSeat;
  const int side = side_of(flags);
  const std::int64_t closable = seat.closable(side);
  if ((flags & kReduces) != 0) {
    const std::int64_t wanted = (flags & kClosePositionFlag) != 0 ? closable : left;
    if (closable == 0 || (wanted > closable && !clamps)) return Reason::kNothingToReduce;
    left = std::min(wanted, closable);
    return Reason::kNone;
  }
  const Wide side_lots = Wide{seat.adding[static_cast<std::size_t>(side)]} + more_lots;
  if (side_lots <= closable) return Reason::kNone;
  if (perpetual.phase == PerpetualState::kReduceOnly) return Reason::kMarketReduceOnly;
  if (more_lots <= 0) return Reason::kNone;
  if (!seat.is_used() && is_full(market, account)) return Reason::kTooManyPositions;
  const Wide grown = side == kBuy ? seat.position.lots + side_lots : seat.position.lots - side_lots;
  const Wide after = grown < 0 ? -grown : grown;
  const std::int64_t most = market.rules.max_position_lots;
  if (most != 0 && after > most) return Reason::kPositionLimit;
  const Wide lot = perpetual.notional_units(1);
  if (after > kMaxValueUnits || lot * after > perpetual.terms.brackets.cap_units)
    return Reason::kPositionLimit;
  const auto interest = static_cast<std::int64_t>(perpetual.notional_units(perpetual.open_lots));
  const bool within =
      is_within_position_limit(static_cast<std::int64_t>(lot * after), perpetual.terms.brackets,
                               interest, perpetual.terms.share());
  return within ? Reason::kNone : Reason::kPositionLimit;
}

// Why the margin does not cover an order:
// equity - spot holds - fee >= initial margin + open losses, all with the order. It counts with what
// it comes to: its fills at their prices, the rest, if that stands, at its limit. Who has margin for
// all of it at its limit has it for that.
Reason Engine::refuse_margin(std::uint32_t account, const Wanted& wanted) const {
  const Market& market = *wanted.market;
  const Perpetual& perpetual = *market.perpetual;
  const std::int64_t price = std::max(wanted.limit, perpetual.mark_ticks);
  // Both factors of the product are below 2^96: a price times the units of a tick is at most 2^56.
  if (Wide{price} * perpetual.units_per_tick_lot * wanted.lots > kMaxValueUnits)
    return Reason::kOverflow;
  if (Wide{wanted.lots} * market.rules.base_per_lot > kInt64Max) return Reason::kOverflow;
  const int side = side_of(wanted.flags);
  const Seat* found = perpetual.look(account);
  const Seat& seat = found != nullptr ? *found : kNoSeat;
  if ((wanted.flags & kReduces) != 0 ||
      Wide{seat.adding[static_cast<std::size_t>(side)]} + wanted.more_lots <= seat.closable(side))
    return Reason::kNone;
  const std::uint16_t symbol_id = account == 0 ? std::uint16_t{0} : scope_symbol(market, account);
  const Wide room = margin_room_units(state, account, symbol_id, &wanted, Losses::kAtMost);
  if (room >= fee_reserve_units(state, account, wanted)) [[likely]]
    return Reason::kNone;
  return refuse_prospect(account, wanted);
}

// The same with what the order comes to, which is a sweep that is played.
[[gnu::noinline, gnu::cold]] Reason Engine::refuse_prospect(std::uint32_t account,
                                                            const Wanted& wanted) const {
  const Market& market = *wanted.market;
  const Prospect found =
      prospect(market, wanted.flags, wanted.lots, account, wanted.limit);
  Wanted counted = wanted;
  counted.more_lots -= wanted.lots - found.taken - found.left;
  counted.lots = found.left;
  counted.taken = found.taken;
  counted.loss = found.loss;
  const std::uint16_t symbol_id = account == 0 ? std::uint16_t{0} : scope_symbol(market, account);
  const Wide room = margin_room_units(state, account, symbol_id, &counted);
  return room >= fee_reserve_units(state, account, counted) ? Reason::kNone
                                                            : Reason::kInsufficientMargin;
}

// The checks of an order on a perpetual that come after those of its kind. One that is `plain`
// breaks none of `order_rules`.
[[gnu::noinline, gnu::flatten]] Reason Engine::refuse_perpetual_order(const Command& command,
                                                                      std::uint32_t account,
                                                                      bool plain, Admission& in) {
  Market& market = *in.market;
  const Band band = market.perpetual->band(market.rules.band_ppm);
  const bool buys = side_of(command.flags) == kBuy;
  in.limit = command.a;
  in.lots = command.b;
  in.hold = 0;
  if (type_of(command.flags) == kMarket)
    in.limit = buys ? band.highest : band.lowest;
  else if (buys ? in.limit > band.highest : in.limit < band.lowest)
    return Reason::kPriceOutsideBand;
  if (command.b > market.rules.max_order_lots) return Reason::kQuantityTooLarge;
  if (may_rest(command.flags) && account != 0 &&
      state.open_of(account, market.at).count >= market.rules.max_open_orders)
    return Reason::kTooManyOpenOrders;
  Reason reason = refuse_position(market, command.flags, account, command.b, true, in.lots);
  if (reason != Reason::kNone) return reason;
  if (!plain) [[unlikely]] {
    reason = order_rules(market, command.flags, in.lots, account, in.limit);
    if (reason != Reason::kNone) return reason;
  }
  return refuse_margin(account, {&market, 0, command.flags, in.limit, in.lots, in.lots});
}

// Why an order that is set off may not act now. It was no risk while it waited, so that it passes
// here what others pass at once; `lots` is cut to what it can close.
Reason Engine::refuse_triggered(Market& market, Slot slot, std::int64_t limit,
                                std::int64_t& lots) const {
  const Order& order = state.orders[slot];
  lots = order.remaining;
  if (market.perpetual == nullptr)
    return order_rules(market, order.flags, lots, order.account, limit);
  refresh_band(market);  // the limit was within the one around the trigger
  if (order.side() == kBuy ? limit > market.highest : limit < market.lowest)
    return Reason::kPriceOutsideBand;
  Reason reason = refuse_position(market, order.flags, order.account, lots, true, lots);
  if (reason != Reason::kNone) return reason;
  reason = order_rules(market, order.flags, lots, order.account, limit);
  if (reason != Reason::kNone) return reason;
  return refuse_margin(order.account, {&market, 0, order.flags, limit, lots, lots});
}

// Cancels an account's resting reduce-only orders beyond what is left of its position: buys first,
// of each side the farthest from the mark.
void Engine::trim(Market& market, std::uint32_t account) {
  Perpetual& perpetual = *market.perpetual;
  for (int side = 0; side < 2; ++side) {
    const Seat& seat = perpetual.seat(account);
    const std::int64_t closable = seat.closable(side);
    if (seat.reducing[static_cast<std::size_t>(side)] <= closable) continue;
    std::vector<RestingReduceOnly> resting = reduce_only_orders(market, account, side);
    const std::size_t count = reduce_only_trim(resting, closable, perpetual.mark_ticks);
    for (std::size_t at = 0; at < count; ++at)
      close_resting(market, state.pages.find(resting[at].order_id), Close::kNothingToReduce);
  }
}

// Notes that a scope changed: a liquidation counts its versions, the fund its cash.
void Engine::note_scope(std::uint32_t account, std::uint16_t symbol_id) {
  const std::uint64_t account_id = state.accounts[account].id;
  if (!state.frozen.empty()) {
    const auto found = state.frozen.find({account_id, symbol_id});
    if (found != state.frozen.end()) found->second.version = state.sequence;
  }
  if (account_id == kFundAccount)
    note_fund();
  else if (symbol_id == 0)
    end_uncovered(account);
}

// Cancels spot orders that hold collateral which a position has lost, the youngest first.
void Engine::end_uncovered(std::uint32_t account) {
  const Balance& balance = state.balance(account, state.collateral);
  const auto covered = [&balance] {
    return balance.held <= std::max<std::int64_t>(0, balance.total);
  };
  if (covered()) [[likely]]
    return;
  std::vector<Slot> mine;
  for (Slot slot = state.accounts[account].open_tail; slot != 0;
       slot = state.links[slot].account_prev)
    mine.push_back(slot);
  for (const Slot slot : mine) {
    const Order& order = state.orders[slot];
    Market& market = *state.markets[order.symbol];
    const bool buys = order.side() == kBuy;
    if (order.status != Status::kOpen || (buys ? market.quote : market.base) != state.collateral)
      continue;
    if (!covered() && held_by(slot) != 0) close_resting(market, slot, Close::kInsufficientMargin);
  }
}

// What an open order holds now.
std::int64_t Engine::held_by(Slot slot) const {
  const Order& order = state.orders[slot];
  const Market& market = *state.markets[order.symbol];
  if ((order.traits & kPending) != 0) return 0;
  if ((order.traits & kWaiting) == 0)
    return order_hold(market, order.side(), order.price, state.open_lots(slot));
  const Rare& rare = state.rare[slot];
  return order_hold(market, order.side(), rare.limit, order.remaining) - rare.covered;
}

}  // namespace rialto
