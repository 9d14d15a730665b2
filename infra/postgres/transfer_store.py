"""Transfers between a customer's main account and a shard: the business row and its postings.

To trading: `open_to_trading` (row and main -> transit in one transaction), then the engine's
credit, whose event settlement posts. From trading: `open_from_trading` (the row), then the
engine's debit, settled to transit, then a posting out of transit under `transfer_key`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.ledger import JournalRequest, Posting, main, transfer_key, transfer_return_key, transit
from infra.postgres import tables
from infra.postgres.ledger_store import LedgerStore, PostResult

TO_TRADING = "to_trading"
FROM_TRADING = "from_trading"


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """Move `amount` (chain units, whole engine units) of a customer between main and `shard`.

    `cause` names what asked for it, e.g. a deposit's id.
    """

    transfer_id: UUID
    customer_id: int
    asset_id: int
    asset: str
    shard: int
    amount: int
    cause: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer's business row. `created_at_us` goes into the engine's command."""

    transfer_id: UUID
    customer_id: int
    asset_id: int
    shard: int
    direction: str
    amount: int
    cause: str
    state: str
    settled_sequence: int | None
    created_at_us: int


class TransferStore:
    """Transfer rows, inside the caller's transaction; settlement alone marks them posted."""

    def __init__(self, ledger: LedgerStore, stream: str = "wallet") -> None:
        self._ledger = ledger
        self._stream = stream

    async def open_to_trading(self, conn: AsyncConnection, request: TransferRequest) -> PostResult:
        """Write the row and post main -> transit; on InsufficientFunds the caller rolls back."""
        await self._insert(conn, request, TO_TRADING)
        posting = Posting(
            main(request.customer_id, request.asset),
            transit(request.shard, request.asset),
            request.asset,
            request.amount,
        )
        return await self._post(
            conn, transfer_key(request.transfer_id), "transfer_to_trading", posting, request
        )

    async def open_from_trading(self, conn: AsyncConnection, request: TransferRequest) -> None:
        """Write the row; money moves when the engine's debit is settled."""
        await self._insert(conn, request, FROM_TRADING)

    async def refuse_to_trading(
        self, conn: AsyncConnection, request: TransferRequest
    ) -> PostResult:
        """Give the money back after the engine refused the credit: transit -> main."""
        await self._mark_refused(conn, request.transfer_id)
        posting = Posting(
            transit(request.shard, request.asset),
            main(request.customer_id, request.asset),
            request.asset,
            request.amount,
        )
        return await self._post(
            conn, transfer_return_key(request.transfer_id), "transfer_returned", posting, request
        )

    async def refuse_from_trading(self, conn: AsyncConnection, transfer_id: UUID) -> None:
        """Record that the engine refused the debit; no money moved."""
        await self._mark_refused(conn, transfer_id)

    async def get(self, conn: AsyncConnection, transfer_id: UUID) -> Transfer | None:
        """Return the row, or None."""
        row = (
            await conn.execute(
                sa.select(tables.transfer).where(tables.transfer.c.transfer_id == transfer_id)
            )
        ).one_or_none()
        if row is None:
            return None
        return Transfer(
            transfer_id=row.transfer_id,
            customer_id=row.customer_id,
            asset_id=row.asset_id,
            shard=row.shard,
            direction=row.direction,
            amount=int(row.amount),
            cause=row.cause,
            state=row.state,
            settled_sequence=row.settled_sequence,
            created_at_us=_microseconds(row.created_at),
        )

    async def _insert(
        self, conn: AsyncConnection, request: TransferRequest, direction: str
    ) -> None:
        """Write the row unless it is there: a repeated step finds its own row."""
        await conn.execute(
            insert(tables.transfer)
            .values(
                transfer_id=request.transfer_id,
                customer_id=request.customer_id,
                asset_id=request.asset_id,
                shard=request.shard,
                direction=direction,
                amount=request.amount,
                cause=request.cause,
                state="open",
            )
            .on_conflict_do_nothing(index_elements=["transfer_id"])
        )

    async def _post(
        self,
        conn: AsyncConnection,
        key: str,
        kind: str,
        posting: Posting,
        request: TransferRequest,
    ) -> PostResult:
        return await self._ledger.post(
            conn,
            JournalRequest(
                stream=self._stream,
                key=key,
                kind=kind,
                postings=(posting,),
                detail={"transfer_id": str(request.transfer_id), "cause": request.cause},
            ),
        )

    async def _mark_refused(self, conn: AsyncConnection, transfer_id: UUID) -> None:
        row = tables.transfer.c
        await conn.execute(
            sa.update(tables.transfer)
            .where(row.transfer_id == transfer_id, row.state == "open")
            .values(state="refused")
        )


def _microseconds(at: datetime) -> int:
    """Return microseconds since 1970, exactly."""
    delta = at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
