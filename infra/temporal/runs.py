"""Looking at workflow runs without the SDK's list of statuses.

The server knows statuses that the SDK does not (a run that was paused in the UI), and the SDK
raises `ValueError` on one such run among thousands. What counts here is only whether it is open.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsRequest,
    DescribeWorkflowExecutionRequest,
    ListWorkflowExecutionsRequest,
)
from temporalio.client import Client
from temporalio.common import TypedSearchAttributes
from temporalio.converter import decode_typed_search_attributes
from temporalio.service import RPCError, RPCStatusCode

OPEN = "ExecutionStatus IN ('Running', 'Paused')"
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Run:
    """One run as the server shows it; `paused` by the UI's or the server's own pause."""

    workflow_id: str
    run_id: str
    workflow_type: str
    is_open: bool
    paused: bool
    attributes: TypedSearchAttributes
    started_at: str


async def find_run(client: Client, workflow_id: str) -> Run | None:
    """Return the newest run of the id; None when the server knows none."""
    request = DescribeWorkflowExecutionRequest(
        namespace=client.namespace, execution=WorkflowExecution(workflow_id=workflow_id)
    )
    try:
        answer = await client.workflow_service.describe_workflow_execution(request)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    return _run(answer.workflow_execution_info)


async def list_runs(client: Client, query: str) -> AsyncIterator[Run]:
    """Yield what `query` finds; `RPCError` of status INVALID_ARGUMENT when it makes no sense."""
    async for info in list_infos(client, query):
        yield _run(info)


async def list_infos(client: Client, query: str) -> AsyncIterator[WorkflowExecutionInfo]:
    """Yield what `query` finds in the server's own words, page by page; errors as `list_runs`."""
    token = b""
    while True:
        answer = await client.workflow_service.list_workflow_executions(
            ListWorkflowExecutionsRequest(
                namespace=client.namespace, page_size=_PAGE, next_page_token=token, query=query
            )
        )
        for info in answer.executions:
            yield info
        token = answer.next_page_token
        if not token:
            return


async def count_runs(client: Client, query: str) -> int:
    """Return how many runs `query` finds."""
    answer = await client.workflow_service.count_workflow_executions(
        CountWorkflowExecutionsRequest(namespace=client.namespace, query=query)
    )
    return answer.count


def _run(info: WorkflowExecutionInfo) -> Run:
    return Run(
        workflow_id=info.execution.workflow_id,
        run_id=info.execution.run_id,
        workflow_type=info.type.name,
        is_open=not info.HasField("close_time"),
        paused=info.status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED,
        attributes=decode_typed_search_attributes(info.search_attributes),
        started_at=info.start_time.ToDatetime().isoformat() + "+00:00",
    )
