// What the engine knows of a perpetual market, and of each account in it: matching/perpetual.py.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "order.hpp"
#include "perpetual_state.hpp"
#include "perpetual_terms.hpp"

namespace rialto {

inline constexpr std::uint16_t kReduces = kReduceOnlyFlag | kClosePositionFlag;
inline constexpr std::int64_t kSecondUs = 1'000'000;

struct Market;

// What an order loses against a mark the moment it fills, for each unit of a tick and lot.
inline Wide loss_of(int side, std::int64_t limit, std::int64_t lots, std::int64_t mark) {
  const std::int64_t worse = side == kBuy ? limit - mark : mark - limit;
  return worse <= 0 ? Wide{0} : Wide{worse} * lots;
}

// What the orders of a seat that add lose at a mark, by side, in ticks x lots. Kept as orders come
// and go; at another mark they are walked once, and only if the farthest of them may lose.
struct OpenLosses {
  std::int64_t mark = 0;
  // No order that adds is dearer (buys) or cheaper (sells); what is left of it may be nearer.
  std::array<std::int64_t, 2> farthest{0, kInt64Max};
  std::array<Wide, 2> sums{};
};

// An account in a perpetual market. Lots by side: 0 buys, 1 sells. `adding` is what is left of its
// orders in the book, `reducing` of the reduce-only ones; those that wait count nowhere.
// Whole cache lines, by what reads them: admission the first two, the rest a fill or less.
struct alignas(64) Seat {
  std::uint32_t account = 0;  // dense
  bool is_isolated = false;
  Market* market = nullptr;
  Seat* next = nullptr;  // of the account, by market
  Position position;
  std::array<std::int64_t, 2> adding{};
  std::int64_t leverage_ppm = kPpm;  // the rate of margin that the leverage asks for
  mutable OpenLosses losses;
  std::array<Wide, 2> reducing{};  // each order is within the position, all of them need not be
  std::int64_t leverage = 1;
  std::int64_t margin_units = 0;  // cash of an isolated position

  void set_leverage(std::int64_t times) {
    leverage = times;
    leverage_ppm = leverage_rate_ppm(times);
  }

  // Whether there is a position, or an order that may open one.
  bool is_used() const { return (position.lots | adding[0] | adding[1]) != 0; }
  // Whether the state has to remember the seat beside its orders.
  bool is_kept() const {
    return (position.lots | margin_units) != 0 || is_isolated || leverage != 1;
  }
  // Whether any of its orders may only reduce.
  bool may_reduce() const { return (reducing[0] | reducing[1]) != 0; }
  std::int64_t closable(int side) const { return closable_lots(position.lots, side); }
};

struct TimedTicks {
  std::int64_t time_us, ticks;
};

// A perpetual market's own state: terms, index, mark, funding, who is in it. Prices are 0 where
// there never was one; `index_time_us` and `begun_us` are 0 after a start.
struct Perpetual {
  PerpetualTerms terms;
  std::int64_t units_per_tick_lot = 0;
  PerpetualState phase = PerpetualState::kGuarded;
  std::int64_t index_ticks = 0, index_time_us = 0;
  std::int64_t begun_us = 0;  // when the basis window began
  std::int64_t sources = 0;   // how many counted in the last index command
  std::int64_t mark_ticks = 0;
  std::int64_t empty_since_us = 0;  // since when a side of the book has been empty; 0: neither is
  std::int64_t rate_ppm = 0, funding_time_us = 0;  // of the last funding
  std::int64_t premium_ppm = 0, premium_count = 0, premium_minute = 0;  // samples since then
  bool fund_stopped = false;  // the fund takes nothing over here, for its drawdown
  bool in_shortfall = false;  // told of one, and not resumed since
  std::int64_t open_lots = 0;                                           // all longs
  std::deque<TimedTicks> basis;  // half ticks of the basis window
  std::int64_t basis_half_ticks = 0;
  std::deque<TimedTicks> marks;  // of the breaker's window
  std::uint64_t used = 0;        // seats with a position, or an order that may open one

  // The account's seat, or null.
  Seat* look(std::uint32_t account) {
    return account < seat_of_.size() ? seat_of_[account] : nullptr;
  }
  const Seat* look(std::uint32_t account) const {
    return const_cast<Perpetual*>(this)->look(account);
  }

  // The account's seat, made when it is first asked for.
  Seat& seat(std::uint32_t account) {
    if (Seat* found = look(account)) return *found;
    if (account >= seat_of_.size()) seat_of_.resize(account + account / 2 + 64);
    Seat* const made = &seats_.emplace_back(Seat{.account = account, .market = market_});
    seat_of_[account] = made;
    chain(made);
    return *made;
  }

  // Lets this be what a market is, and accounts' seats be found from `firsts`.
  void open_in(Market& market, std::vector<Seat*>& firsts) {
    market_ = &market;
    firsts_ = &firsts;
  }

  std::deque<Seat>& seats() { return seats_; }
  const std::deque<Seat>& seats() const { return seats_; }

  // Counts `lots` more (or less) of an order in the book.
  void count(Seat& seat, int side, std::uint16_t flags, std::int64_t price, std::int64_t lots) {
    const bool before = seat.is_used();
    if ((flags & kReduces) != 0) {
      seat.reducing[static_cast<std::size_t>(side)] += lots;
      return;
    }
    std::int64_t& adding = seat.adding[static_cast<std::size_t>(side)];
    OpenLosses& losses = seat.losses;
    std::int64_t& farthest = losses.farthest[static_cast<std::size_t>(side)];
    if (adding == 0) farthest = price;
    adding += lots;
    farthest = side == kBuy ? std::max(farthest, price) : std::min(farthest, price);
    losses.sums[static_cast<std::size_t>(side)] += loss_of(side, price, lots, losses.mark);
    used += static_cast<std::uint64_t>(seat.is_used()) - static_cast<std::uint64_t>(before);
  }

