// What a perpetual market has beside a spot market's rules, and why it may not: as in
// domain/perpetual_terms.py. Rates in ppm, money in quote units.
#pragma once

#include <cstring>

#include "brackets.hpp"
#include "funding.hpp"
#include "liquidation.hpp"
#include "margin.hpp"
#include "order_guards.hpp"
#include "prices.hpp"
#include "wire.hpp"

namespace rialto {

inline constexpr std::int64_t kMinuteUs = 60'000'000;
inline constexpr std::int64_t kLongestUs = 3'600'000'000;  // of an age or a window with samples

struct TermNumbers {  // in the order of the wire
  std::int64_t cap_units, impact_units, max_leverage;
  std::int64_t oi_lower_units, oi_upper_units, share_ppm, share_free_units;
  std::int64_t liquidation_fee_ppm, exit_buffer_ppm;
  std::int64_t slice_min_units, slice_whole_below_units, slice_max_portion_ppm;
  std::int64_t max_slices, slices_seconds, takeover_ppm;
  std::int64_t fund_cap_ppm, fund_stop_ppm, fund_resume_ppm;
  std::int64_t funding_interval_seconds, interest_ppm, damper_ppm;
  std::int64_t funding_cap_factor_ppm, max_premium_ppm, transfer_floor_ppm;
  std::int64_t index_min_sources, index_max_age_us, index_max_deviation_ppm;
  std::int64_t breaker_max_move_ppm, breaker_window_us, breaker_min_sources, breaker_max_empty_us;
  std::int64_t basis_window_us;
};
static_assert(sizeof(TermNumbers) == sizeof TermsOfPerpetual::numbers);

struct PerpetualTerms : TermNumbers {
  Brackets brackets;

