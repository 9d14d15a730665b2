// What the engine remembers in order to do a thing once: closed orders and command keys.
#include <algorithm>
#include <cstring>

#include "engine.hpp"

namespace rialto {

// Files a closed order: last of all closed ones and last of its account's.
void Engine::file_closed(Slot slot) {
  Links& links = state.links[slot];
  links.prev = state.closed_tail;
  links.next = 0;
  if (state.closed_tail != 0)
    state.links[state.closed_tail].next = slot;
  else {
    state.closed_head = slot;
    state.next_expiry_us = std::min(state.next_expiry_us, state.closed_us[slot] + kClosedForUs);
  }
  state.closed_tail = slot;
  ++state.closed_count;
  Account& account = state.accounts[state.orders[slot].account];
  links.account_next = 0;
  if (account.closed_tail != 0)
    state.links[account.closed_tail].account_next = slot;
  else
    account.closed_head = slot;
  account.closed_tail = slot;
  if (++account.closed_count > state.closed_per_account) forget(account.closed_head);
}

// Forgets a closed order, which is the oldest of its account.
void Engine::forget(Slot slot) {
  const Order& order = state.orders[slot];
  const Links& links = state.links[slot];
  Account& account = state.accounts[order.account];
  account.closed_head = links.account_next;
  if (account.closed_head == 0) account.closed_tail = 0;
  --account.closed_count;
  if (links.prev != 0)
    state.links[links.prev].next = links.next;
  else
    state.closed_head = links.next;
  if (links.next != 0)
    state.links[links.next].prev = links.prev;
  else
    state.closed_tail = links.prev;
  --state.closed_count;
  state.index.erase(state.hash_of(slot), slot);
  state.pages.clear(order.number);
  state.free_order(slot);
  if (account.closed_head != 0) {
    // The next of this account to go was asked for when the one before it went: by now it can say
    // what its going will touch. The one after it is asked for in turn.
    const Links& near = state.links[account.closed_head];
    state.index.prefetch(state.hash_of(account.closed_head));
    state.pages.prefetch(state.orders[account.closed_head].number);
    __builtin_prefetch(&state.links[near.prev], 1);
    __builtin_prefetch(&state.links[near.next], 1);
    __builtin_prefetch(&state.links[near.account_next], 1);
    __builtin_prefetch(&state.orders[near.account_next], 1);
  }
}

// Forgets what is due, then closes the GTD orders whose time has come; returns how many.
std::size_t Engine::expire() {
  while (state.closed_head != 0 &&
         state.closed_us[state.closed_head] + kClosedForUs < state.time_us)
    forget(state.closed_head);
  while (!state.keys.empty() && state.keys.front().time_us + kKeyForUs < state.time_us) {
    state.key_index.erase(state.keys.front().key);
    state.keys.pop_front();
    ++state.keys_evicted;
  }
  const std::size_t closed = expire_due();
  expect_expiry();
  return closed;
}

// By time and number, not more than a command's events can name; the rest with the next command.
// A list goes as a whole, which may be one event more than the limit.
std::size_t Engine::expire_due() {
  const std::size_t start = events.index();
  std::size_t count = 0;
  while (count < kMaxExpiries && !state.timed.empty() &&
         state.timed.begin()->first <= state.time_us) {
    const Slot slot = state.pages.find(state.timed.begin()->second);
    close_resting(*state.markets[state.orders[slot].symbol], slot, Close::kTimeExpired);
    count = events.index() - start;
  }
  return count + fire_switches(kMaxExpiries - std::min(count, kMaxExpiries));
}

// Closes all orders of the accounts whose deadline has come, within `room` events and some for a
// whole list; returns how many events that made. A switch with orders left stays due.
std::size_t Engine::fire_switches(std::size_t room) {
  std::size_t count = 0;
  while (count + 1 < room && !state.deadlines.empty() &&
         state.deadlines.begin()->first <= state.time_us) {
    const auto [deadline_us, account_id] = *state.deadlines.begin();
    const std::uint32_t account = state.find_account(account_id);
    const std::size_t most = room - count - 1;
    std::vector<Slot> mine;
    Slot at = account == 0 ? 0 : state.accounts[account].open_head;
    for (; at != 0; at = state.links[at].account_next) {
      if (mine.size() >= most && !go_together(mine.back(), at)) break;
      mine.push_back(at);
    }
    EventStripe* event = events.add(EventType::kDeadMansSwitchFired, 1, 0, 0);
    event->body[0] = account_id;
    event->body[1] = static_cast<std::uint64_t>(deadline_us);
    event->body[2] = mine.size();
    std::memset(&event->body[3], 0, 24);
    close_all(mine, Close::kDeadMansSwitch);
    count += 1 + mine.size();
    if (at != 0) break;
    state.set_switch(account_id, 0);
  }
  return count;
}

// Looks up when the next record falls due. An early guess costs a look, a late one would be wrong:
// the head of either list only moves to later times until it is empty.
void Engine::expect_expiry() {
  state.next_expiry_us = kInt64Max;
  if (state.closed_head != 0)
    state.next_expiry_us = state.closed_us[state.closed_head] + kClosedForUs;
  if (!state.keys.empty())
    state.next_expiry_us = std::min(state.next_expiry_us, state.keys.front().time_us + kKeyForUs);
  if (!state.timed.empty())
    state.next_expiry_us = std::min(state.next_expiry_us, state.timed.begin()->first - 1);
  if (!state.deadlines.empty())
    state.next_expiry_us = std::min(state.next_expiry_us, state.deadlines.begin()->first - 1);
}

// Takes in an order of a snapshot, whose sides lie beside it.
Slot Engine::adopt(const Order& order) {
  const Slot slot = state.new_order();
  state.orders[slot] = order;
  state.remember(slot, state.hash_of(slot), order.number);
  return slot;
}

}  // namespace rialto
