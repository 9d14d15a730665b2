"""Histories of workflow runs, as long as the server keeps them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from domain.workflow_history import ClosedRun
from infra.temporal.runs import list_infos

_EVER = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_STATUS = "WORKFLOW_EXECUTION_STATUS_"


class WorkflowHistories:
    """What one server knows of closed runs; payloads stay as they were sent."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def closed(
        self, workflow_types: Collection[str], since: dt.datetime | None
    ) -> list[ClosedRun]:
        """Return the runs of these types that closed at `since` or later, the earliest first."""
        types = ", ".join(f"'{name}'" for name in workflow_types)
        moment = (since or _EVER).isoformat()
        query = f"WorkflowType IN ({types}) AND CloseTime >= '{moment}'"
        runs = [_closed(info) async for info in list_infos(self._client, query)]
        return sorted(runs, key=lambda run: (run.closed_at, run.run_id))

    async def run_ids(self, workflow_id: str) -> list[str]:
        """Return all runs of a workflow's id that the server still shows, open or closed."""
        name = workflow_id.replace("'", "")
        query = f"WorkflowId = '{name}'"
        return [info.execution.run_id async for info in list_infos(self._client, query)]

    async def history(self, workflow_id: str, run_id: str) -> str | None:
        """Return a run's complete history as JSON; None when it is gone."""
        handle = self._client.get_workflow_handle(workflow_id, run_id=run_id)
        try:
            return (await handle.fetch_history()).to_json()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise


def _closed(info: WorkflowExecutionInfo) -> ClosedRun:
    return ClosedRun(
        workflow_id=info.execution.workflow_id,
        run_id=info.execution.run_id,
        workflow_type=info.type.name,
        status=WorkflowExecutionStatus.Name(info.status).removeprefix(_STATUS).lower(),
        closed_at=info.close_time.ToDatetime(dt.UTC),
    )
