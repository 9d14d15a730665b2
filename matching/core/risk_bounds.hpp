// How large the numbers of perpetuals may be, as in domain/risk_bounds.py; a test compares the two.
// Held at the door they let every result be an int64 and every intermediate fit 128 bits.
#pragma once

#include <cstdint>

#include "limits.hpp"

namespace rialto {

inline constexpr std::int64_t kMaxPriceTicks = std::int64_t{1} << 40;
inline constexpr std::int64_t kMaxValueUnits = std::int64_t{1} << 56;
inline constexpr std::int64_t kMaxCashUnits = std::int64_t{1} << 60;
inline constexpr std::int64_t kMaxPositionsPerScope = 32;
inline constexpr std::int64_t kMaxRatePpm = std::int64_t{1} << 22;
inline constexpr std::int64_t kMaxIntervalSeconds = std::int64_t{1} << 20;

inline constexpr Limit kRiskBounds[] = {
    {"MAX_CASH_UNITS", kMaxCashUnits},
    {"MAX_INTERVAL_SECONDS", kMaxIntervalSeconds},
    {"MAX_POSITIONS_PER_SCOPE", kMaxPositionsPerScope},
    {"MAX_PRICE_TICKS", kMaxPriceTicks},
    {"MAX_RATE_PPM", kMaxRatePpm},
    {"MAX_VALUE_UNITS", kMaxValueUnits},
};

}  // namespace rialto
