"""No orphan: every business row that is not final has a running workflow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import structlog
from temporalio import activity

from activities.wallet_ports import (
    DepositRows,
    OpenShardTransfers,
    WithdrawalRows,
    WorkflowStarter,
)
from domain.deposit import DEPOSIT_WORKFLOW, DepositRequest
from domain.shard_transfer import (
    SHARD_TRANSFER_WORKFLOW,
    ShardTransferRequest,
    shard_transfer_workflow_id,
)
from domain.withdrawal import (
    CANCEL_REQUESTED,
    WITHDRAWAL_WORKFLOW,
    WithdrawalRequest,
    withdrawal_workflow_id,
)

_NAMED = 50  # a result names so many workflows; the log names all
_BEAT_SECONDS = 1.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """Sweep every `every_seconds` for `run_seconds`, reading `page` rows at a time."""

    page: int = 500
    every_seconds: int = 15
    run_seconds: int = 600


@dataclass(slots=True)
class SweepResult:
    """The last sweep: how many rows were open, what had to be started, what could not be."""

    open_rows: int = 0
    restarted: int = 0
    started: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Orphan:
    """A row that may have no workflow: what to start for it."""

    workflow: str
    workflow_id: str
    argument: object


class OrphanSweepActivities:
    """Restarts what was terminated, deleted, or never started because Temporal was away."""

    def __init__(
        self,
        withdrawals: WithdrawalRows,
        deposits: DepositRows,
        shard_transfers: OpenShardTransfers,
        starter: WorkflowStarter,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._withdrawals = withdrawals
        self._deposits = deposits
        self._shard_transfers = shard_transfers
        self._starter = starter
        self._clock = clock
        self.last_good_at: float | None = None  # when a sweep last had no error, for the heartbeat
        self.failure = ""

    @activity.defn(name="sweep_orphans")
    async def sweep(self, request: SweepRequest) -> SweepResult:
        """Sweep again and again; return early when something was started, so that it is seen.

        Nothing that a sweep meets ends the sweeping: a bad row is left to the next turn, a database
        or server that is away too.
        """
        deadline = time.monotonic() + request.run_seconds
        while True:
            result = await self._sweep_once(request.page)
            if result.restarted or time.monotonic() + request.every_seconds > deadline:
                return result
            turn = time.monotonic() + request.every_seconds
            while time.monotonic() < turn:
                activity.heartbeat(result.open_rows)
                if activity.is_worker_shutdown():
                    return result
                await asyncio.sleep(_BEAT_SECONDS)

    async def _sweep_once(self, page: int) -> SweepResult:
        result = SweepResult()
        names = []
        try:
            async for orphan in self._open_rows(page):
                activity.heartbeat(result.open_rows)
                result.open_rows += 1
                if await self._restart(orphan, result):
                    names.append(orphan.workflow_id)
            for name in await self._withdrawals.cancellations(page):
                await self._tell_cancelled(withdrawal_workflow_id(name), result)
        except Exception as error:  # noqa: BLE001 - the database is away, or something like that
            result.failed.append(f"rows not read: {error}"[:200])
        result.restarted, result.started = len(names), names[:_NAMED]
        self.failure = result.failed[0] if result.failed else ""
        if result.failed:
            _log.error("orphan_sweep_failed", failed=len(result.failed), first=self.failure)
        else:
            self.last_good_at = self._clock()
        if names:
            _log.warning("orphans restarted", workflows=names)
        return result

    async def _restart(self, orphan: _Orphan, result: SweepResult) -> bool:
        """Start the row's workflow unless it runs; what fails concerns this row only."""
        try:
            return await self._starter.ensure_running(
                orphan.workflow, orphan.workflow_id, orphan.argument
            )
        except Exception as error:  # noqa: BLE001 - one bad row never stops the rest
            if len(result.failed) < _NAMED:
                result.failed.append(f"{orphan.workflow_id}: {error}"[:200])
            return False

    async def _tell_cancelled(self, workflow_id: str, result: SweepResult) -> None:
        """Make the workflow look: the gateway may have failed to reach it on the cancellation."""
        try:
            await self._starter.signal(workflow_id, CANCEL_REQUESTED)
        except Exception as error:  # noqa: BLE001 - as for a row that cannot be restarted
            if len(result.failed) < _NAMED:
                result.failed.append(f"{workflow_id}: {error}"[:200])

    async def _open_rows(self, page: int) -> AsyncIterator[_Orphan]:
        """Yield all rows that are not final, a page at a time."""
        after: str | None = None
        while ids := await self._withdrawals.unfinished(after, page):
            for name in ids:
                request = WithdrawalRequest(name, request_id="orphan-sweep")
                yield _Orphan(WITHDRAWAL_WORKFLOW, withdrawal_workflow_id(name), request)
            after = ids[-1]
        after = None
        while ids := await self._deposits.unfinished(after, page):
            for name in ids:
                yield _Orphan(DEPOSIT_WORKFLOW, name, DepositRequest(name, "orphan-sweep"))
            after = ids[-1]
        after = None
        while ids := await self._shard_transfers.unfinished(after, page):
            for name in ids:
                transfer = ShardTransferRequest(name, "orphan-sweep")
                yield _Orphan(SHARD_TRANSFER_WORKFLOW, shard_transfer_workflow_id(name), transfer)
            after = ids[-1]
