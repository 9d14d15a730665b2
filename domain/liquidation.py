"""Liquidation: at which mark it begins, at which price an account is used up, how much is closed.

Signs: `delta_lots` and quotes are seen from the liquidated account; a quote is the cash it
receives (> 0 for a sale).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.brackets import Brackets, maintenance_units
from domain.margin import Exposure, Scope
from domain.money import PPM, floor_ppm
from domain.order import Side
from domain.position import Position
from domain.risk_bounds import MAX_PRICE_TICKS
from domain.rounding import ceil_div


class RiskRefusal(StrEnum):
    """Why a step of a liquidation is refused; nothing has changed then."""

    INVALID_POSITION_DELTA = "INVALID_POSITION_DELTA"
    ZERO_FILL = "ZERO_FILL"
    COUNTERPARTY_WOULD_BE_INSOLVENT = "COUNTERPARTY_WOULD_BE_INSOLVENT"
    LIQUIDATED_INSOLVENT_AT_MARK = "LIQUIDATED_INSOLVENT_AT_MARK"


def liquidation_price_ticks(scope: Scope, symbol_id: int) -> int | None:
    """Return the last mark of a symbol at which the scope is safe, all other marks unchanged.

    One tick further, down for a long and up for a short, it is liquidatable. None: no mark is
    such a price.
    """
    exposure = scope.of(symbol_id)
    if exposure is None:
        return None
    others = [one for one in scope.exposures if one.symbol_id != symbol_id]
    spare = scope.cash_units
    spare += sum(one.unrealised_units - one.maintenance_units for one in others)
    return last_safe_mark_ticks(
        spare, exposure.position, exposure.units_per_tick_lot, exposure.brackets
    )


def last_safe_mark_ticks(
    spare_units: int, position: Position, units_per_tick_lot: int, brackets: Brackets
) -> int | None:
    """Return the mark at which equity = MM, for a position backed by `spare_units` beside it.

    `spare_units` is cash + other unrealised profit - other MM. With s = +1 long, -1 short, q the
    quantity and the mmr and amount of bracket b (Binance's formula, no fee in it):

        price_b = (spare + amount_b - cost basis) / (q x mmr_b - s x q)

    rounded up for a long, down for a short: toward the safe side. MM is the largest of all
    brackets' lines, as it is continuous with rising rates; so the answer is the highest price_b
    for a long and the lowest for a short, which is where solving in one bracket and moving to the
    bracket of the result ends, too. None when no mark can be it: not positive, or beyond them all.
    128 bits: the sum in brackets x 10**6, and |lots| x units a tick and lot x (10**6 -+ mmr).
    """
    quantity = abs(position.lots) * units_per_tick_lot
    free = spare_units - position.cost_units
    if position.lots > 0:
        price = max(
            ceil_div(-(free + row.amount_units) * PPM, quantity * (PPM - row.mmr_ppm))
            for row in brackets.rows
        )
    else:
        price = min(
            (free + row.amount_units) * PPM // (quantity * (PPM + row.mmr_ppm))
            for row in brackets.rows
        )
    return price if 0 < price <= MAX_PRICE_TICKS else None


def is_closing(exposure: Exposure | None, delta_lots: int) -> bool:
    """Return whether a delta closes some or all of a position: not 0, against it, not beyond it."""
    if exposure is None or delta_lots == 0:
        return False
    lots = exposure.position.lots
    return (lots > 0) != (delta_lots > 0) and abs(delta_lots) <= abs(lots)


def equity_share_units(scope: Scope, exposure: Exposure, delta_lots: int) -> int:
    """Return floor(equity x |change of MM| / total MM): what backs the lots that close.

    Equity may be negative; rounded toward minus infinity. For the last position of a scope it is
    all of the equity. `exposure` is one of the scope's, with a mark of at least one tick: then
    total MM is at least 1. 128 bits: equity x change.
    """
    before = exposure.maintenance_units
    left = abs(exposure.position.lots) - abs(delta_lots)
    notional = exposure.mark_ticks * exposure.units_per_tick_lot * left
    change = before - maintenance_units(notional, exposure.brackets)
    return scope.equity_units * change // scope.maintenance_units


def bankruptcy_quote_units(scope: Scope, symbol_id: int, delta_lots: int) -> int | RiskRefusal:
    """Return the cash that closing `delta_lots` must bring so that its share of equity is gone.

        quote = -(delta x mark) - floor(equity x |change of MM| / total MM)

    (dYdX's proportional rule, one formula for cross and isolated.) The floor rounds the quote
    toward plus infinity: the account gets the sub-unit. Closing all positions of a scope at their
    bankruptcy quotes, in any slices and order, leaves it exactly 0 cash.
    """
    exposure = scope.of(symbol_id)
    if exposure is None or not is_closing(exposure, delta_lots):
        return RiskRefusal.INVALID_POSITION_DELTA
    value = exposure.mark_ticks * exposure.units_per_tick_lot * delta_lots
    return -value - equity_share_units(scope, exposure, delta_lots)


def limit_price_ticks(
    close_side: Side, bankruptcy_quote_units: int, lots: int, units_per_tick_lot: int
) -> int | None:
    """Return the worst price at which closing `lots` costs the fund nothing.

    quote / quantity, rounded up for a sell and down for a buy: a fill at it never falls short of
    the quote. A sell whose quote is not positive may take any price: 1. None for a buy that no
    price of at least one tick is cheap enough for. `lots` is > 0.
    """
    quantity = lots * units_per_tick_lot
    if close_side is Side.SELL:
        return max(1, ceil_div(bankruptcy_quote_units, quantity))
    price = -bankruptcy_quote_units // quantity
    return price if price >= 1 else None


def insurance_delta_units(
    fill_quote_units: int, bankruptcy_quote_units: int, max_fee_ppm: int
) -> int:
    """Return what a liquidation fill brings the insurance fund (> 0) or costs it (< 0).

        x = fill quote - bankruptcy quote      (both signed, to the account)
        x <= 0: x                              the fund pays the gap, if it may
        else:   min(floor(fee rate x |fill quote|), x)

    The fee is rounded down, for the user, and never above what the fill left (dYdX). The account
    receives fill quote - delta, so never less than the bankruptcy quote.
    """
    above = fill_quote_units - bankruptcy_quote_units
    if above <= 0:
        return above
    return min(floor_ppm(abs(fill_quote_units), max_fee_ppm), above)


def reduction_order(scope: Scope) -> list[Exposure]:
    """Return the positions in the order they are reduced: MM and notional falling, then symbol."""
    return sorted(
        scope.exposures,
        key=lambda one: (-one.maintenance_units, -one.notional_units, one.symbol_id),
    )


def partial_lots(exposure: Exposure, shortage_units: int, rate_ppm: int, min_units: int) -> int:
    """Return how many lots to close so that a margin shortage is gone (Drift).

        shortage / (mark x rate), rounded up to whole lots

    with rate = mmr + buffer - fee, which each unit of notional frees. All of the position when
    that is not above 0 or its notional is below `min_units`. 128 bits: shortage x 10**6,
    mark x units a tick and lot x rate.
    """
    whole = abs(exposure.position.lots)
    if rate_ppm <= 0 or exposure.notional_units < min_units:
        return whole
    lot_units = exposure.mark_ticks * exposure.units_per_tick_lot
    return min(whole, max(0, ceil_div(shortage_units * PPM, lot_units * rate_ppm)))


@dataclass(frozen=True, slots=True)
class SliceLimits:
    """The least and the most notional that one slice of a liquidation may close, in units."""

    min_units: int
    max_units: int


def slice_limits(notional_units: int, min_units: int, max_portion_ppm: int) -> SliceLimits:
    """Return min = min(least, notional), max = max(min, floor(notional x portion))."""
    least = min(min_units, notional_units)
    return SliceLimits(least, max(least, floor_ppm(notional_units, max_portion_ppm)))


@dataclass(frozen=True, slots=True)
class SliceRules:
    """How large a slice is: `min_units`, and from `whole_below_units` on at most a portion.

    By default 50 USDT at least; whole below 100,000, else a fifth (Drift, Hyperliquid).
    """

    min_units: int = 50_000_000
    whole_below_units: int = 100_000_000_000
    max_portion_ppm: int = 200_000


def slice_range(exposure: Exposure, rules: SliceRules) -> tuple[int, int]:
    """Return the least and the most lots that one slice may close, at the mark as it is.

    The least is rounded up and the most down to whole lots, the least first; neither is more than
    there is.
    """
    whole = abs(exposure.position.lots)
    notional = exposure.notional_units
    lot_units = exposure.mark_ticks * exposure.units_per_tick_lot
    portion = PPM if notional < rules.whole_below_units else rules.max_portion_ppm
    limits = slice_limits(notional, rules.min_units, portion)
    least = min(whole, ceil_div(limits.min_units, lot_units))
    return least, min(whole, max(least, limits.max_units // lot_units, 1))


def slice_lots(exposure: Exposure, wanted_lots: int, rules: SliceRules) -> int:
    """Return how many of the wanted lots the next slice closes, within its range.

    A rest that would be below the least goes along.
    """
    whole = abs(exposure.position.lots)
    least, most = slice_range(exposure, rules)
    lots = min(max(wanted_lots, least), most)
    return whole if (whole - lots) < least and most >= whole else lots
