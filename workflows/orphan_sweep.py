"""`orphan-sweep`: one entity workflow that restarts the workflows of business rows without one.

An entity and not a schedule: every run of a schedule is a closed workflow that is kept for months,
thousands a day. Whoever terminates it finds it running again after seconds.
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.orphan_sweep import OrphanSweepActivities, SweepRequest, SweepResult
    from workflows.operations import Step, look_for_ever

SWEEP_WORKFLOW = "OrphanSweepWorkflow"
SWEEP_ID = "orphan-sweep"
SWEEP_SUMMARY = "Starts a workflow for every business row that is open and has none"
_MARGIN_SECONDS = 600  # a sweep of very many rows takes longer than its pause


@workflow.defn(name=SWEEP_WORKFLOW)
class OrphanSweepWorkflow:
    """Runs the sweeping activity for ever; what has to be done it finds in the rows."""

    @workflow.run
    async def run(self, request: SweepRequest) -> None:
        """Sweep until the history is long, then go on as a new run."""
        step = Step(
            "start what has no running workflow", run_seconds=request.run_seconds + _MARGIN_SECONDS
        )
        await look_for_ever(
            OrphanSweepActivities.sweep, request, step, self._show, request.every_seconds
        )
        workflow.continue_as_new(request)

    def _show(self, result: SweepResult) -> None:
        started = "".join(f"\n- started {name}" for name in result.started)
        ended = "".join(f"\n- ended {name}: its row is final" for name in result.ended)
        sent = "".join(f"\n- sent again: {name}" for name in result.sent_again)
        failed = "".join(f"\n- **failed** {text}" for text in result.failed)
        workflow.set_current_details(
            f"{result.open_rows} open rows, {result.restarted} restarted."
            f"{started}{ended}{sent}{failed}"
        )
