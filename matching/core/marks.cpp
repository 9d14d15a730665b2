// Index, mark and state of perpetual markets: matching/marks.py. All follows from journalled
// commands: sources' prices, ticks, and what the book is.
#include <algorithm>
#include <cstring>

#include "engine.hpp"
#include "money.hpp"

namespace rialto {

namespace {

Reason refuse_index(const Market* market, const IndexStripes& said) {
  const auto within = [](const std::int64_t* numbers, std::int64_t most) {
    return std::all_of(numbers, numbers + kMaxSources,
                       [most](std::int64_t number) { return 0 <= number && number <= most; });
  };
  if (!within(said.prices_ticks, kMaxPriceTicks)) return Reason::kInvalidPrice;
  if (!within(said.times_us, kMaxTimeUs)) return Reason::kMalformedCommand;
  if (const Reason reason = refuse_perpetual(market); reason != Reason::kNone) return reason;
  if (market->perpetual->phase == PerpetualState::kSettlement) return Reason::kMarketSettling;
  return Reason::kNone;
}

// Notes since when a side of the book has been empty; 0 while neither is.
void watch_book(const Market& market, std::int64_t now_us) {
  Perpetual& perpetual = *market.perpetual;
  if (market.book.best(0) != kNoPrice && market.book.best(1) != kNoPrice)
    perpetual.empty_since_us = 0;
  else if (perpetual.empty_since_us == 0)
    perpetual.empty_since_us = now_us;
}

// Takes an index and the mark that follows; returns whether the mark is within the bounds. One that
// is not is not adopted.
bool follow_index(Market& market, std::int64_t index, std::int64_t now_us) {
  Perpetual& it = *market.perpetual;
  it.index_ticks = index;
  it.index_time_us = now_us;
  if (it.begun_us == 0) it.begun_us = now_us;
  const std::int64_t bid = market.book.best(0), ask = market.book.best(1);
  if (bid != kNoPrice && ask != kNoPrice) {
    it.basis.push_back({now_us, bid + ask - 2 * index});
    it.basis_half_ticks += it.basis.back().ticks;
  }
  while (!it.basis.empty() && now_us - it.basis.front().time_us >= it.terms.basis_window_us) {
    it.basis_half_ticks -= it.basis.front().ticks;
    it.basis.pop_front();
  }
  const std::int64_t mark =
      mark_of(index, it.funding_clock(now_us), it.mean_basis(), market.last_ticks);
  if (mark > kMaxPriceTicks || Wide{it.open_lots} * mark * it.units_per_tick_lot > kMaxValueUnits)
    return false;
  it.mark_ticks = mark;
  it.marks.push_back({now_us, mark});
  while (now_us - it.marks.front().time_us > it.terms.breaker_window_us) it.marks.pop_front();
  return true;
}

// What trips the breaker now; an index that is too old has no sources.
Trip tripped(const Perpetual& it, std::int64_t now_us) {
  std::int64_t low = kInt64Max, high = 0, newest = 0;
  for (const TimedTicks& one : it.marks) {
    if (now_us - one.time_us > it.terms.breaker_window_us) continue;
    low = std::min(low, one.ticks);
    high = std::max(high, one.ticks);
    newest = one.ticks;
  }
  if (newest != 0 && moved_too_far(newest, low, high, it.terms.breaker_max_move_ppm))
    return Trip::kMarkMoved;
  const bool is_old = now_us - it.index_time_us > it.terms.index_max_age_us;
  if ((is_old ? 0 : it.sources) < it.terms.breaker_min_sources) return Trip::kTooFewSources;
  if (it.empty_since_us != 0 && now_us - it.empty_since_us >= it.terms.breaker_max_empty_us)
    return Trip::kSideEmpty;
  return Trip::kNone;
}

}  // namespace

[[gnu::cold]] void Engine::set_index(const Command& command, const std::uint8_t* record) {
  const auto& said = *reinterpret_cast<const IndexStripes*>(record + kStripe);
  Market* market = state.market(command.symbol_id);
  const Reason reason = refuse_index(market, said);
  if (reason != Reason::kNone) {
    reject(command, reason, 0, command.symbol_id);
    return;
  }
  Perpetual& it = *market->perpetual;
  std::vector<SourcePrice> sources;
  for (std::size_t place = 0; place < kMaxSources; ++place)
    if (said.prices_ticks[place] != 0)
      sources.push_back({static_cast<std::int64_t>(place), said.prices_ticks[place],
                         said.times_us[place]});
  const Index index = index_of(sources, state.time_us, it.terms.index_rules());
  it.sources = index.sources;
  const bool beyond = index.ticks && !follow_index(*market, *index.ticks, state.time_us);
  if (index.ticks) touch_source(*market, kIndexPrice);
  if (index.ticks && !beyond) touch_source(*market, kMarkPrice);
  watch_book(*market, state.time_us);
  take_sample(*market);
  EventStripe* event = events.add(EventType::kIndexSet, 1, command.symbol_id,
                                  it.is_fresh(state.time_us) ? 1 : 0);
  put(*event, {state.time_us, it.index_ticks, it.sources, it.mark_ticks, it.open_lots});
  if (beyond) move(*market, StateTrigger::kHalt, Trip::kNone, {});
  review(*market);
}

// Guards a market whose breaker trips, opens one that is calm and has a fresh mark.
void Engine::review(Market& market) {
  const Trip found = tripped(*market.perpetual, state.time_us);
  if (found != Trip::kNone)
    move(market, StateTrigger::kTripped, found, {});
  else if (market.perpetual->is_fresh(state.time_us))
    move(market, StateTrigger::kCalm, Trip::kNone, {});
}

// Brings a market into the state that a trigger leads to, and says so when it changed, or has a
// shortfall now; returns whether it did.
bool Engine::move(Market& market, StateTrigger trigger, Trip cause, const StatusStripes& said) {
  Perpetual& it = *market.perpetual;
  const PerpetualState before = it.phase;
  const bool had = it.in_shortfall;
  it.in_shortfall = in_shortfall_after(had, before, trigger);
  it.phase = next_state(before, trigger);
  if (it.phase == before && it.in_shortfall == had) return false;
  EventStripe* event = events.add(EventType::kPerpetualStateSet, 1, market.rules.symbol_id, 0);
  put(*event, {state.time_us, static_cast<std::int64_t>(it.phase),
               static_cast<std::int64_t>(before), static_cast<std::int64_t>(trigger) + 1,
               static_cast<std::int64_t>(cause)});
  const std::uint64_t head = event->head;
  std::uint64_t parts[3][6] = {};
  std::memcpy(parts[0], said.actor, sizeof said.actor);
  std::memcpy(parts[1], said.reason, sizeof parts[1]);
  std::memcpy(parts[2], said.reason + sizeof parts[1], sizeof parts[2]);
  for (std::uint64_t part = 0; part < 3; ++part) {
    if (std::all_of(parts[part], parts[part] + 6, [](std::uint64_t word) { return word == 0; }))
      continue;
    EventStripe* more = events.add_part();
    more->head = head | (part + 1) << 24;
    std::memcpy(more->body, parts[part], sizeof more->body);
  }
  return true;
}

// Looks at every perpetual after a tick.
[[gnu::noinline, gnu::cold]] void Engine::pass_time() {
  for (Market* market : state.perpetuals)
    if (market->perpetual->phase != PerpetualState::kSettlement) {
      watch_book(*market, state.time_us);
      take_sample(*market);
      review(*market);
    }
}

// Makes every mark stale: nothing is known of the time before the start.
[[gnu::noinline, gnu::cold]] void Engine::start() {
  for (Market* market : state.perpetuals) {
    Perpetual& it = *market->perpetual;
    if (it.phase == PerpetualState::kSettlement) continue;
    it.index_time_us = it.begun_us = it.sources = it.empty_since_us = 0;
    it.basis.clear();
    it.basis_half_ticks = 0;
    it.marks.clear();
    move(*market, StateTrigger::kStarted, Trip::kNone, {});
  }
}

}  // namespace rialto
