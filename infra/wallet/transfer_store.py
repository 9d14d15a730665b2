"""The rows of transfers, as the wallet's activities need them; each method is one transaction."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.instrument import Asset
from domain.ledger import JournalRequest, settlement_stream
from domain.transfer import Transfer, TransferState
from infra.postgres import tables
from infra.postgres.ledger_store import LedgerStore
from infra.wallet.posting import post_or_raise

_t, _a = tables.transfer.c, tables.asset.c


class TransferStore:
    """Read a transfer; write down that the engine refused it."""

    def __init__(self, engine: AsyncEngine, ledger: LedgerStore) -> None:
        self._engine = engine
        self._ledger = ledger

    async def load(self, transfer_id: UUID) -> Transfer:
        """Return the transfer as it stands; `LookupError` when there is none."""
        query = (
            sa.select(tables.transfer, _a.code, _a.chain_decimals, _a.engine_decimals)
            .join_from(tables.transfer, tables.asset)
            .where(_t.transfer_id == transfer_id)
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise LookupError(f"no transfer {transfer_id}")
        return Transfer(
            transfer_id=row.transfer_id,
            customer_id=row.customer_id,
            asset=Asset(row.asset_id, row.code, row.chain_decimals, row.engine_decimals),
            shard=row.shard,
            direction=row.direction,
            amount=int(row.amount),
            cause=row.cause,
            state=TransferState(row.state),
            created_at=row.created_at,
        )

    async def refuse(self, transfer_id: UUID, journal: JournalRequest | None = None) -> None:
        """Mark an open transfer as refused; `journal` gives back what is in transit for it."""
        async with self._engine.begin() as connection:
            changed = await connection.execute(
                sa.update(tables.transfer)
                .where(_t.transfer_id == transfer_id, _t.state == TransferState.OPEN)
                .values(state=TransferState.REFUSED)
            )
            if changed.rowcount == 1 and journal is not None:
                await post_or_raise(self._ledger, connection, journal)

    async def posted(self, transfer_ids: Collection[UUID]) -> set[UUID]:
        """Return which of these settlement has posted."""
        query = sa.select(_t.transfer_id).where(
            _t.transfer_id.in_(transfer_ids), _t.state == TransferState.POSTED
        )
        async with self._engine.connect() as connection:
            return set((await connection.execute(query)).scalars())

    async def settled_through(self, shard: int) -> int:
        """Return the last engine sequence that settlement has posted."""
        cursor = tables.cursor.c
        query = sa.select(cursor.last_sequence).where(cursor.stream == settlement_stream(shard))
        async with self._engine.connect() as connection:
            return int(await connection.scalar(query) or 0)
