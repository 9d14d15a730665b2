// Children of brackets: pending until their entry ends, then armed for what it has filled, or closed.
#include <algorithm>

#include "engine.hpp"
#include "money.hpp"

namespace rialto {

// The pending orders of the bracket with that entry, by number, of which there are few; returns
// how many.
int Engine::children_of(std::uint64_t entry, Slot* children) const {
  int count = 0;
  for (std::uint64_t number = entry + 1; number < entry + kMaxListed; ++number) {
    const Slot slot = state.pages.find(number);
    if (slot == 0 || (state.orders[slot].traits & kPending) == 0) continue;
    if (static_cast<std::uint64_t>(state.rare[slot].terms.list) == order_id(entry))
      children[count++] = slot;
  }
  return count;
}

namespace {

std::uint64_t entry_of(const Rare& rare) {
  return static_cast<std::uint64_t>(rare.terms.list) & ((std::uint64_t{1} << 48) - 1);
}

}  // namespace

// Puts an order among those that are pending; its place in its account's list is its caller's.
void Engine::add_pending(Slot slot) {
  const Order& order = state.orders[slot];
  const Rare& rare = state.rare[slot];
  Market& market = *state.markets[order.symbol];
  market.pending.insert(order.number);
  ++market.open_orders;
  if (tif_of(order.flags) == kGtd) state.time(slot);
  if (rare.ended != 0) {
    market.ended.insert(entry_of(rare));
    state.touched = true;
  } else if (const Slot entry = state.pages.find(entry_of(rare)); entry != 0) {
    state.orders[entry].traits |= kEntry;
  }
}

void Engine::remove_pending(Market& market, Slot slot) {
  Order& order = state.orders[slot];
  const std::uint64_t entry = entry_of(state.rare[slot]);
  order.traits &= static_cast<std::uint16_t>(~kPending);
  market.pending.erase(order.number);
  Slot others[kMaxListed];
  if (children_of(entry, others) == 0) market.ended.erase(entry);
}

// Tells the children of a bracket what their entry has filled, now that it is closed. They are seen
// to once the command has acted.
[[gnu::noinline, gnu::cold]] void Engine::entry_ended(Market& market, Slot slot) {
  Order& entry = state.orders[slot];
  entry.traits &= static_cast<std::uint16_t>(~kEntry);
  Slot children[kMaxListed];
  const int count = children_of(entry.number, children);
  if (count == 0) return;
  for (int at = 0; at < count; ++at) {
    Rare& rare = state.rare[children[at]];
    rare.ended = 1;
    rare.entry_lots = entry.filled();
  }
  market.ended.insert(entry.number);
  state.touched = true;
}

// Arms or closes the pending orders of a list whose entry ended.
void Engine::see_to(Market& market, std::uint64_t entry) {
  Slot children[kMaxListed];
  const int count = children_of(entry, children);
  if (state.rare[children[0]].entry_lots != 0) {
    arm(market, children, count);
    return;
  }
  for (int at = 0; at < count; ++at) close_resting(market, children[at], Close::kOrderListDone);
}

// Lets the children of an entry stand for what it has filled, as an OCO if both may.
void Engine::arm(Market& market, const Slot* children, int count) {
  std::int64_t before[kMaxListed], holds[kMaxListed] = {};
  Reason refusals[kMaxListed];
  for (int at = 0; at < count; ++at) {
    const Slot slot = children[at];
    Order& order = state.orders[slot];
    before[at] = order.quantity;
    remove_pending(market, slot);
    state.keep_asked(slot);
    order.quantity = order.remaining = state.rare[slot].entry_lots;
  }
  for (int at = 0; at < count; ++at) refusals[at] = refuse_armed(market, children[at], holds[at]);
  if (count == 2 && refusals[0] == Reason::kNone && refusals[1] == Reason::kNone)
    link(children[0], children[1], std::min(holds[0], holds[1]));
  for (int at = 0; at < count; ++at) {
    const Slot slot = children[at];
    const Order& order = state.orders[slot];
    const bool refused = refusals[at] != Reason::kNone;
    EventStripe* event = events.add(EventType::kOrderArmed, 1, market.rules.symbol_id,
                                    static_cast<std::uint16_t>(order.side()));
    event->body[0] = state.accounts[order.account].id;
    event->body[1] = order_id(order.number);
    event->body[2] = static_cast<std::uint64_t>(order.quantity);
    event->body[3] = static_cast<std::uint64_t>(before[at]);
    event->body[4] =
        refused ? 0 : static_cast<std::uint64_t>(holds[at] - state.rare[slot].covered);
    event->body[5] = static_cast<std::uint64_t>(refusals[at]);
    if (refused || !is_triggered(order.flags))
      stand(market, slot, refused, Close::kRefusedAtTrigger);
    else
      stand_armed(market, slot);
  }
}

// Why a bracket's child may not stand now that its entry ended. As for a new order, which gets its
// limit and its trigger here, but it is counted as open already, and a trigger that is reached
// already is no fault.
Reason Engine::refuse_armed(Market& market, Slot slot, std::int64_t& hold) {
  const Order& order = state.orders[slot];
  Rare& rare = state.rare[slot];
  const int side = order.side();
  std::int64_t limit = order.price;
  if (is_triggered(order.flags)) {
    rare.trigger = trigger_from(order.flags, rare.terms, start_of(market, order.flags));
    Terms terms = rare.terms;
    terms.trigger = rare.trigger;
    const Reason astray = aim_rules(market, order.flags, terms, order.price, order.quantity);
    if (astray != Reason::kNone) return astray;
    limit = rare.limit = limit_at(market, order.flags, order.price, rare.trigger);
  } else {
    refresh_band(market);
    if (side == kBuy ? limit > market.highest : limit < market.lowest)
      return Reason::kPriceOutsideBand;
  }
  if (market.perpetual != nullptr) return refuse_armed_perpetual(market, slot);
  if (side == kBuy && exceeds_position(market, order.account, order.quantity))
    return Reason::kPositionLimit;
  if (!is_triggered(order.flags)) {
    const Reason broken =
        order_rules(market, order.flags, order.quantity, order.account, limit);
    if (broken != Reason::kNone) return broken;
  }
  if (!checked_hold(market.rules, side, limit, order.quantity, hold)) return Reason::kOverflow;
  return can_spend(order.account, side == kBuy ? market.quote : market.base, hold)
             ? Reason::kNone
             : Reason::kInsufficientFunds;
}

// The rest of it in a perpetual: one that waits is no risk before it is set off, another is cut to
// what it can close.
Reason Engine::refuse_armed_perpetual(const Market& market, Slot slot) {
  Order& order = state.orders[slot];
  if (is_triggered(order.flags)) return Reason::kNone;
  std::int64_t lots = order.quantity;
  Reason reason = refuse_position(market, order.flags, order.account, lots, true, lots);
  if (reason != Reason::kNone) return reason;
  order.quantity = order.remaining = lots;
  reason = order_rules(market, order.flags, lots, order.account, order.price);
  if (reason != Reason::kNone) return reason;
  return refuse_margin(order.account, {&market, 0, order.flags, order.price, lots, lots});
}

// Lets a child wait for its trigger, which its source's price may have reached.
void Engine::stand_armed(Market& market, Slot slot) {
  const Order& order = state.orders[slot];
  const Rare& rare = state.rare[slot];
  hold_waiting(market, slot, 1);
  --market.open_orders;
  add_waiting(slot);
  if (has_reached(market, order.flags, rare.trigger)) {
    const int source = trigger_source_of(order.flags);
    market.waits[static_cast<std::size_t>(source)].note(market.price_of(source));
  }
}

}  // namespace rialto
