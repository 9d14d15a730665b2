"""What staff do with adjustments, for the command line: propose, sign, list."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.adjustment import (
    ADJUSTMENT_QUEUE,
    ADJUSTMENT_WORKFLOW,
    Adjustment,
    AdjustmentRequest,
    AdjustmentState,
    adjustment_workflow_id,
    proposal_refusal,
)
from domain.approval import Decision
from domain.instrument import Asset
from domain.ledger import Posting
from domain.money import DecimalTextError
from infra.postgres import tables
from infra.postgres.adjustment_store import AdjustmentStore
from infra.postgres.audit_store import AuditStore
from infra.postgres.engine import create
from infra.postgres.ledger_store import LedgerStore
from infra.settings import Settings
from infra.temporal.client import connect
from infra.temporal.entities import EntityWorkflow, ensure_entity
from workers.officer_desk import DeskError, login
from workers.signing_desk import hand_over, signed_decision

VALID_SECONDS = 24 * 3600


def store_of(engine: AsyncEngine) -> AdjustmentStore:
    """Return the rows of adjustments."""
    return AdjustmentStore(engine, LedgerStore(), AuditStore())


async def posting_of(
    engine: AsyncEngine, source: str, target: str, asset: str, amount: str
) -> Posting:
    """Return the posting of an amount in decimal text; `DeskError` says what makes no sense."""
    async with engine.connect() as conn:
        row = (
            await conn.execute(sa.select(tables.asset).where(tables.asset.c.code == asset.upper()))
        ).one_or_none()
    if row is None:
        raise DeskError(f"there is no asset {asset}")
    listed = Asset(row.asset_id, row.code, row.chain_decimals, row.engine_decimals)
    try:
        return Posting(source, target, listed.code, listed.chain_units(amount))
    except (DecimalTextError, ValueError) as error:
        raise DeskError(str(error)) from error


async def propose(
    engine: AsyncEngine,
    settings: Settings,
    postings: tuple[Posting, ...],
    reason: str,
    event: str,
    by: str = "",
    address: str = "",
) -> Adjustment:
    """Write a proposal down and start its workflow; it moves nothing by itself.

    `by` proposes it; default: who works on this machine. `address` is whom a return pays.
    """
    proposed = Adjustment(
        adjustment_id=str(uuid4()),
        postings=postings,
        reason=reason.strip(),
        event=event,
        expiry=int(time.time()) + VALID_SECONDS,
        proposed_by=by or login(),
        address=address,
    )
    refusal = proposal_refusal(proposed)
    if refusal is not None:
        raise DeskError(refusal)
    await store_of(engine).propose(proposed)
    await ensure_running(settings, proposed)
    return proposed


async def ensure_running(settings: Settings, adjustment: Adjustment) -> None:
    """Start the adjustment's workflow unless it runs: the row is what counts."""
    await ensure_entity(
        await connect(settings),
        EntityWorkflow(
            workflow_id=adjustment_workflow_id(adjustment.adjustment_id),
            workflow=ADJUSTMENT_WORKFLOW,
            argument=AdjustmentRequest(adjustment.adjustment_id),
            task_queue=ADJUSTMENT_QUEUE,
            summary=f"{adjustment.kind}: two signatures, one journal",
        ),
    )


async def load(engine: AsyncEngine, adjustment_id: str) -> Adjustment:
    """Return the adjustment that somebody is about to sign."""
    try:
        return (await store_of(engine).load(adjustment_id))[0]
    except (LookupError, ValueError) as error:
        raise DeskError(f"there is no adjustment {adjustment_id}") from error


async def sign(settings: Settings, officer: str, adjustment: Adjustment) -> int:
    """Sign with the officer's key and hand it to the workflow; return the signatures so far."""
    return await deliver(settings, adjustment, signed_decision(settings, officer, adjustment))


async def deliver(settings: Settings, adjustment: Adjustment, decision: Decision) -> int:
    """Hand a signature to the adjustment's workflow; return how many there are."""
    await ensure_running(settings, adjustment)
    workflow_id = adjustment_workflow_id(adjustment.adjustment_id)
    try:
        return await hand_over(settings, workflow_id, decision)
    except DeskError as error:
        raise DeskError(await _ended(settings, adjustment.adjustment_id) or str(error)) from error


async def _ended(settings: Settings, adjustment_id: str) -> str:
    """Return how the adjustment has ended, "" while it is open.

    The workflow of one that has ended ends as well, with or without hearing a late signature:
    what it would have answered is in the row.
    """
    engine = create(settings.database_url, pool_size=1)
    try:
        state = (await load(engine, adjustment_id)).state
    finally:
        await engine.dispose()
    return "" if state is AdjustmentState.PROPOSED else f"the adjustment is {state}"


def as_json(adjustment: Adjustment, signed_by: list[str]) -> dict[str, Any]:
    """Return an adjustment for JSON."""
    return {
        "adjustment_id": adjustment.adjustment_id,
        "kind": adjustment.kind,
        "state": adjustment.state,
        "reason": adjustment.reason,
        "event": adjustment.event,
        "address": adjustment.address,
        "expiry": adjustment.expiry,
        "proposed_by": adjustment.proposed_by,
        "signed_by": signed_by,
        "statement": adjustment.statement(),
    }
