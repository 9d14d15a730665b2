"""Moving money in and out of the engine, once per transfer, however often it is tried."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.beat import Beat
from activities.shared_look import SharedLook
from activities.wallet_ports import TransferRows, Treasury
from domain.commands import Credit, Debit
from domain.errors import RejectReason
from domain.events import CommandRejected, Credited, Debited, Event, KeyDuplicate
from domain.transfer import TO_TRADING, Transfer, TransferState
from matching.codec import encode_command
from matching.wire import WireError

_POLL_SECONDS = 0.05
_WAIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Executed:
    """The engine has moved the money; settlement will post it."""


@dataclass(frozen=True, slots=True)
class Declined:
    """The engine has not moved the money and never will under this transfer's id."""

    reason: str


class TransferSteps:
    """The two halves of a transfer: the engine's command, and settlement's posting of it."""

    def __init__(self, transfers: TransferRows, treasuries: Mapping[int, Treasury]) -> None:
        self._transfers = transfers
        self._treasuries = treasuries  # shard -> its engine
        self._awaited: Counter[UUID] = Counter()  # by how many
        self._posted = SharedLook(self._look, _POLL_SECONDS)

    async def execute(self, transfer_id: UUID) -> Executed | Declined:
        """Submit the transfer's command and return what became of it, now or the first time."""
        transfer = await self._transfers.load(transfer_id)
        if transfer.state is TransferState.POSTED:
            return Executed()
        if transfer.state is TransferState.REFUSED:
            return Declined("refused before")
        command = _command(transfer)
        if not _fits_the_wire(command):  # and never will: nothing is sent, nothing tried again
            return Declined(RejectReason.OVERFLOW.name.lower())
        events = await self._treasuries[transfer.shard].submit(command)
        outcome = events[0]
        if isinstance(outcome, Credited | Debited):
            return Executed()
        if isinstance(outcome, KeyDuplicate):
            if not outcome.same_body:
                raise ApplicationError(
                    f"the engine knows {transfer_id} with another body",
                    type="TransferConflict",
                    non_retryable=True,
                )
            if outcome.first_reason is RejectReason.NONE:
                return Executed()
            return Declined(outcome.first_reason.name.lower())
        return await self._declined(transfer, outcome)

    async def _declined(self, transfer: Transfer, outcome: Event) -> Executed | Declined:
        """Return the meaning of a refusal.

        An expired key may hide that the command took effect long ago: once settlement has passed
        the refusal's sequence, the row tells.
        """
        assert isinstance(outcome, CommandRejected), f"unexpected outcome {outcome}"
        if outcome.reason is RejectReason.KEY_EXPIRED:
            while await self._transfers.settled_through(transfer.shard) < outcome.sequence:
                activity.heartbeat("waiting for settlement")
                await asyncio.sleep(_POLL_SECONDS)
            settled = await self._transfers.load(transfer.transfer_id)
            if settled.state is TransferState.POSTED:
                return Executed()
        return Declined(outcome.reason.name.lower())

    async def wait_posted(self, transfer_id: UUID) -> None:
        """Return once settlement has posted the transfer; raises to be tried again later."""
        waited, beat = 0.0, Beat()
        self._awaited[transfer_id] += 1
        try:
            while transfer_id not in await self._posted.get():
                if waited >= _WAIT_SECONDS:
                    raise ApplicationError(
                        "settlement has not posted the engine's event yet", type="SettlementBehind"
                    )
                beat("waiting for settlement")
                await asyncio.sleep(_POLL_SECONDS)
                waited += _POLL_SECONDS
        finally:
            self._awaited[transfer_id] -= 1
            self._awaited += Counter()  # those whom nobody awaits any more are dropped

    async def _look(self) -> set[UUID]:
        """Return which of all that are awaited are posted: once posted, they stay so."""
        return await self._transfers.posted(list(self._awaited))


def _fits_the_wire(command: Credit | Debit) -> bool:
    try:
        encode_command(command)
    except WireError:
        return False
    return True


def _command(transfer: Transfer) -> Credit | Debit:
    kind = Credit if transfer.direction == TO_TRADING else Debit
    return kind(
        key=transfer.transfer_id.int,
        account_id=transfer.customer_id,
        asset_id=transfer.asset.asset_id,
        amount_units=transfer.amount_units,
        created_at_us=transfer.created_at_us,
    )
