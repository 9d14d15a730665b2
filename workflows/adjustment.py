"""An adjustment: waits for two officers' signatures, posts once, or expires."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from domain.adjustment import ADJUSTMENT_WORKFLOW, AdjustmentRequest, AdjustmentView
from workflows.settlement import settlement_workflow_id
from workflows.two_signatures import TwoSignatures


@workflow.defn(name=ADJUSTMENT_WORKFLOW)
class AdjustmentWorkflow(TwoSignatures):
    """The row and its signatures decide; losing or resetting this workflow moves no money."""

    noun = "adjustment"
    view_type = AdjustmentView

    @workflow.init
    def __init__(self, request: AdjustmentRequest) -> None:
        super().__init__(request, request.adjustment_id)

    def _headline(self) -> str:
        return str(self._view.kind)

    @workflow.run
    async def run(self, request: AdjustmentRequest) -> str:
        """Return the state in which it ended: posted or expired."""
        if await self._signed():
            await self._guarded("post", lambda: self._step("post_adjustment", request))
            await self._release_settlement()
            await self._look()
        self._show(self._view.state)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return str(self._view.state)

    async def _release_settlement(self) -> None:
        """Let the parked settlement that it corrects try again."""
        if self._view.settlement_shard is None:
            return
        handle = workflow.get_external_workflow_handle(
            settlement_workflow_id(self._view.settlement_shard)
        )
        try:
            await handle.signal("retry_parked")
        except ApplicationError as gone:  # people can send `retry` themselves
            workflow.logger.warning("settlement was not told: %s", gone)
