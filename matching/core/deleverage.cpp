// Auto-deleveraging inside the engine, and the fund's history: matching/deleveraging.py and
// matching/fund_capacity.py.
#include <algorithm>

#include "engine.hpp"

namespace rialto {

// All who could be closed against a position of `lots`, with their scopes, in rank.
Candidates Engine::ranked_against(const Market& market, std::int64_t lots) const {
  const Perpetual& perpetual = *market.perpetual;
  std::vector<std::pair<Ranked, std::pair<std::uint32_t, Scope>>> ranked;
  for (const Seat& seat : perpetual.seats()) {
    const std::int64_t held = seat.position.lots;
    if (held == 0 || (held > 0) == (lots > 0)) continue;
    Scope scope = scope_of(state, seat.account, scope_symbol(market, seat.account));
    const Exposure& exposure = *scope.of(market.rules.symbol_id);
    const auto score = score_in(scope, exposure);
    if (!score) continue;
    const Ranked rank{state.accounts[seat.account].id, std::abs(held), exposure.notional_units(),
                      *score};
    ranked.emplace_back(rank, std::pair(seat.account, std::move(scope)));
  }
  std::sort(ranked.begin(), ranked.end(),
            [](const auto& a, const auto& b) { return closed_before(a.first, b.first); });
  Candidates candidates;
  for (auto& [rank, candidate] : ranked) candidates.push_back(std::move(candidate));
  return candidates;
}

// How an account's whole cross position in a market is closed at its own bankruptcy price.
Deleveraging Engine::plan_for(const Market& market, std::uint32_t account) const {
  const std::int64_t lots = market.perpetual->look(account)->position.lots;
  Scope scope = scope_of(state, account, 0);
  if (scope.of(market.rules.symbol_id) == nullptr) return {{}, std::abs(lots)};
  Candidates candidates = ranked_against(market, lots);
  return plan_pairs(scope, market.rules.symbol_id, candidates);
}

// How a scope's whole position is closed against candidates in rank; both change as planned. Each
// pair is as large as both sides allow and priced on what the pair before left.
Deleveraging Engine::plan_pairs(Scope& scope, std::uint16_t symbol_id,
                                Candidates& candidates) const {
  const std::int64_t lots = scope.of(symbol_id)->position.lots;
  Deleveraging plan;
  plan.left_lots = std::abs(lots);
  for (auto& [counterparty, candidate] : candidates) {
    if (plan.left_lots == 0) break;
    const Exposure* opposite = candidate.of(symbol_id);
    if (opposite == nullptr) continue;
    const std::int64_t part = std::min(plan.left_lots, std::abs(opposite->position.lots));
    const std::int64_t delta = lots > 0 ? -part : part;
    const Pair pair = settle_pair(scope, candidate, symbol_id, delta, false);
    if (pair.refusal != RiskRefusal::kNone) continue;
    plan.pairs.push_back({counterparty, delta, pair.quote_units, pair.haircut_units});
    plan.left_lots -= part;
  }
  return plan;
}

// Carries a plan out, pair by pair.
void Engine::apply_pairs(Market& market, std::uint32_t account, const Deleveraging& plan) {
  for (const DeleveragedPair& pair : plan.pairs) apply_pair(market, account, pair, {});
}

// Closes a pair. The counterparty's orders in the market are cancelled: they were made for another
// position.
void Engine::apply_pair(Market& market, std::uint32_t account, const DeleveragedPair& pair,
                        const Key& key) {
  Perpetual& perpetual = *market.perpetual;
  const std::uint16_t symbol_id = market.rules.symbol_id;
  Seat& first = perpetual.seat(account);
  Seat& second = perpetual.seat(pair.counterparty);
  const PositionChange closed = perpetual.change(first, pair.delta_lots, -pair.quote_units);
  const PositionChange opposite = perpetual.change(second, -pair.delta_lots, pair.quote_units);
  add_cash(state, market, first, closed.realised_units);
  add_cash(state, market, second, opposite.realised_units);
  const auto flags = static_cast<std::uint16_t>((first.is_isolated ? 1 : 0) |
                                                (second.is_isolated ? 2 : 0));
  EventStripe* event = events.add(EventType::kDeleveraged, 3, symbol_id, flags);
  const auto id = [this](const Seat& seat) {
    return static_cast<std::int64_t>(state.accounts[seat.account].id);
  };
  put(event[0], {state.time_us, id(first), id(second), pair.delta_lots, pair.quote_units,
                 pair.haircut_units});
  put(event[1], {first.position.lots, first.position.cost_units, closed.realised_units,
                 second.position.lots, second.position.cost_units, opposite.realised_units});
  put(event[2], {static_cast<std::int64_t>(key.low), static_cast<std::int64_t>(key.high)});
  for (const Seat* seat : {&first, &second})
    note_scope(seat->account, seat->is_isolated ? symbol_id : 0);
  close_all(open_in(pair.counterparty, market), Close::kCancelledByLiquidation);
  trim(market, account);
}

// The account's open orders in a market, by number.
std::vector<Slot> Engine::open_in(std::uint32_t account, const Market& market) const {
  std::vector<Slot> slots;
  for (Slot slot = state.accounts[account].open_head; slot != 0;
       slot = state.links[slot].account_next)
    if (state.orders[slot].symbol == market.at) slots.push_back(slot);
  return slots;
}

// ---- the fund -------------------------------------------------------------------------------

std::int64_t Engine::fund_units() const {
  const std::uint32_t fund = state.find_account(kFundAccount);
  return fund == 0 ? 0 : state.balance(fund, state.collateral).total;
}

// Remembers the fund's cash as it is now, and in which markets its drawdown stops it.
void Engine::note_fund() {
  const std::int64_t cash = fund_units();
  state.fund.note(cash, state.time_us);
  for (Market* market : state.perpetuals)
    market->perpetual->fund_stopped = fund_stops(*market->perpetual, cash);
}

// Whether the fund stops in a market, or goes on having stopped.
bool Engine::fund_stops(const Perpetual& perpetual, std::int64_t cash) const {
  const std::int64_t drawdown = drawdown_ppm(cash, state.fund.highest_units(state.time_us));
  if (perpetual.fund_stopped)
    return !has_resumed(cash, drawdown, perpetual.terms.fund_resume_ppm);
  return drawdown_stop(cash, drawdown, 0, perpetual.terms.fund_stop_ppm) == FundStop::kDrawdown;
}

}  // namespace rialto
