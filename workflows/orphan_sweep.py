"""Run by a schedule: restart the workflows of business rows that have none."""

from __future__ import annotations

import datetime as dt

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from activities.orphan_sweep import OrphanSweepActivities, SweepRequest, SweepResult

SWEEP_SCHEDULE = "orphan-sweep"
SWEEP_WORKFLOW = "OrphanSweepWorkflow"
SWEEP_EVERY_SECONDS = 15


@workflow.defn(name=SWEEP_WORKFLOW)
class OrphanSweepWorkflow:
    """One sweep; the schedule starts the next."""

    @workflow.run
    async def run(self, request: SweepRequest) -> SweepResult:
        """Sweep once; what fails is left to the next turn."""
        result = await workflow.execute_activity_method(
            OrphanSweepActivities.sweep,
            request,
            start_to_close_timeout=dt.timedelta(seconds=60),
            retry_policy=RetryPolicy(maximum_attempts=2),
            summary="start what has no running workflow",
        )
        names = "".join(f"\n- {name}" for name in result.started)
        workflow.set_current_details(
            f"{result.open_rows} open rows, {len(result.started)} restarted.{names}"
        )
        return result
