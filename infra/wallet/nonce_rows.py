"""The hot wallet's nonces as rows: who has which, and with which transactions."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.nonce_gap import Numbered
from domain.wallet_payment import STAGE_OF, PaymentState, wallet_payment_workflow_id
from domain.withdrawal import StoredTransaction, withdrawal_workflow_id
from infra.postgres import tables
from infra.wallet.stored_transactions import stored_transaction_of

_w, _t, _p = tables.withdrawal.c, tables.wallet_transaction.c, tables.wallet_payment.c


class NonceRows:
    """Reads the nonces of one chain's hot wallet."""

    def __init__(self, engine: AsyncEngine, chain: str, address: str) -> None:
        self._engine = engine
        self.chain = chain
        self.address = address

    async def numbered(self, from_nonce: int, limit: int) -> tuple[int, tuple[Numbered, ...]]:
        """Return (the table's next nonce, what is known of those from `from_nonce` on), by nonce.

        The next nonce is 0 before the first, and at most `from_nonce` + `limit`.
        """
        nonce = tables.wallet_nonce.c
        last = sa.select(nonce.next_nonce).where(
            nonce.chain == self.chain, nonce.address == self.address
        )
        withdrawals = (
            sa.select(_w.withdrawal_id, _w.nonce, _w.stage)
            .join_from(tables.withdrawal, tables.asset)
            .where(
                tables.asset.c.chain == self.chain,
                _w.nonce >= from_nonce,
                _w.nonce < from_nonce + limit,
            )
        )
        payments = sa.select(_p.payment_id, _p.nonce, _p.state).where(
            _p.chain == self.chain,
            _p.source == self.address,
            _p.nonce >= from_nonce,
            _p.nonce < from_nonce + limit,
        )
        async with self._engine.connect() as connection:
            next_nonce = int(await connection.scalar(last) or 0)
            owners = {
                row.nonce: (withdrawal_workflow_id(str(row.withdrawal_id)), row.stage)
                for row in await connection.execute(withdrawals)
            } | {
                row.nonce: (
                    wallet_payment_workflow_id(str(row.payment_id)),
                    STAGE_OF[PaymentState(row.state)],
                )
                for row in await connection.execute(payments)
            }
            stored = await self._transactions(connection, from_nonce, limit)
        found = tuple(
            Numbered(one, owner, stage, tuple(stored.get(one, ())))
            for one in sorted({*owners, *stored})
            for owner, stage in (owners.get(one, ("", "")),)
        )
        return min(next_nonce, from_nonce + limit), found

    async def _transactions(
        self, connection: AsyncConnection, from_nonce: int, limit: int
    ) -> dict[int, list[StoredTransaction]]:
        query = (
            sa.select(tables.wallet_transaction)
            .where(
                _t.chain == self.chain,
                _t.address == self.address,
                _t.nonce >= from_nonce,
                _t.nonce < from_nonce + limit,
            )
            .order_by(_t.nonce, _t.replacement)
        )
        found: dict[int, list[StoredTransaction]] = {}
        for row in await connection.execute(query):
            found.setdefault(row.nonce, []).append(stored_transaction_of(row))
        return found
