"""Which fills may not be made, because they would leave an account's scope too little.

In a perpetual nobody may end with less than nothing at mark: whoever is there is liquidated, and no
insolvency is traded into somebody else. In a spot market whoever pays with collateral has to keep
the maintenance margin of the positions that it backs: what an order holds is part of their equity.
"""

from __future__ import annotations

from domain.fees import fee_units
from matching.book import BUY, Market, Order
from matching.engine_state import EngineState
from matching.scopes import scope_of, scope_symbol


def ruined_by(
    state: EngineState, market: Market, maker: Order, taker: Order, lots: int
) -> Order | None:
    """Return the order whose owner a fill would leave too little, the taker's first, or None."""
    return next((one for one in (taker, maker) if ruins(state, market, one, maker, lots)), None)


def ruins(
    state: EngineState,
    market: Market,
    order: Order,
    maker: Order,
    lots: int,
    *,
    pays_rebates: bool = True,
) -> bool:
    """Return whether a fill of `lots` at the maker's price leaves an order's scope too little."""
    spare = spare_units(state, market, order)
    if spare is None:
        return False
    return spare + gained_units(state, market, order, maker, lots, pays_rebates=pays_rebates) < 0


def spare_units(state: EngineState, market: Market, order: Order) -> int | None:
    """Return what fills of an order may take from its account's scope; None: nothing is at stake.

    In a perpetual its equity; in a spot market, of who pays with collateral, equity - MM.
    """
    if market.perpetual is not None:
        symbol_id = scope_symbol(market, order.account_id)
        return scope_of(state, order.account_id, symbol_id).equity_units
    if market.held_asset(order) != state.collateral:
        return None
    scope = scope_of(state, order.account_id, 0)
    return scope.equity_units - scope.maintenance_units


def gained_units(
    state: EngineState,
    market: Market,
    order: Order,
    maker: Order,
    lots: int,
    *,
    pays_rebates: bool = True,
) -> int:
    """Return what a fill adds to the equity of an order's scope: mostly less than nothing.

    In a perpetual what it is better than the mark, in a spot market what is paid of collateral;
    less the fee, which is in quote.
    """
    rules, perpetual, price = market.rules, market.perpetual, maker.price_ticks
    units = rules.quote_units_per_tick_lot * lots
    rates = rules.fees[state.tier(order.account_id)]
    fee = fee_units(price * units, rates.maker_ppm if order is maker else rates.taker_ppm)
    if not pays_rebates:
        fee = max(0, fee)
    if perpetual is not None:
        better = perpetual.mark_ticks - price
        return units * (better if order.side == BUY else -better) - fee
    return -price * units - fee if order.side == BUY else -lots * rules.base_units_per_lot
