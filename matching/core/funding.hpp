// The rate that pulls a perpetual to its index, and what each position pays: domain/funding.py.
#pragma once

#include <algorithm>

#include "rounding.hpp"

namespace rialto {

// The most that funding takes an interval: floor(factor x (IM rate - MM rate)).
inline std::int64_t funding_cap_ppm(std::int64_t factor_ppm, std::int64_t imr_ppm,
                                    std::int64_t mmr_ppm) {
  return floor_rate(imr_ppm - mmr_ppm, factor_ppm);
}

// P + clamp(I - P, -damper, damper), within +-cap.
inline std::int64_t funding_rate_ppm(std::int64_t premium_ppm, std::int64_t interest_ppm,
                                     std::int64_t damper_ppm, std::int64_t cap_ppm) {
  const std::int64_t pull =
      std::min(std::max(interest_ppm - premium_ppm, -damper_ppm), damper_ppm);
  return std::min(std::max(premium_ppm + pull, -cap_ppm), cap_ppm);
}

// What a position receives (> 0) or pays: floor(-value x rate / 10^6); a payer pays the unit.
inline std::int64_t funding_units(std::int64_t lots, std::int64_t mark_ticks,
                                  std::int64_t units_per_tick_lot, std::int64_t rate_ppm) {
  return floor_rate(-(lots * mark_ticks * units_per_tick_lot), rate_ppm);
}

}  // namespace rialto
