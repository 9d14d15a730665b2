"""Adjustments as rows: proposed once, signed by officers, posted once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.adjustment import Adjustment, AdjustmentState, adjustment_workflow_id, signature_refusal
from domain.approval import Decision, Officer, VerifySignature
from domain.ledger import Posting
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import AlreadyPosted, LedgerStore, Posted

_ROW = tables.adjustment


class AdjustmentStore:
    """Each method is one transaction, with its record in the audit log."""

    def __init__(self, engine: AsyncEngine, ledger: LedgerStore, audit: AuditStore) -> None:
        self._engine = engine
        self._ledger = ledger
        self._audit = audit

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

    async def load(self, adjustment_id: str) -> tuple[Adjustment, dict[str, str]]:
        """Return the adjustment and {officer: signature, hex}; `LookupError` when there is none."""
        async with self._engine.connect() as conn:
            return await self._read(conn, adjustment_id)

    async def open(self) -> list[tuple[Adjustment, dict[str, str]]]:
        """Return what is proposed, oldest first."""
        async with self._engine.connect() as conn:
            rows = await conn.execute(
                sa.select(_ROW)
                .where(_ROW.c.state == AdjustmentState.PROPOSED)
                .order_by(_ROW.c.created_at)
            )
            return [(_adjustment(row), dict(row.signatures)) for row in rows]

    async def sign(
        self,
        adjustment_id: str,
        decision: Decision,
        officers: Mapping[str, Officer],
        verify: VerifySignature,
        now: int,
    ) -> str | None:
        """Add a signature; return why it does not count, or None when it does."""
        async with self._engine.begin() as conn:
            adjustment, signatures = await self._read(conn, adjustment_id, lock=True)
            refusal = signature_refusal(
                decision, adjustment, officers=officers, signed=signatures, now=now, verify=verify
            )
            if refusal is not None:
                return refusal
            signatures[decision.officer] = decision.signature_hex
            await self._change(conn, adjustment_id, signatures=signatures)
            await self._note(
                conn,
                adjustment,
                f"officer:{decision.officer}",
                "signed",
                {"statement": decision.statement, "signature": decision.signature_hex},
            )
        return None

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

    async def _read(
        self, conn: AsyncConnection, adjustment_id: str, *, lock: bool = False
    ) -> tuple[Adjustment, dict[str, str]]:
        query = sa.select(_ROW).where(_ROW.c.adjustment_id == UUID(adjustment_id))
        row = (await conn.execute(query.with_for_update() if lock else query)).one_or_none()
        if row is None:
            raise LookupError(f"no adjustment {adjustment_id}")
        return _adjustment(row), dict(row.signatures)

    async def _change(self, conn: AsyncConnection, adjustment_id: str, **values: Any) -> None:
        await conn.execute(
            sa.update(_ROW).where(_ROW.c.adjustment_id == UUID(adjustment_id)).values(**values)
        )

    async def _note(
        self,
        conn: AsyncConnection,
        adjustment: Adjustment,
        actor: str,
        action: str,
        detail: Mapping[str, str],
    ) -> None:
        subject = adjustment_workflow_id(adjustment.adjustment_id)
        await self._audit.append(
            conn, subject, actor, action, f"{subject}:{action}:{actor}", detail
        )


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
