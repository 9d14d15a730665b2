"""A customer's money on its way between two of its places: the main account, and the shards.

Two phases, as the ledger sees it: what has left the first place is pending in `transit`, and is
then posted to the second one or voided, back to where it came from.

requested -> taking -> done                 a shard to main
requested -> taking -> taken -> done        to a shard
requested | taking -> refused               not free, or expired before it began: nothing moved
taken -> returned                           voided: the shard did not take it, it is in main again
taken -> returning -> returned | in_main    voided: back to the first shard; else it is in main
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from uuid import NAMESPACE_URL, UUID, uuid5

from domain.instrument import Asset
from domain.ledger import JournalRequest
from domain.transfer import NewTransfer

SHARD_TRANSFER_WORKFLOW = "ShardTransferWorkflow"
SHARD_TRANSFER_SUMMARY = "Transfer between main account and shards: take, give, or give back"
VALID_SECONDS = 3600  # one that could not begin by then never does


class ShardTransferState(StrEnum):
    """Where it stands; the business row's `state`."""

    REQUESTED = "requested"  # nothing was sent anywhere
    TAKING = "taking"  # the first engine may have debited it: asked until that is known
    TAKEN = "taken"  # pending: in transit to the second place
    RETURNING = "returning"  # in transit back to the first shard
    DONE = "done"
    REFUSED = "refused"  # nothing moved
    RETURNED = "returned"  # the second place did not take it: it is where it came from
    IN_MAIN = "in_main"  # nor did the first: it rests in the main account


FINAL_STATES = frozenset(
    {
        ShardTransferState.DONE,
        ShardTransferState.REFUSED,
        ShardTransferState.RETURNED,
        ShardTransferState.IN_MAIN,
    }
)


@dataclass(frozen=True, slots=True)
class NewShardTransfer:
    """A transfer to be recorded; `amount` in chain units, a whole number of engine units.

    A place is a shard's number, or None for the main account; the two differ. `free` is what the
    first place's engine would let go, in chain units; None: it was not asked.
    """

    customer_id: int
    idempotency_key: str
    asset_id: int
    amount: int
    from_shard: int | None
    to_shard: int | None
    valid_seconds: int = VALID_SECONDS
    free: int | None = None

    @property
    def is_short(self) -> bool:
        """Return whether it asks for more than is free, as far as that is known."""
        return self.free is not None and self.amount > self.free


@dataclass(frozen=True, slots=True)
class NotFree:
    """The transfer exceeds what is `free`, so nothing was written."""

    free: int


@dataclass(frozen=True, slots=True)
class ShardTransfer:
    """The row. Its id is that of the transfer out of the first shard, too, where there is one."""

    shard_transfer_id: UUID
    customer_id: int
    asset: Asset
    amount: int
    from_shard: int | None
    to_shard: int | None
    state: ShardTransferState
    reason: str | None
    created_at: dt.datetime
    expires_at: dt.datetime

    @property
    def into_id(self) -> UUID:
        """Return the id of the transfer into the second shard; it follows from the row's."""
        return uuid5(NAMESPACE_URL, f"{shard_transfer_workflow_id(self.shard_transfer_id)}/into")

    @property
    def back_id(self) -> UUID:
        """Return the id of the transfer that gives it back to the first shard."""
        return uuid5(NAMESPACE_URL, f"{shard_transfer_workflow_id(self.shard_transfer_id)}/back")


@dataclass(frozen=True, slots=True)
class ShardTransferChange:
    """One step of the state machine with all that must happen in its transaction.

    A leg is a transfer into or out of one engine: `refused_leg` is one that the engine declined,
    `new_leg` one that comes next.
    """

    source: ShardTransferState
    target: ShardTransferState
    reason: str = ""
    journal: JournalRequest | None = None
    refused_leg: UUID | None = None
    new_leg: NewTransfer | None = None


@dataclass(frozen=True, slots=True)
class ShardTransferRequest:
    """The argument of the workflow `transfer-{id}`."""

    shard_transfer_id: str
    request_id: str = ""


def place_name(shard: int | None) -> str:
    """Return a place for people."""
    return "main" if shard is None else f"shard {shard}"


def shard_transfer_workflow_id(shard_transfer_id: UUID | str) -> str:
    """Return the workflow's id."""
    return f"transfer-{shard_transfer_id}"
