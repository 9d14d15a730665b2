#include "ruin.hpp"

#include <algorithm>

#include "engine.hpp"
#include "money.hpp"

namespace rialto {

// In a perpetual its equity; in a spot market, of who pays with collateral, equity - MM.
std::optional<Wide> spare_units(const State& state, const Market& market, int side,
                                std::uint32_t account) {
  if (market.perpetual != nullptr)
    return equity_units(state, account, scope_symbol(market, account));
  if ((side == kBuy ? market.quote : market.base) != state.collateral) return std::nullopt;
  Wide sum = cash_units(state, account, 0);
  each_member(state, account, 0,
              [&sum](const Market& other, const Perpetual& perpetual, const Seat& seat) {
                if (seat.position.lots == 0) return;
                const Exposure exposure = perpetual.exposure(other.rules.symbol_id, seat);
                sum += Wide{exposure.unrealised_units()} - exposure.maintenance_units();
              });
  return sum;
}

// In a perpetual what it is better than the mark, in a spot market what is paid of collateral; less
// the fee, which is in quote.
Wide gained_units(const State& state, const Market& market, int side, std::uint32_t account,
                  bool makes, std::int64_t price, std::int64_t lots, bool pays_rebates) {
  const std::int64_t units = market.rules.quote_per_tick_lot * lots;
  const FeeRates& rates = market.rules.fees.tier[state.accounts[account].tier];
  std::int64_t fee = fee_units(price * units, makes ? rates.maker_ppm : rates.taker_ppm);
  if (!pays_rebates) fee = std::max<std::int64_t>(0, fee);
  if (market.perpetual != nullptr) {
    const Wide better = market.perpetual->mark_ticks - price;
    return units * (side == kBuy ? better : -better) - fee;
  }
  return side == kBuy ? -Wide{price} * units - fee : -Wide{lots} * market.rules.base_per_lot;
}

namespace {

// As `spare_units` in a perpetual: most accounts have one seat, and each fill asks of two.
inline Wide equity_of(const State& state, const Market& market, std::uint32_t account) {
  const Seat* own = market.perpetual->look(account);
  const auto value = [](const Seat& seat) {
    const Market& where = *seat.market;
    return Wide{where.perpetual->exposure(where.rules.symbol_id, seat).unrealised_units()};
  };
  if (own != nullptr && own->is_isolated) return own->margin_units + value(*own);
  Wide sum = state.balance(account, state.collateral).total;
  for (const Seat* seat = state.first_seat(account); seat != nullptr; seat = seat->next)
    if (!seat->is_isolated && seat->position.lots != 0) sum += value(*seat);
  return sum;
}

}  // namespace

// Whether a fill of `lots` at the maker's price leaves an order's scope too little.
bool Engine::ruins(const Market& market, Slot slot, Slot maker, std::int64_t lots,
                   bool pays_rebates) const {
  const Order& order = state.orders[slot];
  const int side = order.side();
  if (market.perpetual != nullptr) [[likely]] {
    const std::int64_t price = state.orders[maker].price;
    const Wide equity = equity_of(state, market, order.account);
    const std::int64_t units = market.rules.quote_per_tick_lot * lots;
    const std::int64_t worse = side == kBuy ? price - market.perpetual->mark_ticks
                                            : market.perpetual->mark_ticks - price;
    // A fee is less than what is traded: whoever has that beside the loss is not ruined.
    if (equity >= Wide{units} * (worse + price)) [[likely]]
      return false;
    return equity + gained_units(state, market, side, order.account, slot == maker, price, lots,
                                 pays_rebates) <
           0;
  }
  if (state.first_seat(order.account) == nullptr) [[likely]]
    return false;  // all that it holds is its own
  const std::optional<Wide> spare = spare_units(state, market, side, order.account);
  return spare && *spare + gained_units(state, market, side, order.account, slot == maker,
                                        state.orders[maker].price, lots, pays_rebates) <
                      0;
}

// Whether a taker may trade with a maker where collateral is at stake. A fill that would leave too
// little ends the taker, or closes the maker.
[[gnu::noinline]] Engine::Meeting Engine::meet(Market& market, Slot maker, Slot taker,
                                               std::int64_t lots, Close& stopped) {
  stopped = Close::kSweepLimit;
  if (market.perpetual != nullptr && events.index() > kSweepRoom) return Meeting::kEnds;
  stopped = Close::kInsufficientMargin;
  if (ruins(market, taker, maker, lots)) return Meeting::kEnds;
  if (!ruins(market, maker, maker, lots)) return Meeting::kTrades;
  close_resting(market, maker, Close::kInsufficientMargin);
  return Meeting::kPasses;
}

}  // namespace rialto
