// Which fills may not be made, because they would leave an account's scope too little:
// matching/ruin.py.
#pragma once

#include <optional>

#include "scopes.hpp"

namespace rialto {

// What fills of an order of that side may take from its account's scope; none: nothing is at stake.
std::optional<Wide> spare_units(const State& state, const Market& market, int side,
                                std::uint32_t account);

// What a fill at a price adds to the equity of an order's scope: mostly less than nothing.
Wide gained_units(const State& state, const Market& market, int side, std::uint32_t account,
                  bool makes, std::int64_t price, std::int64_t lots, bool pays_rebates = true);

}  // namespace rialto
