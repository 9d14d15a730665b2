"""An adjustment: waits for two officers' signatures, posts once, or expires."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

from domain.adjustment import (
    ADJUSTMENT_WORKFLOW,
    SIGNATURES_NEEDED,
    AdjustmentRequest,
    AdjustmentState,
    AdjustmentView,
    SignRequest,
)
from workflows.search_attributes import STAGE
from workflows.settlement import settlement_workflow_id

_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    maximum_interval=timedelta(seconds=5),
    non_retryable_error_types=["LookupError", "ValueError"],
)


@workflow.defn(name=ADJUSTMENT_WORKFLOW)
class AdjustmentWorkflow:
    """The row and its signatures decide; losing or resetting this workflow moves no money."""

    @workflow.init
    def __init__(self, request: AdjustmentRequest) -> None:
        self._request = request
        self._view = AdjustmentView("", "", "", 0, 0)
        self._retry_wanted = False
        self._failure = ""

    @workflow.run
    async def run(self, request: AdjustmentRequest) -> str:
        """Return the state in which it ended: posted or expired."""
        await self._look()
        if self._view.state == AdjustmentState.PROPOSED:
            self._show("approval")
            try:
                await workflow.wait_condition(
                    lambda: self._view.signatures >= SIGNATURES_NEEDED,
                    timeout=timedelta(seconds=self._view.seconds_left),
                )
            except asyncio.TimeoutError:  # noqa: UP041 - the SDK raises this one
                await self._step("expire_adjustment", request)
            else:
                await self._post()
            await self._look()
        self._show(self._view.state)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._view.state

    async def _post(self) -> None:
        """Post, parking while the ledger refuses; then let a parked settlement try again."""
        while True:
            self._show("post")
            try:
                await self._step("post_adjustment", self._request)
                break
            except ActivityError as error:
                self._failure = str(error.cause or error)
                self._show("failed:post")
                await workflow.wait_condition(lambda: self._retry_wanted)
                self._retry_wanted, self._failure = False, ""
        if self._view.settlement_shard is not None:
            handle = workflow.get_external_workflow_handle(
                settlement_workflow_id(self._view.settlement_shard)
            )
            try:
                await handle.signal("retry_parked")
            except ApplicationError as gone:  # people can send `retry` themselves
                workflow.logger.warning("settlement was not told: %s", gone)

    async def _look(self) -> None:
        view: AdjustmentView = await self._step(
            "load_adjustment", self._request, result_type=AdjustmentView
        )
        self._view = view

    async def _step(self, name: str, argument: object, result_type: type | None = None) -> Any:
        return await workflow.execute_activity(
            name,
            argument,
            result_type=result_type,
            start_to_close_timeout=timedelta(seconds=20),
            retry_policy=_RETRY,
            summary=name.replace("_", " "),
        )

    def _show(self, stage: str) -> None:
        workflow.upsert_search_attributes([STAGE.value_set(stage)])
        view = self._view
        workflow.set_current_details(
            f"**{stage}** - {view.kind}: {view.reason}\n\n"
            f"{view.signatures} of {SIGNATURES_NEEDED} signatures. {self._failure}"
        )

    @workflow.update(description="An officer's signed decision; made by `rialto adjust sign`")
    async def sign(self, decision: dict[str, str]) -> int:
        """Check and add a signature; return how many there are."""
        request = SignRequest(self._request.adjustment_id, decision)
        refusal = await self._step("sign_adjustment", request, result_type=str)
        if refusal:
            raise ApplicationError(refusal, type="PublicRefusal", non_retryable=True)
        await self._look()
        return self._view.signatures

    @workflow.update(description="Try to post again what the ledger refused")
    def retry(self, request: dict[str, str]) -> str:
        """Try again; the ledger's key keeps it from being posted twice."""
        self._retry_wanted = True
        return "trying again"

    @retry.validator
    def _validate_retry(self, request: dict[str, str]) -> None:
        if not self._failure:
            raise ApplicationError("nothing is parked", type="PublicRefusal", non_retryable=True)

    @workflow.signal(description="Try again if parked; without effect otherwise")
    def retry_parked(self) -> None:
        """Try again if parked."""
        self._retry_wanted = bool(self._failure)
