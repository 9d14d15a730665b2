// A perpetual position and what a fill does to it: domain/position.py.
#pragma once

#include <algorithm>
#include <cstdlib>

#include "rounding.hpp"

namespace rialto {

struct Position {  // lots > 0 long, < 0 short; cost in quote units, signed like the lots
  std::int64_t lots = 0;
  std::int64_t cost_units = 0;
  bool operator==(const Position&) const = default;
};

struct PositionChange {
  Position position;
  std::int64_t realised_units = 0;  // to the scope's cash
  std::int64_t closed_lots = 0;
};

// A position after a fill of `lots` (> 0 bought) that cost `cost_units`, signed like the lots. A
// partial close takes its share of the basis, truncated toward zero; the last close takes all.
inline PositionChange after_fill(const Position& position, std::int64_t lots,
                                 std::int64_t cost_units) {
  if (position.lots == 0 || (position.lots > 0) == (lots > 0))
    return {{position.lots + lots, position.cost_units + cost_units}, 0, 0};
  const std::int64_t size = std::abs(position.lots), filled = std::abs(lots);
  const std::int64_t closed = std::min(size, filled);
  const auto closing =
      closed == filled ? cost_units
                       : static_cast<std::int64_t>(truncate_div(Wide{cost_units} * closed, filled));
  std::int64_t removed = position.cost_units, left = cost_units - closing;
  if (closed != size) {
    removed = static_cast<std::int64_t>(truncate_div(Wide{position.cost_units} * closed, size));
    left = position.cost_units - removed;
  }
  return {{position.lots + lots, left}, -(closing + removed), closed};
}

}  // namespace rialto
