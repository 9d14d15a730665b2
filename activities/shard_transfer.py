"""The steps of a transfer between shards: debit, transit to transit, credit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import structlog
from temporalio import activity

from activities.transfer import Declined, TransferSteps
from activities.wallet_ports import TransferRows
from domain.ledger import (
    JournalRequest,
    Posting,
    main,
    transfer_key,
    transfer_return_key,
    transit,
)
from domain.money import text_from_units
from domain.shard_transfer import ShardTransfer, ShardTransferRequest, ShardTransferState
from domain.transfer import TO_TRADING, NewTransfer

STREAM = "wallet"
_State = ShardTransferState


@dataclass(frozen=True, slots=True)
class ShardTransferView:
    """What the workflow must know of its business row."""

    state: str
    asset: str
    amount_text: str
    customer_id: int
    from_shard: int
    to_shard: int


@dataclass(frozen=True, slots=True)
class ShardTransferResult:
    """Where it stands after a step; `detail` is one line for the operator."""

    state: str
    detail: str = ""


class ShardTransferRows(Protocol):
    """The rows of transfers between shards."""

    async def load(self, shard_transfer_id: UUID) -> ShardTransfer:
        """Return the row; `LookupError` when there is none."""

    async def take(
        self, shard_transfer_id: UUID, into: NewTransfer, journal: JournalRequest
    ) -> None:
        """Go from requested to taken: record the transfer into the second shard, post; once."""

    async def conclude(
        self, shard_transfer_id: UUID, source: _State, target: _State, reason: str = ""
    ) -> None:
        """Compare and set a final state."""


class ShardTransferActivities:
    """Every step compares and sets the row's state, so a repeat changes nothing."""

    def __init__(
        self, rows: ShardTransferRows, transfers: TransferRows, steps: TransferSteps
    ) -> None:
        self._rows = rows
        self._transfers = transfers
        self._steps = steps

    @activity.defn(name="load_shard_transfer")
    async def load(self, request: ShardTransferRequest) -> ShardTransferView:
        """Return the business row, from which a workflow goes on wherever it was broken off."""
        row = await self._row(request)
        return ShardTransferView(
            state=row.state,
            asset=row.asset.code,
            amount_text=text_from_units(row.amount, row.asset.chain_decimals),
            customer_id=row.customer_id,
            from_shard=row.from_shard,
            to_shard=row.to_shard,
        )

    @activity.defn(name="take_shard_transfer")
    async def take(self, request: ShardTransferRequest) -> ShardTransferResult:
        """Debit the first shard; once settled, move the amount to the second one's transit."""
        row = await self._row(request)
        if row.state is not _State.REQUESTED:
            return ShardTransferResult(row.state)
        answer = await self._steps.execute(row.shard_transfer_id)
        if isinstance(answer, Declined):
            await self._transfers.refuse(row.shard_transfer_id)
            await self._rows.conclude(
                row.shard_transfer_id, _State.REQUESTED, _State.REFUSED, answer.reason
            )
            return ShardTransferResult(
                _State.REFUSED, f"shard {row.from_shard} refused the debit: {answer.reason}"
            )
        await self._steps.wait_posted(row.shard_transfer_id)
        asset = row.asset.code
        posting = Posting(
            transit(row.from_shard, asset), transit(row.to_shard, asset), asset, row.amount
        )
        into = NewTransfer(
            transfer_id=row.into_id,
            customer_id=row.customer_id,
            asset_id=row.asset.asset_id,
            shard=row.to_shard,
            direction=TO_TRADING,
            amount=row.amount,
            cause=f"transfer-{row.shard_transfer_id}",
        )
        await self._rows.take(row.shard_transfer_id, into, _journal(row, posting))
        return ShardTransferResult(_State.TAKEN, f"taken from shard {row.from_shard}")

    @activity.defn(name="give_shard_transfer")
    async def give(self, request: ShardTransferRequest) -> ShardTransferResult:
        """Credit the second shard; what it does not take goes to the main account."""
        row = await self._row(request)
        if row.state is not _State.TAKEN:
            return ShardTransferResult(row.state)
        answer = await self._steps.execute(row.into_id)
        if not isinstance(answer, Declined):
            await self._steps.wait_posted(row.into_id)
            await self._rows.conclude(row.shard_transfer_id, _State.TAKEN, _State.DONE)
            return ShardTransferResult(_State.DONE, f"on shard {row.to_shard}")
        asset = row.asset.code
        back = Posting(
            transit(row.to_shard, asset), main(row.customer_id, asset), asset, row.amount
        )
        await self._transfers.refuse(
            row.into_id,
            JournalRequest(
                stream=STREAM,
                key=transfer_return_key(row.into_id),
                kind="transfer_return",
                postings=(back,),
                detail={"transfer": str(row.shard_transfer_id), "engine": answer.reason},
            ),
        )
        await self._rows.conclude(
            row.shard_transfer_id, _State.TAKEN, _State.IN_MAIN, answer.reason
        )
        return ShardTransferResult(
            _State.IN_MAIN, f"shard {row.to_shard} refused the credit: {answer.reason}"
        )

    async def _row(self, request: ShardTransferRequest) -> ShardTransfer:
        structlog.contextvars.bind_contextvars(
            request_id=request.request_id, shard_transfer_id=request.shard_transfer_id
        )
        return await self._rows.load(UUID(request.shard_transfer_id))


def _journal(row: ShardTransfer, posting: Posting) -> JournalRequest:
    return JournalRequest(
        stream=STREAM,
        key=transfer_key(row.shard_transfer_id),
        kind="shard_transfer",
        postings=(posting,),
        detail={"transfer": str(row.shard_transfer_id), "into": str(row.into_id)},
    )
