"""One transfer between shards, from the customer's request to the other shard's balance."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.shard_transfer import ShardTransferActivities, ShardTransferView
    from domain.shard_transfer import (
        FINAL_STATES,
        SHARD_TRANSFER_WORKFLOW,
        ShardTransferRequest,
        ShardTransferState,
    )
    from workflows import search_attributes as attributes
    from workflows.operations import Step, run_step
    from workflows.parking import ParkingWorkflow


@workflow.defn(name=SHARD_TRANSFER_WORKFLOW)
class ShardTransferWorkflow(ParkingWorkflow):
    """take -> give; the business row says where it stands."""

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
            stage = "take" if self._state is ShardTransferState.REQUESTED else "give"
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
        if self._state is ShardTransferState.REQUESTED:
            activity, summary = ShardTransferActivities.take, "debit it on the first shard"
        else:
            activity, summary = ShardTransferActivities.give, "credit it on the second shard"
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
            return "**Transfer between shards**"
        return (
            f"**Transfer of {view.amount_text} {view.asset}** from shard {view.from_shard} to "
            f"shard {view.to_shard}, account {view.customer_id}"
        )
