"""Schedules and retention on the real server."""

from __future__ import annotations

import uuid

import pytest
from temporalio.client import Client, ScheduleOverlapPolicy

from domain.reconciliation import ReconcileRequest
from infra.settings import Settings
from infra.temporal.client import connect
from infra.temporal.namespace import retention_days, set_retention
from infra.temporal.schedules import ScheduledWorkflow, ensure_schedule

pytestmark = pytest.mark.servers


async def connected(temporal: str) -> Client:
    """Return a client as every process gets one."""
    return await connect(
        Settings(
            data_dir="/nowhere",
            database_url="",
            redis_url="",
            temporal_address=temporal,
            chain_url="",
        )
    )


async def test_retention_is_what_was_set(temporal: str) -> None:
    """Closed workflows are kept for as long as the setting says."""
    client = await connected(temporal)
    await set_retention(client, 45)
    assert await retention_days(client) == 45
    await set_retention(client, 90)
    assert await retention_days(client) == 90


async def test_schedule_is_made_once_and_renewed(temporal: str) -> None:
    """A second start changes the interval, and keeps an operator's pause."""
    client = await connected(temporal)
    name = f"reconciliation-{uuid.uuid4()}"
    wanted = ScheduledWorkflow(name, "ReconciliationWorkflow", ReconcileRequest(0), "nobody", 3600)
    await ensure_schedule(client, wanted)
    handle = client.get_schedule_handle(name)
    await handle.pause(note="maintenance")
    await ensure_schedule(
        client,
        ScheduledWorkflow(name, "ReconciliationWorkflow", ReconcileRequest(0), "nobody", 7200),
    )
    found = await handle.describe()
    assert found.schedule.state.paused
    assert found.schedule.spec.intervals[0].every.total_seconds() == 7200
    assert found.schedule.policy.overlap == ScheduleOverlapPolicy.SKIP
    await handle.delete()
