// What the book would do to an order: a sweep that is played through before it is made.
// matching/sweep.py.
#include <algorithm>
#include <deque>
#include <unordered_map>
#include <unordered_set>

#include "engine.hpp"
#include "ruin.hpp"

namespace rialto {

namespace {

// An account in a sweep: what fills may still take from it, and its reduce-only orders.
struct Party {
  std::optional<Wide> spare;
  std::int64_t lots = 0;
  std::vector<RestingReduceOnly> reducing;

  auto find(std::uint64_t number) {
    return std::find_if(reducing.begin(), reducing.end(),
                        [number](const RestingReduceOnly& one) { return one.order_id == number; });
  }
  void drop(std::uint64_t number) {
    if (const auto found = find(number); found != reducing.end()) reducing.erase(found);
  }
  void fill(const Order& order, std::int64_t filled) {
    lots += order.side() == kBuy ? filled : -filled;
    const auto found = find(order.number);
    if (found == reducing.end()) return;
    found->lots -= filled;
    if (found->lots == 0) reducing.erase(found);
  }
};

struct Turn {  // an order of a level that is met, or an iceberg among them that is met again
  Slot slot;
  std::int64_t hidden;
};

}  // namespace

// The account's reduce-only orders in the book, of one side.
std::vector<RestingReduceOnly> Engine::reduce_only_orders(const Market& market,
                                                          std::uint32_t account,
                                                          int side) const {
  std::vector<RestingReduceOnly> found;
  for (Slot slot = state.accounts[account].open_head; slot != 0;
       slot = state.links[slot].account_next) {
    const Order& order = state.orders[slot];
    if (order.symbol == market.at && order.side() == side && (order.flags & kReduces) != 0 &&
        !order.is_outside())
      found.push_back({order.number, order.price, state.open_lots(slot)});
  }
  return found;
}

// An order that meets the book in a world of its own. Everything that ends a sweep early or passes
// over a maker is played: sweep limit, self-trade, whom a fill would leave too little, and
// reduce-only orders that are cancelled as their owner's position shrinks.
class Sweep {
 public:
  Sweep(const Engine& engine, const Market& market, std::uint16_t flags, std::int64_t lots,
        std::uint32_t account, std::uint32_t most)
      : engine_(engine),
        market_(market),
        flags_(flags),
        account_(account),
        most_(most),
        missing_(lots) {
    party(account, side_of(flags));
  }

  // Whether all of the order trades.
  bool is_whole() const { return missing_ == 0 && !shrank_; }

  // What the order comes to; `rests`: it stands with what is left.
  Prospect prospect(bool rests) const {
    const bool goes_on = cut_ || (rests && !ended_);
    return {taken_, loss_, goes_on ? missing_ : 0};
  }

  // Meets what there is up to a price, until it is over.
  void play(std::int64_t limit) {
    const int side = 1 - side_of(flags_);
    const Book& book = market_.book;
    std::int64_t price = book.best(side);
    while (!is_over() && price != kNoPrice && Book::crosses(side, price, limit)) {
      play_level(book.at(side, price).head);
      price = book.next_price(side, price);
    }
  }

 private:
  bool is_over() const { return ended_ || cut_ || missing_ == 0; }

  // Meets the orders of a level, then what icebergs among them show next, in turn.
  void play_level(Slot head) {
    const State& state = engine_.state;
    std::deque<Turn> again;
    for (Slot at = head; at != 0 && !is_over(); at = state.links[at].next)
      if (!is_gone(at) && meet(at, state.orders[at].remaining) && state.hidden(at) != 0)
        again.push_back({at, state.hidden(at)});
    while (!again.empty() && !is_over()) {
      const Turn turn = again.front();
      again.pop_front();
      if (is_gone(turn.slot)) continue;
      const std::int64_t shown = std::min(turn.hidden, state.rare[turn.slot].terms.display);
      if (meet(turn.slot, shown) && turn.hidden > shown)
        again.push_back({turn.slot, turn.hidden - shown});
    }
  }

  bool is_gone(Slot slot) const { return gone_.contains(engine_.state.orders[slot].number); }

