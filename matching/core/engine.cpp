#include "engine.hpp"

#include <x86intrin.h>

#include <algorithm>
#include <cstring>

#include "money.hpp"

namespace rialto {

namespace {

enum Fault { kBadLength = 1, kBadVersion = 2, kUnknownOpcode = 3, kBadField = 6 };

bool known(std::uint8_t opcode) {
  switch (static_cast<Opcode>(opcode)) {
    case Opcode::kPlaceOrder:
    case Opcode::kCancelOrder:
    case Opcode::kCancelAll:
    case Opcode::kAmendOrder:
    case Opcode::kSetDeadMansSwitch:
    case Opcode::kCredit:
    case Opcode::kDebit:
    case Opcode::kListSymbol:
    case Opcode::kSetSymbolState:
    case Opcode::kSetShardMode:
    case Opcode::kStarted:
    case Opcode::kTick:
      return true;
  }
  return false;
}

std::string place_text(const char* what, std::size_t offset) {
  return std::string(what) + " at " + std::to_string(offset);
}

const Command& command_at(const std::uint8_t* record) {
  return *reinterpret_cast<const Command*>(record);
}

}  // namespace

std::span<const EventStripe> Engine::apply(const std::uint8_t* data, std::size_t size) {
  check(data, size);
  const std::size_t count = places_.size();
  events.start_batch(count);
  for (std::size_t at = 0; at < std::min(kAheadOrder, count); ++at)
    look_at_order(data, places_[at]);
  for (std::size_t at = 0; at < std::min(kAheadNear, count); ++at) look_near(data, places_[at]);
  if (stamps != nullptr) stamps[0] = __rdtsc();
  for (std::size_t at = 0; at < count; ++at) {
    if (at + kAheadOrder < count) look_at_order(data, places_[at + kAheadOrder]);
    if (at + kAheadNear < count) look_near(data, places_[at + kAheadNear]);
    step(data + places_[at].offset, places_[at].hash);
    if (stamps != nullptr) stamps[at + 1] = __rdtsc();
  }
  events.seal();
  stamps = nullptr;
  return {events.data(), events.stripes()};
}

// A command's order, where its index cell (prefetched before) says it is.
void Engine::look_at_order(const std::uint8_t* data, const Place& place) const {
  const Command& command = command_at(data + place.offset);
  if (command.opcode == Opcode::kPlaceOrder) {
    const Market* market = state.market(command.symbol_id);
    if (market != nullptr) market->book.prefetch(command.a);
  } else if (const Slot guess = state.index.guess(place.hash); guess != 0) {
    __builtin_prefetch(&state.orders[guess], 1);
    __builtin_prefetch(reinterpret_cast<const char*>(&state.orders[guess]) + 64);
  }
}

// What a command's order will touch beside itself: its neighbours in level and account.
void Engine::look_near(const std::uint8_t* data, const Place& place) const {
  const Command& command = command_at(data + place.offset);
  if (command.opcode == Opcode::kPlaceOrder) {
    const Market* market = state.market(command.symbol_id);
    if (market == nullptr) return;
    const int side = side_of(command.flags);
    if (const Slot tail = market->book.tail_guess(command.a); tail != 0)
      __builtin_prefetch(&state.orders[tail], 1);
    if (const Slot first = market->book.first_guess(1 - side); first != 0)
      __builtin_prefetch(&state.orders[first], 1);
  } else if (const Slot guess = state.index.guess(place.hash); guess != 0) {
    const Order& order = state.orders[guess];
    __builtin_prefetch(&state.orders[order.prev], 1);
    __builtin_prefetch(&state.orders[order.next], 1);
    __builtin_prefetch(&state.orders[order.account_prev], 1);
    __builtin_prefetch(&state.orders[order.account_next], 1);
  }
}

// Framing, numbering and time of the whole batch, before any effect.
void Engine::check(const std::uint8_t* data, std::size_t size) {
  if (size % kStripe != 0)
    throw WireError(kBadLength, std::to_string(size) + " bytes are not whole stripes");
  places_.clear();
  std::uint64_t sequence = state.sequence;
  std::int64_t time_us = state.time_us;
  for (std::size_t offset = 0; offset < size;) {
    const Command& command = command_at(data + offset);
    if (command.version != kCommandVersion)
      throw WireError(kBadVersion, place_text("command version", offset));
    const auto opcode = static_cast<std::uint8_t>(command.opcode);
    if (!known(opcode)) throw WireError(kUnknownOpcode, place_text("opcode", offset));
    const bool is_order = command.opcode == Opcode::kPlaceOrder;
    const bool is_amend = command.opcode == Opcode::kAmendOrder;
    const bool wide =
        is_order ? command.text_length != 0 : is_amend || command.opcode == Opcode::kListSymbol;
    std::uint8_t stripes = wide ? 2 : 1;
    if (is_order && command.stripes == stripes + 1) ++stripes;  // the rarer terms
    if (command.stripes != stripes || command.text_length > (is_order ? kMaxText : 0))
      throw WireError(kBadLength, place_text("stripes", offset));
    if (offset + stripes * kStripe > size)
      throw WireError(kBadLength, place_text("a cut off record", offset));
    if (command.sequence != ++sequence || command.time_us < time_us)
      throw SequenceError("command " + std::to_string(command.sequence) + " at " +
                          std::to_string(command.time_us) + " after " +
                          std::to_string(sequence - 1) + " at " + std::to_string(time_us));
    time_us = command.time_us;
    std::uint64_t hash = 0;
    if (is_order || is_amend || command.opcode == Opcode::kCancelOrder)
      hash = identity_hash(command.account_id, command.key_low, command.key_high);
    state.index.prefetch(hash);
    places_.push_back({static_cast<std::uint32_t>(offset), hash});
    offset += stripes * kStripe;
  }
}

void Engine::step(const std::uint8_t* record, std::uint64_t hash) {
  const Command& command = command_at(record);
  state.sequence = command.sequence;
  state.time_us = command.time_us;
  events.begin(command.sequence);
  std::size_t mark = 0, expired = 0;
  if (command.time_us > state.next_expiry_us) [[unlikely]] {
    mark = events.before_outcome();
    expired = expire();
    events.await_outcome();
  }
  act(command, record, hash);
  if (expired != 0) [[unlikely]]
    events.outcome_first(mark, expired);
}

inline void Engine::act(const Command& command, const std::uint8_t* record, std::uint64_t hash) {
  switch (command.opcode) {
    case Opcode::kPlaceOrder:
      place(command, record, hash);
      break;
    case Opcode::kCancelOrder:
      cancel(command, hash);
      break;
    case Opcode::kCancelAll:
      cancel_all(command);
      break;
    case Opcode::kAmendOrder:
      amend(command, record, hash);
      break;
    case Opcode::kSetDeadMansSwitch:
      set_dead_mans_switch(command);
      break;
    case Opcode::kCredit:
    case Opcode::kDebit:
      money(command);
      break;
    case Opcode::kListSymbol:
      list_symbol(command, record);
      break;
    case Opcode::kSetSymbolState:
      set_symbol_state(command);
      break;
    case Opcode::kSetShardMode:
      set_shard_mode(command);
      break;
    case Opcode::kStarted: {
      state.epoch = static_cast<std::uint64_t>(command.a);
      EventStripe* event = events.add(EventType::kStarted, 1, 0, 0);
      event->body[0] = static_cast<std::uint64_t>(command.time_us);
      event->body[1] = static_cast<std::uint64_t>(command.a);
      event->body[2] = static_cast<std::uint64_t>(command.b);
      std::memset(&event->body[3], 0, 24);
      break;
    }
    case Opcode::kTick: {
      EventStripe* event = events.add(EventType::kTicked, 1, 0, 0);
      event->body[0] = static_cast<std::uint64_t>(command.time_us);
      std::memset(&event->body[1], 0, 40);
      break;
    }
  }
}

// ---- orders ---------------------------------------------------------------------------------

void Engine::place(const Command& command, const std::uint8_t* record, std::uint64_t hash) {
  const std::uint32_t account = state.find_account(command.account_id);
  const unsigned with_text = command.text_length != 0 ? 2 : 1;
  TermsStripe more{};
  if (command.stripes > with_text) [[unlikely]]
    std::memcpy(&more, record + with_text * kStripe, sizeof more);
  const Terms terms{more.quote_budget, more.expires_us};
  const bool has_terms = terms != Terms{};
  const Slot known_slot = state.index.find(hash, [&](Slot slot) {
    const Order& order = state.orders[slot];
    return order.key_low == command.key_low && order.key_high == command.key_high &&
           order.account == account;
  });
  if (known_slot != 0) {
    const Order& order = state.orders[known_slot];
    const bool same = state.markets[order.symbol]->rules.symbol_id == command.symbol_id &&
                      order.flags == command.flags && order.asked_price == command.a &&
                      order.asked_quantity == command.b &&
                      (order.has_terms != 0 ? state.terms[known_slot] : Terms{}) == terms;
    EventStripe* event = events.add(
        EventType::kOrderDuplicate, 2, command.symbol_id,
        static_cast<std::uint16_t>((same ? 1 : 0) | static_cast<unsigned>(order.status) << 1));
    event[0].body[0] = static_cast<std::uint64_t>(command.time_us);
    event[0].body[1] = command.account_id;
    event[0].body[2] = command.key_low;
    event[0].body[3] = command.key_high;
    event[0].body[4] = order_id(order.number);
    event[0].body[5] = order.accepted_sequence;
    event[1].body[0] = static_cast<std::uint64_t>(order.filled());
    std::memset(&event[1].body[1], 0, 40);
    return;
  }
  Market* market = nullptr;
  std::int64_t limit = 0, hold = 0;
  Reason reason = Reason::kMalformedCommand;
  if (std::all_of(std::begin(more.zero), std::end(more.zero), [](auto word) { return word == 0; }))
    reason = refuse_order(command, record, market, account, terms, limit, hold);
  if (reason != Reason::kNone) {
    reject(command, reason, command.account_id, command.symbol_id);
    return;
  }
  const Slot slot = state.new_order();
  Order& order = state.orders[slot];
  order.price = order.asked_price = command.a;
  order.remaining = order.quantity = order.asked_quantity = command.b;
  order.number = state.next_order++;
  order.account = account;
  order.flags = command.flags;
  order.symbol = state.symbol_index[command.symbol_id];
  order.status = Status::kOpen;
  order.text_length = command.text_length;
  order.has_terms = has_terms;
  order.key_low = command.key_low;
  order.key_high = command.key_high;
  order.accepted_sequence = command.sequence;
  order.accepted_us = command.time_us;
  order.closed_us = 0;
  order.hash = hash;
  state.index.insert(hash, slot);
  state.pages.set(order.number, slot);

  EventStripe* event = events.add(EventType::kOrderAccepted, 1 + with_text + has_terms,
                                  command.symbol_id, command.flags);
  event[0].body[0] = static_cast<std::uint64_t>(command.time_us);
  event[0].body[1] = command.account_id;
  event[0].body[2] = order_id(order.number);
  event[0].body[3] = command.key_low;
  event[0].body[4] = command.key_high;
  event[0].body[5] = static_cast<std::uint64_t>(command.a);
  event[1].body[0] = static_cast<std::uint64_t>(command.b);
  event[1].body[1] = static_cast<std::uint64_t>(hold);
  std::memset(&event[1].body[2], 0, 32);
  if (command.text_length != 0) {
    char* text = state.texts[slot].bytes;
    std::memset(text, 0, kMaxText);
    std::memcpy(text, record + kStripe, command.text_length);
    std::memset(event[2].body, 0, sizeof event[2].body);
    std::memcpy(event[2].body, text, kMaxText);
  }
  if (has_terms) [[unlikely]] {
    state.terms[slot] = terms;
    EventStripe& last = event[1 + with_text];
    last.head = (last.head & ~(std::uint64_t{0xFF} << 24)) | std::uint64_t{3} << 24;
    std::memcpy(last.body, &more, sizeof last.body);
    if (terms.quote_budget != 0) {
      const Close ended = spend(*market, slot, limit);
      finish(*market, slot, true, ended);
      return;
    }
  }
  Close stopped = Close::kFilled;
  const bool stop = match(*market, slot, limit, stopped);
  finish(*market, slot, stop, stopped);
}

// Trades against the book; returns whether the taker must stop, and why.
bool Engine::match(Market& market, Slot taker, std::int64_t limit, Close& stopped) {
  Order& order = state.orders[taker];
  const int side = 1 - order.side();
  Book& book = market.book;
  for (std::uint32_t met = 0; met < kMaxMakers; ++met) {
    const std::int64_t best = book.best(side);
    if (best == kNoPrice || !Book::crosses(side, best, limit)) return false;
    const Slot maker = book.first(side);
    const Order& other = state.orders[maker];
    if (other.account == order.account) {
      const int mode = self_trade_of(order.flags);
      if (mode == kDecrement) {
        stopped = Close::kSelfTrade;
        if (decrement(market, maker, taker)) return true;
        continue;
      }
      if (mode != kExpireTaker) close_resting(market, maker, Close::kSelfTrade);
      if (mode != kExpireMaker) {
        stopped = Close::kSelfTrade;
        return true;
      }
      continue;
    }
    __builtin_prefetch(&state.orders[other.next], 1);
    __builtin_prefetch(&state.orders[other.account_prev], 1);
    __builtin_prefetch(&state.orders[other.account_next], 1);
    fill(market, maker, taker, std::min(order.remaining, other.remaining));
    if (order.remaining == 0) return false;
  }
  const std::int64_t best = book.best(side);
  stopped = Close::kSweepLimit;
  return best != kNoPrice && Book::crosses(side, best, limit);
}

// Trades a market buy until its quote budget is spent; returns why it ends.
[[gnu::noinline, gnu::cold]] Close Engine::spend(Market& market, Slot taker, std::int64_t limit) {
  Order& order = state.orders[taker];
  const Rules& rules = market.rules;
  const int side = 1 - kBuy;
  const Book& book = market.book;
  std::int64_t left = state.terms[taker].quote_budget;
  for (std::uint32_t met = 0; met < kMaxMakers; ++met) {
    const std::int64_t best = book.best(side);
    if (best == kNoPrice) return Close::kIocRemainder;
    if (best > limit) return Close::kBandReached;
    const Slot maker = book.first(side);
    const Order& other = state.orders[maker];
    if (other.account == order.account) {
      const int mode = self_trade_of(order.flags);
      if (mode != kExpireTaker) close_resting(market, maker, Close::kSelfTrade);
      if (mode != kExpireMaker) return Close::kSelfTrade;
      continue;
    }
    const std::int64_t lots = std::min(affordable_lots(rules, best, left), other.remaining);
    if (lots == 0) return order.quantity != 0 ? Close::kFilled : Close::kIocRemainder;
    const std::int64_t quote = best * lots * rules.quote_per_tick_lot;
    left -= quote + fee_units(quote, rules.taker_fee_ppm);
    order.quantity += lots;
    order.remaining += lots;
    fill(market, maker, taker, lots);
  }
  return Close::kSweepLimit;
}

// Shrinks both by the smaller remainder; returns whether nothing of the taker is left.
[[gnu::noinline, gnu::cold]] bool Engine::decrement(Market& market, Slot maker_slot,
                                                    Slot taker_slot) {
  Order& maker = state.orders[maker_slot];
  Order& taker = state.orders[taker_slot];
  const int side = maker.side();
  const std::int64_t lots = std::min(maker.remaining, taker.remaining);
  state.balance(maker.account, side == kBuy ? market.quote : market.base).held -=
      hold_units(market.rules, side, maker.price, maker.remaining) -
      hold_units(market.rules, side, maker.price, maker.remaining - lots);
  maker.remaining -= lots;
  maker.quantity -= lots;
  taker.remaining -= lots;
  taker.quantity -= lots;
  EventStripe* event = events.add(EventType::kSelfTradePrevented, 1, market.rules.symbol_id,
                                  static_cast<std::uint16_t>(taker.side()));
  event->body[0] = state.accounts[taker.account].id;
  event->body[1] = order_id(maker.number);
  event->body[2] = order_id(taker.number);
  event->body[3] = static_cast<std::uint64_t>(maker.price);
  event->body[4] = static_cast<std::uint64_t>(lots);
  event->body[5] = 0;
  if (maker.remaining == 0) close_resting(market, maker_slot, Close::kSelfTrade);
  return taker.remaining == 0;
}

// Trades `lots` at the maker's price and moves the money; the taker holds nothing yet.
inline void Engine::fill(Market& market, Slot maker_slot, Slot taker_slot, std::int64_t lots) {
  Order& maker = state.orders[maker_slot];
  Order& taker = state.orders[taker_slot];
  const Rules& rules = market.rules;
  const std::int64_t base = lots * rules.base_per_lot;
  const std::int64_t quote = maker.price * lots * rules.quote_per_tick_lot;
  const std::int64_t maker_fee = fee_units(quote, rules.maker_fee_ppm);
  const std::int64_t taker_fee = fee_units(quote, rules.taker_fee_ppm);
  Balance& maker_base = state.balance(maker.account, market.base);
  Balance& maker_quote = state.balance(maker.account, market.quote);
  Balance& taker_base = state.balance(taker.account, market.base);
  Balance& taker_quote = state.balance(taker.account, market.quote);
  if (taker.side() == kBuy) {
    maker_base.total -= base;
    maker_base.held -= base;
    maker_quote.total += quote - maker_fee;
    taker_base.total += base;
    taker_quote.total -= quote + taker_fee;
  } else {
    const std::int64_t after = maker.remaining - lots;
    maker_quote.held -= hold_units(rules, kBuy, maker.price, maker.remaining) -
                        hold_units(rules, kBuy, maker.price, after);
    maker_base.total += base;
    maker_quote.total -= quote + maker_fee;
    taker_base.total -= base;
    taker_quote.total += quote - taker_fee;
  }
  state.assets[market.quote].fees += maker_fee + taker_fee;
  maker.remaining -= lots;
  taker.remaining -= lots;
  market.last_ticks = maker.price;

  EventStripe* event =
      events.add(EventType::kTrade, 2, rules.symbol_id, static_cast<std::uint16_t>(taker.side()));
  event[0].body[0] = order_id(state.next_trade++);
  event[0].body[1] = order_id(maker.number);
  event[0].body[2] = order_id(taker.number);
  event[0].body[3] = state.accounts[maker.account].id;
  event[0].body[4] = state.accounts[taker.account].id;
  event[0].body[5] = static_cast<std::uint64_t>(maker.price);
  event[1].body[0] = static_cast<std::uint64_t>(lots);
  event[1].body[1] = static_cast<std::uint64_t>(base);
  event[1].body[2] = static_cast<std::uint64_t>(quote);
  event[1].body[3] = static_cast<std::uint64_t>(maker_fee);
  event[1].body[4] = static_cast<std::uint64_t>(taker_fee);
  event[1].body[5] = 0;
  if (maker.remaining == 0) close_resting(market, maker_slot, Close::kFilled);
}

// Lets the rest of a taker stand in the book with its hold, or closes it.
void Engine::finish(Market& market, Slot slot, bool stop, Close stopped) {
  Order& order = state.orders[slot];
  Close reason = Close::kIocRemainder;
  if (stop) {
    reason = stopped;
  } else if (order.remaining == 0) {
    reason = Close::kFilled;
  } else if (may_rest(order.flags)) {
    rest(slot);
    hold_rested(market, slot);
    return;
  } else if (type_of(order.flags) == kMarket && market.book.best(1 - order.side()) != kNoPrice) {
    reason = Close::kBandReached;
  }
  order.status = status_of(reason);
  order.closed_us = state.time_us;
  write_closed(market, slot, reason, false);
  file_closed(slot);
}

// Holds for an order that just joined its level, and says where it stands.
void Engine::hold_rested(Market& market, Slot slot) {
  const Order& order = state.orders[slot];
  const int side = order.side();
  state.balance(order.account, side == kBuy ? market.quote : market.base).held +=
      hold_units(market.rules, side, order.price, order.remaining);
  EventStripe* event = events.add(EventType::kOrderRested, 1, market.rules.symbol_id,
                                  static_cast<std::uint16_t>(side));
  event->body[0] = state.accounts[order.account].id;
  event->body[1] = order_id(order.number);
  event->body[2] = static_cast<std::uint64_t>(order.price);
  event->body[3] = static_cast<std::uint64_t>(order.remaining);
  event->body[4] = event->body[5] = 0;
}

// Puts an order into its book and its account's list of open orders.
void Engine::rest(Slot slot) {
  Order& order = state.orders[slot];
  Market& market = *state.markets[order.symbol];
  market.book.add(slot);
  ++market.open_orders;
  ++state.open_count(order.account, order.symbol);
  list_open(slot);
  watch_expiry(slot);
}

// Remembers when a GTD order has to go.
inline void Engine::watch_expiry(Slot slot) {
  const Order& order = state.orders[slot];
  if (tif_of(order.flags) != kGtd) [[likely]]
    return;
  const std::int64_t expires_us = state.terms[slot].expires_us;
  state.timed.emplace(expires_us, order.number);
  state.next_expiry_us = std::min(state.next_expiry_us, expires_us - 1);
}

// Appends an order to its account's list of open orders, which is in order of their numbers.
void Engine::list_open(Slot slot) {
  Order& order = state.orders[slot];
  Account& account = state.accounts[order.account];
  order.account_next = 0;
  order.account_prev = account.open_tail;
  if (account.open_tail != 0)
    state.orders[account.open_tail].account_next = slot;
  else
    account.open_head = slot;
  account.open_tail = slot;
}

// Rests orders of a snapshot: levels in the given order, accounts' lists by number.
void Engine::rest_all(const std::vector<Slot>& slots) {
  for (const Slot slot : slots) {
    const Order& order = state.orders[slot];
    Market& market = *state.markets[order.symbol];
    market.book.add(slot);
    ++market.open_orders;
    ++state.open_count(order.account, order.symbol);
    watch_expiry(slot);
  }
  std::vector<Slot> by_number = slots;
  std::sort(by_number.begin(), by_number.end(),
            [&](Slot a, Slot b) { return state.orders[a].number < state.orders[b].number; });
  for (const Slot slot : by_number) list_open(slot);
}

// Takes an order out of the book and releases what it still holds.
void Engine::close_resting(Market& market, Slot slot, Close reason) {
  Order& order = state.orders[slot];
  if (order.remaining != 0) {
    const int side = order.side();
    state.balance(order.account, side == kBuy ? market.quote : market.base).held -=
        hold_units(market.rules, side, order.price, order.remaining);
  }
  market.book.remove(slot);
  delist(market, slot);
  order.status = status_of(reason);
  order.closed_us = state.time_us;
  write_closed(market, slot, reason, true);
  file_closed(slot);
}

// Takes an order that left its book out of the counts and its account's list of open orders.
void Engine::delist(Market& market, Slot slot) {
  const Order& order = state.orders[slot];
  if (tif_of(order.flags) == kGtd) [[unlikely]]
    state.timed.erase({state.terms[slot].expires_us, order.number});
  --market.open_orders;
  --state.open_count(order.account, order.symbol);
  Account& account = state.accounts[order.account];
  if (order.account_prev != 0)
    state.orders[order.account_prev].account_next = order.account_next;
  else
    account.open_head = order.account_next;
  if (order.account_next != 0)
    state.orders[order.account_next].account_prev = order.account_prev;
  else
    account.open_tail = order.account_prev;
}

void Engine::write_closed(const Market& market, Slot slot, Close reason, bool resting) {
  const Order& order = state.orders[slot];
  EventStripe* event = events.add(EventType::kOrderClosed, 1, market.rules.symbol_id,
                                  static_cast<std::uint16_t>(order.side() | (resting ? 2 : 0) |
                                                             static_cast<unsigned>(reason) << 8));
  event->body[0] = state.accounts[order.account].id;
  event->body[1] = order_id(order.number);
  event->body[2] = static_cast<std::uint64_t>(order.price);
  event->body[3] = static_cast<std::uint64_t>(order.remaining);
  event->body[4] = static_cast<std::uint64_t>(order.filled());
  event->body[5] = 0;
}

}  // namespace rialto
