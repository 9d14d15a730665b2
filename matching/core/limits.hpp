// The exchange's fixed limits, the same numbers as domain/limits.py; a test compares the two.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rialto {

inline constexpr std::int64_t kHourUs = 3'600'000'000;

inline constexpr std::uint32_t kMaxMakers = 20'000;
inline constexpr std::uint32_t kMaxPlayed = 100;
inline constexpr std::int64_t kMaxSlices = 100;
inline constexpr std::size_t kMaxCancels = 60'000;
inline constexpr std::size_t kMaxExpiries = 5'000;
inline constexpr std::size_t kTriggerRoom = 5'500;
inline constexpr std::int64_t kMaxTimeoutUs = 24 * kHourUs;
inline constexpr int kMaxFeeTiers = 8;
inline constexpr std::uint64_t kMaxPositions = 60'000;
inline constexpr std::uint32_t kMaxPerpetualOrders = 1'000;
inline constexpr std::size_t kSweepRoom = 60'000;
inline constexpr std::uint32_t kClosedPerAccount = 10'000;
inline constexpr std::int64_t kClosedForUs = 24 * kHourUs;
inline constexpr std::int64_t kKeyForUs = 48 * kHourUs;
inline constexpr std::int64_t kKeyMaxAgeUs = 24 * kHourUs;
inline constexpr std::int64_t kKeyMaxAheadUs = kHourUs;

struct Limit {
  const char* name;
  std::int64_t value;
};

inline constexpr Limit kLimits[] = {
    {"CLOSED_FOR_US", kClosedForUs},
    {"CLOSED_PER_ACCOUNT", kClosedPerAccount},
    {"KEY_FOR_US", kKeyForUs},
    {"KEY_MAX_AGE_US", kKeyMaxAgeUs},
    {"KEY_MAX_AHEAD_US", kKeyMaxAheadUs},
    {"MAX_CANCELS", kMaxCancels},
    {"MAX_EXPIRIES", kMaxExpiries},
    {"MAX_FEE_TIERS", kMaxFeeTiers},
    {"MAX_MAKERS", kMaxMakers},
    {"MAX_PERPETUAL_ORDERS", kMaxPerpetualOrders},
    {"MAX_PLAYED", kMaxPlayed},
    {"MAX_POSITIONS", kMaxPositions},
    {"MAX_SLICES", kMaxSlices},
    {"MAX_TIMEOUT_US", kMaxTimeoutUs},
    {"SWEEP_ROOM", kSweepRoom},
    {"TRIGGER_ROOM", kTriggerRoom},
};

}  // namespace rialto
