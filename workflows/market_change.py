"""A market is listed, set or delisted: two officers' signatures, one command, rows that follow."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from domain.market_change import (
        MARKET_CHANGE_WORKFLOW,
        AbandonRequest,
        Applied,
        ChangeRequest,
        ChangeResult,
        ChangeView,
        Confirmation,
    )
    from workflows.search_attributes import SYMBOL
    from workflows.two_signatures import TwoSignatures

_ATTEMPTS = 6  # some ten seconds: then people hear that the engine is away


@workflow.defn(name=MARKET_CHANGE_WORKFLOW)
class MarketChangeWorkflow(TwoSignatures):
    """The row, its signatures and the engine's key decide; a run that is lost loses nothing."""

    noun = "market_change"
    view_type = ChangeView

    @workflow.init
    def __init__(self, request: ChangeRequest) -> None:
        super().__init__(request, request.change_id)

    def _headline(self) -> str:
        view: ChangeView = self._view
        sequence = view.sequence
        return view.headline + (f". In force at sequence {sequence}" if sequence else "")

    @workflow.run
    async def run(self, request: ChangeRequest) -> ChangeResult:
        """Return how it ended, and at which sequence of its engine it took effect."""
        if await self._signed():
            applied: Applied | None = await self._guarded("engine", self._apply)
            if applied is not None and applied.sequence is not None:
                self._show("rows")
                confirmation = Confirmation(request.change_id, applied.sequence)
                await self._step("confirm_market_change", confirmation, result_type=int)
            await self._look()
        self._show(self._view.state)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return ChangeResult(self._view.state, self._view.sequence)

    async def _apply(self) -> Applied:
        found: Applied = await self._step(
            "apply_market_change", self._request, result_type=Applied, attempts=_ATTEMPTS
        )
        return found

    def _show(self, stage: str) -> None:
        workflow.upsert_search_attributes([SYMBOL.value_set(self._view.symbol)])
        super()._show(stage)

    @workflow.update(description="Give the change up, while the engine has not carried it out")
    async def abandon(self, request: dict[str, str]) -> str:
        """Close it without effect; what may have reached the engine can only be retried."""
        who = AbandonRequest(self._proposal_id, request["by"], request["reason"])
        refusal: str = await self._step("abandon_market_change", who, result_type=str)
        if refusal:
            raise ApplicationError(refusal, type="PublicRefusal", non_retryable=True)
        await self._look()
        return str(self._view.state)

    @abandon.validator
    def _validate_abandon(self, request: dict[str, str]) -> None:
        if set(request) != {"by", "reason"} or not all(map(str.strip, request.values())):
            text = "say who gives it up and why: `rialto market abandon ID --reason ...`"
            raise ApplicationError(text, type="PublicRefusal", non_retryable=True)
