// Margin brackets: rates that rise with the notional, without a jump. domain/brackets.py.
#pragma once

#include <algorithm>
#include <vector>

#include "rounding.hpp"
#include "risk_bounds.hpp"

namespace rialto {

struct Bracket {  // from which notional on these rates hold
  std::int64_t floor_units, mmr_ppm, imr_ppm, amount_units;
  bool operator==(const Bracket&) const = default;
};

struct Brackets {  // lowest first; no position may grow beyond the cap
  std::vector<Bracket> rows;
  std::int64_t cap_units = 0;

  // The bracket that a notional lies in; a floor belongs to its own bracket.
  const Bracket& of(Wide notional_units) const {
    std::size_t found = 0;
    while (found + 1 < rows.size() && rows[found + 1].floor_units <= notional_units) ++found;
    return rows[found];
  }
};

enum class BracketFault : std::uint8_t {  // in the order they are looked for
  kNone,
  kEmpty,
  kFirstFloor,
  kFloors,
  kCap,
  kRates,
  kMmrFalls,
  kImrFalls,
  kMmrAboveImr,
  kAmount,
};

// Whether a row's amount is the one that makes the margin continuous at its floor; one that would
// have to be rounded is none.
inline bool amount_follows(const Bracket& low, const Bracket& high) {
  const Wide step = Wide{high.floor_units} * (high.mmr_ppm - low.mmr_ppm);
  return step % kPpm == 0 && step / kPpm + low.amount_units == high.amount_units;
}

// What is wrong with a table.
inline BracketFault bracket_fault(const Brackets& brackets) {
  const std::vector<Bracket>& rows = brackets.rows;
  if (rows.empty()) return BracketFault::kEmpty;
  if ((rows[0].floor_units | rows[0].amount_units) != 0) return BracketFault::kFirstFloor;
  const auto any_pair = [&rows](auto broken) {
    for (std::size_t at = 1; at < rows.size(); ++at)
      if (broken(rows[at - 1], rows[at])) return true;
    return false;
  };
  const auto any = [&rows](auto broken) {
    return std::find_if(rows.begin(), rows.end(), broken) != rows.end();
  };
  using Row = const Bracket&;
  if (any_pair([](Row low, Row high) { return low.floor_units >= high.floor_units; }))
    return BracketFault::kFloors;
  if (rows.back().floor_units >= brackets.cap_units || brackets.cap_units > kMaxValueUnits)
    return BracketFault::kCap;
  if (any([](Row row) { return row.mmr_ppm <= 0 || row.imr_ppm > kPpm; }))
    return BracketFault::kRates;
  if (any_pair([](Row low, Row high) { return low.mmr_ppm >= high.mmr_ppm; }))
    return BracketFault::kMmrFalls;
  if (any_pair([](Row low, Row high) { return low.imr_ppm > high.imr_ppm; }))
    return BracketFault::kImrFalls;
  if (any([](Row row) { return row.mmr_ppm >= row.imr_ppm; })) return BracketFault::kMmrAboveImr;
  if (any_pair([](Row low, Row high) { return !amount_follows(low, high); }))
    return BracketFault::kAmount;
  return BracketFault::kNone;
}

// ceil(notional x mmr / 10^6) - amount: rounded up, against the user.
inline std::int64_t maintenance_units(std::int64_t notional_units, const Brackets& brackets) {
  const Bracket& row = brackets.of(notional_units);
  return ceil_rate(notional_units, row.mmr_ppm) - row.amount_units;
}

}  // namespace rialto
