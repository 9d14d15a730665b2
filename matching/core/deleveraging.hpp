// Who is closed first against a position that nobody took over, and for how much:
// domain/auto_deleveraging.py.
#pragma once

#include <optional>

#include "liquidation.hpp"

namespace rialto {

enum class RiskRefusal : std::uint8_t {  // why a step of a liquidation changes nothing
  kNone,
  kInvalidPositionDelta,
  kZeroFill,
  kCounterpartyWouldBeInsolvent,
  kLiquidatedInsolventAtMark,
};

inline constexpr std::int64_t kMaxRatioPpm = std::int64_t{1} << 40;

// profit x leverage, or profit / leverage in a loss; three divisions in ppm, each truncated. None:
// at or beyond bankruptcy, or without cost.
inline std::optional<std::int64_t> adl_score_ppm(std::int64_t value_units, std::int64_t cost_units,
                                                 std::int64_t share_units) {
  if (share_units <= 0 || cost_units == 0) return std::nullopt;
  const Wide made = truncate_div(Wide{value_units - cost_units} * kPpm, std::abs(cost_units));
  const Wide profit = std::min(std::max(made, -Wide{kMaxRatioPpm}), Wide{kMaxRatioPpm});
  const Wide geared = Wide{std::abs(value_units)} * kPpm / share_units;
  const Wide leverage = std::min(std::max(geared, Wide{1}), Wide{kMaxRatioPpm});
  if (profit > 0) return static_cast<std::int64_t>(profit * leverage / kPpm);
  return static_cast<std::int64_t>(truncate_div(profit * kPpm, leverage));
}

// Of a scope's position, all its lots.
inline std::optional<std::int64_t> score_in(const Scope& scope, const Exposure& exposure) {
  const std::int64_t share = equity_share_units(scope, exposure, exposure.position.lots);
  return adl_score_ppm(exposure.value_units(), exposure.position.cost_units, share);
}

struct Ranked {  // an account on the side that would be deleveraged; magnitudes
  std::uint64_t account_id;
  std::int64_t lots, notional_units, score_ppm;
};

inline bool closed_before(const Ranked& a, const Ranked& b) {
  if (a.score_ppm != b.score_ppm) return a.score_ppm > b.score_ppm;
  if (a.notional_units != b.notional_units) return a.notional_units > b.notional_units;
  return a.account_id < b.account_id;
}

struct Pair {  // what a pair settles for; the scopes have traded when nothing is refused
  RiskRefusal refusal = RiskRefusal::kNone;
  std::int64_t quote_units = 0;    // from the counterparty to the liquidated
  std::int64_t haircut_units = 0;  // how much worse than at mark that was for the counterparty
};

// Closes `delta_lots` of the liquidated against a counterparty at the liquidated's bankruptcy
// quote, or at mark in a final settlement; or says why not, and changes neither.
inline Pair settle_pair(Scope& liquidated, Scope& counterparty, std::uint16_t symbol_id,
                        std::int64_t delta_lots, bool at_mark) {
  const Exposure* exposure = liquidated.of(symbol_id);
  if (!is_closing(exposure, delta_lots) || !is_closing(counterparty.of(symbol_id), -delta_lots))
    return {RiskRefusal::kInvalidPositionDelta};
  const std::int64_t worth = -exposure->value_of(delta_lots);
  if (at_mark && liquidated.equity_units() < 0) return {RiskRefusal::kLiquidatedInsolventAtMark};
  const std::int64_t quote =
      at_mark ? worth : bankruptcy_quote_units(liquidated, *exposure, delta_lots);
  Scope after = counterparty;
  fill_in(after, symbol_id, -delta_lots, quote);
  if (after.equity_units() < 0) return {RiskRefusal::kCounterpartyWouldBeInsolvent};
  fill_in(liquidated, symbol_id, delta_lots, -quote);
  counterparty = std::move(after);
  return {RiskRefusal::kNone, quote, quote - worth};
}

}  // namespace rialto
