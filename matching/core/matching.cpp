// What an order does to the book: match, fill, rest, close.
#include <algorithm>

#include "engine.hpp"
#include "money.hpp"
#include "scopes.hpp"

namespace rialto {

// Trades against the book; returns whether the taker must stop, and why.
[[gnu::flatten]] bool Engine::match(Market& market, Slot taker, std::int64_t limit,
                                    Close& stopped) {
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
    const std::int64_t lots = std::min(order.remaining, other.remaining);
    if (market.has_stakes) [[unlikely]] {
      const Meeting meeting = meet(market, maker, taker, lots, stopped);
      if (meeting == Meeting::kEnds) return true;
      if (meeting == Meeting::kPasses) continue;
    }
    const Links& links = state.links[maker];
    __builtin_prefetch(&state.orders[links.next], 1);
    __builtin_prefetch(&state.links[links.next], 1);
    __builtin_prefetch(&state.links[links.account_next], 1);
    fill(market, maker, taker, lots);
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
  const std::int32_t taker_ppm = rules.fees.tier[state.accounts[order.account].tier].taker_ppm;
  std::int64_t left = state.rare[taker].terms.quote_budget;
  state.keep_asked(taker);
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
    const std::int64_t lots =
        std::min(affordable_lots(rules, best, left, taker_ppm), other.remaining);
    if (lots == 0) return order.quantity != 0 ? Close::kFilled : Close::kIocRemainder;
    if (market.has_stakes) [[unlikely]] {
      Close stopped{};
      const Meeting meeting = meet(market, maker, taker, lots, stopped);
      if (meeting == Meeting::kEnds) return stopped;
      if (meeting == Meeting::kPasses) continue;
    }
    const std::int64_t quote = best * lots * rules.quote_per_tick_lot;
    left -= quote + fee_units(quote, taker_ppm);
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
  const std::int64_t lots = std::min(maker.remaining, taker.remaining);
  release(state, market, maker_slot, lots);
  state.keep_asked(maker_slot);
  state.keep_asked(taker_slot);
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
  end_list(market, maker_slot);
  if (maker.remaining == 0) use_up(market, maker_slot, Close::kSelfTrade);
  return taker.remaining == 0;
}

// Trades `lots` at the maker's price and moves the money; the taker holds nothing yet.
inline void Engine::fill(Market& market, Slot maker_slot, Slot taker_slot, std::int64_t lots) {
  if (market.perpetual != nullptr) [[unlikely]] {
    fill_perpetual(market, maker_slot, taker_slot, lots, nullptr);
    return;
  }
  Order& maker = state.orders[maker_slot];
  Order& taker = state.orders[taker_slot];
  const Rules& rules = market.rules;
  const std::int64_t base = lots * rules.base_per_lot;
  const std::int64_t quote = maker.price * lots * rules.quote_per_tick_lot;
  const Account& maker_owner = state.accounts[maker.account];
  const Account& taker_owner = state.accounts[taker.account];
  const std::int64_t maker_fee = fee_units(quote, rules.fees.tier[maker_owner.tier].maker_ppm);
  const std::int64_t taker_fee = fee_units(quote, rules.fees.tier[taker_owner.tier].taker_ppm);
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
    release(state, market, maker_slot, lots);
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
  event[0].body[3] = maker_owner.id;
  event[0].body[4] = taker_owner.id;
  event[0].body[5] = static_cast<std::uint64_t>(maker.price);
  event[1].body[0] = static_cast<std::uint64_t>(lots);
  event[1].body[1] = static_cast<std::uint64_t>(base);
  event[1].body[2] = static_cast<std::uint64_t>(quote);
  event[1].body[3] = static_cast<std::uint64_t>(maker_fee);
  event[1].body[4] = static_cast<std::uint64_t>(taker_fee);
  event[1].body[5] = 0;
  if (market.waiting != 0) [[unlikely]]
    touch(market, maker_slot);
  if (maker.remaining == 0) use_up(market, maker_slot, Close::kFilled);
}

// Trades `lots` at the maker's price: both positions change, and what they realise is paid. A fill of
// a liquidation has `insurance`: what the taker pays the fund, or the fund the taker (< 0); it pays
// no fee, so its maker gets no rebate.
[[gnu::noinline]] void Engine::fill_perpetual(Market& market, Slot maker_slot, Slot taker_slot,
                                              std::int64_t lots, const std::int64_t* insurance) {
  Order& maker = state.orders[maker_slot];
  Order& taker = state.orders[taker_slot];
  const Rules& rules = market.rules;
  Perpetual& perpetual = *market.perpetual;
  const std::uint32_t makes = maker.account, takes = taker.account;
  const std::int64_t quote = maker.price * lots * rules.quote_per_tick_lot;
  std::int64_t maker_fee =
      fee_units(quote, rules.fees.tier[state.accounts[makes].tier].maker_ppm);
  std::int64_t taker_fee =
      fee_units(quote, rules.fees.tier[state.accounts[takes].tier].taker_ppm);
  if (insurance != nullptr) {
    maker_fee = std::max<std::int64_t>(0, maker_fee);
    taker_fee = 0;
  }
  const std::int64_t insured = insurance != nullptr ? *insurance : 0;
  const std::int64_t bought = taker.side() == kBuy ? 1 : -1;
  Seat& maker_seat = perpetual.seat(makes);
  Seat& taker_seat = perpetual.seat(takes);
  const PositionChange made = perpetual.change(maker_seat, -bought * lots, -bought * quote);
  const PositionChange took = perpetual.change(taker_seat, bought * lots, bought * quote);
  add_cash(state, market, maker_seat, made.realised_units - maker_fee);
  add_cash(state, market, taker_seat, took.realised_units - taker_fee - insured);
  if (insured != 0) {
    const std::uint32_t fund = state.need_account(kFundAccount);
    state.balance(fund, market.quote).total += insured;
    note_scope(fund, 0);
  }
  state.assets[market.quote].fees += maker_fee + taker_fee;
  perpetual.count(maker_seat, maker.side(), maker.flags, maker.price, -lots);
  maker.remaining -= lots;
  taker.remaining -= lots;
  market.last_ticks = maker.price;
  const auto flags = static_cast<std::uint16_t>(
      taker.side() | (maker_seat.is_isolated ? 2 : 0) | (taker_seat.is_isolated ? 4 : 0));
  EventStripe* event = events.add(EventType::kPerpetualTrade, 3, rules.symbol_id, flags);
  // Word by word: a list of them would go through the stack.
  const auto word = [](std::int64_t number) { return static_cast<std::uint64_t>(number); };
  event[0].body[0] = order_id(state.next_trade++);
  event[0].body[1] = order_id(maker.number);
  event[0].body[2] = order_id(taker.number);
  event[0].body[3] = state.accounts[makes].id;
  event[0].body[4] = state.accounts[takes].id;
  event[0].body[5] = word(maker.price);
  event[1].body[0] = word(lots);
  event[1].body[1] = word(quote);
  event[1].body[2] = word(maker_fee);
  event[1].body[3] = word(taker_fee);
  event[1].body[4] = word(insured);
  event[1].body[5] = 0;
  event[2].body[0] = word(made.position.lots);
  event[2].body[1] = word(made.position.cost_units);
  event[2].body[2] = word(made.realised_units);
  event[2].body[3] = word(took.position.lots);
  event[2].body[4] = word(took.position.cost_units);
  event[2].body[5] = word(took.realised_units);
  note_scope(makes, maker_seat.is_isolated ? rules.symbol_id : 0);
  note_scope(takes, taker_seat.is_isolated ? rules.symbol_id : 0);
  if (market.waiting != 0) touch(market, maker_slot);
  if (maker.remaining == 0) use_up(market, maker_slot, Close::kFilled);
  if (maker_seat.may_reduce()) trim(market, makes);
  if (taker_seat.may_reduce()) trim(market, takes);
}

// Closes a maker that shows nothing any more, or lets an iceberg show its next lots.
inline void Engine::use_up(Market& market, Slot slot, Close reason) {
  if (state.hidden(slot) != 0) [[unlikely]]
    refill(market, slot);
  else
    close_resting(market, slot, reason);
}

// Puts the next slice of an iceberg at the end of its level.
[[gnu::noinline, gnu::cold]] void Engine::refill(Market& market, Slot slot) {
  Order& order = state.orders[slot];
  Rare& rare = state.rare[slot];
  const std::int64_t slice = std::min(rare.terms.display, rare.hidden);
  rare.hidden -= slice;
  order.quantity += slice;
  order.remaining = slice;
  market.book.remove(slot);
  market.book.add(slot);
  write_standing(EventType::kOrderRefilled, market, slot);
}

// Hides all but the first slice of an iceberg that joins the book.
[[gnu::noinline, gnu::cold]] void Engine::hide(Slot slot) {
  Order& order = state.orders[slot];
  Rare& rare = state.rare[slot];
  rare.hidden = std::max<std::int64_t>(0, order.remaining - rare.terms.display);
  order.quantity -= rare.hidden;
  order.remaining -= rare.hidden;
}

// Lets the rest of a taker stand in the book with its hold, or closes it.
[[gnu::flatten]] void Engine::finish(Market& market, Slot slot, bool stop, Close stopped) {
  Order& order = state.orders[slot];
  Close reason = Close::kIocRemainder;
  if (stop) {
    reason = stopped;
  } else if (order.remaining == 0) {
    reason = Close::kFilled;
  } else if (may_rest(order.flags) && has_limit(order.flags)) {
    rest(slot);
    hold_rested(market, slot);
    return;
  } else if (!has_limit(order.flags) && market.book.best(1 - order.side()) != kNoPrice) {
    reason = Close::kBandReached;
  }
  write_closed(market, slot, reason, false);
  order.status = status_of(reason);
  state.closed_us[slot] = state.time_us;
  file_closed(slot);
}

// Holds for an order that just joined its level, and says where it stands.
void Engine::hold_rested(Market& market, Slot slot) {
  const Order& order = state.orders[slot];
  hold(state, market, slot);
  if ((order.traits & kIceberg) != 0) [[unlikely]]
    hide(slot);
  write_standing(EventType::kOrderRested, market, slot);
}

// Says where an order stands now, and how much of it.
inline void Engine::write_standing(EventType type, const Market& market, Slot slot) {
  const Order& order = state.orders[slot];
  const std::int64_t hidden = state.hidden(slot);
  EventStripe* event =
      events.add(type, 1, market.rules.symbol_id, static_cast<std::uint16_t>(order.side()));
  event->body[0] = state.accounts[order.account].id;
  event->body[1] = order_id(order.number);
  event->body[2] = static_cast<std::uint64_t>(order.price);
  event->body[3] = static_cast<std::uint64_t>(order.remaining + hidden);
  event->body[4] = static_cast<std::uint64_t>(hidden);
  event->body[5] = 0;
}

// Lets the rest of an order that its account's list has already stand in the book, or closes it.
void Engine::stand(Market& market, Slot slot, bool stop, Close stopped) {
  const Order& order = state.orders[slot];
  if (!stop && order.remaining != 0 && may_rest(order.flags) && has_limit(order.flags)) {
    market.book.add(slot);
    hold_rested(market, slot);
    return;
  }
  delist(market, slot);
  finish(market, slot, stop, stopped);
  if ((order.traits & kEntry) != 0) entry_ended(market, slot);
}

// Puts an order into its book and its account's list of open orders.
void Engine::rest(Slot slot) {
  Order& order = state.orders[slot];
  Market& market = *state.markets[order.symbol];
  market.book.add(slot);
  ++market.open_orders;
  ++state.open_of(order.account, order.symbol).count;
  list_open(slot);
  watch_expiry(slot);
}

inline void Engine::watch_expiry(Slot slot) {
  const Order& order = state.orders[slot];
  if (tif_of(order.flags) == kGtd) [[unlikely]]
    state.time(slot);
}

// Appends an order to its account's list of open orders, which is in order of their numbers.
void Engine::list_open(Slot slot) {
  Account& account = state.accounts[state.orders[slot].account];
  Links& links = state.links[slot];
  links.account_next = 0;
  links.account_prev = account.open_tail;
  if (account.open_tail != 0)
    state.links[account.open_tail].account_next = slot;
  else
    account.open_head = slot;
  account.open_tail = slot;
}

// Counts an order that waits among its account's open ones.
[[gnu::noinline, gnu::cold]] void Engine::list_waiting(Slot slot) {
  const Order& order = state.orders[slot];
  ++state.open_of(order.account, order.symbol).count;
  list_open(slot);
}

// Opens the orders of a snapshot: levels in the given order, accounts' lists by number.
void Engine::rest_all(const std::vector<Slot>& resting, const std::vector<Slot>& waiting) {
  std::vector<Slot> open = resting;
  for (const Slot slot : resting) {
    Market& market = *state.markets[state.orders[slot].symbol];
    market.book.add(slot);
    ++market.open_orders;
    if (market.perpetual != nullptr) count_seat(state, market, slot, state.open_lots(slot));
    watch_expiry(slot);
  }
  for (const Slot slot : waiting) {
    const std::uint16_t traits = state.orders[slot].traits;
    if (traits == 0) throw std::invalid_argument("an order waits for nothing");
    if ((traits & kPending) != 0)
      add_pending(slot);
    else
      add_waiting(slot);
    open.push_back(slot);
  }
  for (const Slot slot : waiting) link_again(slot);
  std::sort(open.begin(), open.end(),
            [&](Slot a, Slot b) { return state.orders[a].number < state.orders[b].number; });
  for (const Slot slot : open) {
    const Order& order = state.orders[slot];
    OpenOrders& mine = state.open_of(order.account, order.symbol);
    ++mine.count;
    const bool may_buy = (order.traits & kPending) == 0 &&
                         (order.traits == 0 || state.rare[slot].covered == 0) &&
                         state.markets[order.symbol]->perpetual == nullptr;
    if (order.side() == kBuy && may_buy)
      mine.buy_lots += state.open_lots(slot);
    list_open(slot);
  }
}

// Takes an order out of the book and releases what it still holds.
[[gnu::flatten]] void Engine::close_resting(Market& market, Slot slot, Close reason) {
  Order& order = state.orders[slot];
  if ((order.traits & (kWaiting | kLinked | kPending | kEntry)) != 0) [[unlikely]] {
    close_rare(market, slot, reason);
    return;
  }
  const std::int64_t left = state.open_lots(slot);
  if (left != 0) release(state, market, slot, left);
  market.book.remove(slot);
  delist(market, slot);
  write_closed(market, slot, reason, true);
  order.status = status_of(reason);
  state.closed_us[slot] = state.time_us;
  file_closed(slot);
}

// Takes an order that left its book out of the counts and its account's list of open orders.
void Engine::delist(Market& market, Slot slot) {
  const Order& order = state.orders[slot];
  if (tif_of(order.flags) == kGtd) [[unlikely]]
    state.untime(slot);
  --market.open_orders;
  --state.open_of(order.account, order.symbol).count;
  Account& account = state.accounts[order.account];
  const Links& links = state.links[slot];
  if (links.account_prev != 0)
    state.links[links.account_prev].account_next = links.account_next;
  else
    account.open_head = links.account_next;
  if (links.account_next != 0)
    state.links[links.account_next].account_prev = links.account_prev;
  else
    account.open_tail = links.account_prev;
}

void Engine::write_closed(const Market& market, Slot slot, Close reason, bool resting) {
  const Order& order = state.orders[slot];
  const std::int64_t hidden = state.hidden(slot);
  EventStripe* event = events.add(EventType::kOrderClosed, 1, market.rules.symbol_id,
                                  static_cast<std::uint16_t>(order.side() | (resting ? 2 : 0) |
                                                             static_cast<unsigned>(reason) << 8));
  event->body[0] = state.accounts[order.account].id;
  event->body[1] = order_id(order.number);
  event->body[2] = static_cast<std::uint64_t>(order.price);
  event->body[3] = static_cast<std::uint64_t>(order.remaining + hidden);
  event->body[4] = static_cast<std::uint64_t>(order.filled());
  event->body[5] = static_cast<std::uint64_t>(hidden);
}

}  // namespace rialto
