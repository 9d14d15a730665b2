// Lists of orders: placing them whole, and ending them whole.
#include <algorithm>

#include "engine.hpp"
#include "money.hpp"

namespace rialto {

namespace {

// Whether two orders are an OCO, whatever the market. The first never takes, so that only what
// happens later can end it: a limit order is post-only.
bool go_together(const Command& first, const Command& second) {
  if (first.key_low == second.key_low && first.key_high == second.key_high) return false;
  if (first.account_id != second.account_id || first.symbol_id != second.symbol_id) return false;
  if (side_of(first.flags) != side_of(second.flags) || first.b != second.b) return false;
  const int kind = type_of(first.flags), other = type_of(second.flags);
  if (other != kStop && other != kStopLimit && other != kTrailingStop) return false;
  return kind == kTakeProfit || kind == kTakeProfitLimit ||
         (kind == kLimit && post_only(first.flags));
}

// The price at which something happens to an order: its trigger, or its limit.
std::int64_t first_price(const Market& market, const Listed& listed) {
  const Command& command = listed.command();
  if (!is_triggered(command.flags)) return command.a;
  if (listed.terms.trailing == 0) return listed.terms.trigger;
  return reference_of(market) +
         (rises(command.flags) ? listed.terms.trailing : -listed.terms.trailing);
}

}  // namespace

// Places all orders of a list, or none. Each is open before anything can happen to one.
[[gnu::noinline, gnu::cold]] void Engine::place_list(const Command& command,
                                                     const std::uint8_t* record) {
  const std::uint32_t account = state.find_account(command.account_id);
  Listed listed[kMaxListed];
  const bool is_whole = read_list(record, listed);
  if (answer_known(command, listed, is_whole)) return;
  Market* market = nullptr;
  std::int64_t holds[kMaxListed] = {};
  int position = 0;
  const Reason reason = is_whole ? refuse_list(listed, account, market, holds, position)
                                 : Reason::kMalformedCommand;
  if (reason != Reason::kNone) {
    reject(command, reason, command.account_id, command.symbol_id, position);
    return;
  }
  const std::uint64_t list_id = order_id(state.next_order);
  const std::int64_t covered = std::min(holds[0], holds[1]);
  Slot slots[kMaxListed];
  for (int at = 0; at < kMaxListed; ++at) {
    listed[at].terms.list = static_cast<std::int64_t>(list_id);
    slots[at] = accept_listed(listed[at], account, holds[at] - (at == 0 ? 0 : covered));
  }
  link(slots[0], slots[1], covered);
  for (const Slot slot : slots)
    if (is_triggered(state.orders[slot].flags))
      wait(*market, slot);
    else
      finish(*market, slot, false, Close::kFilled);
}

DryRun Engine::dry_run_list(const std::uint8_t* record) {
  const std::uint32_t account = state.find_account(command_at(record).account_id);
  Listed listed[kMaxListed];
  const bool is_whole = read_list(record, listed);
  for (int at = 0; at < kMaxListed; ++at)
    if (listed[at].known != 0) return {Reason::kDuplicateClientOrderId, 0, at + 1};
  Market* market = nullptr;
  std::int64_t holds[kMaxListed] = {};
  int position = 0;
  const Reason reason = is_whole ? refuse_list(listed, account, market, holds, position)
                                 : Reason::kMalformedCommand;
  const std::int64_t hold = reason == Reason::kNone ? std::max(holds[0], holds[1]) : 0;
  return {reason, hold, position};
}

// Reads the orders of a list, and looks them up. The record is whole when its head names a known
// kind and its first order, nothing but the orders is asked for, and nobody has numbered them.
bool Engine::read_list(const std::uint8_t* record, Listed* listed) const {
  const Command& head = command_at(record);
  const std::uint8_t* at = record + kStripe;
  bool is_whole = head.flags == kOco && head.a == 0 && head.b == 0;
  for (int count = 0; count < kMaxListed; ++count) {
    Listed& order = listed[count];
    const Command& command = command_at(at);
    order.record = at;
    is_whole &= read_terms(at, order.terms);
    is_whole &= command.sequence == 0 && command.time_us == 0;
    order.hash = identity_hash(command.account_id, command.key_low, command.key_high);
    const std::uint32_t account = state.find_account(command.account_id);
    order.known = state.index.find(order.hash, [&](Slot slot) {
      const Order& other = state.orders[slot];
      return other.key_low == command.key_low && other.key_high == command.key_high &&
             other.account == account;
    });
    at += command.stripes * kStripe;
  }
  const Command& first = listed[0].command();
  return is_whole && head.symbol_id == first.symbol_id && head.account_id == first.account_id &&
         head.key_low == first.key_low && head.key_high == first.key_high;
}

// Answers a list of which an order is known with all of it that is; returns whether one is.
bool Engine::answer_known(const Command& head, const Listed* listed, bool is_whole) {
  const Slot first = listed[0].known;
  bool is_known = false, same = is_whole && first != 0;
  for (int at = 0; at < kMaxListed; ++at) {
    const Listed& order = listed[at];
    is_known |= order.known != 0;
    if (!same || order.known == 0) {
      same = false;
      continue;
    }
    Terms terms = order.terms;
    terms.list = static_cast<std::int64_t>(order_id(state.orders[first].number));
    same = same_body(order.command(), terms, order.known);
  }
  for (int at = 0; at < kMaxListed; ++at)
    if (listed[at].known != 0)
      write_duplicate(listed[at].command(), head.symbol_id, listed[at].known, same);
  return is_known;
}

// Why a list may not be placed, and which of its orders is at fault (0: none alone). Each must be
// one that could be placed alone, so the larger hold is covered.
Reason Engine::refuse_list(const Listed* listed, std::uint32_t account, Market*& market,
                           std::int64_t* holds, int& position) {
  if (!go_together(listed[0].command(), listed[1].command())) return Reason::kInvalidOrderList;
  for (int at = 0; at < kMaxListed; ++at) {
    const Listed& order = listed[at];
    std::int64_t limit = 0;
    position = at + 1;
    const Reason reason = refuse_order(order.command(), order.record, market, account, order.terms,
                                       limit, holds[at]);
    if (reason != Reason::kNone) return reason;
  }
  position = 0;
  const std::uint32_t open_count = state.open_of(account, market->at).count;
  if (open_count + kMaxListed > market->rules.max_open_orders) return Reason::kTooManyOpenOrders;
  const std::int64_t better = first_price(*market, listed[0]);
  const std::int64_t worse = first_price(*market, listed[1]);
  const bool buys = side_of(listed[0].command().flags) == kBuy;
  return (buys ? better < worse : better > worse) ? Reason::kNone : Reason::kListPricesCrossed;
}

// Lets two orders end each other; the second, which waits, is covered by what the first holds.
void Engine::link(Slot first, Slot second, std::int64_t covered) {
  state.orders[first].traits |= kLinked;
  state.orders[second].traits |= kLinked;
  state.rare[first].sibling = second;
  state.rare[second].sibling = first;
  state.rare[second].covered = covered;
}

// Links an order that waits, of a snapshot, to the first of its list when that is open, too.
void Engine::link_again(Slot second) {
  const std::uint64_t list_id = static_cast<std::uint64_t>(state.rare[second].terms.list);
  if (list_id == 0) return;
  const Slot first = state.pages.find(list_id & ((std::uint64_t{1} << 48) - 1));
  if (first == 0 || first == second) return;
  const auto whole = [&](Slot slot) {
    const Order& order = state.orders[slot];
    const std::int64_t limit = is_triggered(order.flags) ? state.rare[slot].limit : order.price;
    const Rules& rules = state.markets[order.symbol]->rules;
    return hold_units(rules, order.side(), limit, state.open_lots(slot));
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

// Closes an open order that waits or is one of a list, of which the other one goes as well. Who
// cancels one cancels both; any other end of one leaves the other without a purpose.
[[gnu::noinline, gnu::cold]] void Engine::close_rare(Market& market, Slot slot, Close reason) {
  const Slot sibling = unlink(slot);
  if ((state.orders[slot].traits & kWaiting) != 0)
    close_waiting(market, slot, reason);
  else
    close_resting(market, slot, reason);
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

// Adds the next order of an account to its first ones rather than leave half a list behind: the
// orders of a list follow each other, for they were numbered by one command.
void Engine::keep_whole(std::vector<Slot>& slots, Slot next) const {
  if (next == 0 || slots.empty() || (state.orders[next].traits & kLinked) == 0) return;
  if (state.rare[next].sibling == slots.back()) slots.push_back(next);
}

}  // namespace rialto
