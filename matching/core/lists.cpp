// Lists of orders: placing them whole, and ending them whole.
#include <algorithm>

#include "engine.hpp"
#include "money.hpp"

namespace rialto {

namespace {

bool stops(std::uint16_t flags) {
  const int kind = type_of(flags);
  return kind == kStop || kind == kStopLimit || kind == kTrailingStop;
}

// Whether an order waits for a better price and never takes: a limit order is post-only.
bool takes_profit(std::uint16_t flags) {
  const int kind = type_of(flags);
  return kind == kTakeProfit || kind == kTakeProfitLimit || (kind == kLimit && post_only(flags));
}

// Whether the orders are of one account, market and quantity, each under its own key.
bool are_one_accounts(const AskedList& asked) {
  for (int at = 1; at < asked.count; ++at) {
    const Command& command = asked.orders[at].command();
    for (int before = 0; before < at; ++before) {
      const Command& other = asked.orders[before].command();
      if (command.key_low == other.key_low && command.key_high == other.key_high) return false;
    }
    const Command& first = asked.orders[0].command();
    if (command.account_id != first.account_id || command.symbol_id != first.symbol_id ||
        command.b != first.b)
      return false;
  }
  return true;
}

// Whether orders are a bracket, whatever the market: an entry, and children as an OCO has them.
bool are_bracket(const AskedList& asked) {
  const Command& entry = asked.orders[0].command();
  if (type_of(entry.flags) > kMarket || entry.b == 0) return false;
  for (int at = 1; at < asked.count; ++at)
    if (side_of(asked.orders[at].command().flags) == side_of(entry.flags)) return false;
  const std::uint16_t first = asked.orders[1].command().flags;
  if (asked.count == 2) return takes_profit(first) || stops(first);
  return takes_profit(first) && stops(asked.orders[2].command().flags);
}

// The price at which something happens to an order: its limit, or its trigger. A trailing stop by
// the last price starts from the reference, another from its source's price.
std::int64_t first_price(const Listed& listed, const Market& market, std::int64_t reference) {
  const Command& command = listed.command();
  if (!is_triggered(command.flags)) return command.a;
  const int source = trigger_source_of(command.flags);
  return trigger_from(command.flags, listed.terms,
                      source == kLastPrice ? reference : market.price_of(source));
}

// Whether a bracket's child takes profit or limits loss on its side of the entry. A trailing stop
// always does: it starts from the price of its time.
bool is_beyond(std::uint16_t flags, const Terms& terms, std::int64_t first, int entry_side,
               std::int64_t entry_price) {
  if (terms.trailing != 0) return true;
  const bool profits = !stops(flags);
  return (entry_side == kBuy) == profits ? first > entry_price : first < entry_price;
}

}  // namespace

// Places all orders of a list, or none.
[[gnu::noinline, gnu::cold]] void Engine::place_list(const Command& command,
                                                     const std::uint8_t* record) {
  const std::uint32_t account = state.find_account(command.account_id);
  AskedList asked;
  read_list(record, asked);
  if (answer_known(command, asked)) return;
  Admission in[kMaxListed];
  int position = 0;
  const Reason reason =
      asked.is_whole ? refuse_list(asked, account, in, position) : Reason::kMalformedCommand;
  if (reason != Reason::kNone) {
    reject(command, reason, command.account_id, command.symbol_id, position);
    return;
  }
  for (int at = 0; at < asked.count; ++at)
    asked.orders[at].terms.list = static_cast<std::int64_t>(order_id(state.next_order));
  const std::uint32_t owner = state.need_account(command.account_id);
  if (asked.kind == kBracket)
    place_bracket(asked, owner, in[0]);
  else
    place_oco(asked, owner, in);
}

// Each of the two is open before anything can happen to one.
void Engine::place_oco(const AskedList& asked, std::uint32_t account, Admission* in) {
  Market& market = *in[0].market;
  const std::int64_t covered = std::min(in[0].hold, in[1].hold);
  in[1].hold -= covered;
  const Slot first = accept_listed(asked.orders[0], account, in[0], 0);
  const Slot second = accept_listed(asked.orders[1], account, in[1], 0);
  link(first, second, covered);
  for (const Slot slot : {first, second})
    if (is_triggered(state.orders[slot].flags))
      wait(market, slot);
    else
      finish(market, slot, false, Close::kFilled);
}

// The children are pending before the entry acts as any order does.
void Engine::place_bracket(const AskedList& asked, std::uint32_t account, const Admission& in) {
  Market& market = *in.market;
  const Command& command = asked.orders[0].command();
  const std::uint64_t entry_id = order_id(state.next_order);
  const Slot entry = accept_listed(asked.orders[0], account, in, 0);
  state.orders[entry].traits |= kEntry;
  ++market.open_orders;
  list_waiting(entry);
  if (tif_of(command.flags) == kGtd) state.time(entry);
  for (int at = 1; at < asked.count; ++at) {
    const Slot child = accept_listed(asked.orders[at], account, {}, entry_id);
    state.orders[child].traits |= kPending;
    add_pending(child);
    list_waiting(child);
  }
  Close stopped = Close::kFilled;
  const bool stop = match(market, entry, in.limit, stopped);
  stand(market, entry, stop, stopped);
}

DryRun Engine::dry_run_list(const std::uint8_t* record) {
  const std::uint32_t account = state.find_account(command_at(record).account_id);
  AskedList asked;
  read_list(record, asked);
  for (int at = 0; at < asked.count; ++at)
    if (asked.orders[at].known != 0) return {Reason::kDuplicateClientOrderId, 0, at + 1};
  Admission in[kMaxListed];
  int position = 0;
  const Reason reason =
      asked.is_whole ? refuse_list(asked, account, in, position) : Reason::kMalformedCommand;
  const std::int64_t hold =
      asked.kind == kBracket ? in[0].hold : std::max(in[0].hold, in[1].hold);
  return {reason, reason == Reason::kNone ? hold : 0, position};
}

// Reads the orders of a list, and looks them up. The record is whole when its head names a known
// kind (an OCO is of two) and its first order, nothing but the orders is asked for, and nobody has
// numbered them.
void Engine::read_list(const std::uint8_t* record, AskedList& asked) const {
  const Command& head = command_at(record);
  const std::uint8_t* const end = record + head.stripes * kStripe;
  asked.count = 0;
  asked.kind = head.flags;
  asked.is_whole = head.a == 0 && head.b == 0;
  for (const std::uint8_t* at = record + kStripe; at < end;) {
    Listed& order = asked.orders[asked.count++];
    const Command& command = command_at(at);
    order.record = at;
    asked.is_whole &= read_terms(at, order.terms);
    asked.is_whole &= command.sequence == 0 && command.time_us == 0;
    order.hash = identity_hash(command.account_id, command.key_low, command.key_high);
    const std::uint32_t account = state.find_account(command.account_id);
    order.known = state.index.find(order.hash, [&](Slot slot) {
      const Order& other = state.orders[slot];
      return other.key_low == command.key_low && other.key_high == command.key_high &&
             other.account == account;
    });
    at += command.stripes * kStripe;
  }
  asked.is_whole &=
      head.flags == kBracket || (head.flags == kOco && asked.count == kMinListed);
  const Command& first = asked.orders[0].command();
  asked.is_whole &= head.symbol_id == first.symbol_id && head.account_id == first.account_id &&
                    head.key_low == first.key_low && head.key_high == first.key_high;
}

// Answers a list of which an order is known with all of it that is; returns whether one is.
bool Engine::answer_known(const Command& head, const AskedList& asked) {
  const bool same = is_repeat(asked);
  bool is_known = false;
  for (int at = 0; at < asked.count; ++at) {
    const Listed& order = asked.orders[at];
    if (order.known == 0) continue;
    is_known = true;
    write_duplicate(order.command(), head.symbol_id, order.known, same);
  }
  return is_known;
}

// Whether all of a list was placed as it is asked for now, and nothing with it.
bool Engine::is_repeat(const AskedList& asked) const {
  if (!asked.is_whole || asked.orders[0].known == 0) return false;
  const std::uint64_t number = state.orders[asked.orders[0].known].number;
  const auto list_id = static_cast<std::int64_t>(order_id(number));
  for (int at = 0; at < asked.count; ++at) {
    const Listed& order = asked.orders[at];
    if (order.known == 0) return false;
    Terms terms = order.terms;
    terms.list = list_id;
    if (!same_body(order.command(), terms, order.known)) return false;
  }
  const auto side_at = [&](int at) { return side_of(asked.orders[at].command().flags); };
  if ((side_at(0) != side_at(asked.count - 1)) != (asked.kind == kBracket)) return false;
  const Slot following = state.pages.find(number + static_cast<std::uint64_t>(asked.count));
  return following == 0 || state.orders[following].traits == 0 ||
         state.rare[following].terms.list != list_id;
}

// Why a list may not be placed, and which of its orders is at fault (0: none alone).
Reason Engine::refuse_list(const AskedList& asked, std::uint32_t account, Admission* in,
                           int& position) {
  if (!are_one_accounts(asked)) return Reason::kInvalidOrderList;
  if (asked.kind == kBracket) return refuse_bracket(asked, account, in[0], position);
  return refuse_oco(asked, account, in, position);
}

// Each must be one that could be placed alone, so the larger hold is covered.
Reason Engine::refuse_oco(const AskedList& asked, std::uint32_t account, Admission* in,
                          int& position) {
  const Command& first = asked.orders[0].command();
  const Command& second = asked.orders[1].command();
  if (side_of(first.flags) != side_of(second.flags) || !takes_profit(first.flags) ||
      !stops(second.flags))
    return Reason::kInvalidOrderList;
  for (int at = 0; at < asked.count; ++at) {
    const Listed& order = asked.orders[at];
    position = at + 1;
    const Reason reason =
        refuse_order(order.command(), order.record, account, order.terms, in[at]);
    if (reason != Reason::kNone) return reason;
  }
  position = 0;
  const Market* market = in[0].market;
  if (too_many(*market, account, asked.count)) return Reason::kTooManyOpenOrders;
  const std::int64_t better = first_price(asked.orders[0], *market, reference_of(*market));
  const std::int64_t worse = first_price(asked.orders[1], *market, reference_of(*market));
  const bool buys = side_of(first.flags) == kBuy;
  return (buys ? better < worse : better > worse) ? Reason::kNone : Reason::kListPricesCrossed;
}

// The entry must be one that could be placed alone; of its children, what can be known now.
Reason Engine::refuse_bracket(const AskedList& asked, std::uint32_t account, Admission& in,
                              int& position) {
  if (!are_bracket(asked)) return Reason::kInvalidOrderList;
  const Listed& entry = asked.orders[0];
  const Command& command = entry.command();
  position = 1;
  const Reason reason = refuse_order(command, entry.record, account, entry.terms, in);
  if (reason != Reason::kNone) return reason;
  const Market* market = in.market;
  const std::int64_t price = has_limit(command.flags) ? command.a : reference_of(*market);
  bool beyond = true;
  for (int at = 1; at < asked.count; ++at) {
    const Listed& child = asked.orders[at];
    position = at + 1;
    const Reason refusal = refuse_child(child, *market, account, price);
    if (refusal != Reason::kNone) return refusal;
    beyond &= is_beyond(child.command().flags, child.terms, first_price(child, *market, price),
                        side_of(command.flags), price);
  }
  position = 0;
  if (too_many(*market, account, asked.count)) return Reason::kTooManyOpenOrders;
  return beyond ? Reason::kNone : Reason::kListPricesCrossed;
}

// Why a bracket's child could not stand if the entry filled at its price.
Reason Engine::refuse_child(const Listed& listed, const Market& market, std::uint32_t account,
                            std::int64_t entry_price) const {
  const Command& command = listed.command();
  const Reason malformed = order_syntax(command, listed.record, listed.terms);
  if (malformed != Reason::kNone) return malformed;
  if (listed.terms.expires_us != 0 && listed.terms.expires_us <= state.time_us)
    return Reason::kExpiryPassed;
  const Reason unkind = refuse_kind(command, market, account, listed.terms);
  if (unkind != Reason::kNone) return unkind;
  std::int64_t limit = command.a, hold = 0;
  if (is_triggered(command.flags)) {
    Terms terms = listed.terms;
    terms.trigger = first_price(listed, market, entry_price);
    const Reason astray = aim_rules(market, command.flags, terms, command.a, command.b);
    if (astray != Reason::kNone) return astray;
    limit = limit_at(market, command.flags, command.a, terms.trigger);
  }
  const int side = market.perpetual != nullptr ? 1 - kBuy : side_of(command.flags);  // no hold
  const bool counts = checked_hold(market.rules, side, limit, command.b, hold);
  return counts ? Reason::kNone : Reason::kOverflow;
}

// Whether `count` more orders of an account are too many in a market.
bool Engine::too_many(const Market& market, std::uint32_t account, int count) const {
  return state.open_of(account, market.at).count + static_cast<std::uint32_t>(count) >
         market.rules.max_open_orders;
}

// Whether a price of a bracket's entry lies between those of its pending children.
bool Engine::embraced(const Order& entry, std::int64_t price) const {
  Slot children[kMaxListed];
  const int count = children_of(entry.number, children);
  return std::all_of(children, children + count, [&](Slot slot) {
    const Order& child = state.orders[slot];
    const Rare& rare = state.rare[slot];
    const std::int64_t first = is_triggered(child.flags) ? rare.trigger : child.price;
    return is_beyond(child.flags, rare.terms, first, entry.side(), price);
  });
}

// Lets two orders end each other; the second, which waits, is covered by what the first holds.
void Engine::link(Slot first, Slot second, std::int64_t covered) {
  state.orders[first].traits |= kLinked;
  state.orders[second].traits |= kLinked;
  state.rare[first].sibling = second;
  state.rare[second].sibling = first;
  state.rare[second].covered = covered;
}

// Links an order that waits, of a snapshot, to the one before it when that is the other one of its
// OCO and open: it may be remembered as closed, a child that ended before the entry did.
void Engine::link_again(Slot second) {
  const Order& order = state.orders[second];
  const std::int64_t list_id = state.rare[second].terms.list;
  if (list_id == 0 || (order.traits & kPending) != 0) return;
  const Slot first = state.pages.find(order.number - 1);
  if (first == 0 || (state.orders[first].traits & (kHasTerms | kPending)) != kHasTerms) return;
  if (state.orders[first].status != Status::kOpen) return;
  if (state.rare[first].terms.list != list_id || state.orders[first].side() != order.side()) return;
  const auto whole = [&](Slot slot) {
    const Order& one = state.orders[slot];
    const std::int64_t limit = is_triggered(one.flags) ? state.rare[slot].limit : one.price;
    return order_hold(*state.markets[one.symbol], one.side(), limit, state.open_lots(slot));
  };
  link(first, second, std::min(whole(first), whole(second)));
}

// Lets an order and the other one of its list, which is returned (or 0), no longer end each other.
// What one covers of the other's hold stays as it is until that one goes.
Slot Engine::unlink(Slot slot) {
  if ((state.orders[slot].traits & kLinked) == 0) return 0;
  const Slot sibling = state.rare[slot].sibling;
  for (const Slot each : {slot, sibling}) {
    state.orders[each].traits &= static_cast<std::uint16_t>(~kLinked);
    state.rare[each].sibling = 0;
  }
  return sibling;
}

// Closes the other one of the list of an order that traded or was set off.
[[gnu::noinline, gnu::cold]] void Engine::end_list(Market& market, Slot slot) {
  if (const Slot sibling = unlink(slot); sibling != 0)
    close_resting(market, sibling, Close::kOrderListDone);
}

// Closes an open order that is outside the book or one of a list. Who cancels one of an OCO cancels
// both; any other end of one leaves the other without a purpose.
[[gnu::noinline, gnu::cold]] void Engine::close_rare(Market& market, Slot slot, Close reason) {
  Order& order = state.orders[slot];
  const Slot sibling = unlink(slot);
  const bool was_entry = (order.traits & kEntry) != 0;
  order.traits &= static_cast<std::uint16_t>(~kEntry);
  if (order.is_outside())
    close_outside(market, slot, reason);
  else
    close_resting(market, slot, reason);
  if (was_entry) entry_ended(market, slot);
  if (sibling != 0)
    close_resting(market, sibling, is_cancel(reason) ? reason : Close::kOrderListDone);
}

// Closes open orders, the lists among them as a whole.
void Engine::close_all(const std::vector<Slot>& slots, Close reason) {
  for (const Slot slot : slots) {
    const Order& order = state.orders[slot];
    if (order.status == Status::kOpen) close_resting(*state.markets[order.symbol], slot, reason);
  }
}

// Whether an order of an account is of the same list as the next one, so that the two go together:
// the orders of a list follow each other, for they were numbered by one command.
bool Engine::go_together(Slot slot, Slot following) const {
  if ((state.orders[following].traits & kPending) != 0)
    return state.orders[slot].traits != 0 &&
           state.rare[slot].terms.list == state.rare[following].terms.list;
  return (state.orders[following].traits & kLinked) != 0 && state.rare[following].sibling == slot;
}

// Keeps the first `most` orders, and more rather than a part of a list.
void Engine::cut_whole(std::vector<Slot>& slots, std::size_t most) const {
  if (most >= slots.size()) return;
  while (most < slots.size() && go_together(slots[most - 1], slots[most])) ++most;
  slots.resize(most);
}

}  // namespace rialto
