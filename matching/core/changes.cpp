// Changes to orders that stand in the book: cancel, cancel all, amend.
#include <algorithm>
#include <cstring>

#include "engine.hpp"
#include "money.hpp"

namespace rialto {

namespace {

constexpr std::int64_t kBothSides = 0;  // of a cancel-all; else the side + 1

bool keeps_place(const Order& order, std::int64_t whole, std::int64_t price,
                 std::int64_t quantity) {
  return price == order.price && quantity <= whole;
}

}  // namespace

// The account's open order of that id or, when it is 0, of the command's client key; else 0.
Slot Engine::find_open(const Command& command, std::uint64_t id, std::uint64_t hash) const {
  const std::uint32_t account = state.find_account(command.account_id);
  Slot slot = 0;
  if (id != 0) {
    if (id >> 48 == state.shard) slot = state.pages.find(id & ((std::uint64_t{1} << 48) - 1));
  } else {
    slot = state.index.find(hash, [&](Slot at) {
      const Order& order = state.orders[at];
      return order.key_low == command.key_low && order.key_high == command.key_high &&
             order.account == account;
    });
  }
  if (slot == 0) return 0;
  const Order& order = state.orders[slot];
  if (order.status != Status::kOpen || order.account != account) return 0;
  const std::uint16_t symbol_id = state.markets[order.symbol]->rules.symbol_id;
  return command.symbol_id == 0 || command.symbol_id == symbol_id ? slot : 0;
}

// Whether this is the command's open order. An open order is the only one of its key.
inline bool Engine::is_open(Slot slot, const Command& command) const {
  const Order& order = state.orders[slot];
  return slot != 0 && order.key_low == command.key_low && order.key_high == command.key_high &&
         order.status == Status::kOpen &&
         state.accounts[order.account].id == command.account_id &&
         (command.symbol_id == 0 ||
          command.symbol_id == state.markets[order.symbol]->rules.symbol_id);
}

void Engine::cancel(const Command& command, const Place& place) {
  Reason reason = refuse_cancel(command);
  Slot slot = 0;
  if (reason == Reason::kNone) {
    const auto id = static_cast<std::uint64_t>(command.a);
    slot = id == 0 && is_open(place.guess, command) ? place.guess
                                                    : find_open(command, id, place.hash);
    if (slot == 0)
      reason = Reason::kOrderNotFound;
    else if (state.markets[state.orders[slot].symbol]->state == kHalted)
      reason = Reason::kSymbolHalted;
  }
  if (reason != Reason::kNone) {
    reject(command, reason, command.account_id, command.symbol_id);
    return;
  }
  Market& market = *state.markets[state.orders[slot].symbol];
  EventStripe* event = events.add(EventType::kCancelAccepted, 1, market.rules.symbol_id, 0);
  event->body[0] = static_cast<std::uint64_t>(command.time_us);
  event->body[1] = command.account_id;
  const Order& order = state.orders[slot];
  Slot children[kMaxListed];
  const bool untouched = (order.traits & kEntry) != 0 && order.filled() == 0;
  const int count = untouched ? children_of(order.number, children) : 0;
  event->body[2] = (order.traits & kLinked) != 0 ? 2 : static_cast<std::uint64_t>(1 + count);
  std::memset(&event->body[3], 0, 24);
  close_resting(market, slot, Close::kCancelledByUser);
  for (int at = 0; at < count; ++at)
    close_resting(market, children[at], Close::kCancelledByUser);
}

void Engine::cancel_all(const Command& command) {
  const bool known_sides = command.a >= 0 && command.a <= 2;
  const Reason reason = known_sides ? refuse_cancel(command) : Reason::kMalformedCommand;
  if (reason != Reason::kNone) {
    reject(command, reason, command.account_id, command.symbol_id);
    return;
  }
  std::vector<Slot> mine;
  const std::uint32_t account = state.find_account(command.account_id);
  if (account != 0) {
    Slot at = state.accounts[account].open_head;
    for (; at != 0; at = state.links[at].account_next) {
      const Market& market = *state.markets[state.orders[at].symbol];
      if (command.a != kBothSides && command.a != state.orders[at].side() + 1) continue;
      if (command.symbol_id != 0 && command.symbol_id != market.rules.symbol_id) continue;
      if (market.state == kHalted) continue;
      if (mine.size() >= kMaxCancels && !go_together(mine.back(), at)) break;
      mine.push_back(at);
    }
  }
  EventStripe* event = events.add(EventType::kCancelAccepted, 1, command.symbol_id, 0);
  event->body[0] = static_cast<std::uint64_t>(command.time_us);
  event->body[1] = command.account_id;
  event->body[2] = mine.size();
  std::memset(&event->body[3], 0, 24);
  close_all(mine, Close::kCancelledByUser);
}

// Arms, arms again or disarms an account's switch. No mode of the shard is in the way.
void Engine::set_dead_mans_switch(const Command& command) {
  const std::int64_t timeout_us = command.a;
  Reason reason = Reason::kNone;
  if (command.account_id == 0)
    reason = Reason::kMalformedCommand;
  else if (timeout_us < 0 || timeout_us > kMaxTimeoutUs)
    reason = Reason::kInvalidTimeout;
  if (reason != Reason::kNone) {
    reject(command, reason, command.account_id, 0);
    return;
  }
  const std::int64_t deadline_us = timeout_us == 0 ? 0 : command.time_us + timeout_us;
  state.set_switch(command.account_id, deadline_us);
  EventStripe* event = events.add(EventType::kDeadMansSwitchSet, 1, 0, 0);
  event->body[0] = static_cast<std::uint64_t>(command.time_us);
  event->body[1] = command.account_id;
  event->body[2] = static_cast<std::uint64_t>(deadline_us);
  std::memset(&event->body[3], 0, 24);
}

// Changes price or quantity; the order keeps its place only when it just shrinks.
void Engine::amend(const Command& command, const std::uint8_t* record, std::uint64_t hash) {
  AmendStripe more;
  std::memcpy(&more, record + kStripe, sizeof more);
  const bool named = more.order_id != 0 || (command.key_low | command.key_high) != 0;
  const Slot slot = named ? find_open(command, more.order_id, hash) : 0;
  const Reason reason =
      named ? refuse_amend(command, more.trigger, slot) : Reason::kMalformedCommand;
  if (reason != Reason::kNone) {
    reject(command, reason, command.account_id, command.symbol_id);
    return;
  }
  Order& order = state.orders[slot];
  if ((order.traits & kWaiting) != 0) [[unlikely]] {
    amend_waiting(command, more.trigger, slot);
    return;
  }
  Market& market = *state.markets[order.symbol];
  const std::int64_t price = command.a != 0 ? command.a : order.price;
  const std::int64_t hidden = state.hidden(slot);
  const std::int64_t whole = order.quantity + hidden;
  const std::int64_t quantity = command.b != 0 ? command.b : whole;
  const bool kept = keeps_place(order, whole, price, quantity);
  const std::int64_t filled = order.filled();
  const std::int64_t hides = kept ? std::max<std::int64_t>(0, hidden - (whole - quantity)) : 0;
  release(state, market, slot, state.open_lots(slot));

  write_amended(command, slot, {order.price, whole, hidden, 0}, {price, quantity, hides, 0},
                kept ? 2 : 0);
  if (!kept) market.book.remove(slot);
  state.keep_asked(slot);
  order.price = price;
  order.quantity = quantity - hides;
  order.remaining = order.quantity - filled;
  if (order.traits != 0) state.rare[slot].hidden = hides;
  if (kept) {
    hold(state, market, slot);
    return;
  }
  Close stopped = Close::kFilled;
  const bool stop = match(market, slot, price, stopped);
  stand(market, slot, stop, stopped);  // its place in its account's list is still its own
}

void Engine::write_amended(const Command& command, Slot slot, const AmendedTerms& before,
                           const AmendedTerms& after, unsigned how) {
  const Order& order = state.orders[slot];
  const bool waits = (order.traits & kWaiting) != 0;
  const auto flags = static_cast<std::uint16_t>(static_cast<unsigned>(order.side()) | how);
  EventStripe* event = events.add(EventType::kOrderAmended, waits ? 3 : 2,
                                  state.markets[order.symbol]->rules.symbol_id, flags);
  event[0].body[0] = static_cast<std::uint64_t>(command.time_us);
  event[0].body[1] = command.account_id;
  event[0].body[2] = order_id(order.number);
  event[0].body[3] = order.key_low;
  event[0].body[4] = order.key_high;
  event[0].body[5] = static_cast<std::uint64_t>(after.price);
  event[1].body[0] = static_cast<std::uint64_t>(after.quantity);
  event[1].body[1] = static_cast<std::uint64_t>(order.filled());
  event[1].body[2] = static_cast<std::uint64_t>(before.price);
  event[1].body[3] = static_cast<std::uint64_t>(before.quantity);
  event[1].body[4] = static_cast<std::uint64_t>(after.hidden);
  event[1].body[5] = static_cast<std::uint64_t>(before.hidden);
  if (!waits) return;
  event[2].body[0] = static_cast<std::uint64_t>(after.trigger);
  event[2].body[1] = static_cast<std::uint64_t>(before.trigger);
  std::memset(&event[2].body[2], 0, 32);
}

Reason Engine::refuse_amend(const Command& command, std::int64_t trigger, Slot slot) {
  if (command.account_id == 0) return Reason::kMalformedCommand;
  if (command.a == 0 && command.b == 0 && trigger == 0) return Reason::kInvalidCombination;
  if (command.a < 0) return Reason::kInvalidPrice;
  if (command.b < 0) return Reason::kInvalidQuantity;
  if (trigger < 0) return Reason::kInvalidTrigger;
  if (command.symbol_id != 0 && state.market(command.symbol_id) == nullptr)
    return Reason::kUnknownSymbol;
  if (state.mode == kHalted) return Reason::kShardHalted;
  if (state.mode == kCancelOnly) return Reason::kShardCancelOnly;
  if (slot == 0) return Reason::kOrderNotFound;
  const Order& order = state.orders[slot];
  Market& market = *state.markets[order.symbol];
  if (const Reason shut = closed_market(market); shut != Reason::kNone) return shut;
  if ((order.traits & (kLinked | kPending)) != 0) return Reason::kOrderInList;
  if ((order.traits & kWaiting) != 0) [[unlikely]]
    return refuse_amend_waiting(command, trigger, slot);
  if (trigger != 0) return Reason::kInvalidCombination;
  if (market.perpetual != nullptr && command.a > kMaxPriceTicks) return Reason::kInvalidPrice;
  const int side = order.side();
  const Rules& rules = market.rules;
  const std::int64_t price = command.a != 0 ? command.a : order.price;
  const std::int64_t hidden = state.hidden(slot);
  const std::int64_t whole = order.quantity + hidden;
  const std::int64_t quantity = command.b != 0 ? command.b : whole;
  if (quantity <= order.filled()) return Reason::kQuantityBelowFilled;
  if (keeps_place(order, whole, price, quantity)) return Reason::kNone;
  if ((order.traits & kEntry) != 0 && !embraced(order, price)) return Reason::kListPricesCrossed;
  refresh_band(market);
  if (side == kBuy ? price > market.highest : price < market.lowest)
    return Reason::kPriceOutsideBand;
  if (quantity > rules.max_order_lots) return Reason::kQuantityTooLarge;
  if ((order.traits & kIceberg) != 0 && too_many_slices(quantity, state.rare[slot].terms.display))
    return Reason::kTooManySlices;
  if (market.perpetual != nullptr) [[unlikely]]
    return refuse_amended_perpetual(slot, price, quantity, whole);
  if (side == kBuy && exceeds_position(market, order.account, quantity - whole))
    return Reason::kPositionLimit;
  const std::int64_t left = quantity - order.filled();
  const Reason broken = order_rules(market, order.flags, left, order.account, price);
  if (broken != Reason::kNone) return broken;
  std::int64_t hold = 0;
  if (!checked_hold(rules, side, price, left, hold)) return Reason::kOverflow;
  const std::int64_t own = hold_units(rules, side, order.price, order.remaining + hidden);
  return can_spend(order.account, side == kBuy ? market.quote : market.base, hold - own)
             ? Reason::kNone
             : Reason::kInsufficientFunds;
}

// What an order that moves in the queue of a perpetual has to pass; its own lots count as free.
Reason Engine::refuse_amended_perpetual(Slot slot, std::int64_t price, std::int64_t quantity,
                                        std::int64_t whole) const {
  const Order& order = state.orders[slot];
  const Market& market = *state.markets[order.symbol];
  std::int64_t left = quantity - order.filled();
  const Reason reason =
      refuse_position(market, order.flags, order.account, quantity - whole, false, left);
  if (reason != Reason::kNone) return reason;
  const Reason broken = order_rules(market, order.flags, left, order.account, price);
  if (broken != Reason::kNone) return broken;
  return refuse_margin(order.account,
                       {&market, slot, order.flags, price, quantity - whole, left});
}

}  // namespace rialto
