"""Transfers: money on its way between the wallet's side of the ledger and a shard's engine."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from domain.instrument import Asset

TO_TRADING = "to_trading"
FROM_TRADING = "from_trading"


class TransferState(StrEnum):
    """Where a transfer stands; the business row's `state`."""

    OPEN = "open"
    POSTED = "posted"  # settlement has posted the engine's event
    REFUSED = "refused"  # the engine did not take it


@dataclass(frozen=True, slots=True)
class NewTransfer:
    """A transfer to be recorded; `amount` in chain units, a whole number of engine units."""

    transfer_id: UUID
    customer_id: int
    asset_id: int
    shard: int
    direction: str
    amount: int
    cause: str

    def row(self) -> dict[str, object]:
        """Return the values of its row."""
        return {
            "transfer_id": self.transfer_id,
            "customer_id": self.customer_id,
            "asset_id": self.asset_id,
            "shard": self.shard,
            "direction": self.direction,
            "amount": self.amount,
            "cause": self.cause,
            "state": TransferState.OPEN,
        }


@dataclass(frozen=True, slots=True)
class Transfer:
    """The row. `created_at` goes into the engine's command and never changes."""

    transfer_id: UUID
    customer_id: int
    asset: Asset
    shard: int
    direction: str
    amount: int
    cause: str
    state: TransferState
    created_at: dt.datetime

    @property
    def amount_units(self) -> int:
        """Return the amount in engine units; exact."""
        return self.amount // self.asset.chain_units_per_engine_unit

    @property
    def created_at_us(self) -> int:
        """Return the row's time in microseconds since 1970, as the engine's command carries it."""
        epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        return (self.created_at - epoch) // dt.timedelta(microseconds=1)
