"""The rows of transfers between shards; each method is one transaction."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.instrument import Asset
from domain.ledger import JournalRequest
from domain.shard_transfer import (
    FINAL_STATES,
    NewShardTransfer,
    ShardTransfer,
    ShardTransferState,
    shard_transfer_workflow_id,
)
from domain.transfer import FROM_TRADING, NewTransfer
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
    )


class ShardTransferStore:
    """For the gateway: record, list. For the workflow: load, take, conclude."""

    def __init__(self, engine: AsyncEngine, ledger: LedgerStore) -> None:
        self._engine = engine
        self._ledger = ledger

    async def create(self, request: NewShardTransfer) -> tuple[ShardTransfer, bool] | None:
        """Return (row, whether it is new); None when the key names another request."""
        made = uuid_utils.uuid7()
        async with writing(self._engine) as connection:
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
                )
                .on_conflict_do_nothing()
            )
            is_new = inserted.rowcount == 1
            if is_new:
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
            query = _JOINED.where(
                _s.customer_id == request.customer_id,
                _s.idempotency_key == request.idempotency_key,
            )
            found = _row((await connection.execute(query)).one())
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

    async def take(
        self, shard_transfer_id: UUID, into: NewTransfer, journal: JournalRequest
    ) -> None:
        """Go from requested to taken: record the transfer into the second shard, post; once."""
        async with self._engine.begin() as connection:
            if await self._move(connection, shard_transfer_id, ShardTransferState.TAKEN):
                await connection.execute(insert(tables.transfer).values(**into.row()))
                await post_or_raise(self._ledger, connection, journal)

    async def conclude(
        self,
        shard_transfer_id: UUID,
        source: ShardTransferState,
        target: ShardTransferState,
        reason: str = "",
    ) -> None:
        """Compare and set a final state."""
        async with self._engine.begin() as connection:
            await self._move(connection, shard_transfer_id, target, source, reason)

    async def unfinished(self, after: str | None, limit: int) -> list[str]:
        """Return ids of transfers that are not final, by id, after `after`."""
        query = sa.select(_s.shard_transfer_id).where(_s.state.not_in(sorted(FINAL_STATES)))
        if after is not None:
            query = query.where(_s.shard_transfer_id > UUID(after))
        query = query.order_by(_s.shard_transfer_id).limit(limit)
        async with self._engine.connect() as connection:
            return [str(name) for name in (await connection.execute(query)).scalars()]

    async def _move(
        self,
        connection: Any,
        shard_transfer_id: UUID,
        target: ShardTransferState,
        source: ShardTransferState = ShardTransferState.REQUESTED,
        reason: str = "",
    ) -> bool:
        changed = await connection.execute(
            sa.update(tables.shard_transfer)
            .where(_s.shard_transfer_id == shard_transfer_id, _s.state == source)
            .values(state=target, reason=reason or None)
        )
        return bool(changed.rowcount == 1)
