"""The sweep as an entity: few runs, and ended by nobody for long."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from activities.orphan_sweep import SweepRequest, SweepResult
from infra.temporal.entities import EntityWorkflow, ensure_entity
from infra.temporal.runs import find_run
from workflows.orphan_sweep import SWEEP_WORKFLOW, OrphanSweepWorkflow

pytestmark = pytest.mark.servers
QUEUE = "orphan-sweep-test"


async def test_one_run_sweeps_on_and_comes_back_when_it_is_terminated(temporal: str) -> None:
    """The activity's errors and returns do not end the run; an operator does, for a moment."""
    client = await Client.connect(temporal, namespace="rialto")
    sweeps = 0

    @activity.defn(name="sweep_orphans")
    async def sweep(request: SweepRequest) -> SweepResult:
        nonlocal sweeps
        sweeps += 1
        if sweeps % 2:
            raise ConnectionError("the worker died")
        await asyncio.sleep(0.05)
        return SweepResult(4, 1, ["withdrawal-7"], [])

    entity = EntityWorkflow(
        f"orphan-sweep-{uuid.uuid4()}", SWEEP_WORKFLOW, SweepRequest(), QUEUE, "A test"
    )
    handle = client.get_workflow_handle(entity.workflow_id)

    async def until_swept(wanted: int) -> None:
        async with asyncio.timeout(30):
            while sweeps < wanted:  # noqa: ASYNC110 - a worker counts on
                await asyncio.sleep(0.05)

    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=[OrphanSweepWorkflow],
        activities=[sweep],
        build_id="test",
    ):
        await ensure_entity(client, entity)
        await until_swept(5)
        first = (await handle.describe()).run_id
        details = str(await handle.query("__temporal_workflow_metadata"))
        assert "4 open rows, 1 restarted." in details
        assert "withdrawal-7" in details
        await handle.terminate("a test")
        await ensure_entity(client, entity)
        assert (await handle.describe()).run_id != first
        await until_swept(sweeps + 3)
        run = await find_run(client, entity.workflow_id)
        assert run is not None
        assert run.is_open
        await handle.terminate("a test")
