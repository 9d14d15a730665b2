"""Adjustments as rows: proposed once, signed by officers, posted once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.adjustment import Adjustment, AdjustmentState, adjustment_workflow_id
from domain.deposit import IN_SUSPENSE_STATES, DepositState
from domain.ledger import Posting, posted
from domain.wallet_payment import PaymentKind, PaymentState
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import AlreadyPosted, LedgerStore, Posted
from infra.postgres.signed_rows import SignedRows

_ROW = tables.adjustment


class AdjustmentStore(SignedRows[Adjustment]):
    """Each method is one transaction, with its record in the audit log.

    `hot_address` pays returns; "" where the store posts none.
    """

    _table = _ROW
    _id = _ROW.c.adjustment_id

    def __init__(
        self, engine: AsyncEngine, ledger: LedgerStore, audit: AuditStore, hot_address: str = ""
    ) -> None:
        super().__init__(engine, audit)
        self._ledger = ledger
        self._hot_address = hot_address

    def _of(self, row: Any) -> Adjustment:
        return adjustment_of(row)

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
                    address=proposed.address,
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
            if adjustment.deposit_id:
                refusal = await self._take_out(conn, adjustment)
                if refusal is not None:
                    return refusal
            result = await self._ledger.post(conn, adjustment.request(signatures))
            if not isinstance(result, Posted | AlreadyPosted):
                await conn.rollback()
                return str(result)
            await self._change(conn, adjustment_id, state=AdjustmentState.POSTED)
            if adjustment.address:
                await self._plan_return(conn, adjustment)
            await self._note(conn, adjustment, "ledger", "posted", {"key": adjustment.key})
            if adjustment.deposit_id:
                await self._note_deposit(conn, adjustment, signatures)
        return None

    async def _take_out(self, conn: AsyncConnection, adjustment: Adjustment) -> str | None:
        """Mark the deposit as released or returning; return why it is not to be, or None.

        What the ledger refuses afterwards rolls this back with everything else.
        """
        row = tables.deposit.c
        mine = row.deposit_id == adjustment.deposit_id
        found = (
            await conn.execute(
                sa.select(row.state, row.amount, row.turns, row.sender)
                .where(mine)
                .with_for_update()
            )
        ).one_or_none()
        if found is None:
            return f"there is no {adjustment.deposit_id}"
        if found.state not in IN_SUSPENSE_STATES:
            return f"{adjustment.deposit_id} is {found.state}, not in suspense"
        if found.turns % 2:
            return f"{adjustment.deposit_id} is not in the chain any more"
        if int(found.amount) != adjustment.postings[0].amount:
            return f"{adjustment.deposit_id} is of {found.amount} units, and goes whole"
        if adjustment.address not in ("", found.sender):
            return f"{adjustment.deposit_id} was not sent by {adjustment.address}"
        if adjustment.address and not self._hot_address:
            return "no hot wallet is known here"
        await conn.execute(
            sa.update(tables.deposit)
            .where(mine)
            .values(state=_state_after(adjustment), updated_at=sa.func.now())
        )
        return None

    async def _plan_return(self, conn: AsyncConnection, adjustment: Adjustment) -> None:
        """Write down the payment to the sender, under the adjustment's id; a sweep starts it."""
        row, (posting,) = tables.deposit.c, adjustment.postings
        found = (
            await conn.execute(
                sa.select(row.chain, row.asset_id).where(row.deposit_id == adjustment.deposit_id)
            )
        ).one()
        await conn.execute(
            sa.insert(tables.wallet_payment).values(
                payment_id=UUID(adjustment.adjustment_id),
                kind=PaymentKind.RETURN,
                chain=found.chain,
                source=self._hot_address,
                destination=adjustment.address,
                asset_id=found.asset_id,
                amount=posting.amount,
                state=PaymentState.PLANNED,
            )
        )

    async def _note_deposit(
        self, conn: AsyncConnection, adjustment: Adjustment, signatures: Mapping[str, str]
    ) -> None:
        await self._audit.append(
            conn,
            adjustment.deposit_id,
            "ledger",
            _state_after(adjustment),
            f"{adjustment.deposit_id}:{_state_after(adjustment)}{_once(adjustment)}",
            {
                "adjustment": adjustment.adjustment_id,
                "reason": adjustment.reason,
                "signed_by": sorted(signatures),
                **posted(adjustment.request(signatures)),
            },
        )

    async def expire(self, adjustment_id: str) -> None:
        """Close a proposal that nobody signed in time; one that is posted stays so."""
        async with self._engine.begin() as conn:
            adjustment, _ = await self._read(conn, adjustment_id, lock=True)
            if adjustment.state is AdjustmentState.PROPOSED:
                await self._change(conn, adjustment_id, state=AdjustmentState.EXPIRED)
                await self._note(conn, adjustment, "workflow", "expired", {})


def _state_after(adjustment: Adjustment) -> DepositState:
    """Return where its deposit stands once it is posted."""
    return DepositState.RETURNING if adjustment.address else DepositState.RELEASED


def _once(adjustment: Adjustment) -> str:
    """Return what tells the records of returns apart, of which one that failed is tried again."""
    return f":{adjustment.adjustment_id}" if adjustment.address else ""


def adjustment_of(row: Any) -> Adjustment:
    """Return the adjustment of a row."""
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
        address=row.address,
    )
