// Commands about perpetual markets and seats: matching/risk_administration.py.
#include <algorithm>
#include <cstring>

#include "engine.hpp"
#include "market_rules.hpp"
#include "money.hpp"
#include "scopes.hpp"

namespace rialto {

namespace {

// A shard has one collateral, and not more of it than margin counts in.
Reason refuse_collateral(const State& state, const Rules& rules) {
  const std::uint16_t quote = state.asset_index[rules.quote_asset_id];
  if (state.collateral != kNone16 && state.collateral != quote) return Reason::kFixedParameter;
  if (quote != kNone16 && state.assets[quote].issued > kMaxCashUnits) return Reason::kOverflow;
  return Reason::kNone;
}

// The terms are the last six stripes of a record.
const TermsOfPerpetual& terms_in(const std::uint8_t* record) {
  return *reinterpret_cast<const TermsOfPerpetual*>(
      record + command_at(record).stripes * kStripe - sizeof(TermsOfPerpetual));
}

}  // namespace

[[gnu::cold]] void Engine::list_perpetual(const Command& command, const std::uint8_t* record) {
  const Rules rules = rules_of(command, record);
  const std::int64_t content = content_of(command, record);
  if (key_used(command, content, 0)) return;
  auto perpetual = std::make_unique<Perpetual>();
  const BracketFault fault = read_terms(terms_in(record), perpetual->terms);
  Reason reason = refuse_listing(state, rules);
  if (reason == Reason::kNone) reason = refuse_perpetual_rules(rules);
  if (reason == Reason::kNone) reason = refuse_collateral(state, rules);
  if (reason == Reason::kNone) reason = refuse_terms(perpetual->terms, fault);
  remember(command, reason, content, 0);
  if (reason != Reason::kNone) {
    reject(command, reason, 0, command.symbol_id);
    return;
  }
  state.list_market(rules, std::move(perpetual));
  write_listed(command, record, rules);
  write_terms_set(*state.markets.back());
}

[[gnu::cold]] void Engine::set_risk_parameters(const Command& command,
                                               const std::uint8_t* record) {
  const std::int64_t content = content_of(command, record);
  if (key_used(command, content, 0)) return;
  Market* market = state.market(command.symbol_id);
  PerpetualTerms terms;
  const BracketFault fault = read_terms(terms_in(record), terms);
  Reason reason = refuse_perpetual(market);
  if (reason == Reason::kNone) reason = refuse_terms(terms, fault);
  remember(command, reason, content, 0);
  if (reason != Reason::kNone) {
    reject(command, reason, 0, command.symbol_id);
    return;
  }
  market->perpetual->terms = std::move(terms);
  write_terms_set(*market);
}

// The time, the numbers and the bracket rows, of which three fill a part.
void Engine::write_terms_set(const Market& market) {
  const TermsOfPerpetual wire = wire_of(market.perpetual->terms);
  EventStripe* event = events.add(EventType::kRiskParametersSet, 9, market.rules.symbol_id, 0);
  std::uint64_t words[6 * 6] = {static_cast<std::uint64_t>(state.time_us)};
  std::memcpy(words + 1, wire.numbers, sizeof wire.numbers);
  for (std::size_t part = 0; part < 6; ++part)
    std::memcpy(event[part].body, words + part * 6, sizeof event[part].body);
  std::uint64_t rows[3 * 6] = {};
  std::memcpy(rows, wire.rows, sizeof wire.rows);
  for (std::size_t part = 0; part < 3; ++part)
    std::memcpy(event[6 + part].body, rows + part * 6, sizeof event[6 + part].body);
}

// Moves a market to another state; a trigger that would change nothing is refused.
[[gnu::cold]] void Engine::set_perpetual_state(const Command& command,
                                               const std::uint8_t* record) {
  Market* market = state.market(command.symbol_id);
  StatusReason status;
  const bool prints = read_status(kOperator, record, status);
  constexpr auto kFirst = static_cast<std::int64_t>(StateTrigger::kShortfall) + 1;
  constexpr auto kLast = static_cast<std::int64_t>(StateTrigger::kSettle) + 1;
  Reason reason = refuse_perpetual(market);
  if (!prints || command.a < kFirst || command.a > kLast) reason = Reason::kMalformedCommand;
  if (reason == Reason::kNone) {
    const auto trigger = static_cast<StateTrigger>(command.a - 1);
    if (move(*market, trigger, Trip::kNone, status.said)) {
      if (trigger == StateTrigger::kSettle) begin_settlement(*market);
      return;
    }
    reason = Reason::kStateUnchanged;
  }
  reject(command, reason, 0, command.symbol_id);
}

// Fixes the mark at the last index, and cancels orders by number, as many as one command may. An
// index that open interest could not be counted at leaves the mark as it is.
void Engine::begin_settlement(Market& market) {
  Perpetual& it = *market.perpetual;
  const Wide value = Wide{it.open_lots} * it.index_ticks * it.units_per_tick_lot;
  if (value > 0 && value <= kMaxValueUnits) it.mark_ticks = it.index_ticks;
  std::size_t open = 0;
  close_all(first_orders(market, open), Close::kCancelledBySettlement);
}

// Why an account may not change how it sits in a market.
Reason Engine::refuse_seat(const Market* market, std::uint64_t account_id) const {
  if (account_id == 0 || account_id == kFundAccount) return Reason::kMalformedCommand;
  const Reason reason = refuse_perpetual(market);
  if (reason != Reason::kNone) return reason;
  if (state.mode == kHalted) return Reason::kShardHalted;
  const std::uint32_t account = state.find_account(account_id);
  if (account != 0 && state.is_frozen(account, scope_symbol(*market, account)))
    return Reason::kScopeFrozen;
  return Reason::kNone;
}

// Chooses a seat's leverage; what there is already must be covered at it.
[[gnu::cold]] void Engine::set_leverage(const Command& command) {
  Market* market = state.market(command.symbol_id);
  const std::uint32_t account = state.find_account(command.account_id);
  Reason reason = refuse_seat(market, command.account_id);
  if (reason == Reason::kNone) reason = refuse_leverage(*market, account, command.a);
  if (reason != Reason::kNone) {
    reject(command, reason, command.account_id, command.symbol_id);
    return;
  }
  Seat& seat = market->perpetual->seat(state.need_account(command.account_id));
  EventStripe* event = events.add(EventType::kLeverageSet, 1, command.symbol_id, 0);
  put(*event, {command.time_us, static_cast<std::int64_t>(command.account_id), command.a,
               seat.leverage});
  seat.set_leverage(command.a);
}

Reason Engine::refuse_leverage(Market& market, std::uint32_t account, std::int64_t leverage) {
  if (leverage < 1 || leverage > market.perpetual->terms.max_leverage)
    return Reason::kInvalidLeverage;
  Seat* seat = market.perpetual->look(account);
  if (seat == nullptr || !seat->is_used() || leverage >= seat->leverage) return Reason::kNone;
  const std::int64_t previous = seat->leverage;
  seat->set_leverage(leverage);
  const bool covered = margin_room_units(state, account, scope_symbol(market, account)) >= 0;
  seat->set_leverage(previous);
  return covered ? Reason::kNone : Reason::kInsufficientMargin;
}

}  // namespace rialto
