"""Entity workflows: one run of an id for ever; whoever ends it finds it started again."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from domain.plain_text import PlainText
from infra.temporal.schedules import TASK_TIMEOUT


@dataclass(frozen=True, slots=True)
class EntityWorkflow:
    """A workflow that must always run. `summary` and `details` are what the UI shows."""

    workflow_id: str
    workflow: str
    argument: object
    task_queue: str
    summary: str
    details: str = ""


async def ensure_entity(client: Client, wanted: EntityWorkflow) -> None:
    """Start it unless a run is open; an open one, paused or not, is left as it is."""
    await client.start_workflow(
        wanted.workflow,
        wanted.argument,
        id=wanted.workflow_id,
        task_queue=wanted.task_queue,
        task_timeout=TASK_TIMEOUT,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        static_summary=PlainText(wanted.summary),
        static_details=PlainText(wanted.details) if wanted.details else None,
    )
