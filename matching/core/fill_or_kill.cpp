// Whether the book fills an order whole: a sweep that is played through before it is made.
// matching/fill_or_kill.py.
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

struct Hidden {  // an iceberg that was met, with what it hides
  Slot slot;
  std::int64_t lots;
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
        std::uint32_t account)
      : engine_(engine), market_(market), flags_(flags), account_(account), missing_(lots) {
    party(account, side_of(flags));
  }

  bool is_over() const { return stopped_ || missing_ == 0; }
  bool is_whole() const { return !stopped_ && missing_ == 0; }
  bool is_gone(Slot slot) const { return gone_.contains(engine_.state.orders[slot].number); }

  // Meets an order that shows so much; returns whether it stands on, or has been filled.
  bool meet(Slot slot, std::int64_t shown) {
    const Order& maker = engine_.state.orders[slot];
    if (++met_ > kMaxMakers) return stop();
    if (maker.account == account_) {
      stopped_ = self_trade_of(flags_) != kExpireMaker;
      return false;
    }
    Party& owner = party(maker.account, maker.side());
    if (market_.perpetual != nullptr && events_ + 2 * met_ > kSweepRoom - kTriggerRoom)
      return stop();  // it could be too many events for one command
    Party& taker = parties_.at(account_);
    const std::int64_t lots = std::min(missing_, shown);
    const auto taken = left(taker, side_of(flags_), account_, false, maker.price, lots);
    const auto given = left(owner, maker.side(), maker.account, true, maker.price, lots);
    if (taken && *taken < 0) return stop();
    if (given && *given < 0) {
      owner.drop(maker.number);
      return false;
    }
    taker.spare = taken;
    owner.spare = given;
    missing_ -= lots;
    if (market_.perpetual != nullptr) {
      owner.fill(maker, lots);
      trim(owner, maker.side());
    }
    return true;
  }

 private:
  bool stop() {
    stopped_ = true;
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
  std::int64_t missing_;
  std::uint64_t met_ = 0;
  std::uint64_t events_ = 10;  // at most, beside two a meeting
  bool stopped_ = false;
  std::unordered_map<std::uint32_t, Party> parties_;
  std::unordered_set<std::uint64_t> gone_;  // numbers of orders that are cancelled on the way
};

// Whether the book fills the whole order now, within its limit and the sweep limit.
bool Engine::fillable(const Market& market, std::uint16_t flags, std::int64_t lots,
                      std::uint32_t account, std::int64_t limit) const {
  const int side = 1 - side_of(flags);
  const Book& book = market.book;
  Sweep sweep(*this, market, flags, lots, account);
  for (std::int64_t price = book.best(side); price != kNoPrice && Book::crosses(side, price, limit);
       price = book.next_price(side, price)) {
    std::deque<Hidden> hidden;
    for (Slot at = book.at(side, price).head; at != 0; at = state.links[at].next) {
      if (sweep.is_gone(at)) continue;
      const bool stands = sweep.meet(at, state.orders[at].remaining);
      if (sweep.is_over()) return sweep.is_whole();
      if (const std::int64_t kept = state.hidden(at); stands && kept != 0)
        hidden.push_back({at, kept});
    }
    while (!hidden.empty()) {
      const Hidden next = hidden.front();
      hidden.pop_front();
      if (sweep.is_gone(next.slot)) continue;
      const std::int64_t slice = state.rare[next.slot].terms.display;
      const bool stands = sweep.meet(next.slot, std::min(next.lots, slice));
      if (sweep.is_over()) return sweep.is_whole();
      if (stands && next.lots > slice) hidden.push_back({next.slot, next.lots - slice});
    }
  }
  return false;
}

}  // namespace rialto
