"""No orphan: every business row that is not final has a running workflow, and no other has one.

A workflow outlives its row's end only where Temporal's database is an old copy: there it waits for
what has happened long ago.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog
from temporalio import activity

from activities.wallet_ports import OpenRows, WithdrawalRows, WorkflowStarter
from domain.adjustment import (
    ADJUSTMENT_QUEUE,
    ADJUSTMENT_WORKFLOW,
    AdjustmentRequest,
    adjustment_workflow_id,
)
from domain.deposit import DEPOSIT_WORKFLOW, DepositRequest
from domain.market_change import (
    MARKET_CHANGE_QUEUE,
    MARKET_CHANGE_WORKFLOW,
    ChangeRequest,
    market_change_workflow_id,
)
from domain.shard_transfer import (
    SHARD_TRANSFER_WORKFLOW,
    ShardTransferRequest,
    shard_transfer_workflow_id,
)
from domain.wallet_payment import (
    WALLET_PAYMENT_WORKFLOW,
    WalletPaymentRequest,
    wallet_payment_workflow_id,
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
    """The last sweep: how many rows were open, what had to be started or ended, what could not.

    `sent_again` are the workflows whose transactions the node had forgotten.
    """

    open_rows: int = 0
    restarted: int = 0
    started: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    sent_again: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of business row, and the workflow that each of them has; `prefix` + id is its name."""

    rows: OpenRows
    workflow: str
    prefix: str
    request: Callable[[str], object]
    task_queue: str = ""  # the wallet's own


def kinds_of(
    *,
    withdrawals: OpenRows,
    deposits: OpenRows,
    shard_transfers: OpenRows,
    wallet_payments: OpenRows,
    adjustments: OpenRows,
    market_changes: OpenRows,
) -> tuple[Kind, ...]:
    """Return all kinds of business rows that have workflows."""
    return (
        Kind(
            withdrawals,
            WITHDRAWAL_WORKFLOW,
            withdrawal_workflow_id(""),
            lambda name: WithdrawalRequest(name, request_id="orphan-sweep"),
        ),
        Kind(deposits, DEPOSIT_WORKFLOW, "", lambda name: DepositRequest(name, "orphan-sweep")),
        Kind(
            shard_transfers,
            SHARD_TRANSFER_WORKFLOW,
            shard_transfer_workflow_id(""),
            lambda name: ShardTransferRequest(name, "orphan-sweep"),
        ),
        Kind(
            wallet_payments,
            WALLET_PAYMENT_WORKFLOW,
            wallet_payment_workflow_id(""),
            WalletPaymentRequest,
        ),
        Kind(
            adjustments,
            ADJUSTMENT_WORKFLOW,
            adjustment_workflow_id(""),
            AdjustmentRequest,
            ADJUSTMENT_QUEUE,
        ),
        Kind(
            market_changes,
            MARKET_CHANGE_WORKFLOW,
            market_change_workflow_id(""),
            ChangeRequest,
            MARKET_CHANGE_QUEUE,
        ),
    )


