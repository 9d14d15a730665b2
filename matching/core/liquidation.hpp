// At which mark liquidation begins, at which price an account is used up, how much is closed:
// domain/liquidation.py. Deltas and quotes are seen from the liquidated account.
#pragma once

#include <optional>

#include "margin.hpp"

namespace rialto {

// The mark at which equity = MM, for a position backed by `spare_units` beside it, rounded to the
// safe side: the extreme over the brackets' lines. None: no mark is it.
inline std::optional<std::int64_t> last_safe_mark_ticks(std::int64_t spare_units,
                                                        const Position& position,
                                                        std::int64_t units_per_tick_lot,
                                                        const Brackets& brackets) {
  const Wide quantity = Wide{std::abs(position.lots)} * units_per_tick_lot;
  const Wide free = Wide{spare_units} - position.cost_units;
  const bool is_long = position.lots > 0;
  std::optional<Wide> price;
  for (const Bracket& row : brackets.rows) {
    const Wide needed = (free + row.amount_units) * kPpm;
    const Wide found = is_long ? ceil_div(-needed, quantity * (kPpm - row.mmr_ppm))
                               : floor_div(needed, quantity * (kPpm + row.mmr_ppm));
    price = !price ? found : is_long ? std::max(*price, found) : std::min(*price, found);
  }
  if (!price || *price <= 0 || *price > kMaxPriceTicks) return std::nullopt;
  return static_cast<std::int64_t>(*price);
}

// The last mark of a symbol at which the scope is safe, all other marks unchanged.
inline std::optional<std::int64_t> liquidation_price_ticks(const Scope& scope,
                                                           std::uint16_t symbol_id) {
  const Exposure* exposure = scope.of(symbol_id);
  if (exposure == nullptr) return std::nullopt;
  std::int64_t spare = scope.cash_units;
  for (const Exposure& one : scope.exposures)
    if (&one != exposure) spare += one.unrealised_units() - one.maintenance_units();
  return last_safe_mark_ticks(spare, exposure->position, exposure->units_per_tick_lot,
                              *exposure->brackets);
}

// Whether a delta closes some or all of a position.
inline bool is_closing(const Exposure* exposure, std::int64_t delta_lots) {
  if (exposure == nullptr || delta_lots == 0) return false;
  const std::int64_t lots = exposure->position.lots;
  return (lots > 0) != (delta_lots > 0) && std::abs(delta_lots) <= std::abs(lots);
}

// floor(equity x |change of MM| / total MM): what backs the lots that close.
inline std::int64_t equity_share_units(const Scope& scope, const Exposure& exposure,
                                       std::int64_t delta_lots) {
  const std::int64_t left = std::abs(exposure.position.lots) - std::abs(delta_lots);
  const std::int64_t change = exposure.maintenance_units() -
                              maintenance_units(exposure.value_of(left), *exposure.brackets);
  return static_cast<std::int64_t>(
      floor_div(Wide{scope.equity_units()} * change, scope.maintenance_units()));
}

// The cash that closing `delta_lots` must bring so that its share of equity is gone. The delta
// closes: see `is_closing`.
inline std::int64_t bankruptcy_quote_units(const Scope& scope, const Exposure& exposure,
                                           std::int64_t delta_lots) {
  return -exposure.value_of(delta_lots) - equity_share_units(scope, exposure, delta_lots);
}

// The worst price at which closing `lots` costs the fund nothing; none for a buy that no price of
// at least one tick is cheap enough for.
inline std::optional<std::int64_t> limit_price_ticks(int close_side,
                                                     std::int64_t bankruptcy_quote_units,
                                                     std::int64_t lots,
                                                     std::int64_t units_per_tick_lot) {
  const Wide quantity = Wide{lots} * units_per_tick_lot;
  if (close_side != kBuy)
    return static_cast<std::int64_t>(
        std::max<Wide>(1, ceil_div(bankruptcy_quote_units, quantity)));
  const Wide price = floor_div(-Wide{bankruptcy_quote_units}, quantity);
  if (price < 1) return std::nullopt;
  return static_cast<std::int64_t>(price);
}

// What a liquidation fill brings the insurance fund (> 0), at most what it left, or costs it.
inline std::int64_t insurance_delta_units(std::int64_t fill_quote_units,
                                          std::int64_t bankruptcy_quote_units,
                                          std::int64_t max_fee_ppm) {
  const std::int64_t above = fill_quote_units - bankruptcy_quote_units;
  if (above <= 0) return above;
  return std::min(floor_rate(std::abs(fill_quote_units), max_fee_ppm), above);
}

// Whether `a` is reduced before `b`: MM and notional falling, then symbol.
inline bool reduced_before(const Exposure& a, const Exposure& b) {
  if (a.maintenance_units() != b.maintenance_units())
    return a.maintenance_units() > b.maintenance_units();
  if (a.notional_units() != b.notional_units()) return a.notional_units() > b.notional_units();
  return a.symbol_id < b.symbol_id;
}

// How many lots to close so that a margin shortage is gone, each freeing `rate_ppm` of its value.
inline std::int64_t partial_lots(const Exposure& exposure, std::int64_t shortage_units,
                                 std::int64_t rate_ppm, std::int64_t min_units) {
  const std::int64_t whole = std::abs(exposure.position.lots);
  if (rate_ppm <= 0 || exposure.notional_units() < min_units) return whole;
  const Wide needed =
      ceil_div(Wide{shortage_units} * kPpm, Wide{exposure.value_of(1)} * rate_ppm);
  return static_cast<std::int64_t>(std::min<Wide>(whole, std::max<Wide>(0, needed)));
}

struct SliceRules {
  std::int64_t min_units, whole_below_units, max_portion_ppm;
};

struct SliceRange {  // in lots
  std::int64_t least, most;
};

// What one slice may close at the mark as it is: the least rounded up and the most down, the least
// first; neither is more than there is.
inline SliceRange slice_range(const Exposure& exposure, const SliceRules& rules) {
  const std::int64_t whole = std::abs(exposure.position.lots);
  const std::int64_t notional = exposure.notional_units(), lot_units = exposure.value_of(1);
  const std::int64_t portion =
      notional < rules.whole_below_units ? kPpm : rules.max_portion_ppm;
  const std::int64_t min_units = std::min(rules.min_units, notional);
  const std::int64_t max_units = std::max(min_units, floor_rate(notional, portion));
  const auto least = std::min(whole, static_cast<std::int64_t>(ceil_div(min_units, lot_units)));
  const std::int64_t most =
      std::max({least, static_cast<std::int64_t>(floor_div(max_units, lot_units)),
                std::int64_t{1}});
  return {least, std::min(most, whole)};
}

// How many of the wanted lots the next slice closes; a rest below the least goes along.
inline std::int64_t slice_lots(const Exposure& exposure, std::int64_t wanted_lots,
                               const SliceRules& rules) {
  const std::int64_t whole = std::abs(exposure.position.lots);
  const SliceRange range = slice_range(exposure, rules);
  const std::int64_t lots = std::min(std::max(wanted_lots, range.least), range.most);
  return whole - lots < range.least && range.most >= whole ? whole : lots;
}

}  // namespace rialto
