"""A shortfall that auto-deleveraging cannot cover: what two officers sign so that it goes on.

Nothing was applied half: the position is still there, its scope frozen, its market restricted.
Officers remove the cause (top up the fund, wait for counterparties) and sign; then takeover and
deleveraging are tried again, under keys of a new round.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from domain.hash_chain import JsonValue, canonical_json
from domain.two_signatures import PROPOSED

VALID_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Shortfall:
    """What is left of a position that nobody can take; `expiry` in seconds since 1970.

    A signature of an earlier round, or for other numbers, does not count.
    """

    liquidation_id: str
    scope: str
    symbol_id: int
    left_lots: int
    equity_units: int
    round: int
    expiry: int
    is_open: bool = True

    noun = "shortfall"
    action = "liquidation-continue"

    @property
    def state(self) -> str:
        """Return where it stands."""
        return PROPOSED if self.is_open else "resolved"

    def statement(self) -> str:
        """Return the one text that officers sign."""
        content: dict[str, JsonValue] = {
            "id": self.liquidation_id,
            "action": self.action,
            "scope": self.scope,
            "symbol_id": self.symbol_id,
            "left_lots": self.left_lots,
            "equity_units": self.equity_units,
            "round": self.round,
            "expiry": self.expiry,
        }
        return canonical_json(content).decode("ascii")


@dataclass(frozen=True)
class ShortfallSignature:
    """One officer's decision, on its way to be checked; `signed` are those before him."""

    shortfall: Shortfall
    decision: dict[str, str] = field(default_factory=dict)
    signed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Restriction:
    """A market that a liquidation's shortfall restricts: reduce-only, the second time halted."""

    shard: int
    symbol_id: int
    liquidation_id: str
    round: int

    @property
    def reason(self) -> str:
        """Return what the engine keeps as the reason; it tells this restriction from others."""
        return f"shortfall of liquidation {self.liquidation_id}, round {self.round}"