  // Meets an order that shows so much; returns whether it stands on, or has been filled.
  bool meet(Slot slot, std::int64_t shown) {
    const Order& maker = engine_.state.orders[slot];
    if (++met_ > most_) return cut();
    if (maker.account == account_) return meet_own(shown);
    Party& owner = party(maker.account, maker.side());
    if (market_.perpetual != nullptr && events_ + 2 * met_ > kSweepRoom - kTriggerRoom)
      return cut();  // it could be too many events for one command
    Party& taker = parties_.at(account_);
    const std::int64_t lots = std::min(missing_, shown);
    const auto taken = left(taker, side_of(flags_), account_, false, maker.price, lots);
    const auto given = left(owner, maker.side(), maker.account, true, maker.price, lots);
    if (taken && *taken < 0) return cut();  // and so too little for the rest at the limit
    if (given && *given < 0) {
      owner.drop(maker.number);
      return false;
    }
    taker.spare = taken;
    owner.spare = given;
    missing_ -= lots;
    taken_ += lots;
    if (market_.perpetual != nullptr) {
      loss_ += loss_of(side_of(flags_), maker.price, lots, market_.perpetual->mark_ticks);
      owner.fill(maker, lots);
      trim(owner, maker.side());
    }
    return true;
  }

  // Meets an order of the same account, as its mode against self-trade says.
  bool meet_own(std::int64_t shown) {
    const int mode = self_trade_of(flags_);
    if (mode == kDecrement) {
      shrank_ = true;
      missing_ -= std::min(missing_, shown);
      return true;
    }
    ended_ = mode != kExpireMaker;
    return false;
  }

  bool cut() {
    cut_ = true;
    return false;
  }

  // The party of an account, which is counted with all its orders that could end in this sweep.
  Party& party(std::uint32_t account, int side) {
    const auto [found, is_new] = parties_.try_emplace(account);
    if (!is_new) return found->second;
    const State& state = engine_.state;
    Party& made = found->second;
    made.spare = spare_units(state, market_, side, account);
    if (market_.perpetual == nullptr) return made;  // the rest is asked of perpetuals only
    if (const Seat* seat = market_.perpetual->look(account)) made.lots = seat->position.lots;
    made.reducing = engine_.reduce_only_orders(market_, account, side);
    for (const auto& market : state.markets) events_ += state.open_of(account, market->at).count;
    return made;
  }

  // What a fill leaves that fills may still take; none: nothing is at stake.
  std::optional<Wide> left(const Party& party, int side, std::uint32_t account, bool makes,
                           std::int64_t price, std::int64_t lots) const {
    if (!party.spare) return std::nullopt;
    return *party.spare + gained_units(engine_.state, market_, side, account, makes, price, lots);
  }

  void trim(Party& owner, int side) {
    const std::size_t count = reduce_only_trim(owner.reducing, closable_lots(owner.lots, side),
                                               market_.perpetual->mark_ticks);
    for (std::size_t at = 0; at < count; ++at) gone_.insert(owner.reducing[at].order_id);
    owner.reducing.erase(owner.reducing.begin(),
                         owner.reducing.begin() + static_cast<std::ptrdiff_t>(count));
  }

  const Engine& engine_;
  const Market& market_;
  std::uint16_t flags_;
  std::uint32_t account_;
  std::uint32_t most_;  // meetings
  std::int64_t missing_;
  std::int64_t taken_ = 0;  // lots that trade
  Wide loss_ = 0;           // of those at prices worse than the mark, in ticks x lots
  std::uint64_t met_ = 0;
  std::uint64_t events_ = 10;  // at most, beside two a meeting
  bool ended_ = false;         // it may not go on
  bool cut_ = false;           // it might go on, but is not played any further
  bool shrank_ = false;        // some of it went against an order of its own
  std::unordered_map<std::uint32_t, Party> parties_;
  std::unordered_set<std::uint64_t> gone_;  // numbers of orders that are cancelled on the way
};

// Whether the book fills the whole order now, within its limit and the sweep limit.
bool Engine::fillable(const Market& market, std::uint16_t flags, std::int64_t lots,
                      std::uint32_t account, std::int64_t limit) const {
  Sweep sweep(*this, market, flags, lots, account, kMaxMakers);
  sweep.play(limit);
  return sweep.is_whole();
}

// What an order on a perpetual would come to now. After `kMaxPlayed` meetings all that is left
// counts at the order's limit, whatever its kind.
Prospect Engine::prospect(const Market& market, std::uint16_t flags, std::int64_t lots,
                          std::uint32_t account, std::int64_t limit) const {
  const int side = 1 - side_of(flags);
  const bool rests = may_rest(flags) && has_limit(flags);
  const std::int64_t best = market.book.best(side);
  if (best == kNoPrice || !Book::crosses(side, best, limit)) return {0, 0, rests ? lots : 0};
  Sweep sweep(*this, market, flags, lots, account, kMaxPlayed);
  sweep.play(limit);
  return sweep.prospect(rests);
}

}  // namespace rialto
