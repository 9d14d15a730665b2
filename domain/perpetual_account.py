"""A customer's perpetuals by the formulas of margin, from what the engine tells of the account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from domain.instrument import Instrument
from domain.liquidation import RiskRefusal, bankruptcy_quote_units, last_safe_mark_ticks
from domain.margin import Commitment, Exposure, OpenInterest, Scope, initial_units
from domain.money import PPM, ceil_ppm
from domain.perpetual_record import Holding, Holdings
from domain.position import Position, after_fill
from domain.rounding import ceil_div, half_even_div


@dataclass(frozen=True, slots=True)
class Preview:
    """What a position would be after an order; prices in ticks, money in quote units.

    `liquidation_ticks` None: no mark is its liquidation price.
    """

    price_ticks: int
    lots: int
    leverage: int
    initial_units: int
    maintenance_units: int
    fee_units: int
    liquidation_ticks: int | None


def exposure_of(market: Instrument, position: Position, mark_ticks: int) -> Exposure:
    """Return a position in a perpetual market, valued at a mark."""
    assert market.terms is not None, f"{market.symbol} is not a perpetual"
    units = market.quote_units_per_tick_lot
    return Exposure(market.symbol_id, position, mark_ticks, units, market.terms.table())


def margin_ratio_ppm(maintenance_units: int, equity_units: int) -> int | None:
    """Return ceil(MM x 10**6 / equity); None where there is no equity to divide by."""
    return ceil_div(maintenance_units * PPM, equity_units) if equity_units > 0 else None


def scope_of(holdings: Holdings, markets: Mapping[int, Instrument], scope: int) -> Scope:
    """Return one scope of an account with its open positions, by market."""
    exposures = tuple(
        exposure_of(markets[one.symbol_id], Position(one.lots, one.cost_units), one.mark_ticks)
        for one in holdings.positions
        if one.lots and one.scope == scope and one.symbol_id in markets
    )
    margin = holdings.scopes.get(scope)
    return Scope(margin.cash_units if margin else 0, exposures)


def entry_ticks(position: Position, units_per_tick_lot: int) -> int | None:
    """Return the average entry price, half-even to a tick as marks are; None without lots."""
    if position.lots == 0:
        return None
    return half_even_div(abs(position.cost_units), abs(position.lots) * units_per_tick_lot)


def bankruptcy_ticks(scope: Scope, symbol_id: int) -> int | None:
    """Return the price at which closing all of a position leaves nothing of its share of equity.

    Rounded up to a tick for a long and down for a short: the side that costs nobody anything.
    None: no positive price is that low.
    """
    exposure = scope.of(symbol_id)
    if exposure is None or exposure.mark_ticks == 0:
        return None
    lots = exposure.position.lots
    quote = bankruptcy_quote_units(scope, symbol_id, -lots)
    if isinstance(quote, RiskRefusal):
        return None
    quantity = abs(lots) * exposure.units_per_tick_lot
    ticks = ceil_div(quote, quantity) if lots > 0 else -quote // quantity
    return ticks if ticks > 0 else None


def initial_of(market: Instrument, holding: Holding, open_lots: int) -> int:
    """Return the initial margin of a position alone, its orders not counted."""
    return _initial(market, _position(holding), holding.mark_ticks, holding.leverage, open_lots)


def preview(
    market: Instrument,
    holdings: Holdings,
    markets: Mapping[int, Instrument],
    holding: Holding,
    *,
    lots: int,
    price_ticks: int,
    open_lots: int,
) -> Preview:
    """Return what filling `lots` (> 0 bought) at a price would make of a position.

    Margins are at the mark, the fee at the market's highest taker rate, rounded up.
    """
    cost = price_ticks * market.quote_units_per_tick_lot * lots
    changed = after_fill(_position(holding), lots, cost)
    fee = ceil_ppm(abs(cost), market.max_taker_fee_ppm)
    exposure = exposure_of(market, changed.position, holding.mark_ticks)
    scope = scope_of(holdings, markets, holding.scope)
    others = [one for one in scope.exposures if one.symbol_id != market.symbol_id]
    spare = scope.cash_units + changed.realised_units - fee
    spare += sum(one.unrealised_units - one.maintenance_units for one in others)
    safe = None
    if changed.position.lots:
        units = market.quote_units_per_tick_lot
        safe = last_safe_mark_ticks(spare, changed.position, units, exposure.brackets)
    return Preview(
        price_ticks,
        changed.position.lots,
        holding.leverage,
        _initial(market, changed.position, holding.mark_ticks, holding.leverage, open_lots),
        exposure.maintenance_units if changed.position.lots else 0,
        fee,
        safe,
    )


def _position(holding: Holding) -> Position:
    return Position(holding.lots, holding.cost_units)


def _initial(
    market: Instrument, position: Position, mark_ticks: int, leverage: int, open_lots: int
) -> int:
    assert market.terms is not None
    notional = mark_ticks * market.quote_units_per_tick_lot * open_lots
    interest: OpenInterest = market.terms.open_interest(notional)
    return initial_units(
        Commitment(exposure_of(market, position, mark_ticks), 0, 0, leverage, interest)
    )
