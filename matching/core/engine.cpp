#include "engine.hpp"

#include <x86intrin.h>

#include <algorithm>
#include <cstring>

#include "money.hpp"

namespace rialto {

namespace {

[[noreturn, gnu::cold]] void refuse_number(const Command& command, std::uint64_t sequence,
                                           std::int64_t time_us) {
  throw SequenceError("command " + std::to_string(command.sequence) + " at " +
                      std::to_string(command.time_us) + " after " + std::to_string(sequence) +
                      " at " + std::to_string(time_us));
}

}  // namespace

std::span<const EventStripe> Engine::apply(const std::uint8_t* data, std::size_t size) {
  check(data, size);
  const std::size_t count = count_;
  events.start_batch(count);
  for (std::size_t at = 0; at < std::min(kAheadIndex, count); ++at)
    state.index.prefetch(places_[at].hash);
  for (std::size_t at = 0; at < std::min(kAheadOrder, count); ++at)
    look_at_order(data, places_[at]);
  for (std::size_t at = 0; at < std::min(kAheadNear, count); ++at) look_near(data, places_[at]);
  if (stamps != nullptr) stamps[0] = __rdtsc();
  for (std::size_t at = 0; at < count; ++at) {
    if (at + kAheadIndex < count) state.index.prefetch(places_[at + kAheadIndex].hash);
    if (at + kAheadOrder < count) look_at_order(data, places_[at + kAheadOrder]);
    if (at + kAheadNear < count) look_near(data, places_[at + kAheadNear]);
    step(data + places_[at].offset, places_[at]);
    if (stamps != nullptr) stamps[at + 1] = __rdtsc();
  }
  events.seal();
  stamps = nullptr;
  return {events.data(), events.stripes()};
}

// A command's order, where its index cell (prefetched before) says it is.
void Engine::look_at_order(const std::uint8_t* data, Place& place) const {
  const Command& command = command_at(data + place.offset);
  look_at_forgotten(state.find_account(command.account_id));
  if (command.opcode == Opcode::kPlaceOrder) {
    const Market* market = state.market(command.symbol_id);
    if (market != nullptr) market->book.prefetch(command.a);
  } else if (const Slot guess = state.index.guess(place.hash); guess != 0) {
    place.guess = guess;
    __builtin_prefetch(&state.orders[guess], 1);
    __builtin_prefetch(&state.links[guess], 1);
    __builtin_prefetch(&state.closed_us[guess], 1);
  }
}

// What a command's order will touch beside itself: its neighbours in level and account.
void Engine::look_near(const std::uint8_t* data, const Place& place) const {
  const Command& command = command_at(data + place.offset);
  const std::uint32_t mine = state.find_account(command.account_id);
  const Account& account = state.accounts[mine];
  look_near_forgotten(mine);
  if (const Seat* seat = state.first_seat(mine); seat != nullptr) [[unlikely]] {
    __builtin_prefetch(seat, 1);
    __builtin_prefetch(&seat->losses, 1);
    __builtin_prefetch(&state.balance(mine, state.collateral), 1);
    if (command.opcode == Opcode::kPlaceOrder)
      if (const Market* market = state.market(command.symbol_id); market != nullptr)
        __builtin_prefetch(&state.open_of(mine, market->at), 1);
  }
  if (command.opcode == Opcode::kPlaceOrder) {
    const Market* market = state.market(command.symbol_id);
    if (market == nullptr) return;
    const int side = side_of(command.flags);
    __builtin_prefetch(&state.links[account.open_tail], 1);
    if (const Slot tail = market->book.tail_guess(command.a); tail != 0)
      __builtin_prefetch(&state.links[tail], 1);
    if (const Slot first = market->book.first_guess(1 - side); first != 0) {
      __builtin_prefetch(&state.orders[first], 1);
      __builtin_prefetch(&state.links[first], 1);
    }
  } else if (place.guess != 0) {
    const Links& links = state.links[place.guess];
    __builtin_prefetch(&state.links[account.closed_tail], 1);
    __builtin_prefetch(&state.links[links.prev], 1);
    __builtin_prefetch(&state.links[links.next], 1);
    __builtin_prefetch(&state.links[links.account_prev], 1);
    __builtin_prefetch(&state.links[links.account_next], 1);
  }
}

// The order that its account will forget with the next that closes, if its window is full.
inline void Engine::look_at_forgotten(std::uint32_t account) const {
  const Account& owner = state.accounts[account];
  if (owner.closed_count < state.closed_per_account) [[likely]]
    return;
  __builtin_prefetch(&state.orders[owner.closed_head], 1);
  __builtin_prefetch(&state.links[owner.closed_head], 1);
}

inline void Engine::look_near_forgotten(std::uint32_t account) const {
  const Account& owner = state.accounts[account];
  const Slot oldest = owner.closed_head;
  if (owner.closed_count < state.closed_per_account || oldest == 0) [[likely]]
    return;
  state.index.prefetch(state.hash_of(oldest));
  state.pages.prefetch(state.orders[oldest].number);
  __builtin_prefetch(&state.links[state.links[oldest].prev], 1);
  __builtin_prefetch(&state.links[state.links[oldest].next], 1);
}

// Framing, numbering and time of the whole batch, before any effect.
void Engine::check(const std::uint8_t* data, std::size_t size) {
  check_whole_stripes(size);
  if (places_.size() < size / kStripe) places_.resize(size / kStripe);
  Place* next = places_.data();
  std::uint64_t sequence = state.sequence;
  std::int64_t time_us = state.time_us;
  for (std::size_t offset = 0; offset < size;) {
    const Command& command = command_at(data + offset);
    const std::uint8_t stripes = stripes_of(command, offset, size);
    if (command.sequence != ++sequence || command.time_us < time_us || command.time_us > kMaxTimeUs)
        [[unlikely]]
      refuse_number(command, sequence - 1, time_us);
    time_us = command.time_us;
    std::uint64_t hash = 0;
    if (command.opcode == Opcode::kPlaceOrder || command.opcode == Opcode::kAmendOrder ||
        command.opcode == Opcode::kCancelOrder)
      hash = identity_hash(command.account_id, command.key_low, command.key_high);
    *next++ = {static_cast<std::uint32_t>(offset), 0, hash};
    offset += stripes * kStripe;
  }
  count_ = static_cast<std::size_t>(next - places_.data());
}

inline void Engine::step(const std::uint8_t* record, const Place& place) {
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
  act(command, record, place);
  if (expired != 0) [[unlikely]]
    events.outcome_first(mark, expired);
  if (state.touched) [[unlikely]]
    run_triggers();
}

inline void Engine::act(const Command& command, const std::uint8_t* record, const Place& at) {
  switch (command.opcode) {
    case Opcode::kPlaceOrder:
      place(command, record, at.hash);
      break;
    case Opcode::kCancelOrder:
      cancel(command, at);
      break;
    case Opcode::kCancelAll:
      cancel_all(command);
      break;
    case Opcode::kAmendOrder:
      amend(command, record, at.hash);
      break;
    case Opcode::kSetDeadMansSwitch:
      set_dead_mans_switch(command);
      break;
    case Opcode::kPlaceOrderList:
      place_list(command, record);
      break;
    case Opcode::kCredit:
    case Opcode::kDebit:
      money(command);
      break;
    case Opcode::kListPerpetual:
    case Opcode::kSetRiskParameters:
    case Opcode::kSetLeverage:
    case Opcode::kSetMarginMode:
    case Opcode::kMoveMargin:
    case Opcode::kSetIndex:
    case Opcode::kSetPerpetualState:
    case Opcode::kSettleFunding:
    case Opcode::kFreeze:
    case Opcode::kUnfreeze:
    case Opcode::kLiquidate:
    case Opcode::kTakeOver:
    case Opcode::kDeleverage:
    case Opcode::kUnwind:
    case Opcode::kTopUpFund:
    case Opcode::kSweepDust:
    case Opcode::kSettleMarket:
      act_on_risk(command, record);
      break;
    case Opcode::kListSymbol:
      list_symbol(command, record);
      break;
    case Opcode::kSetParameters:
      set_parameters(command, record);
      break;
    case Opcode::kSetAccountTier:
      set_account_tier(command);
      break;
    case Opcode::kDelistSymbol:
      delist_symbol(command, record);
      break;
    case Opcode::kSetSymbolState:
      set_symbol_state(command, record);
      break;
    case Opcode::kSetShardMode:
      set_shard_mode(command, record);
      break;
    case Opcode::kStarted: {
      state.epoch = static_cast<std::uint64_t>(command.a);
      EventStripe* event = events.add(EventType::kStarted, 1, 0, 0);
      event->body[0] = static_cast<std::uint64_t>(command.time_us);
      event->body[1] = static_cast<std::uint64_t>(command.a);
      event->body[2] = static_cast<std::uint64_t>(command.b);
      std::memset(&event->body[3], 0, 24);
      start();
      break;
    }
    case Opcode::kTick: {
      EventStripe* event = events.add(EventType::kTicked, 1, 0, 0);
      event->body[0] = static_cast<std::uint64_t>(command.time_us);
      std::memset(&event->body[1], 0, 40);
      pass_time();
      break;
    }
  }
}

// Commands about perpetuals; one that is known and not acted on yet is refused.
[[gnu::noinline, gnu::cold]] void Engine::act_on_risk(const Command& command,
                                                      const std::uint8_t* record) {
  switch (command.opcode) {
    case Opcode::kListPerpetual:
      list_perpetual(command, record);
      break;
    case Opcode::kSetRiskParameters:
      set_risk_parameters(command, record);
      break;
    case Opcode::kSetLeverage:
      set_leverage(command);
      break;
    case Opcode::kSetIndex:
      set_index(command, record);
      break;
    case Opcode::kSetPerpetualState:
      set_perpetual_state(command, record);
      break;
    case Opcode::kSettleFunding:
      settle_funding(command, record);
      break;
    case Opcode::kSetMarginMode:
      set_margin_mode(command);
      break;
    case Opcode::kMoveMargin:
      move_margin(command, record);
      break;
    case Opcode::kFreeze:
      freeze(command, record);
      break;
    case Opcode::kUnfreeze:
      unfreeze(command, record);
      break;
    case Opcode::kLiquidate:
      liquidate(command, record);
      break;
    case Opcode::kTakeOver:
      take_over(command, record);
      break;
    case Opcode::kDeleverage:
      deleverage(command, record);
      break;
    case Opcode::kUnwind:
      unwind(command, record);
      break;
    case Opcode::kTopUpFund:
      top_up_fund(command, record);
      break;
    case Opcode::kSweepDust:
      sweep_dust(command, record);
      break;
    case Opcode::kSettleMarket:
      settle_market(command, record);
      break;
    default:
      reject(command, Reason::kUnknownOpcode, command.account_id, command.symbol_id);
  }
}

// ---- orders ---------------------------------------------------------------------------------

// Numbers an order, remembers it by its key, and says that it is accepted.
inline Slot Engine::accept(const Command& command, const std::uint8_t* record,
                           std::uint32_t account, const Terms& terms, bool has_terms,
                           std::uint64_t hash, std::int64_t lots, std::int64_t hold,
                           std::uint64_t entry_id) {
  const unsigned with_text = command.text_length != 0 ? 2 : 1;
  const Slot slot = state.new_order();
  const std::uint64_t number = state.next_order++;
  Order& order = state.orders[slot];
  order.price = command.a;
  order.remaining = order.quantity = lots;
  order.word = Order::word_of(number, command.text_length, has_terms ? kHasTerms : 0);
  order.key_low = command.key_low;
  order.key_high = command.key_high;
  order.accepted_sequence = state.sequence;
  order.account = account;
  order.flags = command.flags;
  order.symbol = state.symbol_index[command.symbol_id];
  state.accepted_us[slot] = state.time_us;
  state.remember(slot, hash, number);

  EventStripe* event = events.add(EventType::kOrderAccepted, 1 + with_text + has_terms,
                                  command.symbol_id, command.flags);
  event[0].body[0] = static_cast<std::uint64_t>(state.time_us);
  event[0].body[1] = command.account_id;
  event[0].body[2] = order_id(number);
  event[0].body[3] = command.key_low;
  event[0].body[4] = command.key_high;
  event[0].body[5] = static_cast<std::uint64_t>(command.a);
  event[1].body[0] = static_cast<std::uint64_t>(lots);
  event[1].body[1] = static_cast<std::uint64_t>(hold);
  event[1].body[2] = entry_id;
  std::memset(&event[1].body[3], 0, 24);
  if (command.text_length != 0) {
    char* text = state.texts[slot].bytes;
    std::memset(text, 0, kMaxText);
    std::memcpy(text, record + kStripe, command.text_length);
    std::memset(event[2].body, 0, sizeof event[2].body);
    std::memcpy(event[2].body, text, kMaxText);
  }
  if (has_terms) [[unlikely]] {
    state.rare[slot] = {.terms = terms,
                        .hidden = 0,
                        .trigger = terms.trigger,
                        .limit = 0,
                        .covered = 0,
                        .entry_lots = 0,
                        .sibling = 0,
                        .ended = 0};
    if (terms.display != 0) order.traits |= kIceberg;
    EventStripe& last = event[1 + with_text];
    last.head = (last.head & ~(std::uint64_t{0xFF} << 24)) | std::uint64_t{3} << 24;
    std::memcpy(last.body, &terms, sizeof last.body);
  }
  return slot;
}

[[gnu::noinline, gnu::cold]] Slot Engine::accept_listed(const Listed& listed,
                                                        std::uint32_t account,
                                                        const Admission& in,
                                                        std::uint64_t entry_id) {
  if (in.market != nullptr && in.market->perpetual != nullptr)
    return accept_cut(listed.command(), listed.record, account, listed.terms, true, listed.hash,
                      in);
  return accept(listed.command(), listed.record, account, listed.terms, true, listed.hash,
                listed.command().b, in.hold, entry_id);
}

// As `accept`, of an order on a perpetual, which may be less than what was asked for.
[[gnu::noinline]] Slot Engine::accept_cut(const Command& command, const std::uint8_t* record,
                                          std::uint32_t account, const Terms& terms,
                                          bool has_terms, std::uint64_t hash,
                                          const Admission& in) {
  const Slot slot = accept(command, record, account, terms, has_terms, hash, in.lots, 0, 0);
  if (in.lots != command.b) {
    state.asked_else[slot] = {command.a, command.b};
    state.orders[slot].altered = 1;
  }
  return slot;
}

// An order that waits needs no margin: nothing need be known of its account.
[[gnu::noinline]] void Engine::place_perpetual(const Command& command, const std::uint8_t* record,
                                               const Terms& terms, bool has_terms,
                                               std::uint64_t hash, const Admission& in) {
  const std::uint32_t account = state.need_account(command.account_id);
  const Slot slot = accept_cut(command, record, account, terms, has_terms, hash, in);
  if (is_triggered(command.flags)) {
    wait(*in.market, slot);
    return;
  }
  Close stopped = Close::kFilled;
  const bool stop = match(*in.market, slot, in.limit, stopped);
  finish(*in.market, slot, stop, stopped);
}

// Whether a command asks for what the order was placed as, in the same list or alone.
[[gnu::noinline, gnu::cold]] bool Engine::same_body(const Command& command, const Terms& terms,
                                                    Slot slot) const {
  const Order& order = state.orders[slot];
  const Asked asked = state.asked(slot);
  return state.markets[order.symbol]->rules.symbol_id == command.symbol_id &&
         order.flags == command.flags && asked.price == command.a &&
         asked.quantity == command.b &&
         (order.traits != 0 ? state.rare[slot].terms : Terms{}) == terms;
}

// Says that an order is known by its key, and how it stands now.
[[gnu::noinline, gnu::cold]] void Engine::write_duplicate(const Command& command,
                                                          std::uint16_t symbol_id, Slot slot,
                                                          bool same) {
  const Order& order = state.orders[slot];
  const bool is_open = order.status == Status::kOpen;
  const bool pends = is_open && (order.traits & kPending) != 0;
  const bool waits = (is_open && (order.traits & kWaiting) != 0) ||
                     (pends && is_triggered(order.flags));
  const bool aims = order.traits != 0 && state.rare[slot].terms.trigger != 0;
  const auto flags = static_cast<std::uint16_t>(
      (same ? 1 : 0) | static_cast<unsigned>(order.status) << 1 | (waits ? 1 << 4 : 0) |
      (pends ? 1 << 5 : 0));
  EventStripe* event = events.add(EventType::kOrderDuplicate, 2, symbol_id, flags);
  event[0].body[0] = static_cast<std::uint64_t>(state.time_us);
  event[0].body[1] = command.account_id;
  event[0].body[2] = command.key_low;
  event[0].body[3] = command.key_high;
  event[0].body[4] = order_id(order.number);
  event[0].body[5] = order.accepted_sequence;
  event[1].body[0] = static_cast<std::uint64_t>(state.accepted_us[slot]);
  event[1].body[1] = static_cast<std::uint64_t>(order.price);
  event[1].body[2] = static_cast<std::uint64_t>(order.quantity + state.hidden(slot));
  event[1].body[3] = static_cast<std::uint64_t>(order.filled());
  event[1].body[4] = aims ? static_cast<std::uint64_t>(state.rare[slot].trigger) : 0;
  event[1].body[5] = 0;
}

void Engine::place(const Command& command, const std::uint8_t* record, std::uint64_t hash) {
  const std::uint32_t account = state.find_account(command.account_id);
  const unsigned with_text = command.text_length != 0 ? 2 : 1;
  const TermsStripe* more = nullptr;
  Terms terms{};
  if (command.stripes > with_text) [[unlikely]] {
    more = reinterpret_cast<const TermsStripe*>(record + with_text * kStripe);
    terms = terms_of(*more);
  }
  const bool has_terms = more != nullptr && terms != Terms{};
  const Slot known_slot = state.index.find(hash, [&](Slot slot) {
    const Order& order = state.orders[slot];
    return order.key_low == command.key_low && order.key_high == command.key_high &&
           order.account == account;
  });
  if (known_slot != 0) {
    write_duplicate(command, command.symbol_id, known_slot, same_body(command, terms, known_slot));
    return;
  }
  Admission in;
  Reason reason = Reason::kMalformedCommand;
  if (more == nullptr || more->is_whole())
    reason = refuse_order(command, record, account, terms, in);
  if (reason != Reason::kNone) {
    reject(command, reason, command.account_id, command.symbol_id);
    return;
  }
  Market* const market = in.market;
  if (market->perpetual != nullptr) [[unlikely]] {
    place_perpetual(command, record, terms, has_terms, hash, in);
    return;
  }
  const Slot slot =
      accept(command, record, account, terms, has_terms, hash, command.b, in.hold, 0);
  if (has_terms) [[unlikely]] {
    if (is_triggered(command.flags)) {
      wait(*market, slot);
      return;
    }
    if (terms.quote_budget != 0) {
      const Close ended = spend(*market, slot, in.limit);
      finish(*market, slot, true, ended);
      return;
    }
  }
  Close stopped = Close::kFilled;
  const bool stop = match(*market, slot, in.limit, stopped);
  finish(*market, slot, stop, stopped);
}

}  // namespace rialto
