"""The child that deleverages one market of a liquidation: a pass through the ranked other side."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.auto_deleveraging import DeleveragingActivities
    from domain.liquidation_story import (
        DELEVERAGING_WORKFLOW,
        DeleverageRequest,
        DeleverageResult,
        story_of,
    )
    from workflows import search_attributes as attributes
    from workflows.operations import Step, run_step
    from workflows.parking import ParkingWorkflow


@workflow.defn(name=DELEVERAGING_WORKFLOW)
class AutoDeleveragingWorkflow(ParkingWorkflow):
    """One pass; its parent decides what comes next. A step that cannot go on parks."""

    @workflow.init
    def __init__(self, request: DeleverageRequest) -> None:
        """Start empty: what was closed is in the engine's log."""
        super().__init__()
        self._stage = "begin"
        self._request = request
        self._result: DeleverageResult | None = None

    @workflow.run
    async def run(self, request: DeleverageRequest) -> DeleverageResult:
        """Return who was closed, who was passed over, and what is left."""
        account = str(request.liquidation.account_id)
        workflow.upsert_search_attributes(
            [
                attributes.ACCOUNT_ID.value_set(account),
                attributes.SYMBOL.value_set(str(request.symbol_id)),
                attributes.SHARD.value_set(request.liquidation.shard),
            ]
        )
        self._enter("deleveraging")
        while self._result is None:
            await self._guarded("deleveraging", self._pass)
        self._enter(self._result.ended)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._result

    async def _pass(self) -> None:
        step = Step("close against the ranked other side", heartbeat_seconds=10, run_seconds=600)
        self._result = await run_step(DeleveragingActivities.deleverage, self._request, step)
        self._lines = story_of(self._result.steps)

    def _headline(self) -> str:
        return (
            f"**Auto-deleveraging of market {self._request.symbol_id}** for the liquidation of "
            f"{self._request.liquidation.name}"
        )

    async def _note(self, action: str, text: str) -> None:
        workflow.logger.warning("auto-deleveraging %s: %s", action, text)
