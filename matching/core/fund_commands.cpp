// The insurance fund's own commands, and isolated margin: matching/fund_commands.py and
// matching/isolated.py.
#include <algorithm>

#include "engine.hpp"
#include "market_rules.hpp"

namespace rialto {

namespace {

Reason refuse_asset(const State& state, const Command& command) {
  if ((command.key_low | command.key_high) == 0) return Reason::kMalformedCommand;
  const std::uint16_t asset = state.asset_index[command.symbol_id];
  return asset != kNone16 && asset == state.collateral ? Reason::kNone : Reason::kUnknownAsset;
}

// What is wrong with a command that moves money, whatever there is of it.
Reason money_syntax(const State& state, std::uint64_t account_id, Wide amount,
                    std::int64_t created_us) {
  if (account_id == 0 || created_us < 0 ||
      Wide{created_us} > Wide{state.time_us} + kKeyMaxAheadUs)
    return Reason::kMalformedCommand;
  if (amount <= 0) return Reason::kInvalidAmount;
  return Wide{state.time_us} - created_us > kKeyMaxAgeUs ? Reason::kKeyExpired : Reason::kNone;
}

}  // namespace

// Adds money from outside to the fund's cash.
void Engine::top_up_fund(const Command& command, const std::uint8_t* record) {
  const std::int64_t content = content_of(command, record);
  if (key_used(command, content, 0)) return;
  Reason reason = refuse_asset(state, command);
  if (reason == Reason::kNone)
    reason = money_syntax(state, kFundAccount, command.a, command.b);
  if (reason == Reason::kNone &&
      Wide{state.assets[state.collateral].issued} + command.a > kMaxCashUnits)
    reason = Reason::kOverflow;
  remember(command, reason, content, 0);
  if (reason != Reason::kNone) {
    reject(command, reason, 0, 0);
    return;
  }
  state.assets[state.collateral].issued += command.a;
  add_to_fund(EventType::kFundToppedUp, command, command.a);
}

// Moves all rounding dust into the fund.
void Engine::sweep_dust(const Command& command, const std::uint8_t* record) {
  const std::int64_t content = content_of(command, record);
  if (key_used(command, content, 0)) return;
  Reason reason = refuse_asset(state, command);
  if (reason == Reason::kNone && state.fund.rounding_units == 0) reason = Reason::kNoDust;
  remember(command, reason, content, 0);
  if (reason != Reason::kNone) {
    reject(command, reason, 0, 0);
    return;
  }
  const std::int64_t dust = std::exchange(state.fund.rounding_units, 0);
  add_to_fund(EventType::kDustSwept, command, dust);
}

// Adds to the fund's cash, and says so.
void Engine::add_to_fund(EventType type, const Command& command, std::int64_t units) {
  const std::uint32_t fund = state.need_account(kFundAccount);
  state.balance(fund, state.collateral).total += units;
  note_scope(fund, 0);
  EventStripe* event = events.add(type, 1, command.symbol_id, 0);
  put(*event, {state.time_us, static_cast<std::int64_t>(kFundAccount),
               static_cast<std::int64_t>(command.key_low),
               static_cast<std::int64_t>(command.key_high), units});
}

Reason Engine::refuse_unwind(const Market* market, const Command& command) const {
  if (const Reason reason = refuse_keyed(state, market, command); reason != Reason::kNone)
    return reason;
  const Perpetual& perpetual = *market->perpetual;
  const std::uint32_t fund = state.find_account(kFundAccount);
  const bool fresh = perpetual.is_fresh(state.time_us) && marks_are_fresh(state, fund, 0);
  if (const Reason shut = refuse_phase(perpetual, fresh); shut != Reason::kNone) return shut;
  const Seat* seat = perpetual.look(fund);
  const std::int64_t most = seat == nullptr ? 0 : std::abs(seat->position.lots);
  if (command.a <= 0 || command.a > most) return Reason::kInvalidPositionDelta;
  return command.b < 0 || command.b > kMaxPriceTicks ? Reason::kInvalidPrice : Reason::kNone;
}

// Sells some of the fund's position in the book, at once, within the band. Where a fill would take
// its cash below 0, the whole position ends by auto-deleveraging at the fund's own bankruptcy price.
void Engine::unwind(const Command& command, const std::uint8_t* record) {
  const std::int64_t content = content_of(command, record);
  if (key_used(command, content, 0)) return;
  Market* market = state.market(command.symbol_id);
  const Reason reason = refuse_unwind(market, command);
  remember(command, reason, content, 0);
  if (reason != Reason::kNone) {
    reject(command, reason, 0, command.symbol_id);
    return;
  }
  const std::uint32_t fund = state.find_account(kFundAccount);
  const bool sells = market->perpetual->look(fund)->position.lots > 0;
  const Band band = market->perpetual->band(market->rules.band_ppm);
  std::int64_t limit = sells ? band.lowest : band.highest;
  if (command.b != 0) limit = sells ? std::max(command.b, limit) : std::min(command.b, limit);
  const Slot taker = closing_order(*market, fund, sells ? -command.a : command.a, limit);
  write_placed(EventType::kUnwindPlaced, command, taker, 0);
  const bool paid = unwind_in_book(*market, fund, taker);
  state.free_order(taker);
  if (!paid) apply_pairs(*market, fund, plan_for(*market, fund));
}

// Lets the order meet the book; returns false where the fund cannot pay for the next fill.
bool Engine::unwind_in_book(Market& market, std::uint32_t fund, Slot taker) {
  const Order& order = state.orders[taker];
  const std::int64_t direction = order.side() == kBuy ? 1 : -1;
  const std::int64_t none = 0;
  for (std::uint32_t met = 0; met < kMaxMakers; ++met) {
    const Slot maker = order.remaining != 0 ? next_maker(market, taker) : 0;
    if (maker == 0 || events.index() > kSweepRoom) return true;
    const std::int64_t lots = std::min(order.remaining, state.orders[maker].remaining);
    const std::int64_t cost =
        direction * state.orders[maker].price * lots * market.rules.quote_per_tick_lot;
    const Position position = market.perpetual->look(fund)->position;
    if (Wide{fund_units()} + after_fill(position, direction * lots, cost).realised_units < 0)
      return false;
    fill_perpetual(market, maker, taker, lots, &none);
  }
  return true;
}

// ---- isolated margin ------------------------------------------------------------------------

// Chooses what backs a position, while there is none and no order.
void Engine::set_margin_mode(const Command& command) {
  Market* market = state.market(command.symbol_id);
  Reason reason = refuse_seat(market, command.account_id);
  if (reason == Reason::kNone && command.a != 0 && command.a != 1)
    reason = Reason::kMalformedCommand;
  if (reason == Reason::kNone) {
    const std::uint32_t known = state.find_account(command.account_id);
    const Seat* seat = market->perpetual->look(known);
    const bool has_orders = known != 0 && state.open_of(known, market->at).count != 0;
    if (has_orders || (seat != nullptr && seat->position.lots != 0)) reason = Reason::kPositionOpen;
  }
  if (reason != Reason::kNone) {
    reject(command, reason, command.account_id, command.symbol_id);
    return;
  }
  const std::uint32_t account = state.need_account(command.account_id);
  Seat& seat = market->perpetual->seat(account);
  const std::int64_t released = command.a == 0 ? std::exchange(seat.margin_units, 0) : 0;
  seat.is_isolated = command.a == 1;
  if (released != 0) {
    state.balance(account, market->quote).total += released;
    note_scope(account, 0);
  }
  EventStripe* event = events.add(EventType::kMarginModeSet, 1, command.symbol_id, 0);
  put(*event, {state.time_us, static_cast<std::int64_t>(command.account_id), command.a, released});
}

Reason Engine::refuse_move(const Market* market, const Command& command) const {
  if ((command.key_low | command.key_high) == 0 || command.account_id == kFundAccount)
    return Reason::kMalformedCommand;
  if (const Reason reason = refuse_perpetual(market); reason != Reason::kNone) return reason;
  const Wide amount = command.a;
  const Reason reason =
      money_syntax(state, command.account_id, amount < 0 ? -amount : amount, command.b);
  if (reason != Reason::kNone) return reason;
  if (state.mode == kHalted) return Reason::kShardHalted;
  const std::uint32_t account = state.find_account(command.account_id);
  const Seat* seat = market->perpetual->look(account);
  if (seat == nullptr || !seat->is_isolated) return Reason::kNotIsolated;
  const bool enough = amount > 0 ? free_units(state, account, market->quote) >= amount
                                 : leaving_units(state, account, command.symbol_id) >= -amount;
  return enough ? Reason::kNone : Reason::kInsufficientFunds;
}

// Moves cash between an account and its isolated position.
void Engine::move_margin(const Command& command, const std::uint8_t* record) {
  const std::int64_t content = content_of(command, record);
  if (key_used(command, content, 0)) return;
  Market* market = state.market(command.symbol_id);
  const Reason reason = refuse_move(market, command);
  remember(command, reason, content, 0);
  if (reason != Reason::kNone) {
    reject(command, reason, command.account_id, command.symbol_id);
    return;
  }
  const std::uint32_t account = state.find_account(command.account_id);
  Seat& seat = market->perpetual->seat(account);
  seat.margin_units += command.a;
  state.balance(account, market->quote).total -= command.a;
  note_scope(account, 0);
  note_scope(account, command.symbol_id);
  EventStripe* event = events.add(EventType::kMarginMoved, 1, command.symbol_id, 0);
  put(*event, {state.time_us, static_cast<std::int64_t>(command.account_id),
               static_cast<std::int64_t>(command.key_low),
               static_cast<std::int64_t>(command.key_high), command.a, seat.margin_units});
}

}  // namespace rialto
