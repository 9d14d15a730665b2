"""What the worker looks after on a real Temporal server."""

from __future__ import annotations

import uuid

import pytest
from temporalio.client import Client

from domain.reconciliation import ReconcileRequest
from infra.temporal.entities import EntityWorkflow
from infra.temporal.namespace import retention_days, set_retention
from infra.temporal.runs import find_run
from infra.temporal.schedules import (
    ScheduledWorkflow,
    ScheduleState,
    ensure_schedule,
    schedule_state,
)
from tests.infra.temporal.test_runs import pause
from tests.infra.temporal.test_schedules import connected
from workers.wiring import Wiring
from workers.worker_care import WorkerCare

pytestmark = pytest.mark.servers


def _wiring(**more: object) -> Wiring:
    return Wiring(task_queue="wallet", workflows=(), activities=(), **more)  # type: ignore[arg-type]


def _schedule() -> ScheduledWorkflow:
    name = f"reconciliation-{uuid.uuid4()}"
    return ScheduledWorkflow(name, "ReconciliationWorkflow", ReconcileRequest(0), "nobody", 3600)


async def _forget(client: Client, name: str) -> None:
    await client.get_schedule_handle(name).delete()


async def test_what_is_missing_is_made_again_and_again(temporal: str) -> None:
    """A deleted schedule, a terminated entity and another retention are all put right."""
    client = await connected(temporal)
    schedule, old = _schedule(), _schedule()
    entity = EntityWorkflow(f"entity-{uuid.uuid4()}", "Nothing", 1, "nobody", "A test")
    await ensure_schedule(client, old)
    care = WorkerCare(
        client,
        [_wiring(entities=[entity], schedules=[schedule], retired=[old.schedule_id])],
        days=60,
    )
    for _ in range(2):
        await care.round(with_schedules=True)
        run = await find_run(client, entity.workflow_id)
        assert run is not None
        assert run.is_open
        assert await schedule_state(client, schedule.schedule_id) is ScheduleState.ACTIVE
        assert await schedule_state(client, old.schedule_id) is ScheduleState.MISSING
        assert await retention_days(client) == 60
        await _forget(client, schedule.schedule_id)
        await client.get_workflow_handle(entity.workflow_id).terminate("a test")
        await set_retention(client, 1)
    await set_retention(client, 90)
    assert care.detail() == {"attention": {}, "parked": 0}


async def test_people_are_told_what_needs_them(temporal: str) -> None:
    """Paused, parked, failing and unreachable: each with its words, and gone when it is well."""
    client = await connected(temporal)
    schedule = _schedule()
    entity = EntityWorkflow(f"entity-{uuid.uuid4()}", "Nothing", 1, "nobody", "A test")
    said: list[str] = []
    care = WorkerCare(
        client,
        [
            _wiring(
                entities=[entity],
                schedules=[schedule],
                concerns=lambda: said,
                parked=f"WorkflowId = '{entity.workflow_id}'",
            )
        ],
        days=90,
    )
    await care.round(with_schedules=True)
    await pause(client, entity.workflow_id)
    await client.get_schedule_handle(schedule.schedule_id).pause(note="maintenance")
    said.append("the orphan sweep fails")
    detail: dict[str, object] = {}
    while detail.get("parked") != 1:  # search follows a moment later
        await care.round(with_schedules=True)
        detail = care.detail()
    reason = dict(detail["attention"])["wallet"]  # type: ignore[call-overload]
    assert f"{entity.workflow_id} is paused" in reason
    assert "1 parked" in reason
    assert f"the schedule {schedule.schedule_id} is paused" in reason
    assert "the orphan sweep fails" in reason
    await _forget(client, schedule.schedule_id)
    await client.get_workflow_handle(entity.workflow_id).terminate("a test")