  // Changes a position by a fill of `lots` (> 0 bought) at a cost signed like them.
  PositionChange change(Seat& seat, std::int64_t lots, std::int64_t cost_units) {
    const bool before = seat.is_used();
    const PositionChange changed = after_fill(seat.position, lots, cost_units);
    const std::int64_t left = changed.position.lots, cost = changed.position.cost_units;
    open_lots += std::max<std::int64_t>(0, left) - std::max<std::int64_t>(0, seat.position.lots);
    seat.position.lots = left;  // each by itself: two halves that were just written and are read
    seat.position.cost_units = cost;  // as one wait for the first to reach the cache
    used += static_cast<std::uint64_t>(seat.is_used()) - static_cast<std::uint64_t>(before);
    return changed;
  }

  // Gives a seat of a snapshot its position.
  void sit(Seat& seat, const Position& position) {
    const bool before = seat.is_used();
    open_lots += std::max<std::int64_t>(0, position.lots) -
                 std::max<std::int64_t>(0, seat.position.lots);
    seat.position = position;
    used += static_cast<std::uint64_t>(seat.is_used()) - static_cast<std::uint64_t>(before);
  }

  // Around the mark or a given price; narrow when guarded.
  Band band(std::int64_t band_ppm, std::int64_t reference_ticks = 0) const {
    const std::int64_t width = phase == PerpetualState::kGuarded ? band_ppm / 2 : band_ppm;
    if (reference_ticks != 0) return mark_band(reference_ticks, width);
    if (band_mark_ != mark_ticks || band_width_ != width) [[unlikely]] {
      band_mark_ = mark_ticks;
      band_width_ = width;
      band_ = mark_band(mark_ticks, width);
    }
    return band_;
  }

  // Whether a loss is uncovered here; without positions there is none any more.
  bool gates_collateral() const { return in_shortfall && open_lots != 0; }

  // Whether it takes orders of every kind.
  bool is_open() const { return phase == PerpetualState::kOpen && mark_ticks != 0; }

  // Whether positions may be closed at the mark.
  bool is_fresh(std::int64_t now_us) const {
    return index_time_us != 0 && now_us - index_time_us <= terms.index_max_age_us &&
           now_us - begun_us >= terms.basis_window_us;
  }

  Wide notional_units(std::int64_t lots) const {
    return Wide{mark_ticks} * units_per_tick_lot * lots;
  }

  Exposure exposure(std::uint16_t symbol_id, const Seat& seat) const {
    return {symbol_id, seat.position, mark_ticks, units_per_tick_lot, &terms.brackets};
  }

  // The last rate, and the seconds to the next whole interval since 1970.
  FundingClock funding_clock(std::int64_t now_us) const {
    const std::int64_t interval = terms.funding_interval_seconds;
    return {rate_ppm, interval - now_us / kSecondUs % interval, interval};
  }

  Basis mean_basis() const {
    return {basis_half_ticks, static_cast<std::int64_t>(basis.size())};
  }

 private:
  void chain(Seat* made);

  std::vector<Seat*> seat_of_;  // by dense account
  std::deque<Seat> seats_;
  Market* market_ = nullptr;
  std::vector<Seat*>* firsts_ = nullptr;  // of all accounts, in the state
  mutable std::int64_t band_mark_ = -1, band_width_ = 0;  // what `band_` is around
  mutable Band band_{};
};

inline constexpr std::uint64_t kFundAccount = (std::uint64_t{1} << 48) - 1;  // the shard's fund

// ---- liquidations ---------------------------------------------------------------------------

struct ScopeName {  // symbol 0: an account's cross margin
  std::uint64_t account_id;
  std::uint16_t symbol_id;
  auto operator<=>(const ScopeName&) const = default;
};

struct Frozen {  // a scope in liquidation
  std::uint64_t version;
  std::uint64_t key_low, key_high;  // the liquidation's id
  std::int64_t since_us;
  std::int64_t slices = 0;
};

inline constexpr std::int64_t kFundHours = 8;

// The insurance fund beside its account: rounding dust, and its highest cash by hour.
struct Fund {
  std::int64_t rounding_units = 0;
  std::deque<std::pair<std::int64_t, std::int64_t>> highest;  // (hour, highest cash in it)

  void note(std::int64_t cash_units, std::int64_t time_us) {
    const std::int64_t hour = time_us / kHourUs;
    if (!highest.empty() && highest.back().first == hour) {
      cash_units = std::max(cash_units, highest.back().second);
      highest.pop_back();
    }
    highest.emplace_back(hour, cash_units);
    while (highest.front().first <= hour - kFundHours) highest.pop_front();
  }

  // Of the last eight hours, the current one among them.
  std::int64_t highest_units(std::int64_t time_us) const {
    const std::int64_t first = time_us / kHourUs - kFundHours;
    bool any = false;
    std::int64_t most = 0;
    for (const auto& [hour, units] : highest)
      if (hour > first) {
        most = any ? std::max(most, units) : units;
        any = true;
      }
    return most;
  }
};

}  // namespace rialto
