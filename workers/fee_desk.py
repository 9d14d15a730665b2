"""What staff see of volumes and fee tiers, for the command line."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.fee_tiers import REFERENCE_ASSET, WINDOW_DAYS, TierRequest
from domain.money import text_from_units
from infra.postgres import tables
from infra.postgres.fee_tier_store import FeeTierStore
from infra.settings import Settings
from infra.temporal.client import connect
from infra.temporal.schedules import TASK_TIMEOUT
from workflows import task_queues
from workflows.fee_tiers import FEE_TIERS_ID, FEE_TIERS_WORKFLOW


async def assessment(engine: AsyncEngine, day: dt.date | None) -> dict[str, Any] | None:
    """Return a day's assessment, or the newest; None where there is none."""
    store = FeeTierStore(engine)
    found = await store.day(day)
    if found is None:
        return None
    asset = tables.asset.c
    query = sa.select(asset.engine_decimals).where(asset.code == REFERENCE_ASSET)
    async with engine.connect() as conn:
        decimals = int(await conn.scalar(query) or 0)
    customers = [
        {
            "customer_id": row["customer_id"],
            "name": row["name"],
            "volume": text_from_units(row["volume_units"], decimals),
            "tier": row["tier"],
        }
        for row in await store.customers(dt.date.fromisoformat(found["day"]))
    ]
    return {
        **found,
        "window_days": WINDOW_DAYS,
        "volume_asset": REFERENCE_ASSET,
        "customers": customers,
    }


async def assess_now(settings: Settings) -> None:
    """Run today's assessment, as the schedule does, and wait for its end."""
    client = await connect(settings)
    await client.execute_workflow(
        FEE_TIERS_WORKFLOW,
        TierRequest(),
        id=f"{FEE_TIERS_ID}-by-hand-{uuid4()}",
        task_queue=task_queues.SETTLEMENT,
        task_timeout=TASK_TIMEOUT,
        execution_timeout=dt.timedelta(minutes=10),
    )
