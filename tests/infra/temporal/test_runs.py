"""Runs as the server shows them, paused ones among them."""

from __future__ import annotations

import uuid

import pytest
from temporalio.api.workflowservice.v1 import PauseWorkflowExecutionRequest
from temporalio.client import Client

from infra.temporal.entities import EntityWorkflow, ensure_entity
from infra.temporal.runs import OPEN, count_runs, find_run, list_runs
from tests.infra.temporal.test_schedules import connected

pytestmark = pytest.mark.servers


async def pause(client: Client, workflow_id: str) -> None:
    await client.workflow_service.pause_workflow_execution(
        PauseWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_id=workflow_id,
            identity="operator",
            reason="a look",
            request_id=str(uuid.uuid4()),
        )
    )


async def test_paused_run_is_open_and_is_left_alone(temporal: str) -> None:
    """Found, listed, counted; an entity that is paused is not started beside it."""
    client = await connected(temporal)
    entity = EntityWorkflow(f"entity-{uuid.uuid4()}", "Nothing", 1, "nobody", "A test")
    assert await find_run(client, entity.workflow_id) is None
    await ensure_entity(client, entity)
    await pause(client, entity.workflow_id)
    await ensure_entity(client, entity)
    found = await find_run(client, entity.workflow_id)
    assert found is not None
    assert (found.is_open, found.paused, found.workflow_type) == (True, True, "Nothing")

    query = f"{OPEN} AND WorkflowId = '{entity.workflow_id}'"
    listed: list[bool] = []
    while not listed:  # search follows a moment later
        listed = [run.paused async for run in list_runs(client, query)]
    assert listed == [True]
    assert await count_runs(client, query) == 1


async def test_entity_that_was_ended_is_started_again(temporal: str) -> None:
    """Terminated is closed; the next look starts another."""
    client = await connected(temporal)
    entity = EntityWorkflow(f"entity-{uuid.uuid4()}", "Nothing", 1, "nobody", "A test")
    await ensure_entity(client, entity)
    handle = client.get_workflow_handle(entity.workflow_id)
    await handle.terminate("a test")
    found = await find_run(client, entity.workflow_id)
    assert found is not None
    assert not found.is_open
    await ensure_entity(client, entity)
    found = await find_run(client, entity.workflow_id)
    assert found is not None
    assert found.is_open
    await handle.terminate("a test")
