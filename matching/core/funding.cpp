// Funding, as the engine samples and pays it: matching/funding.py.
#include "funding.hpp"

#include <algorithm>
#include <unordered_map>

#include "engine.hpp"
#include "market_rules.hpp"

namespace rialto {

namespace {

// The average price of trading an impact notional through a side of the book.
std::optional<ImpactPrice> impact_of(const State& state, const Market& market, int side) {
  const Book& book = market.book;
  ImpactWalk walk{market.perpetual->terms.impact_units, market.perpetual->units_per_tick_lot};
  for (std::int64_t price = book.best(side); price != kNoPrice;
       price = book.next_price(side, price)) {
    Wide lots = 0;
    for (Slot slot = book.at(side, price).head; slot != 0; slot = state.links[slot].next)
      lots += state.orders[slot].remaining;
    if (const auto found = walk.take(price, lots)) return found;
  }
  return std::nullopt;
}

}  // namespace

// Takes the premium's sample of this minute, once; 0 with a side too thin, a stale mark, or in a
// market that is guarded or halted.
void Engine::take_sample(Market& market) {
  Perpetual& it = *market.perpetual;
  const std::int64_t minute = state.time_us / kMinuteUs;
  if (minute == it.premium_minute) return;
  it.premium_minute = minute;
  ++it.premium_count;
  const bool samples = it.phase == PerpetualState::kOpen || it.phase == PerpetualState::kReduceOnly;
  if (!samples || !it.is_fresh(state.time_us)) return;
  it.premium_ppm += premium_ppm(impact_of(state, market, 0), impact_of(state, market, 1),
                                it.index_ticks, it.terms.max_premium_ppm);
}

[[gnu::cold]] void Engine::settle_funding(const Command& command, const std::uint8_t* record) {
  const std::int64_t content = content_of(command, record);
  if (key_used(command, content, 0)) return;
  Market* market = state.market(command.symbol_id);
  Reason reason = refuse_funding(market, command);
  std::int64_t premium = 0, rate = 0;
  Deleveraging plan;
  bool fund_ends = false;
  if (reason == Reason::kNone) {
    const Perpetual& it = *market->perpetual;
    const std::int64_t expected = it.terms.funding_interval_seconds * kSecondUs / kMinuteUs;
    premium = premium_average_ppm(it.premium_ppm, it.premium_count, expected);
    rate = funding_rate_ppm(premium, it.terms.interest_ppm, it.terms.damper_ppm,
                            it.terms.most_funding_ppm());
    const std::uint32_t fund = state.find_account(kFundAccount);
    const Seat* seat = it.look(fund);
    const std::int64_t lots = seat == nullptr ? 0 : seat->position.lots;
    const std::int64_t units = funding_units(lots, it.mark_ticks, it.units_per_tick_lot, rate);
    fund_ends = Wide{fund_units()} + units < 0;
    if (fund_ends) plan = plan_for(*market, fund);
    if (plan.left_lots != 0) reason = Reason::kFundCannotPay;
  }
  remember(command, reason, content, 0);
  if (reason != Reason::kNone)
    reject(command, reason, 0, command.symbol_id);
  else
    pay_funding(*market, command, rate, premium, fund_ends ? &plan : nullptr);
}

Reason Engine::refuse_funding(const Market* market, const Command& command) const {
  if (const Reason reason = refuse_keyed(state, market, command); reason != Reason::kNone)
    return reason;
  const Perpetual& it = *market->perpetual;
  if (it.mark_ticks == 0) return Reason::kMarkUnknown;
  const bool is_due = it.funding_time_us < command.a && command.a <= state.time_us;
  if (!is_due || command.a % (it.terms.funding_interval_seconds * kSecondUs) != 0)
    return Reason::kFundingNotDue;
  return Reason::kNone;
}

// Pays all positions of a market in account order; the fund's ends first where there is a plan.
void Engine::pay_funding(Market& market, const Command& command, std::int64_t rate_ppm,
                         std::int64_t premium_ppm, const Deleveraging* plan) {
  struct Entry {
    std::uint64_t account_id;
    Seat* seat;
    std::int64_t lots, units;
  };
  Perpetual& it = *market.perpetual;
  const std::uint16_t symbol_id = market.rules.symbol_id;
  std::unordered_map<std::uint32_t, std::int64_t> closing;
  if (plan != nullptr)
    for (const DeleveragedPair& pair : plan->pairs) {
      closing[state.find_account(kFundAccount)] += pair.delta_lots;
      closing[pair.counterparty] = -pair.delta_lots;
    }
  std::vector<Entry> entries;
  std::int64_t rounding = 0;
  for (Seat& seat : it.seats()) {
    std::int64_t lots = seat.position.lots;
    if (const auto found = closing.find(seat.account); found != closing.end())
      lots += found->second;
    if (lots == 0) continue;
    const std::int64_t units = funding_units(lots, it.mark_ticks, it.units_per_tick_lot, rate_ppm);
    rounding -= units;
    entries.push_back({state.accounts[seat.account].id, &seat, lots, units});
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.account_id < b.account_id; });
  EventStripe* event = events.add(EventType::kFundingSettled, 2, symbol_id, 0);
  put(event[0], {state.time_us, command.a, rate_ppm, premium_ppm, it.mark_ticks, rounding});
  put(event[1], {static_cast<std::int64_t>(entries.size())});
  if (plan != nullptr) apply_pairs(market, state.find_account(kFundAccount), *plan);
  for (const Entry& entry : entries) {
    add_cash(state, market, *entry.seat, entry.units);
    note_scope(entry.seat->account, entry.seat->is_isolated ? symbol_id : 0);
    put(*events.add(EventType::kFundingPaid, 1, symbol_id, entry.seat->is_isolated ? 1 : 0),
        {static_cast<std::int64_t>(entry.account_id), entry.lots, entry.units});
  }
  state.fund.rounding_units += rounding;
  it.rate_ppm = rate_ppm;
  it.funding_time_us = command.a;
  it.premium_ppm = it.premium_count = 0;
}

}  // namespace rialto
