"""`hot-wallet`: one entity workflow that empties deposit addresses and keeps the bands."""

from __future__ import annotations

import asyncio
import datetime as dt

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.hot_wallet import HotWalletActivities
    from domain.hot_wallet import HOT_WALLET_WORKFLOW, TendRequest
    from domain.plain_text import PlainText

_MARGIN_SECONDS = 300  # a look at very many addresses takes longer than its pause


@workflow.defn(name=HOT_WALLET_WORKFLOW)
class HotWalletWorkflow:
    """Runs the looking activity for ever; what has to be done it finds in books and bands."""

    @workflow.run
    async def run(self, request: TendRequest) -> None:
        """Look until the history is long, then go on as a new run."""
        while not workflow.info().is_continue_as_new_suggested():
            try:
                result = await workflow.execute_activity_method(
                    HotWalletActivities.tend,
                    request,
                    start_to_close_timeout=dt.timedelta(
                        seconds=request.run_seconds + _MARGIN_SECONDS
                    ),
                    heartbeat_timeout=dt.timedelta(seconds=10),
                    retry_policy=RetryPolicy(
                        initial_interval=dt.timedelta(seconds=1),
                        maximum_interval=dt.timedelta(seconds=15),
                    ),
                    summary=PlainText("look for what is to be swept or to go cold"),
                )
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                workflow.logger.error("not looked: %s", error.cause)
                await asyncio.sleep(request.every_seconds)
                continue
            stopped = f" Stopped: {result.stopped}." if result.stopped else ""
            failed = f" **Failed: {result.failed}.**" if result.failed else ""
            workflow.set_current_details(f"{result.planned} payments planned.{stopped}{failed}")
        workflow.continue_as_new(request)
