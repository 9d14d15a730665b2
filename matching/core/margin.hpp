// Value, equity, maintenance and initial margin of a scope: domain/margin.py. A scope is what one
// liquidation concerns, a whole account (cross) or one position with cash of its own (isolated).
#pragma once

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "brackets.hpp"
#include "position.hpp"

namespace rialto {

// A position with all that values it. Within the bounds nothing is beyond an int64; a market that
// has left them wraps rather than stops the engine.
struct Exposure {
  std::uint16_t symbol_id;
  Position position;
  std::int64_t mark_ticks;
  std::int64_t units_per_tick_lot;
  const Brackets* brackets;

  std::int64_t value_of(std::int64_t lots) const {
    using Word = std::uint64_t;
    return static_cast<std::int64_t>(static_cast<Word>(mark_ticks) *
                                     static_cast<Word>(units_per_tick_lot) *
                                     static_cast<Word>(lots));
  }
  std::int64_t value_units() const { return value_of(position.lots); }
  std::int64_t notional_units() const { return value_of(std::abs(position.lots)); }
  std::int64_t unrealised_units() const {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(value_units()) -
                                     static_cast<std::uint64_t>(position.cost_units));
  }
  std::int64_t maintenance_units() const {
    return rialto::maintenance_units(notional_units(), *brackets);
  }
};

struct Scope {  // cash may be negative against unrealised profit; one exposure a symbol
  std::int64_t cash_units = 0;
  std::vector<Exposure> exposures;

  const Exposure* of(std::uint16_t symbol_id) const {
    for (const Exposure& one : exposures)
      if (one.symbol_id == symbol_id) return &one;
    return nullptr;
  }

  std::int64_t equity_units() const {
    Wide sum = cash_units;
    for (const Exposure& one : exposures) sum += one.unrealised_units();
    return static_cast<std::int64_t>(sum);
  }

  std::int64_t maintenance_units() const {
    Wide sum = 0;
    for (const Exposure& one : exposures) sum += one.maintenance_units();
    return static_cast<std::int64_t>(sum);
  }

  std::int64_t notional_units() const {
    Wide sum = 0;
    for (const Exposure& one : exposures) sum += one.notional_units();
    return static_cast<std::int64_t>(sum);
  }
};

// At the margin exactly, a scope is safe.
inline bool is_liquidatable(const Scope& scope) {
  const std::int64_t maintenance = scope.maintenance_units();
  return maintenance > 0 && scope.equity_units() < maintenance;
}

// A liquidation ends where this is <= 0.
inline std::int64_t margin_shortage_units(const Scope& scope, std::int64_t buffer_ppm) {
  const std::int64_t buffer = ceil_rate(scope.notional_units(), buffer_ppm);
  return scope.maintenance_units() + buffer - scope.equity_units();
}

// Lets a scope trade in a symbol that it has a position in: realised profit goes to cash, a closed
// position leaves.
inline void fill_in(Scope& scope, std::uint16_t symbol_id, std::int64_t lots,
                    std::int64_t cost_units) {
  const auto found =
      std::find_if(scope.exposures.begin(), scope.exposures.end(),
                   [symbol_id](const Exposure& one) { return one.symbol_id == symbol_id; });
  const PositionChange change = after_fill(found->position, lots, cost_units);
  scope.cash_units += change.realised_units;
  found->position = change.position;
  if (change.position.lots == 0) scope.exposures.erase(found);
}

struct OpenInterest {  // and the range over which it raises the initial rate; upper 0: never
  std::int64_t notional_units = 0, lower_units = 0, upper_units = 0;
};

// imr + floor((1 - imr) x (OI - lower) / (upper - lower)), within [imr, 1].
inline std::int64_t scaled_imr_ppm(std::int64_t base_ppm, const OpenInterest& interest) {
  const std::int64_t above = interest.notional_units - interest.lower_units;
  const std::int64_t width = interest.upper_units - interest.lower_units;
  if (interest.upper_units == 0 || above <= 0) return base_ppm;
  if (above >= width) return kPpm;
  return base_ppm + static_cast<std::int64_t>(Wide{kPpm - base_ppm} * above / width);
}

// 1 / leverage, rounded up.
inline constexpr std::int64_t leverage_rate_ppm(std::int64_t leverage) {
  return (kPpm + leverage - 1) / leverage;
}

// max(the leverage's rate, imr of the bracket, that imr scaled), of the worse side's notional.
inline std::int64_t initial_rate_ppm(Wide worst_units, const Brackets& brackets,
                                     std::int64_t leverage_ppm, const OpenInterest& interest) {
  const std::int64_t base = brackets.of(worst_units).imr_ppm;
  return std::max({leverage_ppm, base, scaled_imr_ppm(base, interest)});
}

// The initial margin of the worse side's notional, which orders far away may carry beyond what a
// position can be worth.
inline Wide initial_units(Wide worst_units, const Brackets& brackets, std::int64_t leverage_ppm,
                          const OpenInterest& interest) {
  const std::int64_t rate = initial_rate_ppm(worst_units, brackets, leverage_ppm, interest);
  if (worst_units <= kMaxValueUnits) [[likely]]
    return ceil_rate(static_cast<std::int64_t>(worst_units), rate);
  return ceil_div(worst_units * rate, kPpm);
}

// What may leave: never unrealised profit, never what the initial margin or the floor keeps.
inline std::int64_t withdrawable_units(const Scope& scope, std::int64_t initial,
                                       std::int64_t transfer_floor_ppm) {
  const std::int64_t kept =
      std::max(initial, ceil_rate(scope.notional_units(), transfer_floor_ppm));
  return std::max<std::int64_t>(0, std::min(scope.cash_units, scope.equity_units() - kept));
}

}  // namespace rialto
