// The end of a perpetual market: matching/final_settlement.py. Positions of insolvent scopes are
// closed against others, then all at the final index.
#include <algorithm>
#include <map>

#include "engine.hpp"
#include "market_rules.hpp"

namespace rialto {

namespace {

constexpr std::size_t kMaxEvents = 1 << 16;  // of one command

// The accounts with a seat in a market, by account id.
std::vector<std::uint32_t> by_account(const State& state, const Perpetual& perpetual) {
  std::vector<std::uint32_t> accounts;
  for (const Seat& seat : perpetual.seats()) accounts.push_back(seat.account);
  std::sort(accounts.begin(), accounts.end(), [&state](std::uint32_t a, std::uint32_t b) {
    return state.accounts[a].id < state.accounts[b].id;
  });
  return accounts;
}

}  // namespace

void Engine::settle_market(const Command& command, const std::uint8_t* record) {
  const std::int64_t content = content_of(command, record);
  if (key_used(command, content, 0)) return;
  Market* market = state.market(command.symbol_id);
  Reason reason = refuse_settlement(market, command);
  SettlementPlans plans;
  std::vector<std::uint32_t> left;
  if (reason == Reason::kNone) reason = plan_settlement(*market, plans, left);
  remember(command, reason, content, 0);
  if (reason != Reason::kNone) {
    reject(command, reason, 0, command.symbol_id);
    return;
  }
  EventStripe* event = events.add(EventType::kMarketSettled, 1, command.symbol_id, 0);
  put(*event, {state.time_us, static_cast<std::int64_t>(command.key_low),
               static_cast<std::int64_t>(command.key_high), market->perpetual->mark_ticks,
               static_cast<std::int64_t>(left.size())});
  for (const auto& [account, plan] : plans) apply_pairs(*market, account, plan);
  for (const std::uint32_t account : left) settle_position(*market, account);
}

Reason Engine::refuse_settlement(const Market* market, const Command& command) const {
  if (const Reason reason = refuse_keyed(state, market, command); reason != Reason::kNone)
    return reason;
  if (market->perpetual->phase != PerpetualState::kSettlement) return Reason::kNotSettling;
  return market->open_orders != 0 ? Reason::kOrdersOpen : Reason::kNone;
}

// How the positions of insolvent scopes end, by account, each planned on what the ones before it
// left; and who has a position then. Refused if one cannot end.
Reason Engine::plan_settlement(const Market& market, SettlementPlans& plans,
                               std::vector<std::uint32_t>& left) const {
  const Perpetual& perpetual = *market.perpetual;
  const std::uint16_t symbol_id = market.rules.symbol_id;
  const std::vector<std::uint32_t> accounts = by_account(state, perpetual);
  std::map<std::uint32_t, Scope> changed;
  std::map<std::uint32_t, std::int64_t> lots;
  for (const std::uint32_t account : accounts)
    lots[account] = perpetual.look(account)->position.lots;
  std::size_t count = 0;
  for (const std::uint32_t account : accounts) {
    const auto before = changed.find(account);
    Scope scope = before != changed.end()
                      ? before->second
                      : scope_of(state, account, scope_symbol(market, account));
    if (scope.of(symbol_id) == nullptr || scope.equity_units() >= 0) continue;
    Candidates candidates = ranked_against(market, perpetual.look(account)->position.lots);
    for (auto& [other, found] : candidates)
      if (const auto it = changed.find(other); it != changed.end()) found = it->second;
    const Deleveraging plan = plan_pairs(scope, symbol_id, candidates);
    if (plan.left_lots != 0) return Reason::kCounterpartyWouldBeInsolvent;
    for (const DeleveragedPair& pair : plan.pairs) {
      lots[account] += pair.delta_lots;
      lots[pair.counterparty] -= pair.delta_lots;
      for (const auto& [other, found] : candidates)
        if (other == pair.counterparty) changed[other] = found;
    }
    changed[account] = std::move(scope);
    count += plan.pairs.size();
    plans.emplace_back(account, plan);
  }
  for (const std::uint32_t account : accounts)
    if (lots[account] != 0) left.push_back(account);
  if (count + left.size() >= kMaxEvents) return Reason::kOverflow;
  return refuse_fund_end(market, changed);
}

// Refuses a settlement that would leave the fund with less than nothing.
Reason Engine::refuse_fund_end(const Market& market,
                               const std::map<std::uint32_t, Scope>& changed) const {
  const std::uint32_t fund = state.find_account(kFundAccount);
  Wide after = fund_units();
  if (const auto found = changed.find(fund); found != changed.end()) {
    after = found->second.cash_units;
    if (const Exposure* exposure = found->second.of(market.rules.symbol_id); exposure != nullptr)
      after += exposure->unrealised_units();
  } else if (const Seat* seat = market.perpetual->look(fund); seat != nullptr) {
    if (seat->position.lots != 0)
      after += market.perpetual->exposure(market.rules.symbol_id, *seat).unrealised_units();
  }
  return after >= 0 ? Reason::kNone : Reason::kFundCannotPay;
}

// Closes one position at the mark.
void Engine::settle_position(Market& market, std::uint32_t account) {
  Perpetual& perpetual = *market.perpetual;
  const std::uint16_t symbol_id = market.rules.symbol_id;
  Seat& seat = perpetual.seat(account);
  const Position position = seat.position;
  const auto value = static_cast<std::int64_t>(perpetual.notional_units(position.lots));
  const PositionChange changed = perpetual.change(seat, -position.lots, -value);
  add_cash(state, market, seat, changed.realised_units);
  note_scope(account, seat.is_isolated ? symbol_id : 0);
  EventStripe* event =
      events.add(EventType::kPositionSettled, 1, symbol_id, seat.is_isolated ? 1 : 0);
  put(*event, {static_cast<std::int64_t>(state.accounts[account].id), position.lots,
               position.cost_units, changed.realised_units});
}

}  // namespace rialto
