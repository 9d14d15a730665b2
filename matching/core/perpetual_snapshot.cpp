#include "perpetual_snapshot.hpp"

#include <algorithm>
#include <stdexcept>

namespace rialto {

namespace {

struct PerpetualBytes {
  std::int64_t symbol_id, phase, index_ticks, index_time_us, begun_us, sources, mark_ticks;
  std::int64_t empty_since_us, rate_ppm, funding_time_us;
  std::int64_t premium_ppm, premium_count, premium_minute, fund_stopped, in_shortfall;
  std::int64_t mark_low, mark_high, index_low, index_high;  // what orders were not held against
  TermsOfPerpetual terms;
};
static_assert(sizeof(PerpetualBytes) == 19 * 8 + 384);
struct SampleBytes {
  std::int64_t symbol_id, time_us, ticks;
};
struct SeatBytes {
  std::int64_t symbol_id;
  std::uint64_t account_id;
  std::int64_t lots, cost_units, leverage, is_isolated, margin_units;
};
struct FundBytes {
  std::int64_t collateral, rounding_units;
};
struct HighestBytes {
  std::int64_t hour, units;
};
struct FrozenBytes {
  std::uint64_t account_id;
  std::int64_t symbol_id, version;
  std::uint64_t key_low, key_high;
  std::int64_t since_us, slices;
};

PerpetualBytes perpetual_bytes(const Market& market) {
  const Perpetual& it = *market.perpetual;
  return {market.rules.symbol_id,
          static_cast<std::int64_t>(it.phase),
          it.index_ticks,
          it.index_time_us,
          it.begun_us,
          it.sources,
          it.mark_ticks,
          it.empty_since_us,
          it.rate_ppm,
          it.funding_time_us,
          it.premium_ppm,
          it.premium_count,
          it.premium_minute,
          it.fund_stopped,
          it.in_shortfall,
          market.waits[kMarkPrice].low,
          market.waits[kMarkPrice].high,
          market.waits[kIndexPrice].low,
          market.waits[kIndexPrice].high,
          wire_of(it.terms)};
}

SeatBytes seat_bytes(const State& state, const Market& market, const Seat& seat) {
  return {market.rules.symbol_id,   state.accounts[seat.account].id, seat.position.lots,
          seat.position.cost_units, seat.leverage,                   seat.is_isolated,
          seat.margin_units};
}

void write_samples(const State& state, Writer& out, std::deque<TimedTicks> Perpetual::*samples) {
  std::uint64_t count = 0;
  for (const Market* market : state.perpetuals) count += (market->perpetual.get()->*samples).size();
  out.count(count);
  for (const Market* market : state.perpetuals)
    for (const TimedTicks& one : market->perpetual.get()->*samples)
      out.put(SampleBytes{market->rules.symbol_id, one.time_us, one.ticks});
}

std::vector<SeatBytes> all_seats(const State& state) {
  std::vector<SeatBytes> rows;
  for (const Market* market : state.perpetuals) {
    const auto first = static_cast<std::ptrdiff_t>(rows.size());
    for (const Seat& seat : market->perpetual->seats())
      if (seat.is_kept()) rows.push_back(seat_bytes(state, *market, seat));
    std::sort(rows.begin() + first, rows.end(), [](const SeatBytes& a, const SeatBytes& b) {
      return a.account_id < b.account_id;
    });
  }
  return rows;
}

Market& perpetual_of(State& state, std::int64_t symbol_id) {
  Market* market = state.market(static_cast<std::uint16_t>(symbol_id));
  if (market == nullptr || market->perpetual == nullptr)
    throw std::invalid_argument("a market is no perpetual");
  return *market;
}

void read_market(State& state, const PerpetualBytes& row) {
  Market* market = state.market(static_cast<std::uint16_t>(row.symbol_id));
  if (market == nullptr || market->perpetual != nullptr)
    throw std::invalid_argument("terms of an unknown market");
  auto it = std::make_unique<Perpetual>();
  if (read_terms(row.terms, it->terms) != BracketFault::kNone)
    throw std::invalid_argument("brackets that are none");
  if (row.phase < 0 || row.phase > static_cast<std::int64_t>(PerpetualState::kSettlement))
    throw std::invalid_argument("an unknown state of a perpetual");
  it->phase = static_cast<PerpetualState>(row.phase);
  it->index_ticks = row.index_ticks;
  it->index_time_us = row.index_time_us;
  it->begun_us = row.begun_us;
  it->sources = row.sources;
  it->mark_ticks = row.mark_ticks;
  it->empty_since_us = row.empty_since_us;
  it->rate_ppm = row.rate_ppm;
  it->funding_time_us = row.funding_time_us;
  it->premium_ppm = row.premium_ppm;
  it->premium_count = row.premium_count;
  it->premium_minute = row.premium_minute;
  it->fund_stopped = row.fund_stopped != 0;
  it->in_shortfall = row.in_shortfall != 0;
  market->waits[kMarkPrice].low = row.mark_low;
  market->waits[kMarkPrice].high = row.mark_high;
  market->waits[kIndexPrice].low = row.index_low;
  market->waits[kIndexPrice].high = row.index_high;
  state.touched |= market->is_touched();
  state.make_perpetual(*market, std::move(it));
}

}  // namespace

void write_perpetuals(const State& state, Writer& out) {
  out.count(state.perpetuals.size());
  for (const Market* market : state.perpetuals) out.put(perpetual_bytes(*market));
  write_samples(state, out, &Perpetual::basis);
  write_samples(state, out, &Perpetual::marks);
  const std::vector<SeatBytes> seats = all_seats(state);
  out.count(seats.size());
  for (const SeatBytes& row : seats) out.put(row);
  const Fund& fund = state.fund;
  out.count(state.collateral != kNone16);
  if (state.collateral != kNone16)
    out.put(FundBytes{state.assets[state.collateral].id, fund.rounding_units});
  out.count(fund.highest.size());
  for (const auto& [hour, units] : fund.highest) out.put(HighestBytes{hour, units});
  out.count(state.frozen.size());
  for (const auto& [scope, it] : state.frozen)
    out.put(FrozenBytes{scope.account_id, scope.symbol_id,
                        static_cast<std::int64_t>(it.version), it.key_low, it.key_high,
                        it.since_us, it.slices});
}

void read_perpetuals(State& state, Reader& in) {
  in.section<PerpetualBytes>([&](const PerpetualBytes& row) { read_market(state, row); });
  in.section<SampleBytes>([&](const SampleBytes& row) {
    Perpetual& it = *perpetual_of(state, row.symbol_id).perpetual;
    it.basis.push_back({row.time_us, row.ticks});
    it.basis_half_ticks += row.ticks;
  });
  in.section<SampleBytes>([&](const SampleBytes& row) {
    perpetual_of(state, row.symbol_id).perpetual->marks.push_back({row.time_us, row.ticks});
  });
  in.section<SeatBytes>([&](const SeatBytes& row) {
    Perpetual& it = *perpetual_of(state, row.symbol_id).perpetual;
    Seat& seat = it.seat(state.need_account(row.account_id));
    seat.set_leverage(row.leverage);
    seat.is_isolated = row.is_isolated != 0;
    seat.margin_units = row.margin_units;
    it.sit(seat, {row.lots, row.cost_units});
  });
  in.section<FundBytes>([&](const FundBytes& row) {
    if (state.collateral == kNone16 || state.assets[state.collateral].id != row.collateral)
      throw std::invalid_argument("a fund without its collateral");
    state.fund.rounding_units = row.rounding_units;
  });
  in.section<HighestBytes>(
      [&](const HighestBytes& row) { state.fund.highest.emplace_back(row.hour, row.units); });
  in.section<FrozenBytes>([&](const FrozenBytes& row) {
    state.need_account(row.account_id);
    state.frozen[{row.account_id, static_cast<std::uint16_t>(row.symbol_id)}] = {
        static_cast<std::uint64_t>(row.version), row.key_low, row.key_high, row.since_us,
        row.slices};
  });
}

std::string perpetual_lines(const State& state) {
  Writer out;
  for (const Market* market : state.perpetuals) out.put(perpetual_bytes(*market));
  return std::move(out.bytes);
}

std::string all_seat_lines(const State& state) {
  Writer out;
  for (const SeatBytes& row : all_seats(state)) out.put(row);
  return std::move(out.bytes);
}

std::string seat_lines(const State& state, std::uint32_t account) {
  Writer out;
  for (const Market* market : state.perpetuals)
    if (const Seat* seat = market->perpetual->look(account); seat != nullptr && seat->is_kept())
      out.put(seat_bytes(state, *market, *seat));
  return std::move(out.bytes);
}

}  // namespace rialto
