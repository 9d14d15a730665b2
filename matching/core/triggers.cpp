// Orders that wait for a price: admitting, keeping and setting them off; and what else a command
// leaves to do.
#include <algorithm>

#include "engine.hpp"
#include "money.hpp"

namespace rialto {

namespace {

std::pair<std::int64_t, std::uint64_t> turn(const Order& order, std::int64_t trigger) {
  return {rises(order.flags) ? trigger : -trigger, order.number};
}

Waits& waits_of(Market& market, std::uint16_t flags) {
  return market.waits[static_cast<std::size_t>(trigger_source_of(flags))];
}

}  // namespace

// The first trigger of a trailing stop is as far from the last price as it may ever be.
Reason Engine::refuse_waiting(const Command& command, std::uint32_t account, const Terms& terms,
                              Admission& in) {
  Market& market = *in.market;
  Terms now = terms;
  now.trigger = trigger_from(command.flags, terms, start_of(market, command.flags));
  in.lots = command.b;
  return waiting_rules(market, command.flags, now, account, command.a, command.b, 0, 0, in.hold);
}

// Why an order may not wait for the trigger in its terms. One that waits already has
// `own_lots`: it counts as open, and its hold as free.
Reason Engine::waiting_rules(Market& market, std::uint16_t flags, const Terms& terms,
                             std::uint32_t account, std::int64_t price, std::int64_t quantity,
                             std::int64_t own_hold, std::int64_t own_lots, std::int64_t& hold) {
  const Reason astray = aim_rules(market, flags, terms, price, quantity);
  if (astray != Reason::kNone) return astray;
  const int side = side_of(flags);
  const Rules& rules = market.rules;
  const std::int64_t limit = limit_at(market, flags, price, terms.trigger);
  if (own_lots == 0 && account != 0 &&
      state.open_of(account, market.at).count >= rules.max_open_orders)
    return Reason::kTooManyOpenOrders;
  const bool is_spot = market.perpetual == nullptr;
  if (is_spot && side == kBuy && exceeds_position(market, account, quantity - own_lots))
    return Reason::kPositionLimit;
  if (has_reached(market, flags, terms.trigger)) return Reason::kWouldTriggerImmediately;
  hold = 0;
  if (!is_spot) return Reason::kNone;  // it is no risk before it is set off
  if (!checked_hold(rules, side, limit, quantity, hold)) return Reason::kOverflow;
  return can_spend(account, side == kBuy ? market.quote : market.base, hold - own_hold)
             ? Reason::kNone
             : Reason::kInsufficientFunds;
}

// Why an order may wait for the trigger in its terms nowhere.
Reason Engine::aim_rules(const Market& market, std::uint16_t flags, const Terms& terms,
                         std::int64_t price, std::int64_t quantity) const {
  if (terms.trigger <= 0) return Reason::kInvalidTrigger;
  const Band band = band_of(market, terms.trigger);
  const std::int64_t limit = limit_at(market, flags, price, terms.trigger);
  if (side_of(flags) == kBuy ? limit > band.highest : limit < band.lowest)
    return Reason::kPriceOutsideBand;
  if (quantity > market.rules.max_order_lots) return Reason::kQuantityTooLarge;
  const bool sliced = terms.display != 0 && too_many_slices(quantity, terms.display);
  return sliced ? Reason::kTooManySlices : Reason::kNone;
}

// Lets an accepted order wait, with its hold.
void Engine::wait(Market& market, Slot slot) {
  Order& order = state.orders[slot];
  Rare& rare = state.rare[slot];
  rare.trigger = trigger_from(order.flags, rare.terms, start_of(market, order.flags));
  rare.limit = limit_at(market, order.flags, order.price, rare.trigger);
  hold_waiting(market, slot, 1);
  add_waiting(slot);
  list_waiting(slot);
}

// Adds (1) or takes away (-1) what an order that waits holds, and buys. Of a list's two orders only
// one will buy, and the first holds for both what it can.
void Engine::hold_waiting(Market& market, Slot slot, int sign) {
  if (market.perpetual != nullptr) return;
  const Order& order = state.orders[slot];
  const Rare& rare = state.rare[slot];
  const bool buys = order.side() == kBuy;
  const std::int64_t whole = hold_units(market.rules, order.side(), rare.limit, order.remaining);
  state.balance(order.account, buys ? market.quote : market.base).held +=
      sign * (whole - rare.covered);
  if (buys && rare.covered == 0)
    state.open_of(order.account, order.symbol).buy_lots += sign * order.remaining;
}

// Puts an order among those that wait; its place in its account's list is its caller's.
void Engine::add_waiting(Slot slot) {
  Order& order = state.orders[slot];
  const Rare& rare = state.rare[slot];
  Market& market = *state.markets[order.symbol];
  order.traits |= kWaiting;
  Waits& waits = waits_of(market, order.flags);
  (rises(order.flags) ? waits.rising : waits.falling).insert(turn(order, rare.trigger));
  if (rare.terms.trailing != 0) waits.trailing.insert(order.number);
  ++market.waiting;
  ++market.open_orders;
  if (tif_of(order.flags) == kGtd) state.time(slot);
}

void Engine::remove_waiting(Market& market, Slot slot) {
  Order& order = state.orders[slot];
  Rare& rare = state.rare[slot];
  order.traits &= static_cast<std::uint16_t>(~kWaiting);
  Waits& waits = waits_of(market, order.flags);
  (rises(order.flags) ? waits.rising : waits.falling).erase(turn(order, rare.trigger));
  waits.trailing.erase(order.number);
  --market.waiting;
  hold_waiting(market, slot, -1);
  rare.covered = 0;
}

// Closes an open order that does not stand in the book.
void Engine::close_outside(Market& market, Slot slot, Close reason) {
  Order& order = state.orders[slot];
  if ((order.traits & kPending) != 0)
    remove_pending(market, slot);
  else
    remove_waiting(market, slot);
  delist(market, slot);
  order.status = status_of(reason);
  state.closed_us[slot] = state.time_us;
  write_closed(market, slot, reason, false);
  file_closed(slot);
}

Reason Engine::refuse_amend_waiting(const Command& command, std::int64_t trigger, Slot slot) {
  const Order& order = state.orders[slot];
  const Rare& rare = state.rare[slot];
  Market& market = *state.markets[order.symbol];
  if (trigger != 0 && rare.terms.trailing != 0) return Reason::kInvalidCombination;
  if (command.a != 0 && !has_limit(order.flags)) return Reason::kInvalidCombination;
  if (command.b != 0 && (order.flags & kClosePositionFlag) != 0)
    return Reason::kInvalidCombination;
  if (market.perpetual != nullptr && std::max(command.a, trigger) > kMaxPriceTicks)
    return Reason::kInvalidPrice;
  Terms terms = rare.terms;
  terms.trigger = trigger != 0 ? trigger : rare.trigger;
  const std::int64_t own = order_hold(market, order.side(), rare.limit, order.remaining);
  std::int64_t hold = 0;
  return waiting_rules(market, order.flags, terms, order.account,
                       command.a != 0 ? command.a : order.price,
                       command.b != 0 ? command.b : order.quantity, own, order.quantity, hold);
}

void Engine::amend_waiting(const Command& command, std::int64_t trigger, Slot slot) {
  Order& order = state.orders[slot];
  Rare& rare = state.rare[slot];
  Market& market = *state.markets[order.symbol];
  const AmendedTerms before{order.price, order.quantity, 0, rare.trigger};
  remove_waiting(market, slot);
  state.keep_asked(slot);
  if (command.a != 0) order.price = command.a;
  if (command.b != 0) order.quantity = order.remaining = command.b;
  if (trigger != 0) rare.trigger = trigger;
  rare.limit = limit_at(market, order.flags, order.price, rare.trigger);
  hold_waiting(market, slot, 1);
  --market.open_orders;
  add_waiting(slot);
  write_amended(command, slot, before, {order.price, order.quantity, 0, rare.trigger}, 2 | 4);
}

// Remembers that a price was traded while orders wait: one of them may be the maker's sibling.
[[gnu::noinline, gnu::cold]] void Engine::touch(Market& market, Slot maker) {
  market.waits[kLastPrice].note(state.orders[maker].price);
  state.touched = true;
  end_list(market, maker);
}

// Remembers a mark or an index while orders wait.
void Engine::touch_source(Market& market, int source) {
  if (market.waiting == 0) return;
  market.waits[static_cast<std::size_t>(source)].note(market.price_of(source));
  state.touched = true;
}

// Holds the prices traded against the triggers and sees to ended brackets, in order of symbol ids.
// What that trades may set off and end others; one acts only while a whole sweep fits into the
// command's events.
[[gnu::noinline, gnu::cold]] void Engine::run_triggers() {
  std::vector<Market*> touched;
  for (const auto& market : state.markets)
    if (market->is_touched()) touched.push_back(market.get());
  std::sort(touched.begin(), touched.end(), [](const Market* a, const Market* b) {
    return a->rules.symbol_id < b->rules.symbol_id;
  });
  bool left = false;
  for (Market* market : touched) {
    if (state.mode == kOpen && closed_market(*market) == Reason::kNone)
      while (events.index() <= kTriggerRoom && see_to_next(*market)) {
      }
    left |= market->is_touched();
  }
  state.touched = left;
}

// Does what comes next, prices first: those traded, the mark, the index. Returns whether there was
// anything.
bool Engine::see_to_next(Market& market) {
  for (int source = kLastPrice; source <= kIndexPrice; ++source) {
    const Waits& waits = market.waits[static_cast<std::size_t>(source)];
    if (waits.low == 0) continue;
    if (!set_off_next(market, waits)) follow(market, source);
    return true;
  }
  if (market.ended.empty()) return false;
  see_to(market, *market.ended.begin());
  return true;
}

// Sets off the nearest trigger that was reached, those that waited for a rise first.
bool Engine::set_off_next(Market& market, const Waits& waits) {
  if (!waits.rising.empty() && waits.rising.begin()->first <= waits.high) {
    set_off(market, state.pages.find(waits.rising.begin()->second));
    return true;
  }
  if (!waits.falling.empty() && -waits.falling.begin()->first >= waits.low) {
    set_off(market, state.pages.find(waits.falling.begin()->second));
    return true;
  }
  return false;
}

// Lets trailing stops of a source follow; if one moved, its price is to be looked at again.
void Engine::follow(Market& market, int source) {
  Waits& waits = market.waits[static_cast<std::size_t>(source)];
  bool moved = false;
  for (const std::uint64_t number : waits.trailing) {
    const Slot slot = state.pages.find(number);
    const Order& order = state.orders[slot];
    Rare& rare = state.rare[slot];
    const bool up = rises(order.flags);
    const Wide wanted =
        up ? Wide{waits.low} + rare.terms.trailing : Wide{waits.high} - rare.terms.trailing;
    if (up ? wanted >= rare.trigger : wanted <= rare.trigger) continue;
    auto& side = up ? waits.rising : waits.falling;
    side.erase(turn(order, rare.trigger));
    rare.trigger = static_cast<std::int64_t>(wanted);
    side.insert(turn(order, rare.trigger));
    moved = true;
  }
  waits.low = waits.high = moved ? market.price_of(source) : 0;
}

// Lets an order act that waited; what the book does not allow now closes it.
void Engine::set_off(Market& market, Slot slot) {
  Order& order = state.orders[slot];
  const Rare& rare = state.rare[slot];
  const Waits& waits = waits_of(market, order.flags);
  const std::int64_t price = rises(order.flags) ? waits.high : waits.low;
  const int side = order.side();
  remove_waiting(market, slot);
  order.traits |= kActing;
  std::int64_t limit = rare.limit;
  if (!has_limit(order.flags)) {
    refresh_band(market);
    limit = side == kBuy ? std::min(limit, market.highest) : std::max(limit, market.lowest);
  }
  std::int64_t lots = 0;
  const Reason refusal = refuse_triggered(market, slot, limit, lots);
  if (lots != order.remaining) {
    state.keep_asked(slot);
    order.quantity = order.remaining = lots;
  }
  EventStripe* event = events.add(EventType::kOrderTriggered, 1, market.rules.symbol_id,
                                  static_cast<std::uint16_t>(side));
  event->body[0] = state.accounts[order.account].id;
  event->body[1] = order_id(order.number);
  event->body[2] = static_cast<std::uint64_t>(rare.trigger);
  event->body[3] = static_cast<std::uint64_t>(price);
  event->body[4] = static_cast<std::uint64_t>(refusal);
  event->body[5] = 0;
  end_list(market, slot);
  Close stopped = Close::kRefusedAtTrigger;
  const bool stop = refusal != Reason::kNone || match(market, slot, limit, stopped);
  order.traits &= static_cast<std::uint16_t>(~kActing);
  stand(market, slot, stop, stopped);  // its place in its account's list is its own
}

}  // namespace rialto
