// What must hold of an engine after every command, whatever was sent to it.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <utility>

#include "engine.hpp"
#include "money.hpp"

namespace rialto::fuzz {

inline void hold(bool fine, const char* rule) {
  if (fine) return;
  std::fprintf(stderr, "broken rule: %s\n", rule);
  std::abort();
}

class Invariants {
 public:
  explicit Invariants(const Engine& engine) : state_(engine.state) {}

  void check() {
    for (std::uint16_t at = 0; at < state_.markets.size(); ++at) {
      const Market& market = *state_.markets[at];
      const std::uint64_t before = open_orders_;
      book(market, at);
      waiting(market, at);
      pending(market, at);
      hold(open_orders_ - before == market.open_orders, "a market counts its open orders");
      if (market.perpetual != nullptr) seats(market, at);
    }
    money();
    accounts();
    windows();
  }

 private:
  using Place = std::pair<std::uint32_t, std::uint16_t>;  // dense account, dense asset or market

  // Levels in order, not crossed, linked both ways, every order known by key and by number.
  void book(const Market& market, std::uint16_t at) {
    const std::int64_t bid = market.book.best(kBuy), ask = market.book.best(1 - kBuy);
    hold(bid == kNoPrice || ask == kNoPrice || bid < ask, "the book is not crossed");
    for (int side = 0; side < 2; ++side) {
      std::int64_t before = kNoPrice;
      for (std::int64_t price = market.book.best(side); price != kNoPrice;
           price = market.book.next_price(side, price)) {
        hold(before == kNoPrice || (side == kBuy ? price < before : price > before),
             "levels go from the best to the worst");
        before = price;
        const Level& level = market.book.at(side, price);
        hold(level.head != 0, "a level has an order");
        Slot previous = 0;
        for (Slot slot = level.head; slot != 0; slot = state_.links[slot].next) {
          const Order& order = state_.orders[slot];
          hold(state_.links[slot].prev == previous, "a level is linked both ways");
          hold(order.price == price && order.side() == side && order.symbol == at,
               "an order stands at its price");
          hold(order.status == Status::kOpen, "a resting order is open");
          hold(order.remaining > 0 && order.remaining <= order.quantity,
               "a resting order has something left");
          open(market, at, slot, price, state_.open_lots(slot));
          previous = slot;
        }
        hold(level.tail == previous, "a level ends with its last order");
      }
    }
  }

  // Orders that wait for a trigger hold for the price up to which they will trade, less what the
  // other one of their list holds for them.
  void waiting(const Market& market, std::uint16_t at) {
    std::size_t count = 0;
    for (std::size_t source = 0; source < kTriggerSources; ++source) {
      const Waits& waits = market.waits[source];
      hold(waits.low == 0 || state_.touched, "what a source said is held against who waits for it");
      for (const auto* side : {&waits.rising, &waits.falling})
        for (const auto& row : *side) {
          const Slot slot = state_.pages.find(row.second);
          const Order& order = state_.orders[slot];
          hold(slot != 0 && order.status == Status::kOpen, "what waits is open");
          hold(static_cast<std::size_t>(trigger_source_of(order.flags)) == source,
               "an order waits for its source");
          open(market, at, slot, state_.rare[slot].limit, order.remaining, covered(slot));
          ++count;
        }
    }
    hold(count == market.waiting, "a market counts who waits");
  }

  // Children of brackets hold nothing until their entry ended, which is seen to in an open market
  // before the next command, or as soon as there is room.
  void pending(const Market& market, std::uint16_t at) {
    constexpr std::uint64_t kNumber = (std::uint64_t{1} << 48) - 1;
    std::set<std::uint64_t> ended;
    for (const std::uint64_t number : market.pending) {
      const Slot slot = state_.pages.find(number);
      const Order& order = state_.orders[slot];
      const Rare& rare = state_.rare[slot];
      hold(slot != 0 && order.status == Status::kOpen, "what is pending is open");
      hold((order.traits & (kPending | kWaiting | kLinked)) == kPending,
           "what is pending waits for its entry alone");
      hold(order.symbol == at && order.filled() == 0, "what is pending is untouched");
      const std::uint64_t entry_number = static_cast<std::uint64_t>(rare.terms.list) & kNumber;
      const Slot entry = state_.pages.find(entry_number);
      const bool is_open = entry != 0 && state_.orders[entry].status == Status::kOpen;
      hold(is_open == (rare.ended == 0), "a child knows whether its entry is open");
      if (is_open) {
        hold((state_.orders[entry].traits & kEntry) != 0, "an entry knows that it has children");
        hold(state_.orders[entry].side() != order.side(), "children close what the entry opens");
      } else {
        ended.insert(entry_number);
      }
      open(market, at, slot, 0, 0);
    }
    hold(ended == market.ended, "every ended bracket is known");
    hold(ended.empty() || state_.touched, "an ended bracket is seen to");
  }

