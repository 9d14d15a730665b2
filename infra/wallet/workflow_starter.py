"""Starting workflows for business rows that exist already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from domain.deposit import DEPOSIT_SUMMARY, DEPOSIT_WORKFLOW
from domain.plain_text import PlainText
from domain.shard_transfer import SHARD_TRANSFER_SUMMARY, SHARD_TRANSFER_WORKFLOW
from domain.wallet_payment import WALLET_PAYMENT_SUMMARY, WALLET_PAYMENT_WORKFLOW
from domain.withdrawal import WITHDRAWAL_SUMMARY, WITHDRAWAL_WORKFLOW
from infra.temporal.runs import OPEN, find_run, list_runs
from infra.temporal.schedules import TASK_TIMEOUT

_SUMMARIES = {
    WITHDRAWAL_WORKFLOW: WITHDRAWAL_SUMMARY,
    DEPOSIT_WORKFLOW: DEPOSIT_SUMMARY,
    SHARD_TRANSFER_WORKFLOW: SHARD_TRANSFER_SUMMARY,
    WALLET_PAYMENT_WORKFLOW: WALLET_PAYMENT_SUMMARY,
}
WALLET_DETAILS = (
    "The business row in the database says where it stands; a run that was terminated, reset or "
    "deleted is taken up from there by the workflow `orphan-sweep`. A step that cannot go on "
    "shows as Stage `failed:...` and waits for the update `retry`."
)


class TemporalStarter:
    """Connects when it is first needed, so that Temporal may start later than we do."""

    def __init__(self, connect: Callable[[], Awaitable[Client]], task_queue: str) -> None:
        self._connect = connect
        self._task_queue = task_queue
        self._client: Client | None = None

    async def ensure_running(
        self, workflow: str, workflow_id: str, request: object, task_queue: str = ""
    ) -> bool:
        """Start `workflow` unless a run of this id is open; return whether one was started.

        A closed run is no obstacle: the row is not final, so it needs another. What runs twice
        acts once, by the row's state. A paused one is open: an operator wants it so.
        """
        client = await self._connected()
        found = await find_run(client, workflow_id)
        if found is not None and found.is_open:
            return False
        await client.start_workflow(
            workflow,
            request,
            id=workflow_id,
            task_queue=task_queue or self._task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            task_timeout=TASK_TIMEOUT,
            static_summary=PlainText(_SUMMARIES[workflow]) if workflow in _SUMMARIES else None,
            static_details=PlainText(WALLET_DETAILS),
        )
        return True

    async def signal(self, workflow_id: str, name: str) -> None:
        """Send an argument-free signal; a workflow that has ended meanwhile needs none."""
        client = await self._connected()
        with _ended_meanwhile():
            await client.get_workflow_handle(workflow_id).signal(name)

    async def open_runs(self, workflow: str) -> list[tuple[str, str]]:
        """Return (workflow id, run id) of the open runs of this type."""
        runs = list_runs(await self._connected(), f"{OPEN} AND WorkflowType = '{workflow}'")
        return [(run.workflow_id, run.run_id) async for run in runs]

    async def end(self, workflow_id: str, run_id: str, reason: str) -> None:
        """Terminate a run, for a reason that the UI shows."""
        client = await self._connected()
        with _ended_meanwhile():
            await client.get_workflow_handle(workflow_id, run_id=run_id).terminate(reason=reason)

    async def _connected(self) -> Client:
        if self._client is None:
            self._client = await self._connect()
        return self._client


@contextmanager
def _ended_meanwhile() -> Iterator[None]:
    """Let pass that the workflow is not there any more."""
    try:
        yield
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
