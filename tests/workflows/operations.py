"""What an operator can do to a workflow in Temporal's UI, whatever we think of it."""

from __future__ import annotations

import uuid

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    ResetWorkflowExecutionRequest,
)
from temporalio.client import Client

OPERATIONS = (
    "terminate",
    "reset",
    pytest.param("cancel", marks=pytest.mark.long),
    pytest.param("delete", marks=pytest.mark.long),
)


async def operate(client: Client, workflow_id: str, operation: str) -> None:
    """Do it to the newest run."""
    handle = client.get_workflow_handle(workflow_id)
    match operation:
        case "terminate":
            await handle.terminate("a test")
        case "cancel":
            await handle.cancel()
        case "reset":
            await reset(client, workflow_id)
        case "delete":
            await delete(client, workflow_id)
        case _:
            raise ValueError(operation)


async def reset(client: Client, workflow_id: str) -> None:
    """Reset the newest run, open or closed, to its first workflow task."""
    handle = client.get_workflow_handle(workflow_id)
    history = await handle.fetch_history()
    completed = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    first_task = next(event.event_id for event in history.events if event.event_type == completed)
    found = await handle.describe()
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=found.id, run_id=found.run_id),
            reason="a test",
            workflow_task_finish_event_id=first_task,
            request_id=str(uuid.uuid4()),
        )
    )


async def delete(client: Client, workflow_id: str) -> None:
    """Delete the newest run with its history."""
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id),
        )
    )
