"""No orphan: every business row that is not final has a running workflow."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from temporalio import activity

from activities.wallet_ports import DepositRows, WithdrawalRows, WorkflowStarter
from domain.deposit import DEPOSIT_WORKFLOW, DepositRequest
from domain.withdrawal import WITHDRAWAL_WORKFLOW, WithdrawalRequest, withdrawal_workflow_id

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """How many rows of each kind to look at."""

    limit: int = 500


@dataclass(frozen=True, slots=True)
class SweepResult:
    """How many rows were open, and which workflows had to be started."""

    open_rows: int
    started: list[str]


class OrphanSweepActivities:
    """Restarts what was terminated, deleted, or never started because Temporal was away."""

    def __init__(
        self, withdrawals: WithdrawalRows, deposits: DepositRows, starter: WorkflowStarter
    ) -> None:
        self._withdrawals = withdrawals
        self._deposits = deposits
        self._starter = starter

    @activity.defn(name="sweep_orphans")
    async def sweep(self, request: SweepRequest) -> SweepResult:
        """Start a workflow for each open row that has none running."""
        started = []
        withdrawals = await self._withdrawals.unfinished(request.limit)
        for withdrawal_id in withdrawals:
            workflow_id = withdrawal_workflow_id(withdrawal_id)
            argument = WithdrawalRequest(withdrawal_id, request_id="orphan-sweep")
            if await self._starter.ensure_running(WITHDRAWAL_WORKFLOW, workflow_id, argument):
                started.append(workflow_id)
        deposits = await self._deposits.unfinished(request.limit)
        for deposit_id in deposits:
            deposit = DepositRequest(deposit_id, request_id="orphan-sweep")
            if await self._starter.ensure_running(DEPOSIT_WORKFLOW, deposit_id, deposit):
                started.append(deposit_id)
        if started:
            _log.warning("orphans restarted", workflows=started)
        return SweepResult(len(withdrawals) + len(deposits), started)
