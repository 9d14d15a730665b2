// The steps of a liquidation: one command, one atomic step. matching/liquidations.py. A refused step
// changes nothing, and is told the scope as it is when that is frozen.
#include <algorithm>
#include <cstring>

#include "engine.hpp"
#include "market_rules.hpp"

namespace rialto {

namespace {

const StepStripe& step_of(const std::uint8_t* record) {
  return *reinterpret_cast<const StepStripe*>(record + kStripe);
}

}  // namespace

// Why positions may not be closed in a market now.
Reason refuse_phase(const Perpetual& perpetual, bool is_fresh) {
  if (perpetual.phase == PerpetualState::kHalted) return Reason::kMarketHalted;
  if (perpetual.phase == PerpetualState::kSettlement) return Reason::kMarketSettling;
  return is_fresh ? Reason::kNone : Reason::kMarkStale;
}

// Says what a scope is now.
void Engine::say_scope(std::uint32_t account, std::uint16_t symbol_id) {
  const std::uint64_t account_id = state.accounts[account].id;
  const Scope scope = scope_of(state, account, symbol_id);
  const auto found = state.frozen.find({account_id, symbol_id});
  const bool is_frozen = found != state.frozen.end();
  EventStripe* event = events.add(EventType::kScopeState, 1, symbol_id, is_frozen ? 1 : 0);
  put(*event, {static_cast<std::int64_t>(account_id),
               is_frozen ? static_cast<std::int64_t>(found->second.version) : 0,
               scope.cash_units, scope.equity_units(), scope.maintenance_units(),
               static_cast<std::int64_t>(shortage_units(state, account, symbol_id))});
}

void Engine::refuse_step(const Command& command, Reason reason, std::uint16_t symbol_id) {
  reject(command, reason, command.account_id, command.symbol_id);
  const std::uint32_t account = state.find_account(command.account_id);
  if (account != 0 && state.is_frozen(account, symbol_id)) say_scope(account, symbol_id);
}

// Which scope a step on an account's position concerns; 0 as well where there is no such market.
std::uint16_t Engine::scope_in(const Command& command) const {
  const Market* market = state.market(command.symbol_id);
  if (market == nullptr || market->perpetual == nullptr) return 0;
  return scope_symbol(*market, state.find_account(command.account_id));
}

// ---- freeze and unfreeze --------------------------------------------------------------------

// Why a scope of this name is none that can be liquidated.
Reason Engine::refuse_scope(const Command& command) const {
  if ((command.key_low | command.key_high) == 0 || command.account_id == 0 ||
      command.account_id == kFundAccount)
    return Reason::kMalformedCommand;
  if (state.mode == kHalted) return Reason::kShardHalted;
  if (command.symbol_id == 0) return Reason::kNone;
  const Market* market = state.market(command.symbol_id);
  if (const Reason reason = refuse_perpetual(market); reason != Reason::kNone) return reason;
  return scope_in(command) == 0 ? Reason::kNotIsolated : Reason::kNone;
}

// Freezes a scope that is below its maintenance margin, and cancels its orders.
void Engine::freeze(const Command& command, const std::uint8_t* record) {
  const std::int64_t content = content_of(command, record);
  if (key_used(command, content, 0)) return;
  const std::uint16_t symbol_id = command.symbol_id;
  const std::uint32_t account = state.find_account(command.account_id);
  Reason reason = refuse_scope(command);
  if (reason == Reason::kNone && account != 0 && state.is_frozen(account, symbol_id))
    reason = Reason::kScopeFrozen;
  if (reason == Reason::kNone && !is_liquidatable(scope_of(state, account, symbol_id)))
    reason = Reason::kNotLiquidatable;
  remember(command, reason, content, 0);
  if (reason != Reason::kNone) {
    refuse_step(command, reason, symbol_id);
    return;
  }
  std::vector<Slot> going;
  for (Slot slot = state.accounts[account].open_head; slot != 0;
       slot = state.links[slot].account_next)
    if (backs(account, slot, symbol_id)) going.push_back(slot);
  cut_whole(going, kMaxCancels);
  state.frozen[{command.account_id, symbol_id}] = {state.sequence, command.key_low,
                                                   command.key_high, state.time_us};
  EventStripe* event = events.add(EventType::kScopeFrozen, 1, symbol_id, 0);
  put(*event, {state.time_us, static_cast<std::int64_t>(command.account_id),
               static_cast<std::int64_t>(command.key_low),
               static_cast<std::int64_t>(command.key_high),
               static_cast<std::int64_t>(going.size())});
  close_all(going, Close::kCancelledByLiquidation);
  say_scope(account, symbol_id);
}

// Whether an account's order uses what backs a scope: of cross margin all that are not isolated.
bool Engine::backs(std::uint32_t account, Slot slot, std::uint16_t symbol_id) const {
  const Market& market = *state.markets[state.orders[slot].symbol];
  if (symbol_id != 0) return market.rules.symbol_id == symbol_id;
  return market.perpetual == nullptr || scope_symbol(market, account) == 0;
}

// Lets a scope go that is flat, or above its maintenance margin and buffer.
void Engine::unfreeze(const Command& command, const std::uint8_t* record) {
  const std::int64_t content = content_of(command, record);
  if (key_used(command, content, 0)) return;
  const std::uint16_t symbol_id = command.symbol_id;
  const auto found = state.frozen.find({command.account_id, symbol_id});
  const std::uint32_t account = state.find_account(command.account_id);
  Reason reason = refuse_scope(command);
  if (reason == Reason::kNone && found == state.frozen.end())
    reason = Reason::kScopeNotFrozen;
  else if (reason == Reason::kNone &&
           static_cast<std::int64_t>(found->second.version) != command.a)
    reason = Reason::kScopeChanged;
  else if (reason == Reason::kNone && shortage_units(state, account, symbol_id) > 0)
    reason = Reason::kStillLiquidatable;
  remember(command, reason, content, 0);
  if (reason != Reason::kNone) {
    refuse_step(command, reason, symbol_id);
    return;
  }
  state.frozen.erase(found);
  EventStripe* event = events.add(EventType::kScopeUnfrozen, 1, symbol_id, 0);
  put(*event, {state.time_us, static_cast<std::int64_t>(command.account_id),
               static_cast<std::int64_t>(command.key_low),
               static_cast<std::int64_t>(command.key_high)});
  say_scope(account, symbol_id);
}

// ---- what every step that closes a position has to pass -------------------------------------

// The step that a command asks for, or why it may not be taken.
Reason Engine::begin(const Command& command, const std::uint8_t* record, Step& step) {
  if ((command.key_low | command.key_high) == 0 || command.account_id == 0 ||
      command.account_id == kFundAccount)
    return Reason::kMalformedCommand;
  if (state.mode == kHalted) return Reason::kShardHalted;
  step.market = state.market(command.symbol_id);
  if (const Reason reason = refuse_perpetual(step.market); reason != Reason::kNone) return reason;
  const Perpetual& perpetual = *step.market->perpetual;
  step.account = state.find_account(command.account_id);
  step.symbol_id = scope_symbol(*step.market, step.account);
  const auto found = state.frozen.find({command.account_id, step.symbol_id});
  if (found == state.frozen.end()) return Reason::kScopeNotFrozen;
  step.frozen = &found->second;
  if (step.frozen->version != step_of(record).expected_scope_version)
    return Reason::kScopeChanged;
  const bool fresh =
      marks_are_fresh(state, step.account, step.symbol_id) && perpetual.is_fresh(state.time_us);
  if (const Reason shut = refuse_phase(perpetual, fresh); shut != Reason::kNone) return shut;
  step.scope = scope_of(state, step.account, step.symbol_id);
  const Seat* seat = perpetual.look(step.account);
  if (command.a <= 0) return Reason::kInvalidPositionDelta;
  step.delta_lots = seat != nullptr && seat->position.lots > 0 ? -command.a : command.a;
  step.exposure = step.scope.of(command.symbol_id);
  if (!is_closing(step.exposure, step.delta_lots)) return Reason::kInvalidPositionDelta;
  if (shortage_units(state, step.account, step.symbol_id) <= 0) return Reason::kNotLiquidatable;
  return Reason::kNone;
}

// Why a position has to be offered to the book first.
Reason Engine::refuse_takeover(const Step& step) const {
  const PerpetualTerms& terms = step.market->perpetual->terms;
  const std::int64_t waited_us = state.time_us - step.frozen->since_us;
  const bool used_up = step.frozen->slices >= terms.max_slices ||
                       waited_us >= terms.slices_seconds * kSecondUs;
  return is_taken_over(step.scope.equity_units(), step.scope.maintenance_units(), used_up ? 0 : 1,
                       terms.takeover_ppm)
             ? Reason::kNone
             : Reason::kTakeoverTooEarly;
}

// ---- the book -------------------------------------------------------------------------------

// Why a slice is too small or too large.
Reason Engine::refuse_slice(const Step& step) {
  const SliceRange range = slice_range(*step.exposure, step.market->perpetual->terms.slices());
  const std::int64_t lots = std::abs(step.delta_lots);
  return range.least <= lots && lots <= range.most ? Reason::kNone : Reason::kOutsideSliceLimits;
}

// The strictest of what is asked for, the band and (unless the fund may pay) bankruptcy.
Reason Engine::refuse_limit(const Step& step, std::int64_t asked, bool fund_may_pay,
                            std::int64_t& limit) const {
  if (asked < 0 || asked > kMaxPriceTicks) return Reason::kInvalidPrice;
  const bool sells = step.delta_lots < 0;
  const Band band = step.market->perpetual->band(step.market->rules.band_ppm);
  const auto stricter = [sells](std::int64_t a, std::int64_t b) {
    return sells ? std::max(a, b) : std::min(a, b);
  };
  limit = sells ? band.lowest : band.highest;
  if (asked != 0) limit = stricter(asked, limit);
  if (fund_may_pay) return Reason::kNone;
  const std::int64_t quote = bankruptcy_quote_units(step.scope, *step.exposure, step.delta_lots);
  const auto worst = limit_price_ticks(sells ? 1 - kBuy : kBuy, quote, std::abs(step.delta_lots),
                                       step.market->perpetual->units_per_tick_lot);
  if (!worst) return Reason::kZeroFill;
  limit = stricter(limit, *worst);
  return Reason::kNone;
}

// An order of the engine's own: immediate, reduce-only, in no window. It is freed where it ends.
Slot Engine::closing_order(const Market& market, std::uint32_t account, std::int64_t delta_lots,
                           std::int64_t limit) {
  const Slot slot = state.new_order();
  Order& order = state.orders[slot];
  order = {};
  order.price = limit;
  order.remaining = order.quantity = std::abs(delta_lots);
  order.word = Order::word_of(state.next_order++, 0, 0);
  order.account = account;
  order.flags = static_cast<std::uint16_t>((delta_lots < 0 ? 1 - kBuy : kBuy) | kIoc << 5 |
                                           kReduceOnlyFlag);
  order.symbol = market.at;
  return slot;
}

// Whom a closing order meets next, or 0. Orders of its own account give way, and those that a fill
// would ruin.
Slot Engine::next_maker(Market& market, Slot taker) {
  const Order& order = state.orders[taker];
  const int side = 1 - order.side();
  for (std::uint32_t met = 0; met < kMaxMakers; ++met) {
    const std::int64_t best = market.book.best(side);
    if (best == kNoPrice || !Book::crosses(side, best, order.price)) return 0;
    const Slot maker = market.book.first(side);
    const std::int64_t lots = std::min(order.remaining, state.orders[maker].remaining);
    if (state.orders[maker].account == order.account)
      close_resting(market, maker, Close::kSelfTrade);
    else if (ruins(market, maker, maker, lots, false))
      close_resting(market, maker, Close::kInsufficientMargin);
    else
      return maker;
  }
  return 0;
}

// Closes some of a position in the book, at once, and no worse than it may.
void Engine::liquidate(const Command& command, const std::uint8_t* record) {
  const std::int64_t content = content_of(command, record);
  if (key_used(command, content, 0)) return;
  Step step;
  const bool may_pay = (command.flags & 1) != 0;
  std::int64_t limit = 0;
  Reason reason = begin(command, record, step);
  if (reason == Reason::kNone) reason = refuse_slice(step);
  if (reason == Reason::kNone) reason = refuse_limit(step, command.b, may_pay, limit);
  remember(command, reason, content, 0);
  if (reason != Reason::kNone) {
    refuse_step(command, reason, scope_in(command));
    return;
  }
  const Slot taker = closing_order(*step.market, step.account, step.delta_lots, limit);
  ++step.frozen->slices;
  write_placed(EventType::kLiquidationPlaced, command, taker, may_pay ? 2 : 0);
  liquidate_in_book(step, taker, may_pay);
  state.free_order(taker);
  step.frozen->version = state.sequence;
  say_scope(step.account, step.symbol_id);
}

void Engine::write_placed(EventType type, const Command& command, Slot taker, unsigned flags) {
  const Order& order = state.orders[taker];
  EventStripe* event = events.add(
      type, 2, command.symbol_id,
      static_cast<std::uint16_t>(static_cast<unsigned>(order.side()) | flags));
  put(event[0], {state.time_us, static_cast<std::int64_t>(state.accounts[order.account].id),
                 static_cast<std::int64_t>(command.key_low),
                 static_cast<std::int64_t>(command.key_high),
                 static_cast<std::int64_t>(order_id(order.number)), order.quantity});
  put(event[1], {order.price});
}

// Lets a liquidation meet the book; each fill is checked before it is made.
void Engine::liquidate_in_book(const Step& step, Slot taker, bool fund_may_pay) {
  Market& market = *step.market;
  const std::uint16_t symbol_id = market.rules.symbol_id;
  const Order& order = state.orders[taker];
  const std::int64_t direction = step.delta_lots > 0 ? 1 : -1;
  for (std::uint32_t met = 0; met < kMaxMakers; ++met) {
    const Slot maker = order.remaining != 0 ? next_maker(market, taker) : 0;
    if (maker == 0 || events.index() > kSweepRoom) return;
    const std::int64_t lots = std::min(order.remaining, state.orders[maker].remaining);
    const Scope scope = scope_of(state, step.account, step.symbol_id);
    const std::int64_t quote =
        bankruptcy_quote_units(scope, *scope.of(symbol_id), direction * lots);
    const std::int64_t brought =
        -direction * state.orders[maker].price * lots * market.rules.quote_per_tick_lot;
    const std::int64_t insurance =
        insurance_delta_units(brought, quote, market.perpetual->terms.liquidation_fee_ppm);
    if (insurance < 0 && !(fund_may_pay && may_pay(fund_units(), insurance))) return;
    fill_perpetual(market, maker, taker, lots, &insurance);
  }
}

// ---- the fund, and the other side -----------------------------------------------------------

// How many of `lots` the fund takes over, or why none: as its cash and cap allow, and none where
// what it realises against a position of its own would cost more than it has.
Reason Engine::takeover_capacity(const Step& step, std::int64_t& lots) const {
  const Perpetual& perpetual = *step.market->perpetual;
  const std::int64_t cash = fund_units();
  if (cash <= 0) return Reason::kFundPoolEmpty;
  if (perpetual.fund_stopped && fund_stops(perpetual, cash)) return Reason::kFundDrawdown;
  const Seat* seat = perpetual.look(state.find_account(kFundAccount));
  const Position own = seat == nullptr ? Position{} : seat->position;
  lots = std::min(lots, takeover_lots(step.scope, *step.exposure, cash, own.lots,
                                      perpetual.terms.fund_cap_ppm));
  if (lots == 0) return Reason::kFundAtCapacity;
  const std::int64_t delta = step.exposure->position.lots > 0 ? -lots : lots;
  const std::int64_t quote = bankruptcy_quote_units(step.scope, *step.exposure, delta);
  if (Wide{cash} + after_fill(own, -delta, quote).realised_units < 0)
    return Reason::kFundCannotPay;
  return Reason::kNone;
}

// Lets the fund buy what it can of a position, at the bankruptcy quote.
void Engine::take_over(const Command& command, const std::uint8_t* record) {
  const std::int64_t content = content_of(command, record);
  if (key_used(command, content, 0)) return;
  Step step;
  std::int64_t lots = 0;
  Reason reason = begin(command, record, step);
  if (reason == Reason::kNone) reason = refuse_takeover(step);
  if (reason == Reason::kNone) {
    lots = std::abs(step.delta_lots);
    reason = takeover_capacity(step, lots);
  }
  remember(command, reason, content, 0);
  if (reason != Reason::kNone) {
    refuse_step(command, reason, scope_in(command));
    return;
  }
  const std::int64_t delta = step.delta_lots > 0 ? lots : -lots;
  const std::int64_t quote = bankruptcy_quote_units(step.scope, *step.exposure, delta);
  Perpetual& perpetual = *step.market->perpetual;
  const std::uint32_t fund_account = state.need_account(kFundAccount);
  Seat& seat = perpetual.seat(step.account);
  Seat& fund = perpetual.seat(fund_account);
  const PositionChange closed = perpetual.change(seat, delta, -quote);
  const PositionChange opened = perpetual.change(fund, -delta, quote);
  add_cash(state, *step.market, seat, closed.realised_units);
  add_cash(state, *step.market, fund, opened.realised_units);
  note_scope(fund_account, 0);
  EventStripe* event =
      events.add(EventType::kTakenOver, 2, command.symbol_id, seat.is_isolated ? 1 : 0);
  put(event[0], {state.time_us, static_cast<std::int64_t>(command.account_id),
                 static_cast<std::int64_t>(command.key_low),
                 static_cast<std::int64_t>(command.key_high), delta, quote});
  put(event[1], {seat.position.lots, seat.position.cost_units, closed.realised_units,
                 fund.position.lots, fund.position.cost_units, opened.realised_units});
  step.frozen->version = state.sequence;
  say_scope(step.account, step.symbol_id);
}

// Closes some of a position against a counterparty, at the bankruptcy quote; the book and the fund
// come first.
void Engine::deleverage(const Command& command, const std::uint8_t* record) {
  const std::int64_t content = content_of(command, record);
  if (key_used(command, content, 0)) return;
  Step step;
  DeleveragedPair pair{};
  Reason reason = begin(command, record, step);
  if (reason == Reason::kNone) reason = refuse_takeover(step);
  if (reason == Reason::kNone) {
    std::int64_t one = 1;
    if (takeover_capacity(step, one) == Reason::kNone) reason = Reason::kFundCanTakeOver;
  }
  if (reason == Reason::kNone) {
    pair.counterparty = state.find_account(step_of(record).counterparty_id);
    pair.delta_lots = step.delta_lots;
    Scope opposite =
        scope_of(state, pair.counterparty, scope_symbol(*step.market, pair.counterparty));
    const Pair found =
        settle_pair(step.scope, opposite, command.symbol_id, step.delta_lots, false);
    pair.quote_units = found.quote_units;
    pair.haircut_units = found.haircut_units;
    if (found.refusal != RiskRefusal::kNone)
      reason = static_cast<Reason>(static_cast<int>(Reason::kInvalidPositionDelta) - 1 +
                                   static_cast<int>(found.refusal));
  }
  remember(command, reason, content, 0);
  if (reason != Reason::kNone) {
    refuse_step(command, reason, scope_in(command));
    return;
  }
  apply_pair(*step.market, step.account, pair, {command.key_low, command.key_high});
  step.frozen->version = state.sequence;
  say_scope(step.account, step.symbol_id);
}

}  // namespace rialto
