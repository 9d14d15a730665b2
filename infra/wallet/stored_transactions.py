"""The rows of signed transactions and their senders' nonces, of whatever pays."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.withdrawal import StoredTransaction
from infra.postgres import tables

_t = tables.wallet_transaction.c


async def next_nonce(engine: AsyncEngine, chain: str, address: str) -> int | None:
    """Return the nonce that the address' next payment would get; None before the first."""
    nonce = tables.wallet_nonce.c
    query = sa.select(nonce.next_nonce).where(nonce.chain == chain, nonce.address == address)
    async with engine.connect() as connection:
        return await connection.scalar(query)


async def stored_transactions(
    engine: AsyncEngine, owner: sa.Column[UUID], owner_id: str
) -> list[StoredTransaction]:
    """Return the transactions of one payment, the first one first.

    `owner` is the column of `wallet_transaction` that names what pays.
    """
    query = (
        sa.select(tables.wallet_transaction).where(owner == UUID(owner_id)).order_by(_t.replacement)
    )
    async with engine.connect() as connection:
        return [stored_transaction_of(row) for row in await connection.execute(query)]


def stored_transaction_of(row: sa.Row[Any]) -> StoredTransaction:
    """Return a row of `wallet_transaction` as the domain knows it."""
    return StoredTransaction(row.tx_hash, bytes(row.raw), row.replacement, row.signed_at, row.voids)


async def store_transaction(connection: AsyncConnection, **columns: object) -> bool:
    """Store a raw transaction, before any node sees it; False when its place was taken."""
    written = await connection.execute(
        insert(tables.wallet_transaction).values(**columns).on_conflict_do_nothing()
    )
    return bool(written.rowcount)
