"""Reconciliation of one shard: started by a schedule every five minutes, one check a run."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from domain.plain_text import PlainText
from domain.reconciliation import ReconcileRequest, ReconcileResult
from workflows.search_attributes import SHARD, STAGE

RECONCILIATION_WORKFLOW = "ReconciliationWorkflow"
EVERY_SECONDS = 300  # each run is a closed workflow that is kept for months
FULL_EVERY_SECONDS = 24 * 3600
_TAKES = timedelta(minutes=10)
_FULL_TAKES = timedelta(hours=4)
CLEAN = "clean"
VIOLATED = "violated"


def reconciliation_workflow_id(shard: int, *, full: bool = False) -> str:
    """Return the schedule's id, with which its workflows' ids begin."""
    return f"reconciliation-full-{shard}" if full else f"reconciliation-{shard}"


_HALTED = "\n\n**Trading is stopped** until somebody opens the shard again."
_GATED = "\n\n**Nothing is paid out** until a run is clean."


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
            start_to_close_timeout=_FULL_TAKES if request.full else _TAKES,
            schedule_to_close_timeout=(_FULL_TAKES if request.full else _TAKES) * 1.2,
            retry_policy=RetryPolicy(
                initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=20)
            ),
            summary=PlainText(f"shard {request.shard}{', everything' if request.full else ''}"),
        )
        workflow.upsert_search_attributes(
            [STAGE.value_set(VIOLATED if result.violations else CLEAN)]
        )
        workflow.set_current_details(
            f"**{result.violations} violations** in {result.rows} rows at sequence "
            f"{result.sequence}\n\n{', '.join(result.broken)}\n\n{result.first}"
            f"{_HALTED if result.halted else ''}{_GATED if result.gated else ''}"
        )
        return result