  // What the first order of a list holds for the second, as far as it goes.
  std::int64_t covered(Slot slot) {
    const Order& order = state_.orders[slot];
    if ((order.traits & kLinked) == 0) {
      hold(state_.rare[slot].covered == 0, "who stands alone holds for itself");
      return 0;
    }
    const auto whole = [&](Slot at) {
      const Order& each = state_.orders[at];
      const std::int64_t limit = is_triggered(each.flags) ? state_.rare[at].limit : each.price;
      return order_hold(*state_.markets[each.symbol], each.side(), limit, state_.open_lots(at));
    };
    const Slot sibling = state_.rare[slot].sibling;
    const std::int64_t both = std::min(whole(slot), whole(sibling));
    const bool is_second = state_.orders[sibling].number < order.number;
    hold(state_.rare[slot].covered == (is_second ? both : 0), "a list holds for the larger");
    return state_.rare[slot].covered;
  }

  // The orders of a list name each other, agree, and nothing has happened to either.
  void linked(Slot slot) {
    const Order& order = state_.orders[slot];
    if ((order.traits & kLinked) == 0) return;
    const Slot other = state_.rare[slot].sibling;
    const Order& sibling = state_.orders[other];
    hold((sibling.traits & kLinked) != 0 && state_.rare[other].sibling == slot,
         "orders of a list name each other");
    hold(sibling.status == Status::kOpen && sibling.account == order.account &&
             sibling.symbol == order.symbol && sibling.side() == order.side(),
         "orders of a list are open together, of one account, market and side");
    const bool is_spot = state_.markets[order.symbol]->perpetual == nullptr;
    hold((!is_spot || state_.open_lots(slot) == state_.open_lots(other)) && order.filled() == 0,
         "orders of a list are untouched and of one size, where they are not cut to a position");
    const std::uint64_t list = static_cast<std::uint64_t>(state_.rare[slot].terms.list) &
                               ((std::uint64_t{1} << 48) - 1);
    const std::uint64_t first = std::min<std::uint64_t>(order.number, sibling.number);
    hold(state_.rare[slot].terms.list == state_.rare[other].terms.list &&
             (list == first || list + 1 == first),
         "orders of a list have its id");
  }

  void open(const Market& market, std::uint16_t at, Slot slot, std::int64_t price,
            std::int64_t lots, std::int64_t covered = 0) {
    const Order& order = state_.orders[slot];
    const int side = order.side();
    holds_[{order.account, side == kBuy ? market.quote : market.base}] +=
        order_hold(market, side, price, lots) - covered;
    OpenOrders& row = open_[{order.account, at}];
    ++row.count;
    if (market.perpetual == nullptr && side == kBuy && covered == 0) row.buy_lots += lots;
    if (market.perpetual != nullptr && (order.traits & kWaiting) == 0) {
      Counted& counted = counted_[{order.account, at}];
      ((order.flags & kReduces) != 0 ? counted.reducing : counted.adding)[side] += lots;
      if ((order.flags & kReduces) == 0 && lots != 0)
        counted.losses[static_cast<std::size_t>(side)] +=
            loss_of(side, price, lots, market.perpetual->look(order.account)->losses.mark);
    }
    ++open_orders_;
    known(slot);
    linked(slot);
  }

  // What seats count follows from orders and positions; longs and shorts are as many.
  void seats(const Market& market, std::uint16_t at) {
    const Perpetual& perpetual = *market.perpetual;
    Wide longs = 0, sum = 0;
    std::uint64_t used = 0;
    for (const Seat& seat : perpetual.seats()) {
      const Counted& counted = counted_[{seat.account, at}];
      for (std::size_t side = 0; side < 2; ++side) {
        hold(seat.adding[side] == counted.adding[side], "lots that may add are counted");
        hold(seat.reducing[side] == counted.reducing[side], "lots that reduce are counted");
        hold(seat.losses.sums[side] == counted.losses[side], "open losses are counted");
      }
      hold((seat.position.lots == 0) <= (seat.position.cost_units == 0), "who is flat has no cost");
      hold(perpetual.look(seat.account) == &seat, "a seat is found by its account");
      sum += seat.position.lots;
      longs += std::max<std::int64_t>(0, seat.position.lots);
      used += seat.is_used();
      positions_ += Wide{seat.margin_units} - seat.position.cost_units;
    }
    hold(sum == 0, "signed positions of a market sum to 0");
    hold(longs == perpetual.open_lots, "long lots are counted");
    hold(used == perpetual.used, "seats in use are counted");
  }

