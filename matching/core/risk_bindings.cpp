// The risk formulas as one function of a name and numbers: tests/matching/test_risk_formulas.py
// compares each with its original in domain/. Nobody else calls it.
#include "risk_bindings.hpp"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "deleveraging.hpp"
#include "funding.hpp"
#include "insurance.hpp"
#include "order_guards.hpp"
#include "perpetual_state.hpp"
#include "prices.hpp"

namespace nb = nanobind;

namespace rialto {

namespace {

using Numbers = std::vector<std::int64_t>;

// Reads a formula's arguments one after the other; a table begins with how many rows it has.
class Tape {
 public:
  explicit Tape(const Numbers& numbers) : numbers_(numbers) {}

  std::int64_t next() { return numbers_.at(at_++); }
  std::uint16_t symbol() { return static_cast<std::uint16_t>(next()); }
  int side() { return static_cast<int>(next()); }
  bool done() const { return at_ == numbers_.size(); }

  Position position() {
    const std::int64_t lots = next();
    return {lots, next()};
  }

  const Brackets& brackets() {
    Brackets& table = *tables_.emplace_back(std::make_unique<Brackets>());
    table.cap_units = next();
    for (std::int64_t left = next(); left > 0; --left) {
      Bracket row{};
      for (auto field : {&Bracket::floor_units, &Bracket::mmr_ppm, &Bracket::imr_ppm,
                         &Bracket::amount_units})
        row.*field = next();
      table.rows.push_back(row);
    }
    return table;
  }

  Exposure exposure() {
    Exposure one{};
    one.symbol_id = symbol();
    one.position = position();
    one.mark_ticks = next();
    one.units_per_tick_lot = next();
    one.brackets = &brackets();
    return one;
  }

  Scope scope() {
    Scope scope{next(), {}};
    for (std::int64_t left = next(); left > 0; --left) scope.exposures.push_back(exposure());
    return scope;
  }

  OpenInterest interest() {
    const std::int64_t notional = next(), lower = next();
    return {notional, lower, next()};
  }

  // The average price of trading an impact notional through (price, lots) levels.
  std::optional<ImpactPrice> impact() {
    const std::int64_t impact = next();
    ImpactWalk walk{impact, next()};
    std::optional<ImpactPrice> found;
    for (std::int64_t left = next(); left > 0; --left) {
      const std::int64_t price = next(), lots = next();
      if (!found) found = walk.take(price, lots);
    }
    return found;
  }

  std::vector<SourcePrice> sources() {
    std::vector<SourcePrice> sources;
    for (std::int64_t left = next(); left > 0; --left) {
      const std::int64_t id = next(), price = next();
      sources.push_back({id, price, next()});
    }
    return sources;
  }

