// Index and mark, and what they are made of: domain/{index_price,mark_price,circuit_breaker}.py.
// All prices are in ticks of the market.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "risk_bounds.hpp"
#include "rounding.hpp"

namespace rialto {

struct SourcePrice {
  std::int64_t source_id, price_ticks, time_us;
};

struct IndexRules {
  std::int64_t min_sources, max_age_us, max_deviation_ppm;
};

struct Index {
  std::int64_t sources = 0;            // that count
  std::optional<std::int64_t> ticks;  // none with too few
};

inline std::int64_t doubled_median(std::span<const SourcePrice> ordered) {
  const std::size_t middle = ordered.size() / 2;
  return ordered[middle].price_ticks + ordered[ordered.size() - 1 - middle].price_ticks;
}

// The sources that count, by price: fresh, and not beyond the deviation from the fresh ones' median.
inline std::vector<SourcePrice> used_sources(std::span<const SourcePrice> sources,
                                             std::int64_t now_us, const IndexRules& rules) {
  std::vector<SourcePrice> used;
  for (const SourcePrice& one : sources)
    if (Wide{now_us} - one.time_us <= rules.max_age_us) used.push_back(one);
  std::sort(used.begin(), used.end(), [](const SourcePrice& a, const SourcePrice& b) {
    return a.price_ticks != b.price_ticks ? a.price_ticks < b.price_ticks
                                          : a.source_id < b.source_id;
  });
  if (used.empty()) return used;
  const std::int64_t doubled = doubled_median(used);
  const Wide reach = Wide{rules.max_deviation_ppm} * doubled;
  std::erase_if(used, [&](const SourcePrice& one) {
    const std::int64_t away = 2 * one.price_ticks - doubled;
    return Wide{away < 0 ? -away : away} * kPpm > reach;
  });
  return used;
}

inline Index index_of(std::span<const SourcePrice> sources, std::int64_t now_us,
                      const IndexRules& rules) {
  const std::vector<SourcePrice> used = used_sources(sources, now_us, rules);
  Index index{static_cast<std::int64_t>(used.size()), std::nullopt};
  if (index.sources >= rules.min_sources && !used.empty())
    index.ticks = static_cast<std::int64_t>(half_even_div(doubled_median(used), 2));
  return index;
}

struct ImpactPrice {  // the average price of an impact notional, exact: numerator / divisor ticks
  Wide numerator, divisor;
};

// Trades `rest` units through a side, level by level, until they are used up.
struct ImpactWalk {
  std::int64_t impact_units, units_per_tick_lot;
  Wide rest = impact_units;
  Wide lots = 0;

  // Takes a level in; the average price once the notional is reached.
  std::optional<ImpactPrice> take(std::int64_t price_ticks, Wide quantity_lots) {
    const std::int64_t lot_units = price_ticks * units_per_tick_lot;
    const Wide level = lot_units * quantity_lots;
    if (rest <= level)
      return ImpactPrice{Wide{impact_units} * price_ticks, lots * lot_units + rest};
    rest -= level;
    lots += quantity_lots;
    return std::nullopt;
  }
};

// One premium sample, truncated toward zero; a side too thin gives 0.
inline std::int64_t premium_ppm(const std::optional<ImpactPrice>& bid,
                                const std::optional<ImpactPrice>& ask, std::int64_t index_ticks,
                                std::int64_t max_abs_ppm) {
  const auto share = [index_ticks](Wide above, Wide divisor) -> Wide {
    return above > 0 ? above * kPpm / (index_ticks * divisor) : 0;
  };
  Wide premium = 0;
  if (bid) premium += share(bid->numerator - index_ticks * bid->divisor, bid->divisor);
  if (ask) premium -= share(index_ticks * ask->divisor - ask->numerator, ask->divisor);
  return static_cast<std::int64_t>(
      std::min(std::max(premium, -Wide{max_abs_ppm}), Wide{max_abs_ppm}));
}

// The mean of samples, truncated toward zero; missing ones count as 0.
inline std::int64_t premium_average_ppm(std::int64_t sum_ppm, std::int64_t taken,
                                        std::int64_t expected) {
  return sum_ppm / std::max(taken, expected);
}

struct Basis {  // samples of a window: bid + ask - 2 x index, in half ticks
  std::int64_t half_ticks = 0, count = 0;
};

struct FundingClock {
  std::int64_t rate_ppm, seconds_left, interval_seconds;
};

// median(index with the funding to come, index with the mean basis, last price), half-even.
inline std::int64_t mark_of(std::int64_t index_ticks, const FundingClock& funding,
                            const Basis& basis, std::int64_t last_ticks) {
  const std::int64_t whole = kPpm * funding.interval_seconds;
  const Wide by_funding =
      half_even_div(Wide{index_ticks} * (whole + funding.rate_ppm * funding.seconds_left), whole);
  const std::int64_t count = 2 * std::max<std::int64_t>(1, basis.count);
  const Wide by_basis = half_even_div(Wide{index_ticks} * count + basis.half_ticks, count);
  const Wide last = last_ticks == 0 ? index_ticks : last_ticks;  // not traded: the index
  const Wide low = std::min(by_funding, by_basis), high = std::max(by_funding, by_basis);
  return static_cast<std::int64_t>(std::max<Wide>(1, std::min(std::max(last, low), high)));
}

enum class Trip : std::uint8_t { kNone, kMarkMoved, kTooFewSources, kSideEmpty };

// Whether the newest mark is further than that from any other of the window; its extremes suffice.
inline bool moved_too_far(std::int64_t newest, std::int64_t lowest, std::int64_t highest,
                          std::int64_t max_move_ppm) {
  const auto beyond = [=](std::int64_t other) {
    return Wide{newest > other ? newest - other : other - newest} * kPpm >
           Wide{max_move_ppm} * other;
  };
  return beyond(lowest) || beyond(highest);
}

}  // namespace rialto
