"""One deposit, from the first sight of its transaction to the trading balance."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.deposit import DepositActivities, DepositResult, DepositView
    from domain.deposit import DEPOSIT_WORKFLOW, FINAL_STATES, DepositRequest, DepositState
    from workflows import search_attributes as attributes
    from workflows.operations import Step, run_step
    from workflows.parking import ParkingWorkflow

_STAGES = {
    DepositState.SEEN: "announce",
    DepositState.PENDING: "confirm",
    DepositState.POSTED: "credit",
}


@workflow.defn(name=DEPOSIT_WORKFLOW)
class DepositWorkflow(ParkingWorkflow):
    """announce -> confirm and post -> credit; the business row says where it stands."""

    @workflow.init
    def __init__(self, request: DepositRequest) -> None:
        """Start empty: everything that counts is in the business row."""
        super().__init__()
        self._request = request
        self._view: DepositView | None = None
        self._state = DepositState.SEEN

    @workflow.run
    async def run(self, request: DepositRequest) -> DepositResult:
        """Go from the row's state to a final one."""
        while self._view is None:
            await self._guarded("load", self._load)
        while self._state not in FINAL_STATES:
            if workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished():
                workflow.continue_as_new(request)
            stage = _STAGES[self._state]
            self._enter(stage)
            await self._guarded(stage, self._step)
        self._enter(self._state)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return DepositResult(self._state)

    async def _load(self) -> None:
        view = await run_step(DepositActivities.load, self._request, Step("read the deposit's row"))
        self._view = view
        self._state = DepositState(view.state)
        owner = "hot wallet" if view.customer_id is None else str(view.customer_id)
        workflow.upsert_search_attributes(
            [
                attributes.ACCOUNT_ID.value_set(owner),
                attributes.ASSET.value_set(view.asset),
            ]
        )

    async def _step(self) -> None:
        if self._state is DepositState.SEEN:
            activity, step = DepositActivities.announce, Step("show it as pending")
        elif self._state is DepositState.PENDING:
            assert self._view is not None
            activity = DepositActivities.confirm
            depth = self._view.required_confirmations
            step = Step(
                f"wait for {depth} confirmations, then post", heartbeat_seconds=10, run_seconds=330
            )
        else:
            activity = DepositActivities.credit
            step = Step("move it to the trading balance", heartbeat_seconds=10, run_seconds=60)
        result = await run_step(activity, self._request, step)
        self._state = DepositState(result.state)
        if result.detail:
            self._lines.append(result.detail)

    async def _note(self, action: str, text: str) -> None:
        """Log it; a deposit's audit records are those of its states."""
        workflow.logger.warning("deposit %s: %s", action, text)

    def _headline(self) -> str:
        view = self._view
        if view is None:
            return "**Deposit**"
        owner = "hot wallet" if view.customer_id is None else f"account {view.customer_id}"
        return f"**Deposit of {view.amount_text} {view.asset}**, {owner}"
