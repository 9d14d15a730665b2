"""What `./rialto up --once` asks about perpetuals: whether liquidations are over and recorded."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from domain.events import EventType
from domain.liquidation_story import (
    CLOSING_WORKFLOW,
    DELEVERAGING_WORKFLOW,
    LIQUIDATION_WORKFLOW,
)
from infra.postgres import tables
from infra.temporal.client import connect
from infra.temporal.runs import OPEN, list_runs
from workers import engine_admin

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from infra.settings import Settings

WAIT_SECONDS = 90.0
SURE_AFTER_SECONDS = 120  # in a run as long as that, the demo liquidates, deleverages and funds
_LOOK_SECONDS = 0.5
_KINDS = (LIQUIDATION_WORKFLOW, DELEVERAGING_WORKFLOW, CLOSING_WORKFLOW)
_COUNTED = {
    "liquidations": EventType.SCOPE_FROZEN,
    "takeovers": EventType.TAKEN_OVER,
    "adl_fills": EventType.DELEVERAGED,
    "funding_batches": EventType.FUNDING_SETTLED,
    "funding_payments": EventType.FUNDING_PAID,
}
_SURE = ("liquidations", "adl_fills", "funding_batches")


async def until_nobody_is_liquidated(settings: Settings, first: int) -> list[str]:
    """Wait until all who were frozen since `first` are free and no workflow is open.

    Return in words what did not end.
    """
    client = await connect(settings)
    kinds = ", ".join(f"'{kind}'" for kind in _KINDS)
    deadline = time.monotonic() + WAIT_SECONDS
    events: Counter[EventType] = Counter()
    reached = first
    while True:
        last = (await engine_admin.status_of(settings)).durable_sequence
        events += await engine_admin.count_events(settings, 0, reached, last)
        reached = last
        frozen = events[EventType.SCOPE_FROZEN] - events[EventType.SCOPE_UNFROZEN]
        found = [
            run.workflow_id
            async for run in list_runs(client, f"{OPEN} AND WorkflowType IN ({kinds})")
        ]
        if frozen <= 0 and not found:
            return []
        if time.monotonic() > deadline:
            open_ones = [f"{name} is still open" for name in found]
            return open_ones or [f"{frozen} accounts are still frozen"]
        await asyncio.sleep(_LOOK_SECONDS)


async def counted(
    database: AsyncEngine, events: Counter[EventType], first: int, last: int
) -> dict[str, int]:
    """Return what shard 0 did with perpetuals in the commands after `first` up to `last`.

    `liquidation_records` are the rows of the liquidations that were begun then.
    """
    row = tables.liquidation.c
    query = sa.select(sa.func.count()).where(
        row.shard == 0, row.frozen_sequence > first, row.frozen_sequence <= last
    )
    async with database.connect() as connection:
        records = int(await connection.scalar(query) or 0)
    found = {name: events[kind] for name, kind in _COUNTED.items()}
    return {**found, "liquidation_records": records}


def problems_of(found: dict[str, Any], seconds: int) -> list[str]:
    """Return what does not hold, in words."""
    problems = []
    if found["liquidation_records"] != found["liquidations"]:
        problems.append(
            f"{found['liquidations']} liquidations, {found['liquidation_records']} are recorded"
        )
    if seconds >= SURE_AFTER_SECONDS:
        problems += [f"there were no {name}" for name in _SURE if not found[name]]
    return problems
