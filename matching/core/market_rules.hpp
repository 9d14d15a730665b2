// Which rules a market may be listed with, and which may follow them: matching/market_rules.py.
#pragma once

#include <algorithm>
#include <cstring>

#include "money.hpp"
#include "state.hpp"

namespace rialto {

inline Rules rules_of(const Command& command, const std::uint8_t* record) {
  MarketStripe more;
  Rules rules{};
  std::memcpy(&more, record + kStripe, sizeof more);
  std::memcpy(&rules.fees, record + 2 * kStripe, sizeof rules.fees);
  rules.symbol_id = command.symbol_id;
  rules.base_asset_id = more.base_asset_id;
  rules.quote_asset_id = more.quote_asset_id;
  rules.base_per_lot = command.a;
  rules.quote_per_tick_lot = command.b;
  rules.max_taker_fee_ppm = more.max_taker_fee_ppm;
  rules.band_ppm = more.band_ppm;
  rules.listing_ticks = more.listing_price_ticks;
  rules.max_order_lots = more.max_order_lots;
  rules.max_open_orders = more.max_open_orders;
  rules.max_position_lots = more.max_position_lots;
  return rules;
}

// Tells one command's body from another's in the record of its key: its flags, a, b and the words of
// its extension.
inline std::int64_t content_of(const Command& command, const std::uint8_t* record) {
  std::uint64_t mixed = 0;
  const auto mix = [&mixed](std::uint64_t word) {
    mixed = (mixed ^ word) * 0x9E3779B97F4A7C15ull;
    mixed ^= mixed >> 29;
  };
  mix(command.flags);
  mix(static_cast<std::uint64_t>(command.a));
  mix(static_cast<std::uint64_t>(command.b));
  for (std::size_t at = kStripe; at < command.stripes * kStripe; at += sizeof(std::uint64_t)) {
    std::uint64_t word;
    std::memcpy(&word, record + at, sizeof word);
    mix(word);
  }
  return static_cast<std::int64_t>(mixed);
}

inline bool is_whole(const Rules& rules) {
  return rules.symbol_id != 0 && rules.base_asset_id != 0 && rules.quote_asset_id != 0 &&
         rules.base_per_lot > 0 && rules.quote_per_tick_lot > 0 && rules.listing_ticks > 0 &&
         rules.max_order_lots > 0 && rules.max_open_orders != 0 && rules.max_position_lots >= 0 &&
         rules.band_ppm >= 0 && rules.base_asset_id != rules.quote_asset_id;
}

// Orders hold at the highest taker rate; no rebate may exceed the lowest, whoever trades.
inline Reason refuse_fees(const Rules& rules) {
  const FeeTable& fees = rules.fees;
  std::int64_t lowest_taker = kPpm, highest = 0, rebate = 0;
  for (const FeeRates& rates : fees.tier) {
    lowest_taker = std::min<std::int64_t>(lowest_taker, rates.taker_ppm);
    highest = std::max<std::int64_t>({highest, rates.taker_ppm, rates.maker_ppm});
    rebate = std::max(rebate, -std::int64_t{rates.maker_ppm});
  }
  if (rules.max_taker_fee_ppm < 0 || rules.max_taker_fee_ppm >= kPpm || lowest_taker < 0)
    return Reason::kInvalidFees;
  if (highest > rules.max_taker_fee_ppm) return Reason::kFeeAboveMaximum;
  if (rebate > lowest_taker) return Reason::kRebateAboveTakerFee;
  return Reason::kNone;
}

// What balances and holds are counted in, or what they were counted with.
inline bool same_where_fixed(const Rules& a, const Rules& b) {
  return a.base_asset_id == b.base_asset_id && a.quote_asset_id == b.quote_asset_id &&
         a.base_per_lot == b.base_per_lot && a.quote_per_tick_lot == b.quote_per_tick_lot &&
         a.max_taker_fee_ppm == b.max_taker_fee_ppm && a.listing_ticks == b.listing_ticks;
}

// Why a market may not be listed.
inline Reason refuse_listing(const State& state, const Rules& rules) {
  if (!is_whole(rules)) return Reason::kMalformedCommand;
  if (state.symbol_index[rules.symbol_id] != kNone16) return Reason::kSymbolAlreadyListed;
  return refuse_fees(rules);
}

// Why a perpetual market may not have these rules.
inline Reason refuse_perpetual_rules(const Rules& rules) {
  if (rules.band_ppm >= kPpm || rules.max_open_orders > kMaxPerpetualOrders)
    return Reason::kInvalidRiskParameters;
  if (Wide{rules.quote_per_tick_lot} * kMaxPriceTicks > kMaxValueUnits) return Reason::kOverflow;
  return rules.listing_ticks > kMaxPriceTicks ? Reason::kInvalidPrice : Reason::kNone;
}

}  // namespace rialto
