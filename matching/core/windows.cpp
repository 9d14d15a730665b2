// What the engine remembers in order to do a thing once: closed orders and command keys.
#include <algorithm>

#include "engine.hpp"

namespace rialto {

// Files a closed order: last of all closed ones and last of its account's.
void Engine::file_closed(Slot slot) {
  Order& order = state.orders[slot];
  order.prev = state.closed_tail;
  order.next = 0;
  if (state.closed_tail != 0)
    state.orders[state.closed_tail].next = slot;
  else {
    state.closed_head = slot;
    state.next_expiry_us = std::min(state.next_expiry_us, order.closed_us + kClosedForUs);
  }
  state.closed_tail = slot;
  ++state.closed_count;
  Account& account = state.accounts[order.account];
  order.account_next = 0;
  if (account.closed_tail != 0)
    state.orders[account.closed_tail].account_next = slot;
  else
    account.closed_head = slot;
  account.closed_tail = slot;
  if (++account.closed_count > state.closed_per_account) forget(account.closed_head);
}

// Forgets a closed order, which is the oldest of its account.
void Engine::forget(Slot slot) {
  Order& order = state.orders[slot];
  Account& account = state.accounts[order.account];
  account.closed_head = order.account_next;
  if (account.closed_head == 0) account.closed_tail = 0;
  --account.closed_count;
  if (order.prev != 0)
    state.orders[order.prev].next = order.next;
  else
    state.closed_head = order.next;
  if (order.next != 0)
    state.orders[order.next].prev = order.prev;
  else
    state.closed_tail = order.prev;
  --state.closed_count;
  state.index.erase(order.hash, slot);
  state.pages.clear(order.number);
  state.free_order(slot);
  if (account.closed_head != 0) {  // the next of this account to go
    __builtin_prefetch(&state.orders[account.closed_head], 1);
    __builtin_prefetch(reinterpret_cast<const char*>(&state.orders[account.closed_head]) + 64);
  }
}

// Forgets what is due, then closes the GTD orders whose time has come; returns how many.
std::size_t Engine::expire() {
  while (state.closed_head != 0 &&
         state.orders[state.closed_head].closed_us + kClosedForUs < state.time_us)
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
std::size_t Engine::expire_due() {
  std::size_t count = 0;
  while (count < kMaxExpiries && !state.timed.empty() &&
         state.timed.begin()->first <= state.time_us) {
    const Slot slot = state.pages.find(state.timed.begin()->second);
    close_resting(*state.markets[state.orders[slot].symbol], slot, Close::kTimeExpired);
    ++count;
  }
  return count;
}

// Looks up when the next record falls due. An early guess costs a look, a late one would be wrong:
// the head of either list only moves to later times until it is empty.
void Engine::expect_expiry() {
  state.next_expiry_us = kInt64Max;
  if (state.closed_head != 0)
    state.next_expiry_us = state.orders[state.closed_head].closed_us + kClosedForUs;
  if (!state.keys.empty())
    state.next_expiry_us = std::min(state.next_expiry_us, state.keys.front().time_us + kKeyForUs);
  if (!state.timed.empty())
    state.next_expiry_us = std::min(state.next_expiry_us, state.timed.begin()->first - 1);
}

Slot Engine::adopt(const Order& order) {
  const Slot slot = state.new_order();
  state.orders[slot] = order;
  state.index.insert(order.hash, slot);
  state.pages.set(order.number, slot);
  return slot;
}

}  // namespace rialto