class OrphanSweepActivities:
    """Restarts what was terminated, deleted, or never started because Temporal was away."""

    def __init__(
        self,
        kinds: Sequence[Kind],
        withdrawals: WithdrawalRows,
        starter: WorkflowStarter,
        send_again: Callable[[], Awaitable[list[str]]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._kinds = kinds
        self._withdrawals = withdrawals
        self._starter = starter
        self._send_again = send_again
        self._clock = clock
        self._overdue: set[tuple[str, str]] = set()  # runs whose rows were final at the last sweep
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
            if (
                result.restarted
                or result.ended
                or result.sent_again
                or time.monotonic() + request.every_seconds > deadline
            ):
                return result
            turn = time.monotonic() + request.every_seconds
            while time.monotonic() < turn:
                activity.heartbeat(result.open_rows)
                if activity.is_worker_shutdown():
                    return result
                await asyncio.sleep(_BEAT_SECONDS)

    async def _sweep_once(self, page: int) -> SweepResult:
        result = SweepResult()
        names: list[str] = []
        overdue: set[tuple[str, str]] = set()
        try:
            for kind in self._kinds:
                names += await self._start_missing(kind, page, result)
                overdue |= await self._overdue_of(kind)
            for name in await self._withdrawals.cancellations(page):
                await self._tell_cancelled(withdrawal_workflow_id(name), result)
        except Exception as error:  # noqa: BLE001 - the database is away, or something like that
            result.failed.append(f"rows not read: {error}"[:200])
        await self._end(overdue & self._overdue, result)
        self._overdue = overdue
        result.sent_again = await self._sent_again()
        result.restarted, result.started = len(names), names[:_NAMED]
        self.failure = result.failed[0] if result.failed else ""
        if result.failed:
            _log.error("orphan_sweep_failed", failed=len(result.failed), first=self.failure)
        else:
            self.last_good_at = self._clock()
        if names:
            _log.warning("orphans restarted", workflows=names)
        return result

    async def _sent_again(self) -> list[str]:
        """Send what the node has forgotten; one that is away has an alarm of its own."""
        try:
            return (await self._send_again())[:_NAMED]
        except Exception as error:  # noqa: BLE001 - the node is away, or something like that
            _log.warning("nonces_not_looked_at", error=str(error)[:200])
            return []

    async def _start_missing(self, kind: Kind, page: int, result: SweepResult) -> list[str]:
        """Start a workflow for each row of a kind that has none, a page at a time."""
        started = []
        after: str | None = None
        while ids := await kind.rows.unfinished(after, page):
            for name in ids:
                activity.heartbeat(result.open_rows)
                result.open_rows += 1
                if await self._restart(kind, name, result):
                    started.append(kind.prefix + name)
            after = ids[-1]
        return started

    async def _restart(self, kind: Kind, name: str, result: SweepResult) -> bool:
        """Start the row's workflow unless it runs; what fails concerns this row only."""
        workflow_id = kind.prefix + name
        try:
            return await self._starter.ensure_running(
                kind.workflow, workflow_id, kind.request(name), kind.task_queue
            )
        except Exception as error:  # noqa: BLE001 - one bad row never stops the rest
            self._note(result, workflow_id, error)
            return False

    async def _overdue_of(self, kind: Kind) -> set[tuple[str, str]]:
        """Return the open runs of a kind whose rows are final."""
        runs = await self._starter.open_runs(kind.workflow)
        names = [workflow_id.removeprefix(kind.prefix) for workflow_id, _ in runs]
        final = await kind.rows.final(names) if names else set()
        return {run for run, name in zip(runs, names, strict=True) if name in final}

    async def _end(self, overdue: set[tuple[str, str]], result: SweepResult) -> None:
        """End runs whose rows were final a turn ago already: one that is just ending is left."""
        for workflow_id, run_id in sorted(overdue):
            try:
                await self._starter.end(workflow_id, run_id, "its business row is final")
            except Exception as error:  # noqa: BLE001 - as for a row that cannot be restarted
                self._note(result, workflow_id, error)
            else:
                _log.warning("workflow ended: its row is final", workflow=workflow_id)
                result.ended = [*result.ended, workflow_id][:_NAMED]

    async def _tell_cancelled(self, workflow_id: str, result: SweepResult) -> None:
        """Make the workflow look: the gateway may have failed to reach it on the cancellation."""
        try:
            await self._starter.signal(workflow_id, CANCEL_REQUESTED)
        except Exception as error:  # noqa: BLE001 - as for a row that cannot be restarted
            self._note(result, workflow_id, error)

    @staticmethod
    def _note(result: SweepResult, workflow_id: str, error: Exception) -> None:
        if len(result.failed) < _NAMED:
            result.failed.append(f"{workflow_id}: {error}"[:200])
