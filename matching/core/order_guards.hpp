// What an order on a perpetual has to pass: domain/order_guards.py.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <span>
#include <vector>

#include "brackets.hpp"

namespace rialto {

struct Band {
  std::int64_t lowest, highest;
};

// mark x (1 -+ width), rounded inward.
inline Band mark_band(std::int64_t mark_ticks, std::int64_t width_ppm) {
  const Wide low = ceil_div(Wide{mark_ticks} * (kPpm - width_ppm), kPpm);
  const Wide high = floor_div(Wide{mark_ticks} * (kPpm + width_ppm), kPpm);
  return {static_cast<std::int64_t>(std::max<Wide>(1, low)),
          static_cast<std::int64_t>(std::min<Wide>(kMaxPriceTicks, high))};
}

// How many lots an order of a side can close: 0 when the position is not opposite.
inline std::int64_t closable_lots(std::int64_t position_lots, int side) {
  return std::max<std::int64_t>(0, side == kBuy ? -position_lots : position_lots);
}

// Whether an order can only reduce, even if all resting ones of its side fill first.
inline bool is_reducing(std::int64_t position_lots, int side, std::int64_t lots,
                        std::int64_t resting_lots) {
  return resting_lots + lots <= closable_lots(position_lots, side);
}

// What an order loses against the mark the moment it fills, 0 for a better price.
inline std::int64_t open_loss_units(int side, std::int64_t lots, std::int64_t price_ticks,
                                    std::int64_t mark_ticks, std::int64_t units_per_tick_lot) {
  const std::int64_t worse = side == kBuy ? price_ticks - mark_ticks : mark_ticks - price_ticks;
  return std::max<std::int64_t>(0, worse) * units_per_tick_lot * lots;
}

struct PositionShare {  // how large a part of a market one account may be; ppm 0: no limit
  std::int64_t ppm = 0, free_units = 0;
};

// Whether position + orders of one side are within what one account may have.
inline bool is_within_position_limit(std::int64_t side_units, const Brackets& brackets,
                                     std::int64_t open_interest_units,
                                     const PositionShare& share) {
  if (side_units > brackets.cap_units) return false;
  return share.ppm == 0 ||
         side_units <= std::max(share.free_units, floor_rate(open_interest_units, share.ppm));
}

struct RestingReduceOnly {
  std::uint64_t order_id;
  std::int64_t price_ticks, lots;
};

// Sorts reduce-only orders of one side so that those to cancel come first, farthest from the mark
// and youngest, and returns how many it takes until the rest is within `closable`.
inline std::size_t reduce_only_trim(std::span<RestingReduceOnly> orders, std::int64_t closable,
                                    std::int64_t mark_ticks) {
  std::sort(orders.begin(), orders.end(),
            [mark_ticks](const RestingReduceOnly& a, const RestingReduceOnly& b) {
              const std::int64_t near_a = std::abs(a.price_ticks - mark_ticks);
              const std::int64_t near_b = std::abs(b.price_ticks - mark_ticks);
              return near_a != near_b ? near_a > near_b : a.order_id > b.order_id;
            });
  Wide resting = 0;
  for (const RestingReduceOnly& order : orders) resting += order.lots;
  std::size_t cancelled = 0;
  while (cancelled < orders.size() && resting > closable) resting -= orders[cancelled++].lots;
  return cancelled;
}

}  // namespace rialto
