"""The rows of transfers between main account and shards; each method is one transaction."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.instrument import Asset
from domain.shard_transfer import (
    NewShardTransfer,
    NotFree,
    ShardTransfer,
    ShardTransferChange,
    ShardTransferState,
    shard_transfer_workflow_id,
)
from domain.transfer import FROM_TRADING, NewTransfer, TransferState
from infra.postgres import tables
from infra.postgres.ledger_store import LedgerStore
from infra.postgres.reading import reading, writing
from infra.wallet.posting import post_or_raise

_s, _a = tables.shard_transfer.c, tables.asset.c
_JOINED = sa.select(
    tables.shard_transfer, _a.code, _a.chain_decimals, _a.engine_decimals
).join_from(tables.shard_transfer, tables.asset)


def _row(row: Any) -> ShardTransfer:
    return ShardTransfer(
        shard_transfer_id=row.shard_transfer_id,
        customer_id=row.customer_id,
        asset=Asset(row.asset_id, row.code, row.chain_decimals, row.engine_decimals),
        amount=int(row.amount),
        from_shard=row.from_shard,
        to_shard=row.to_shard,
        state=ShardTransferState(row.state),
        reason=row.reason,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


class ShardTransferStore:
    """For the gateway: record, list. For the workflow: load, and the changes of state.

    The row is the outbox: it is written before anything is sent, and each change of it is made
    once, together with what belongs to it in the ledger.
    """

    def __init__(self, engine: AsyncEngine, ledger: LedgerStore) -> None:
        self._engine = engine
        self._ledger = ledger

    async def create(
        self, request: NewShardTransfer
    ) -> tuple[ShardTransfer, bool] | NotFree | None:
        """Return (row, whether it is new); None when the key names another request.

        `NotFree` for a new one that asks for too much; a repeat finds its own money gone. The row
        holds the whole request, so that the two are compared themselves, not by a hash.
        """
        made = uuid_utils.uuid7()
        asked_before = _JOINED.where(
            _s.customer_id == request.customer_id,
            _s.idempotency_key == request.idempotency_key,
        )
        async with writing(self._engine) as connection:
            known = (await connection.execute(asked_before)).one_or_none()
            if known is None and request.free is not None and request.is_short:
                return NotFree(request.free)
            inserted = await connection.execute(
                insert(tables.shard_transfer)
                .values(
                    shard_transfer_id=made,
                    customer_id=request.customer_id,
                    idempotency_key=request.idempotency_key,
                    asset_id=request.asset_id,
                    amount=request.amount,
                    from_shard=request.from_shard,
                    to_shard=request.to_shard,
                    state=ShardTransferState.REQUESTED,
                    expires_at=sa.func.now() + dt.timedelta(seconds=request.valid_seconds),
                )
                .on_conflict_do_nothing()
            )
            is_new = inserted.rowcount == 1
            if is_new and request.from_shard is not None:
                out = NewTransfer(
                    transfer_id=made,
                    customer_id=request.customer_id,
                    asset_id=request.asset_id,
                    shard=request.from_shard,
                    direction=FROM_TRADING,
                    amount=request.amount,
                    cause=shard_transfer_workflow_id(made),
                )
                await connection.execute(insert(tables.transfer).values(**out.row()))
            found = _row((await connection.execute(asked_before)).one())
        asked = (request.asset_id, request.amount, request.from_shard, request.to_shard)
        same = (found.asset.asset_id, found.amount, found.from_shard, found.to_shard) == asked
        return (found, is_new) if same else None

    async def of_customer(self, customer_id: int, shard_transfer_id: UUID) -> ShardTransfer | None:
        """Return one transfer of the customer."""
        query = _JOINED.where(
            _s.customer_id == customer_id, _s.shard_transfer_id == shard_transfer_id
        )
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _row(row)

    async def load(self, shard_transfer_id: UUID) -> ShardTransfer:
        """Return the row; `LookupError` when there is none."""
        query = _JOINED.where(_s.shard_transfer_id == shard_transfer_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise LookupError(f"no transfer {shard_transfer_id}")
        return _row(row)

    async def begin(self, shard_transfer_id: UUID) -> bool:
        """Leave `requested`: for taking in time, refused as expired after it; return which.

        The database's clock decides, once: whoever asks again finds the state.
        """
        in_time = _s.expires_at > sa.func.now()
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(tables.shard_transfer)
                .where(
                    _s.shard_transfer_id == shard_transfer_id,
                    _s.state == ShardTransferState.REQUESTED,
                )
                .values(
                    state=sa.case(
                        (in_time, ShardTransferState.TAKING.value),
                        else_=ShardTransferState.REFUSED.value,
                    ),
                    reason=sa.case((in_time, None), else_="expired"),
                )
            )
            query = sa.select(_s.state).where(_s.shard_transfer_id == shard_transfer_id)
            return bool(await connection.scalar(query) == ShardTransferState.TAKING)

    async def change(self, shard_transfer_id: UUID, change: ShardTransferChange) -> None:
        """Compare and set the state with what belongs to it; nothing where it has moved on.

        `MainShortError` when main has not the money: then nothing has changed.
        """
        async with self._engine.begin() as connection:
            changed = await connection.execute(
                sa.update(tables.shard_transfer)
                .where(_s.shard_transfer_id == shard_transfer_id, _s.state == change.source)
                .values(state=change.target, reason=change.reason or None)
            )
            if changed.rowcount != 1:
                return
            if change.refused_leg is not None:
                leg = tables.transfer.c
                await connection.execute(
                    sa.update(tables.transfer)
                    .where(leg.transfer_id == change.refused_leg, leg.state == TransferState.OPEN)
                    .values(state=TransferState.REFUSED)
                )
            if change.new_leg is not None:
                await connection.execute(insert(tables.transfer).values(**change.new_leg.row()))
            if change.journal is not None:
                await post_or_raise(self._ledger, connection, change.journal)
