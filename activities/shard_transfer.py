"""The steps of a transfer between main account and shards: take, give, and give back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import structlog
from temporalio import activity

from activities.transfer import Declined, TransferSteps
from domain.ledger import (
    JournalRequest,
    MainShortError,
    Posting,
    main,
    transfer_key,
    transfer_return_key,
    transit,
)
from domain.money import text_from_units
from domain.shard_transfer import (
    ShardTransfer,
    ShardTransferChange,
    ShardTransferRequest,
    ShardTransferState,
    place_name,
    shard_transfer_workflow_id,
)
from domain.transfer import TO_TRADING, NewTransfer

STREAM = "wallet"
_State = ShardTransferState
_Change = ShardTransferChange


@dataclass(frozen=True, slots=True)
class ShardTransferView:
    """What the workflow must know of its business row; a place that is None is main."""

    state: str
    asset: str
    amount_text: str
    customer_id: int
    from_shard: int | None
    to_shard: int | None


@dataclass(frozen=True, slots=True)
class ShardTransferResult:
    """Where it stands after a step; `detail` is one line for the operator."""

    state: str
    detail: str = ""


class ShardTransferRows(Protocol):
    """The rows of transfers between main account and shards."""

    async def load(self, shard_transfer_id: UUID) -> ShardTransfer:
        """Return the row; `LookupError` when there is none."""

    async def begin(self, shard_transfer_id: UUID) -> bool:
        """Leave `requested`: return True for taking, False when it is refused as expired."""

    async def change(self, shard_transfer_id: UUID, change: ShardTransferChange) -> None:
        """Compare and set the state with what belongs to it; `MainShortError`."""


class ShardTransferActivities:
    """Every step compares and sets the row's state, so a repeat changes nothing."""

    def __init__(self, rows: ShardTransferRows, steps: TransferSteps) -> None:
        self._rows = rows
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
        """Take it from the first place, unless it has expired; what was sent never expires."""
        row = await self._row(request)
        if row.state not in (_State.REQUESTED, _State.TAKING):
            return ShardTransferResult(row.state)
        if row.state is _State.REQUESTED and not await self._rows.begin(row.shard_transfer_id):
            now = await self._row(request)
            return ShardTransferResult(now.state, now.reason or "")
        if row.from_shard is None:
            return await self._take_from_main(row)
        answer = await self._steps.execute(row.shard_transfer_id)
        if isinstance(answer, Declined):
            change = _Change(
                _State.TAKING,
                _State.REFUSED,
                answer.reason,
                refused_leg=row.shard_transfer_id,
            )
            detail = f"shard {row.from_shard} refused the debit: {answer.reason}"
            return await self._changed(row, change, detail)
        await self._steps.wait_posted(row.shard_transfer_id)
        taken = f"taken from shard {row.from_shard}"
        return await self._changed(row, _taken(row, transfer_key(row.shard_transfer_id)), taken)

    async def _take_from_main(self, row: ShardTransfer) -> ShardTransferResult:
        try:
            return await self._changed(
                row, _taken(row, transfer_key(row.into_id)), "taken from main"
            )
        except MainShortError:
            change = _Change(_State.TAKING, _State.REFUSED, "insufficient_funds")
            return await self._changed(row, change, "main has not so much")

    @activity.defn(name="give_shard_transfer")
    async def give(self, request: ShardTransferRequest) -> ShardTransferResult:
        """Credit the second shard; what it declines goes back to where it came from."""
        row = await self._row(request)
        if row.state is not _State.TAKEN:
            return ShardTransferResult(row.state)
        answer = await self._steps.execute(row.into_id)
        place = place_name(row.to_shard)
        if not isinstance(answer, Declined):
            await self._steps.wait_posted(row.into_id)
            return await self._changed(row, _Change(_State.TAKEN, _State.DONE), f"on {place}")
        assert row.to_shard is not None, "main declines nothing"
        key, asset = transfer_return_key(row.into_id), row.asset.code
        target, back = _State.RETURNED, None
        if row.from_shard is not None:
            target, back = _State.RETURNING, _leg(row, row.back_id, row.from_shard)
        posting = Posting(
            transit(row.to_shard, asset), _outside(row, row.from_shard), asset, row.amount
        )
        change = _Change(
            _State.TAKEN,
            target,
            answer.reason,
            _journal(row, key, "transfer_return", posting, answer.reason),
            refused_leg=row.into_id,
            new_leg=back,
        )
        return await self._changed(row, change, f"{place} refused the credit: {answer.reason}")

    @activity.defn(name="return_shard_transfer")
    async def give_back(self, request: ShardTransferRequest) -> ShardTransferResult:
        """Credit the first shard with what the second declined; else it rests in main."""
        row = await self._row(request)
        if row.state is not _State.RETURNING:
            return ShardTransferResult(row.state)
        answer = await self._steps.execute(row.back_id)
        why = row.reason or ""
        if not isinstance(answer, Declined):
            await self._steps.wait_posted(row.back_id)
            change = _Change(_State.RETURNING, _State.RETURNED, why)
            return await self._changed(row, change, f"back on shard {row.from_shard}")
        assert row.from_shard is not None, "only a shard is given something back"
        asset, key = row.asset.code, transfer_return_key(row.back_id)
        posting = Posting(
            transit(row.from_shard, asset), main(row.customer_id, asset), asset, row.amount
        )
        change = _Change(
            _State.RETURNING,
            _State.IN_MAIN,
            why,
            _journal(row, key, "transfer_return", posting, answer.reason),
            refused_leg=row.back_id,
        )
        return await self._changed(row, change, f"in main: {answer.reason}")

    async def _changed(
        self, row: ShardTransfer, change: ShardTransferChange, detail: str
    ) -> ShardTransferResult:
        await self._rows.change(row.shard_transfer_id, change)
        return ShardTransferResult(change.target, detail)

    async def _row(self, request: ShardTransferRequest) -> ShardTransfer:
        structlog.contextvars.bind_contextvars(
            request_id=request.request_id, shard_transfer_id=request.shard_transfer_id
        )
        return await self._rows.load(UUID(request.shard_transfer_id))


def _taken(row: ShardTransfer, key: str) -> ShardTransferChange:
    """Return the change after the first place has given it: in transit, or in main and done."""
    asset = row.asset.code
    into = None if row.to_shard is None else _leg(row, row.into_id, row.to_shard)
    posting = Posting(_outside(row, row.from_shard), _outside(row, row.to_shard), asset, row.amount)
    return ShardTransferChange(
        _State.TAKING,
        _State.DONE if into is None else _State.TAKEN,
        journal=_journal(row, key, "shard_transfer", posting),
        new_leg=into,
    )


def _outside(row: ShardTransfer, shard: int | None) -> str:
    """Return the account in which it is outside the engine of its place; without one, main."""
    asset = row.asset.code
    return main(row.customer_id, asset) if shard is None else transit(shard, asset)


def _leg(row: ShardTransfer, transfer_id: UUID, shard: int) -> NewTransfer:
    return NewTransfer(
        transfer_id=transfer_id,
        customer_id=row.customer_id,
        asset_id=row.asset.asset_id,
        shard=shard,
        direction=TO_TRADING,
        amount=row.amount,
        cause=shard_transfer_workflow_id(row.shard_transfer_id),
    )


def _journal(
    row: ShardTransfer, key: str, kind: str, posting: Posting, engine: str = ""
) -> JournalRequest:
    detail = {"transfer": str(row.shard_transfer_id)}
    if engine:
        detail["engine"] = engine
    return JournalRequest(STREAM, key, kind, (posting,), detail)
