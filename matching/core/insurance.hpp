// Whether the insurance fund may pay, what it takes over, when it stops: domain/insurance.py.
#pragma once

#include "liquidation.hpp"

namespace rialto {

// A credit always, a debit down to exactly 0.
inline bool may_pay(std::int64_t balance_units, std::int64_t delta_units) {
  return delta_units >= 0 || balance_units + delta_units >= 0;
}

// Whether a scope in liquidation goes to the fund instead of to the book.
inline bool is_taken_over(std::int64_t equity_units, std::int64_t maintenance_units,
                          std::int64_t slices_left, std::int64_t threshold_ppm) {
  if (equity_units < 0) return true;
  return slices_left == 0 && Wide{equity_units} * kPpm < Wide{threshold_ppm} * maintenance_units;
}

// How many lots of a liquidated position the fund takes over at the bankruptcy quote: as many as
// its cash covers the loss of and its cap on notional has room for. By halving, as the loss never
// falls with more lots.
inline std::int64_t takeover_lots(const Scope& scope, const Exposure& exposure,
                                  std::int64_t balance_units, std::int64_t fund_lots,
                                  std::int64_t cap_ppm) {
  const std::int64_t cash = std::max<std::int64_t>(0, balance_units);
  const std::int64_t lots = exposure.position.lots;
  const Wide most = floor_div(floor_div(Wide{cash} * cap_ppm, kPpm), exposure.value_of(1));
  const Wide room = most - (lots > 0 ? fund_lots : -fund_lots);
  std::int64_t fits = 0;
  auto beyond = static_cast<std::int64_t>(
                    std::max<Wide>(0, std::min<Wide>(std::abs(lots), room))) + 1;
  while (beyond - fits > 1) {
    const std::int64_t middle = fits + (beyond - fits) / 2;
    if (-equity_share_units(scope, exposure, middle) <= cash)
      fits = middle;
    else
      beyond = middle;
  }
  return fits;
}

// (balance - highest) / highest of the last 8 hours: 0 or negative, rounded down.
inline std::int64_t drawdown_ppm(std::int64_t balance_units, std::int64_t highest_units) {
  if (highest_units <= 0) return 0;
  return static_cast<std::int64_t>(
      floor_div(Wide{balance_units - highest_units} * kPpm, highest_units));
}

enum class FundStop : std::uint8_t { kNone, kEmpty, kDrawdown };

inline FundStop drawdown_stop(std::int64_t balance_units, std::int64_t pnl_ppm,
                              std::int64_t threshold_units, std::int64_t stop_ppm) {
  if (balance_units <= 0) return FundStop::kEmpty;
  if (balance_units > threshold_units && pnl_ppm <= stop_ppm) return FundStop::kDrawdown;
  return FundStop::kNone;
}

// Whether a fund that stopped takes over again.
inline bool has_resumed(std::int64_t balance_units, std::int64_t pnl_ppm,
                        std::int64_t resume_ppm) {
  return balance_units > 0 && pnl_ppm > resume_ppm;
}

}  // namespace rialto
