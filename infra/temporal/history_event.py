"""Which event of a workflow's history asked for an activity."""

from __future__ import annotations

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode


async def scheduling_event(
    client: Client, workflow_id: str, run_id: str, activity_id: str
) -> int | None:
    """Return the id of the event that scheduled the activity; None when the history is gone."""
    handle = client.get_workflow_handle(workflow_id, run_id=run_id)
    try:
        async for event in handle.fetch_history_events():
            if event.activity_task_scheduled_event_attributes.activity_id == activity_id:
                return event.event_id
    except RPCError as error:
        if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
            raise
    return None
