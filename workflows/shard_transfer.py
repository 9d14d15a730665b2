"""One transfer between main account and shards, from the request to the other balance."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.shard_transfer import ShardTransferActivities, ShardTransferView
    from domain.shard_transfer import (
        FINAL_STATES,
        SHARD_TRANSFER_WORKFLOW,
        ShardTransferRequest,
        ShardTransferState,
        place_name,
    )
    from workflows import search_attributes as attributes
    from workflows.operations import Step, run_step
    from workflows.parking import ParkingWorkflow

_STAGES = {
    ShardTransferState.REQUESTED: "take",
    ShardTransferState.TAKING: "take",
    ShardTransferState.TAKEN: "give",
    ShardTransferState.RETURNING: "return",
}


@workflow.defn(name=SHARD_TRANSFER_WORKFLOW)
class ShardTransferWorkflow(ParkingWorkflow):
    """take -> give (-> return); the business row says where it stands."""

    @workflow.init
    def __init__(self, request: ShardTransferRequest) -> None:
        """Start empty: everything that counts is in the business row."""
        super().__init__()
        self._request = request
        self._view: ShardTransferView | None = None
        self._state = ShardTransferState.REQUESTED

    @workflow.run
    async def run(self, request: ShardTransferRequest) -> str:
        """Go from the row's state to a final one, and return it."""
        while self._view is None:
            await self._guarded("load", self._load)
        while self._state not in FINAL_STATES:
            stage = _STAGES[self._state]
            self._enter(stage)
            await self._guarded(stage, self._step)
        self._enter(self._state)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._state

    async def _load(self) -> None:
        step = Step("read the transfer's row")
        self._view = await run_step(ShardTransferActivities.load, self._request, step)
        self._state = ShardTransferState(self._view.state)
        workflow.upsert_search_attributes(
            [
                attributes.ACCOUNT_ID.value_set(str(self._view.customer_id)),
                attributes.ASSET.value_set(self._view.asset),
            ]
        )

    async def _step(self) -> None:
        assert self._view is not None
        start, end = place_name(self._view.from_shard), place_name(self._view.to_shard)
        if self._state is ShardTransferState.TAKEN:
            activity, summary = ShardTransferActivities.give, f"credit it on {end}"
        elif self._state is ShardTransferState.RETURNING:
            activity, summary = ShardTransferActivities.give_back, f"give it back to {start}"
        else:
            activity, summary = ShardTransferActivities.take, f"take it from {start}"
        step = Step(summary, heartbeat_seconds=10, run_seconds=60)
        result = await run_step(activity, self._request, step)
        self._state = ShardTransferState(result.state)
        if result.detail:
            self._lines.append(result.detail)

    async def _note(self, action: str, text: str) -> None:
        """Log it; a transfer's records are its row and the ledger's journals."""
        workflow.logger.warning("transfer %s: %s", action, text)

    def _headline(self) -> str:
        view = self._view
        if view is None:
            return "**Transfer**"
        return (
            f"**Transfer of {view.amount_text} {view.asset}** from {place_name(view.from_shard)} "
            f"to {place_name(view.to_shard)}, account {view.customer_id}"
        )