  void known(Slot slot) {
    const Order& order = state_.orders[slot];
    hold(state_.pages.find(order.number) == slot, "an order is found by its number");
    hold(state_.index.find(state_.hash_of(slot), [&](Slot other) { return other == slot; }) == slot,
         "an order is found by its key");
    hold(order.number < state_.next_order, "order numbers come from the counter");
  }

  // Held is what the open orders hold, nothing is overspent, nothing comes from nowhere.
  void money() {
    std::vector<Wide> sums(state_.assets.size());
    for (std::uint32_t account = 0; account < state_.accounts.size(); ++account)
      for (std::uint16_t asset = 0; asset < state_.assets.size(); ++asset) {
        const Balance& balance = state_.balances[account * state_.balance_stride + asset];
        hold(balance.held == holds_[{account, asset}], "held is the sum over the open orders");
        hold(balance.held >= 0 && balance.held <= std::max<std::int64_t>(0, balance.total),
             "held is at most the total");
        hold(balance.total >= 0 || (asset == state_.collateral && !is_fund(account)),
             "only collateral of positions may be below 0");
        sums[asset] += balance.total;
      }
    for (std::uint16_t asset = 0; asset < state_.assets.size(); ++asset) {
      const Asset& row = state_.assets[asset];
      hold(row.fees >= 0, "fees are never negative");
      const bool backs = asset == state_.collateral;
      const Wide apart = backs ? positions_ + state_.fund.rounding_units : Wide{0};
      hold(sums[asset] + row.fees + apart == row.issued, "what was credited is somewhere");
    }
  }

  bool is_fund(std::uint32_t account) const { return state_.accounts[account].id == kFundAccount; }

  // An account's lists: open orders by number, closed ones in closing order.
  void accounts() {
    for (std::uint32_t at = 1; at < state_.accounts.size(); ++at) {
      const Account& account = state_.accounts[at];
      std::uint64_t before = 0;
      Slot previous = 0;
      for (Slot slot = account.open_head; slot != 0; slot = state_.links[slot].account_next) {
        const Order& order = state_.orders[slot];
        hold(order.account == at && order.status == Status::kOpen && order.number > before,
             "open orders of an account go by number");
        hold(state_.links[slot].account_prev == previous,
             "an account's open orders are linked both ways");
        before = order.number;
        previous = slot;
        ++listed_;
      }
      hold(account.open_tail == previous, "the last open order is the tail");
      for (std::uint16_t market = 0; market < state_.markets.size(); ++market) {
        const OpenOrders& row = state_.open_of(at, market);
        hold(row.count == open_[{at, market}].count,
             "open orders are counted by account and market");
        hold(row.buy_lots == open_[{at, market}].buy_lots, "lots to buy are counted");
      }
    }
    hold(listed_ == open_orders_, "every open order is in its account's list");
  }

  // Closed orders, keys, expiries and deadlines: counted, ordered, and none overlooked.
  void windows() {
    std::uint64_t closed = 0;
    std::int64_t latest = 0;
    for (Slot slot = state_.closed_head; slot != 0; slot = state_.links[slot].next) {
      const Order& order = state_.orders[slot];
      hold(order.status != Status::kOpen, "a closed order is closed");
      const std::int64_t closed_us = state_.closed_us[slot];
      hold(closed_us >= latest, "closed orders go by time");
      hold(closed_us + kClosedForUs >= state_.next_expiry_us, "no closed order is overlooked");
      latest = closed_us;
      known(slot);
      ++closed;
    }
    hold(closed == state_.closed_count, "closed orders are counted");
    hold(state_.index.count() == closed + open_orders_, "the index has open and closed orders");
    hold(state_.pages.count() == closed + open_orders_, "the numbers lead to open and closed ones");
    hold(state_.key_index.size() == state_.keys.size(), "every key is found");
    for (const auto& [expires_us, number] : state_.timed) {
      const Slot slot = state_.pages.find(number);
      hold(slot != 0 && state_.orders[slot].status == Status::kOpen &&
               state_.rare[slot].terms.expires_us == expires_us,
           "what expires is open");
      hold(expires_us > state_.next_expiry_us, "no expiry is overlooked");
    }
    hold(state_.deadlines.size() == state_.switches.size(), "every switch has its deadline");
    for (const auto& [deadline_us, account] : state_.deadlines)
      hold(state_.switches.at(account) == deadline_us, "a switch has one deadline");
  }

  const State& state_;
  std::map<Place, std::int64_t> holds_;
  struct Counted {
    Wide adding[2] = {0, 0}, reducing[2] = {0, 0}, losses[2] = {0, 0};
  };
  std::map<Place, OpenOrders> open_;
  std::map<Place, Counted> counted_;
  Wide positions_ = 0;  // isolated cash less cost, of all seats
  std::uint64_t open_orders_ = 0, listed_ = 0;
};

}  // namespace rialto::fuzz