  IndexRules index_rules() const {
    return {index_min_sources, index_max_age_us, index_max_deviation_ppm};
  }
  SliceRules slices() const {
    return {slice_min_units, slice_whole_below_units, slice_max_portion_ppm};
  }
  PositionShare share() const { return {share_ppm, share_free_units}; }
  OpenInterest open_interest(std::int64_t notional_units) const {
    return {notional_units, oi_lower_units, oi_upper_units};
  }
  std::int64_t most_funding_ppm() const {
    const Bracket& first = brackets.rows[0];
    return funding_cap_ppm(funding_cap_factor_ppm, first.imr_ppm, first.mmr_ppm);
  }
};

// Reads terms and computes the brackets' amounts; one that is no whole unit is told before all else
// that may be wrong with the table.
inline BracketFault read_terms(const TermsOfPerpetual& wire, PerpetualTerms& terms) {
  std::memcpy(static_cast<TermNumbers*>(&terms), wire.numbers, sizeof wire.numbers);
  terms.brackets.rows.clear();
  terms.brackets.cap_units = terms.cap_units;
  std::size_t count = kMaxBrackets;
  const auto is_none = [](const BracketStripe& row) {
    return row.floor_units == 0 && row.mmr_ppm == 0 && row.imr_ppm == 0;
  };
  while (count > 0 && is_none(wire.rows[count - 1])) --count;
  Wide amount = 0;
  for (std::size_t at = 0; at < count; ++at) {
    const BracketStripe& row = wire.rows[at];
    if (at > 0) {
      const Wide step = Wide{row.floor_units} * (std::int64_t{row.mmr_ppm} -
                                                 wire.rows[at - 1].mmr_ppm);
      if (step % kPpm != 0) return BracketFault::kAmount;
      amount += step / kPpm;  // beyond an int64 only of a table that is refused for its floors
    }
    terms.brackets.rows.push_back(
        {row.floor_units, row.mmr_ppm, row.imr_ppm, static_cast<std::int64_t>(amount)});
  }
  return bracket_fault(terms.brackets);
}

// The terms as they stand on the wire, and in events and snapshots.
inline TermsOfPerpetual wire_of(const PerpetualTerms& terms) {
  TermsOfPerpetual wire{};
  std::memcpy(wire.numbers, static_cast<const TermNumbers*>(&terms), sizeof wire.numbers);
  for (std::size_t at = 0; at < terms.brackets.rows.size(); ++at) {
    const Bracket& row = terms.brackets.rows[at];
    wire.rows[at] = {row.floor_units, static_cast<std::int32_t>(row.mmr_ppm),
                     static_cast<std::int32_t>(row.imr_ppm)};
  }
  return wire;
}

// Whether numbers that are each within their bounds fit each other.
inline bool ranges_fit(const TermNumbers& t) {
  return t.max_leverage <= kPpm && t.max_slices <= kMaxIntervalSeconds &&
         t.slices_seconds <= kMaxIntervalSeconds &&
         (t.oi_upper_units == 0 || t.oi_lower_units < t.oi_upper_units) &&
         -kPpm <= t.fund_stop_ppm && t.fund_stop_ppm <= t.fund_resume_ppm &&
         t.fund_resume_ppm <= 0 && t.transfer_floor_ppm <= kPpm &&
         t.slice_max_portion_ppm <= kPpm && t.liquidation_fee_ppm < kPpm &&
         t.max_premium_ppm <= kPpm && t.funding_interval_seconds > 0 &&
         t.funding_interval_seconds <= kMaxIntervalSeconds &&
         t.funding_interval_seconds % 60 == 0 &&
         t.index_min_sources <= static_cast<std::int64_t>(kMaxSources) &&
         t.breaker_min_sources <= static_cast<std::int64_t>(kMaxSources) &&
         t.index_max_age_us <= kLongestUs && t.breaker_window_us <= kLongestUs &&
         t.breaker_max_empty_us <= kLongestUs && t.basis_window_us <= kLongestUs;
}

// Why a market may not have these terms, brackets first. What is within these bounds keeps every
// formula within its width.
inline Reason refuse_terms(const PerpetualTerms& t, BracketFault fault) {
  if (fault != BracketFault::kNone)
    return static_cast<Reason>(static_cast<int>(Reason::kBracketsEmpty) +
                               static_cast<int>(fault) - 1);
  const auto all = [](std::initializer_list<std::int64_t> numbers, auto fine) {
    return std::all_of(numbers.begin(), numbers.end(), fine);
  };
  const bool positive =
      all({t.impact_units, t.max_leverage, t.max_slices, t.slices_seconds, t.slice_min_units,
           t.slice_max_portion_ppm, t.index_min_sources, t.index_max_age_us,
           t.breaker_max_move_ppm, t.breaker_window_us, t.breaker_min_sources,
           t.breaker_max_empty_us, t.basis_window_us},
          [](std::int64_t number) { return number > 0; });
  const bool not_negative =
      all({t.cap_units, t.oi_lower_units, t.oi_upper_units, t.share_ppm, t.share_free_units,
           t.liquidation_fee_ppm, t.exit_buffer_ppm, t.slice_whole_below_units, t.takeover_ppm,
           t.fund_cap_ppm, t.funding_interval_seconds, t.interest_ppm, t.damper_ppm,
           t.funding_cap_factor_ppm, t.max_premium_ppm, t.transfer_floor_ppm,
           t.index_max_deviation_ppm},
          [](std::int64_t number) { return number >= 0; });
  const bool rates =
      all({t.share_ppm, t.liquidation_fee_ppm, t.exit_buffer_ppm, t.slice_max_portion_ppm,
           t.takeover_ppm, t.fund_cap_ppm, t.fund_stop_ppm, t.fund_resume_ppm, t.interest_ppm,
           t.damper_ppm, t.funding_cap_factor_ppm, t.max_premium_ppm, t.transfer_floor_ppm,
           t.index_max_deviation_ppm, t.breaker_max_move_ppm},
          [](std::int64_t rate) { return -kMaxRatePpm <= rate && rate <= kMaxRatePpm; });
  const bool money = all({t.cap_units, t.impact_units, t.oi_lower_units, t.oi_upper_units,
                          t.share_free_units, t.slice_min_units, t.slice_whole_below_units},
                         [](std::int64_t units) { return units <= kMaxValueUnits; });
  return positive && not_negative && rates && money && ranges_fit(t)
             ? Reason::kNone
             : Reason::kInvalidRiskParameters;
}

}  // namespace rialto
