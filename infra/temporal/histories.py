"""Histories of workflow runs, as long as the server keeps them."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Collection

from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from domain.workflow_history import ClosedRun

_PAGE = 500
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
        runs = [_closed(info) async for info in self._found(query)]
        return sorted(runs, key=lambda run: (run.closed_at, run.run_id))

    async def run_ids(self, workflow_id: str) -> list[str]:
        """Return all runs of a workflow's id that the server still shows, open or closed."""
        name = workflow_id.replace("'", "")
        return [info.execution.run_id async for info in self._found(f"WorkflowId = '{name}'")]

    async def history(self, workflow_id: str, run_id: str) -> str | None:
        """Return a run's complete history as JSON; None when it is gone."""
        handle = self._client.get_workflow_handle(workflow_id, run_id=run_id)
        try:
            return (await handle.fetch_history()).to_json()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise

    async def _found(self, query: str) -> AsyncIterator[WorkflowExecutionInfo]:
        token = b""
        while True:
            answer = await self._client.workflow_service.list_workflow_executions(
                ListWorkflowExecutionsRequest(
                    namespace=self._client.namespace,
                    page_size=_PAGE,
                    next_page_token=token,
                    query=query,
                )
            )
            for info in answer.executions:
                yield info
            token = answer.next_page_token
            if not token:
                return


def _closed(info: WorkflowExecutionInfo) -> ClosedRun:
    return ClosedRun(
        workflow_id=info.execution.workflow_id,
        run_id=info.execution.run_id,
        workflow_type=info.type.name,
        status=WorkflowExecutionStatus.Name(info.status).removeprefix(_STATUS).lower(),
        closed_at=info.close_time.ToDatetime(dt.UTC),
    )
