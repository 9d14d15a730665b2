// Fees, holds and bands: the only divisions of the engine, each with its rounding in its name.
#pragma once

#include <algorithm>
#include <cstdint>

#include "rounding.hpp"
#include "state.hpp"
#include "wire.hpp"

namespace rialto {

// amount x rate / 10^6, rounded down; exact without a wide product. Both are >= 0.
inline std::int64_t floor_ppm(std::int64_t amount, std::int64_t rate) {
  return amount / kPpm * rate + amount % kPpm * rate / kPpm;
}

inline std::int64_t ceil_ppm(std::int64_t amount, std::int64_t rate) {
  return amount / kPpm * rate + (amount % kPpm * rate + kPpm - 1) / kPpm;
}

// A fill's fee, magnitude rounded down: a rebate never exceeds the fee that pays it.
inline std::int64_t fee_units(std::int64_t quote, std::int32_t rate) {
  return rate >= 0 ? floor_ppm(quote, rate) : -floor_ppm(quote, -std::int64_t{rate});
}

// What `lots` of an order hold: quote and the market's highest fee rounded up, or base. Never
// overflows for an accepted order, whose whole hold was checked.
inline std::int64_t hold_units(const Rules& rules, int side, std::int64_t limit,
                               std::int64_t lots) {
  if (side != kBuy) return lots * rules.base_per_lot;
  const std::int64_t quote = limit * lots * rules.quote_per_tick_lot;
  return quote + ceil_ppm(quote, rules.max_taker_fee_ppm);
}

// Counts `lots` more (or less) of an order in a perpetual's book toward its account's margin.
[[gnu::noinline]] inline void count_seat(const State& state, const Market& market, Slot slot,
                                         std::int64_t lots) {
  const Order& order = state.orders[slot];
  Perpetual& perpetual = *market.perpetual;
  perpetual.count(perpetual.seat(order.account), order.side(), order.flags, order.price, lots);
}

// Holds for all that an open order may still trade.
inline void hold(State& state, const Market& market, Slot slot) {
  const Order& order = state.orders[slot];
  const int side = order.side();
  const std::int64_t lots = state.open_lots(slot);
  if (market.perpetual != nullptr) [[unlikely]] {
    count_seat(state, market, slot, lots);
    return;
  }
  if (side == kBuy) state.open_of(order.account, order.symbol).buy_lots += lots;
  state.balance(order.account, side == kBuy ? market.quote : market.base).held +=
      hold_units(market.rules, side, order.price, lots);
}

// Releases what the last `lots` of an open order hold, which are about to go.
inline void release(State& state, const Market& market, Slot slot, std::int64_t lots) {
  const Order& order = state.orders[slot];
  if (market.perpetual != nullptr) [[unlikely]] {
    count_seat(state, market, slot, -lots);
    return;
  }
  const int side = order.side();
  const std::int64_t before = state.open_lots(slot);
  if (side == kBuy) state.open_of(order.account, order.symbol).buy_lots -= lots;
  state.balance(order.account, side == kBuy ? market.quote : market.base).held -=
      hold_units(market.rules, side, order.price, before) -
      hold_units(market.rules, side, order.price, before - lots);
}

// What an order not yet accepted would hold; false where any of its amounts is beyond an int64.
inline bool checked_hold(const Rules& rules, int side, std::int64_t limit, std::int64_t lots,
                         std::int64_t& hold) {
  std::int64_t notional = 0, quote = 0, base = 0;
  if (__builtin_mul_overflow(limit, lots, &notional) ||
      __builtin_mul_overflow(notional, rules.quote_per_tick_lot, &quote) ||
      __builtin_mul_overflow(lots, rules.base_per_lot, &base))
    return false;
  hold = base;
  return side != kBuy ||
         !__builtin_add_overflow(quote, ceil_ppm(quote, rules.max_taker_fee_ppm), &hold);
}

// The most lots that `units` of quote buy at a price, the taker's fee included; exact.
inline std::int64_t affordable_lots(const Rules& rules, std::int64_t price, std::int64_t units,
                                    std::int32_t taker_ppm) {
  const Wide lot = Wide{price} * rules.quote_per_tick_lot;
  if (lot > units) return 0;
  return static_cast<std::int64_t>(((Wide{units} + 1) * kPpm - 1) / (lot * (kPpm + taker_ppm)));
}

// What `lots` of an order hold, whatever the market: in a perpetual margin covers what it may do.
inline std::int64_t order_hold(const Market& market, int side, std::int64_t limit,
                               std::int64_t lots) {
  return market.perpetual != nullptr ? 0 : hold_units(market.rules, side, limit, lots);
}

// Whether an iceberg would show lots more often than it may; each time is a meeting.
inline bool too_many_slices(std::int64_t quantity, std::int64_t display) {
  return Wide{quantity} > Wide{display} * kMaxSlices;
}

// Lowest and highest price around a price, rounded inward.
inline Band band_around(const Rules& rules, std::int64_t reference) {
  const Wide width = rules.band_ppm;
  const Wide low = Wide{reference} * (kPpm - width);
  return {
      low <= kPpm ? 1 : static_cast<std::int64_t>((low + kPpm - 1) / kPpm),
      static_cast<std::int64_t>(std::min(Wide{kInt64Max}, Wide{reference} * (kPpm + width) / kPpm)),
  };
}

// The band of a market around a price.
inline Band band_of(const Market& market, std::int64_t reference) {
  if (market.perpetual == nullptr) return band_around(market.rules, reference);
  return market.perpetual->band(market.rules.band_ppm, reference);
}

// The last trade's price, or the listing price before there is one; of a perpetual the mark.
inline std::int64_t reference_of(const Market& market) {
  if (market.perpetual != nullptr && market.perpetual->mark_ticks != 0) [[unlikely]]
    return market.perpetual->mark_ticks;
  return market.last_ticks != 0 ? market.last_ticks : market.rules.listing_ticks;
}

// Where a market order that waits stops trading: the band's edge around its trigger.
inline std::int64_t limit_at(const Market& market, std::uint16_t flags, std::int64_t price,
                             std::int64_t trigger) {
  if (has_limit(flags)) return price;
  const Band band = band_of(market, trigger);
  return side_of(flags) == kBuy ? band.highest : band.lowest;
}

// The price that a trailing stop begins to wait from.
inline std::int64_t start_of(const Market& market, std::uint16_t flags) {
  const int source = trigger_source_of(flags);
  return source == kLastPrice ? reference_of(market) : market.price_of(source);
}

// Whether prices from `low` to `high` are through a trigger.
inline bool is_through(std::uint16_t flags, std::int64_t trigger, std::int64_t low,
                       std::int64_t high) {
  return rises(flags) ? high >= trigger : low <= trigger;
}

// Whether its source's price, or one not yet looked at, is through an order's trigger.
inline bool has_reached(const Market& market, std::uint16_t flags, std::int64_t trigger) {
  const int source = trigger_source_of(flags);
  const Waits& waits = market.waits[static_cast<std::size_t>(source)];
  const std::int64_t now = market.price_of(source);
  const std::int64_t low = waits.low != 0 ? waits.low : now;
  return low > 0 && is_through(flags, trigger, low, waits.high != 0 ? waits.high : now);
}

// The trigger of an order that begins to wait at a price; 0 where a trailing stop can have none.
inline std::int64_t trigger_from(std::uint16_t flags, const Terms& terms, std::int64_t price) {
  if (terms.trailing == 0) return terms.trigger;
  const Wide trigger = Wide{price} + (rises(flags) ? terms.trailing : -terms.trailing);
  return trigger <= 0 || trigger > kInt64Max ? 0 : static_cast<std::int64_t>(trigger);
}

// The band around the reference price, looked up anew when that has moved.
inline void refresh_band(Market& market) {
  if (market.perpetual != nullptr) [[unlikely]] {
    const Band band = band_of(market, 0);
    market.lowest = band.lowest;
    market.highest = band.highest;
    return;
  }
  const std::int64_t reference = reference_of(market);
  if (reference == market.band_reference) return;
  market.band_reference = reference;
  const Band band = band_around(market.rules, reference);
  market.lowest = band.lowest;
  market.highest = band.highest;
}

}  // namespace rialto