 private:
  const Numbers& numbers_;
  std::size_t at_ = 0;
  std::vector<std::unique_ptr<Brackets>> tables_;
};

Numbers maybe(const std::optional<std::int64_t>& found) {
  return found ? Numbers{*found} : Numbers{};
}

void put(Numbers& out, const Scope& scope) {
  out.push_back(scope.cash_units);
  for (const Exposure& one : scope.exposures)
    out.insert(out.end(), {one.symbol_id, one.position.lots, one.position.cost_units});
}

// ---- margin ---------------------------------------------------------------------------------

Numbers fill_of(Tape& in) {
  const Position position = in.position();
  const std::int64_t lots = in.next();
  const PositionChange change = after_fill(position, lots, in.next());
  return {change.position.lots, change.position.cost_units, change.realised_units,
          change.closed_lots};
}

Numbers fault_of(Tape& in) { return {static_cast<std::int64_t>(bracket_fault(in.brackets()))}; }

// Equity, MM, notional, whether it is liquidatable; then shortage and what may leave.
Numbers margin_of(Tape& in) {
  const Scope scope = in.scope();
  const std::int64_t buffer_ppm = in.next(), initial = in.next(), floor_ppm = in.next();
  return {scope.equity_units(),
          scope.maintenance_units(),
          scope.notional_units(),
          is_liquidatable(scope),
          margin_shortage_units(scope, buffer_ppm),
          withdrawable_units(scope, initial, floor_ppm)};
}

Numbers initial_of(Tape& in) {
  const Exposure exposure = in.exposure();
  const std::int64_t lots = exposure.position.lots;
  const std::int64_t buys = in.next(), sells = in.next();
  const std::int64_t leverage_ppm = leverage_rate_ppm(in.next());
  const std::int64_t worst =
      exposure.value_of(std::max(std::abs(lots + buys), std::abs(lots - sells)));
  const OpenInterest interest = in.interest();
  const Brackets& brackets = *exposure.brackets;
  return {worst, initial_rate_ppm(worst, brackets, leverage_ppm, interest),
          static_cast<std::int64_t>(initial_units(worst, brackets, leverage_ppm, interest))};
}

// ---- prices ---------------------------------------------------------------------------------

Numbers index_ticks(Tape& in) {
  const std::vector<SourcePrice> sources = in.sources();
  const std::int64_t now_us = in.next();
  const std::int64_t least = in.next(), age_us = in.next();
  const Index index = index_of(sources, now_us, {least, age_us, in.next()});
  Numbers out{index.sources};
  if (index.ticks) out.push_back(*index.ticks);
  return out;
}

Numbers mark_ticks(Tape& in) {
  const std::int64_t index = in.next();
  const std::int64_t rate_ppm = in.next(), left = in.next();
  const FundingClock clock{rate_ppm, left, in.next()};
  const std::int64_t half_ticks = in.next();
  const Basis basis{half_ticks, in.next()};
  return {mark_of(index, clock, basis, in.next())};
}

Numbers premium_of(Tape& in) {
  const std::optional<ImpactPrice> bid = in.impact(), ask = in.impact();
  const std::int64_t index = in.next();
  return {premium_ppm(bid, ask, index, in.next())};
}

Numbers premium_average(Tape& in) {
  const std::int64_t sum = in.next(), taken = in.next();
  return {premium_average_ppm(sum, taken, in.next())};
}

Numbers moved(Tape& in) {
  const std::int64_t newest = in.next(), lowest = in.next(), highest = in.next();
  return {moved_too_far(newest, lowest, highest, in.next())};
}

Numbers funding_rate(Tape& in) {
  const std::int64_t premium = in.next(), interest = in.next(), damper = in.next();
  const std::int64_t factor = in.next(), imr = in.next();
  const std::int64_t cap = funding_cap_ppm(factor, imr, in.next());
  return {cap, funding_rate_ppm(premium, interest, damper, cap)};
}

Numbers funding_of(Tape& in) {
  const std::int64_t lots = in.next(), mark = in.next(), factor = in.next();
  return {funding_units(lots, mark, factor, in.next())};
}

// ---- liquidation ----------------------------------------------------------------------------

// Of the scope's first position: liquidation price, score.
Numbers liquidation_price(Tape& in) {
  const Scope scope = in.scope();
  return maybe(liquidation_price_ticks(scope, scope.exposures.at(0).symbol_id));
}

Numbers score_of(Tape& in) {
  const Scope scope = in.scope();
  return maybe(score_in(scope, scope.exposures.at(0)));
}

// Empty when the delta does not close the first position.
Numbers bankruptcy_quote(Tape& in) {
  const Scope scope = in.scope();
  const std::int64_t delta = in.next();
  const Exposure& first = scope.exposures.at(0);
  if (!is_closing(&first, delta)) return {};
  return {bankruptcy_quote_units(scope, first, delta)};
}

Numbers limit_price(Tape& in) {
  const int side = in.side();
  const std::int64_t quote = in.next(), lots = in.next();
  return maybe(limit_price_ticks(side, quote, lots, in.next()));
}

Numbers insurance_delta(Tape& in) {
  const std::int64_t fill = in.next(), quote = in.next();
  return {insurance_delta_units(fill, quote, in.next())};
}

// Symbol ids in the order of reduction.
Numbers reduction_order(Tape& in) {
  Scope scope = in.scope();
  std::sort(scope.exposures.begin(), scope.exposures.end(), reduced_before);
  Numbers out;
  for (const Exposure& one : scope.exposures) out.push_back(one.symbol_id);
  return out;
}

// How many lots a shortage asks for, and how many of them the next slice closes.
Numbers slice_of(Tape& in) {
  const Exposure exposure = in.exposure();
  const std::int64_t shortage = in.next(), rate = in.next(), least = in.next();
  const std::int64_t whole_below = in.next();
  const SliceRules rules{least, whole_below, in.next()};
  const std::int64_t wanted = partial_lots(exposure, shortage, rate, least);
  return {wanted, slice_lots(exposure, wanted, rules)};
}

Numbers takeover(Tape& in) {
  const Scope scope = in.scope();
  const std::int64_t balance = in.next(), fund_lots = in.next();
  return {takeover_lots(scope, scope.exposures.at(0), balance, fund_lots, in.next())};
}

Numbers is_takeover(Tape& in) {
  const std::int64_t equity = in.next(), maintenance = in.next(), left = in.next();
  return {is_taken_over(equity, maintenance, left, in.next())};
}

// Drawdown, why the fund stops, whether it takes over again, whether it may pay.
Numbers fund_of(Tape& in) {
  const std::int64_t balance = in.next(), highest = in.next(), threshold = in.next();
  const std::int64_t stop = in.next(), resume = in.next(), delta = in.next();
  const std::int64_t drawdown = drawdown_ppm(balance, highest);
  return {drawdown, static_cast<std::int64_t>(drawdown_stop(balance, drawdown, threshold, stop)),
          has_resumed(balance, drawdown, resume), may_pay(balance, delta)};
}

// The refusal alone, or 0, quote and haircut and both scopes.
Numbers pair_of(Tape& in) {
  Scope liquidated = in.scope(), counterparty = in.scope();
  const std::uint16_t symbol_id = in.symbol();
  const std::int64_t delta = in.next();
  const Pair pair = settle_pair(liquidated, counterparty, symbol_id, delta, in.next() != 0);
  Numbers out{static_cast<std::int64_t>(pair.refusal)};
  if (pair.refusal != RiskRefusal::kNone) return out;
  out.insert(out.end(), {pair.quote_units, pair.haircut_units});
  put(out, liquidated);
  put(out, counterparty);
  return out;
}

Numbers rank_of(Tape& in) {
  std::vector<Ranked> ranked;
  for (std::int64_t left = in.next(); left > 0; --left) {
    const auto account = static_cast<std::uint64_t>(in.next());
    const std::int64_t lots = in.next(), notional = in.next();
    ranked.push_back({account, lots, notional, in.next()});
  }
  std::sort(ranked.begin(), ranked.end(), closed_before);
  Numbers out;
  for (const Ranked& one : ranked) out.push_back(static_cast<std::int64_t>(one.account_id));
  return out;
}

// ---- guards ---------------------------------------------------------------------------------

Numbers band_of(Tape& in) {
  const std::int64_t mark = in.next();
  const Band band = mark_band(mark, in.next());
  return {band.lowest, band.highest};
}

Numbers reducing(Tape& in) {
  const std::int64_t position = in.next();
  const int side = in.side();
  const std::int64_t lots = in.next(), resting = in.next();
  return {closable_lots(position, side), is_reducing(position, side, lots, resting)};
}

Numbers open_loss(Tape& in) {
  const int side = in.side();
  const std::int64_t lots = in.next(), price = in.next(), mark = in.next();
  return {open_loss_units(side, lots, price, mark, in.next())};
}

Numbers position_limit(Tape& in) {
  const std::int64_t side_units = in.next();
  const Brackets& brackets = in.brackets();
  const std::int64_t interest = in.next(), ppm = in.next();
  return {is_within_position_limit(side_units, brackets, interest, {ppm, in.next()})};
}

// The ids to cancel, in order.
Numbers trim(Tape& in) {
  std::vector<RestingReduceOnly> orders;
  for (std::int64_t left = in.next(); left > 0; --left) {
    const auto id = static_cast<std::uint64_t>(in.next());
    const std::int64_t price = in.next();
    orders.push_back({id, price, in.next()});
  }
  const std::int64_t closable = in.next();
  const std::size_t count = reduce_only_trim(orders, closable, in.next());
  Numbers out;
  for (std::size_t at = 0; at < count; ++at)
    out.push_back(static_cast<std::int64_t>(orders[at].order_id));
  return out;
}

Numbers state_after(Tape& in) {
  const auto state = static_cast<PerpetualState>(in.next());
  return {static_cast<std::int64_t>(next_state(state, static_cast<StateTrigger>(in.next())))};
}

struct Formula {
  const char* name;
  Numbers (*compute)(Tape&);
};

constexpr Formula kFormulas[] = {
    {"after_fill", fill_of},
    {"bracket_fault", fault_of},
    {"margin", margin_of},
    {"initial", initial_of},
    {"index", index_ticks},
    {"mark", mark_ticks},
    {"premium", premium_of},
    {"premium_average", premium_average},
    {"moved_too_far", moved},
    {"funding_rate", funding_rate},
    {"funding", funding_of},
    {"liquidation_price", liquidation_price},
    {"adl_score", score_of},
    {"bankruptcy_quote", bankruptcy_quote},
    {"limit_price", limit_price},
    {"insurance_delta", insurance_delta},
    {"reduction_order", reduction_order},
    {"slice", slice_of},
    {"takeover_lots", takeover},
    {"is_taken_over", is_takeover},
    {"fund", fund_of},
    {"settle_pair", pair_of},
    {"rank", rank_of},
    {"price_band", band_of},
    {"is_reducing", reducing},
    {"open_loss", open_loss},
    {"position_limit", position_limit},
    {"reduce_only_trim", trim},
    {"next_state", state_after},
};

Numbers risk_formula(const std::string& name, const Numbers& numbers) {
  for (const Formula& formula : kFormulas)
    if (name == formula.name) {
      Tape in(numbers);
      Numbers found = formula.compute(in);
      if (!in.done()) throw std::invalid_argument("numbers are left over");
      return found;
    }
  throw std::invalid_argument("no such formula");
}

}  // namespace

void bind_risk_formulas(nb::module_& m) {
  m.def("risk_formula", &risk_formula, nb::arg("name"), nb::arg("numbers"));
  m.def("risk_formulas", [] {
    std::vector<std::string> names;
    for (const Formula& formula : kFormulas) names.emplace_back(formula.name);
    return names;
  });
  m.def("risk_bounds", [] {
    nb::dict out;
    for (const Limit& bound : kRiskBounds) out[bound.name] = bound.value;
    return out;
  });
}

}  // namespace rialto
