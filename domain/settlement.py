"""Words of settlement: what one batch of engine events came to."""

from __future__ import annotations

from dataclasses import dataclass

from domain.events import Credited, Debited, Trade

MONEY_EVENTS = (Trade, Credited, Debited)


@dataclass(frozen=True, slots=True)
class Settled:
    """Where the cursor is after a batch. `digest` is the journal's hash; "" without money."""

    last_sequence: int
    trades: int
    digest: str
