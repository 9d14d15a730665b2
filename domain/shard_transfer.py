"""A customer's money on its way from one shard to another: debit here, ledger, credit there."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

from domain.instrument import Asset

SHARD_TRANSFER_WORKFLOW = "ShardTransferWorkflow"
SHARD_TRANSFER_SUMMARY = "Transfer between shards: debit, move through the ledger, credit"


class ShardTransferState(StrEnum):
    """Where it stands; the business row's `state`."""

    REQUESTED = "requested"
    TAKEN = "taken"  # debited on one shard, in transit to the other
    DONE = "done"
    REFUSED = "refused"  # the first engine did not debit it: nothing moved
    IN_MAIN = "in_main"  # the second engine did not credit it: it rests in the main account


FINAL_STATES = frozenset(
    {ShardTransferState.DONE, ShardTransferState.REFUSED, ShardTransferState.IN_MAIN}
)


@dataclass(frozen=True, slots=True)
class NewShardTransfer:
    """A transfer to be recorded; `amount` in chain units, a whole number of engine units."""

    customer_id: int
    idempotency_key: str
    asset_id: int
    amount: int
    from_shard: int
    to_shard: int


@dataclass(frozen=True, slots=True)
class ShardTransfer:
    """The row. Its id is that of the transfer out of the first shard, too."""

    shard_transfer_id: UUID
    customer_id: int
    asset: Asset
    amount: int
    from_shard: int
    to_shard: int
    state: ShardTransferState
    reason: str | None
    created_at: dt.datetime

    @property
    def into_id(self) -> UUID:
        """Return the id of the transfer into the second shard; it follows from the row's."""
        return uuid5(NAMESPACE_URL, f"{shard_transfer_workflow_id(self.shard_transfer_id)}/into")


@dataclass(frozen=True, slots=True)
class ShardTransferRequest:
    """The argument of the workflow `transfer-{id}`."""

    shard_transfer_id: str
    request_id: str = ""


def shard_transfer_workflow_id(shard_transfer_id: UUID | str) -> str:
    """Return the workflow's id."""
    return f"transfer-{shard_transfer_id}"
