"""Refills by the cold wallet as rows: the signed bytes are stored before anybody can send them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.cold_refill import RefillRequest
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.wallet.transaction import transaction_hash


class RefillStore:
    """Stores signed refills beside the withdrawals' transactions; one transaction a nonce."""

    def __init__(self, engine: AsyncEngine, audit: AuditStore) -> None:
        self._engine = engine
        self._audit = audit

    async def assets(self, chain: str) -> Mapping[str, tuple[str | None, int]]:
        """Return {code: (contract, decimals)} of the assets on a chain."""
        asset = tables.asset.c
        query = sa.select(asset.code, asset.contract, asset.chain_decimals).where(
            asset.chain == chain
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return {row.code: (row.contract, row.chain_decimals) for row in rows}

    async def store(
        self, chain: str, request: RefillRequest, raws: Sequence[bytes], by: str
    ) -> list[int]:
        """Store all transactions or none; return the nonces that others have, [] when stored.

        Storing the same file again changes nothing.
        """
        table, taken = tables.wallet_transaction, []
        async with self._engine.begin() as connection:
            for offset, raw in enumerate(raws):
                nonce, tx_hash = request.nonce + offset, transaction_hash(raw)
                await connection.execute(
                    insert(table)
                    .values(
                        tx_hash=tx_hash, chain=chain, address=request.sender, nonce=nonce, raw=raw
                    )
                    .on_conflict_do_nothing()
                )
                stored = await connection.scalar(
                    sa.select(table.c.tx_hash).where(
                        table.c.chain == chain,
                        table.c.address == request.sender,
                        table.c.nonce == nonce,
                    )
                )
                if stored != tx_hash:
                    taken.append(nonce)
            if taken:
                await connection.rollback()
                return taken
            await self._note(connection, request, raws, by)
        return taken

    async def _note(
        self,
        connection: AsyncConnection,
        request: RefillRequest,
        raws: Sequence[bytes],
        by: str,
    ) -> None:
        hashes = [transaction_hash(raw) for raw in raws]
        log = tables.audit_log.c
        key = f"cold-refill:{hashes[0]}"
        if await connection.scalar(sa.select(log.audit_id).where(log.key == key)) is None:
            await self._audit.append(
                connection,
                "hot-wallet",
                f"staff:{by}",
                "cold_refill_submitted",
                key,
                {"request": request.text(), "tx_hashes": hashes},
            )

    async def note_broadcast(self, tx_hash: str) -> None:
        """Note when a node took a transaction first."""
        table = tables.wallet_transaction
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(table)
                .where(table.c.tx_hash == tx_hash, table.c.broadcast_at.is_(None))
                .values(broadcast_at=sa.func.now())
            )
