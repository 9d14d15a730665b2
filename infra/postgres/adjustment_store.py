"""Adjustments as rows: proposed once, signed by officers, posted once."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.adjustment import Adjustment, AdjustmentState, adjustment_workflow_id
from domain.ledger import Posting
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import AlreadyPosted, LedgerStore, Posted
from infra.postgres.signed_rows import SignedRows

_ROW = tables.adjustment


class AdjustmentStore(SignedRows[Adjustment]):
    """Each method is one transaction, with its record in the audit log."""

    _table = _ROW
    _id = _ROW.c.adjustment_id

    def __init__(self, engine: AsyncEngine, ledger: LedgerStore, audit: AuditStore) -> None:
        super().__init__(engine, audit)
        self._ledger = ledger

    def _of(self, row: Any) -> Adjustment:
        return _adjustment(row)

    def _subject(self, proposal: Adjustment) -> str:
        return adjustment_workflow_id(proposal.adjustment_id)

    async def propose(self, proposed: Adjustment) -> None:
        """Write a proposal down; it moves nothing."""
        async with self._engine.begin() as conn:
            await conn.execute(
                sa.insert(_ROW).values(
                    adjustment_id=UUID(proposed.adjustment_id),
                    postings=[
                        [p.source, p.destination, p.asset, str(p.amount)] for p in proposed.postings
                    ],
                    reason=proposed.reason,
                    event=proposed.event,
                    expiry=proposed.expiry,
                    proposed_by=proposed.proposed_by,
                    state=proposed.state,
                )
            )
            await self._note(
                conn,
                proposed,
                f"staff:{proposed.proposed_by}",
                "proposed",
                {"statement": proposed.statement()},
            )

    async def post(self, adjustment_id: str) -> str | None:
        """Post it, once; return why the ledger refuses, or None."""
        async with self._engine.begin() as conn:
            adjustment, signatures = await self._read(conn, adjustment_id, lock=True)
            if adjustment.state is not AdjustmentState.PROPOSED:
                return None
            result = await self._ledger.post(conn, adjustment.request(signatures))
            if not isinstance(result, Posted | AlreadyPosted):
                return str(result)
            await self._change(conn, adjustment_id, state=AdjustmentState.POSTED)
            await self._note(conn, adjustment, "ledger", "posted", {"key": adjustment.key})
        return None

    async def expire(self, adjustment_id: str) -> None:
        """Close a proposal that nobody signed in time; one that is posted stays so."""
        async with self._engine.begin() as conn:
            adjustment, _ = await self._read(conn, adjustment_id, lock=True)
            if adjustment.state is AdjustmentState.PROPOSED:
                await self._change(conn, adjustment_id, state=AdjustmentState.EXPIRED)
                await self._note(conn, adjustment, "workflow", "expired", {})


def _adjustment(row: Any) -> Adjustment:
    return Adjustment(
        adjustment_id=str(row.adjustment_id),
        postings=tuple(
            Posting(source, target, asset, int(amount))
            for source, target, asset, amount in row.postings
        ),
        reason=row.reason,
        event=row.event,
        expiry=row.expiry,
        proposed_by=row.proposed_by,
        state=AdjustmentState(row.state),
    )
