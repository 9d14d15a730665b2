"""The margin call: a word of warning before a liquidation. Nothing depends on it.

A scope is called when its equity is below 1.25 x MM, and called again only after it has been at
1.5 x MM or above: a scope that hovers at the line is told once.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.rounding import ceil_div

CALL_DIVISOR = 4
"""Called below MM + MM / 4."""

OVER_DIVISOR = 2
"""The call is over from MM + MM / 2 on."""


def is_called(equity_units: int, maintenance_units: int) -> bool:
    """Return whether MM > 0 and equity < 1.25 x MM; exact: equity - MM < ceil(MM / 4)."""
    beyond = equity_units - maintenance_units
    return maintenance_units > 0 and beyond < ceil_div(maintenance_units, CALL_DIVISOR)


def is_call_over(equity_units: int, maintenance_units: int) -> bool:
    """Return whether equity >= 1.5 x MM; exact: equity - MM >= ceil(MM / 2)."""
    return equity_units - maintenance_units >= ceil_div(maintenance_units, OVER_DIVISOR)


@dataclass(frozen=True, slots=True)
class MarginCall:
    """A scope that was called: `symbol_id` 0 is the account's cross margin.

    `sequence` is the engine's up to which the monitor had read, `time_us` the engine's time then.
    """

    shard: int
    account_id: int
    symbol_id: int
    sequence: int
    time_us: int
    equity_units: int
    maintenance_units: int
