"""What the engine remembers of liquidations: the fund's history, and the scopes that are frozen."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from domain.limits import HOUR_US

HOURS = 8
"""Over how long the fund's highest balance is remembered."""


@dataclass(slots=True)
class Frozen:
    """A scope in liquidation: its version, the liquidation's id, since when, slices so far."""

    version: int
    key: bytes
    since_us: int
    slices: int = 0


class Fund:
    """The insurance fund beside its account: rounding dust, and its highest cash by hour.

    Its cash and positions are those of `domain.risk_commands.FUND_ACCOUNT`.
    """

    __slots__ = ("highest", "rounding_units")

    def __init__(self) -> None:
        self.rounding_units = 0
        self.highest: deque[tuple[int, int]] = deque()  # (hour, highest cash in it), oldest first

    def note(self, cash_units: int, time_us: int) -> None:
        """Remember the cash that the fund has now."""
        hour = time_us // HOUR_US
        if self.highest and self.highest[-1][0] == hour:
            cash_units = max(cash_units, self.highest.pop()[1])
        self.highest.append((hour, cash_units))
        while self.highest[0][0] <= hour - HOURS:
            self.highest.popleft()

    def highest_units(self, time_us: int) -> int:
        """Return the highest cash of the last eight hours, the current one among them."""
        first = time_us // HOUR_US - HOURS
        return max((units for hour, units in self.highest if hour > first), default=0)
