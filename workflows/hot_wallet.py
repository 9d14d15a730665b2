"""`hot-wallet`: one entity workflow that empties deposit addresses and keeps the bands."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.hot_wallet import HotWalletActivities
    from domain.hot_wallet import HOT_WALLET_WORKFLOW, TendRequest, TendResult
    from workflows.operations import Step, look_for_ever

_MARGIN_SECONDS = 300  # a look at very many addresses takes longer than its pause


@workflow.defn(name=HOT_WALLET_WORKFLOW)
class HotWalletWorkflow:
    """Runs the looking activity for ever; what has to be done it finds in books and bands."""

    @workflow.run
    async def run(self, request: TendRequest) -> None:
        """Look until the history is long, then go on as a new run."""
        step = Step(
            "look for what is to be swept or to go cold",
            run_seconds=request.run_seconds + _MARGIN_SECONDS,
        )
        await look_for_ever(
            HotWalletActivities.tend, request, step, self._show, request.every_seconds
        )
        workflow.continue_as_new(request)

    def _show(self, result: TendResult) -> None:
        stopped = f" Stopped: {result.stopped}." if result.stopped else ""
        failed = f" **Failed: {result.failed}.**" if result.failed else ""
        workflow.set_current_details(f"{result.planned} payments planned.{stopped}{failed}")
