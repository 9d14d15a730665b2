"""A perpetual position: net lots and the exact cost of what is left of it.

Cost is signed like the lots: what a long has paid, minus what a short has received. It is kept
instead of an average entry price, so that many partial closes do not drift: profit is realised
when it is made, and what remains is what has not been closed.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.rounding import truncate_div


@dataclass(frozen=True, slots=True)
class Position:
    """Lots (> 0 long, < 0 short) and their cost basis in quote units, signed like the lots."""

    lots: int = 0
    cost_units: int = 0


FLAT = Position()


@dataclass(frozen=True, slots=True)
class PositionChange:
    """What a fill did: the position after it, and the profit that goes to the scope's cash."""

    position: Position
    realised_units: int
    closed_lots: int


def after_fill(position: Position, lots: int, cost_units: int) -> PositionChange:
    """Return a position after a fill of `lots` (> 0 bought) that cost `cost_units`.

    `cost_units` is signed like the lots: price_ticks x lots x units a tick and lot, or minus the
    quote that the account receives where a fill has no price of its own (takeover, ADL).

        same side or flat   lots and cost are added
        partial close       basis' = basis - trunc(basis x closed / size)
        last close          the whole basis goes, so nothing is left behind
        flip                the old side is closed whole, the rest opens the new one

        realised = -(cost of the closing part + basis removed)

    Both divisions truncate toward zero (the second, the closing part of a fill's cost, is exact
    for fills with a price). Always: change of basis = cost + realised; so over both sides of all
    trades the bases sum to what has been realised. 128 bits: basis x closed, cost x closed.
    """
    if position.lots == 0 or (position.lots > 0) == (lots > 0):
        grown = Position(position.lots + lots, position.cost_units + cost_units)
        return PositionChange(grown, 0, 0)
    closed = min(abs(lots), abs(position.lots))
    closing_cost = truncate_div(cost_units * closed, abs(lots))
    if closed == abs(position.lots):
        removed = position.cost_units
        left = Position(position.lots + lots, cost_units - closing_cost)
    else:
        removed = truncate_div(position.cost_units * closed, abs(position.lots))
        left = Position(position.lots + lots, position.cost_units - removed)
    return PositionChange(left, -(closing_cost + removed), closed)
