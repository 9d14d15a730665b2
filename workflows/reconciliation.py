"""Reconciliation of one shard: started by a schedule every five minutes, one check a run."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from domain.reconciliation import ReconcileRequest, ReconcileResult
from workflows.search_attributes import SHARD, STAGE

RECONCILIATION_WORKFLOW = "ReconciliationWorkflow"
EVERY_SECONDS = 300  # each run is a closed workflow that is kept for months
CLEAN = "clean"
VIOLATED = "violated"


def reconciliation_workflow_id(shard: int) -> str:
    """Return the schedule's id, with which its workflows' ids begin."""
    return f"reconciliation-{shard}"


@workflow.defn(name=RECONCILIATION_WORKFLOW)
class ReconciliationWorkflow:
    """One comparison of engine, ledger and wallet at the settlement cursor."""

    @workflow.run
    async def run(self, request: ReconcileRequest) -> ReconcileResult:
        """Check; find runs with violations by `Stage = 'violated'`."""
        workflow.upsert_search_attributes(
            [SHARD.value_set(request.shard), STAGE.value_set("checking")]
        )
        result: ReconcileResult = await workflow.execute_activity(
            "reconcile",
            request,
            result_type=ReconcileResult,
            start_to_close_timeout=timedelta(minutes=10),
            schedule_to_close_timeout=timedelta(minutes=12),
            retry_policy=RetryPolicy(
                initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=20)
            ),
            summary=f"shard {request.shard}",
        )
        workflow.upsert_search_attributes(
            [STAGE.value_set(VIOLATED if result.violations else CLEAN)]
        )
        workflow.set_current_details(
            f"**{result.violations} violations** in {result.rows} rows at sequence "
            f"{result.sequence}\n\n{', '.join(result.broken)}\n\n{result.first}"
        )
        return result
