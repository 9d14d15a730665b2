"""Settlement of one shard: `settlement-{shard}`, one entity workflow that never ends.

It runs a bounded activity again and again. What is settled is the ledger's to know (its cursor),
so losing, repeating or resetting this workflow moves no money.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

from domain.plain_text import PlainText
from domain.settlement import (
    BEYOND_REPETITION,
    HaltRequest,
    OperatorRequest,
    SettlementState,
    SettleRequest,
    SettleResult,
)
from workflows.search_attributes import LAG, SHARD, STAGE

SETTLEMENT_WORKFLOW = "SettlementWorkflow"
SETTLING = "settling"
PAUSED = "paused"
FAILED = "failed:settle"

_LAG_WORTH_SHOWING = 100
_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    backoff_coefficient=2,
    maximum_interval=timedelta(seconds=2),
    non_retryable_error_types=BEYOND_REPETITION,
)
_HALT_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=10)
)


def settlement_workflow_id(shard: int) -> str:
    """Return the workflow's id."""
    return f"settlement-{shard}"


@workflow.defn(name=SETTLEMENT_WORKFLOW)
class SettlementWorkflow:
    """Keep the ledger at the engine's heels; park where a rule is broken."""

    @workflow.init
    def __init__(self, state: SettlementState) -> None:
        self._state = state
        self._stage = ""
        self._shown_lag = -1
        self._retry_wanted = False

    @workflow.run
    async def run(self, state: SettlementState) -> None:
        """Settle until the history is long, then go on as a new run with the same state."""
        workflow.upsert_search_attributes([SHARD.value_set(state.shard)])
        while True:
            await self._wait_until_runnable()
            self._show(SETTLING)
            await self._settle_once()
            if workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(self._state)

    async def _wait_until_runnable(self) -> None:
        """Return when nobody paused it and nothing is broken."""
        if self._state.pause_reason:
            self._show(PAUSED)
            await workflow.wait_condition(lambda: not self._state.pause_reason)
        if self._state.failure:
            self._show(FAILED)
            await workflow.wait_condition(lambda: self._retry_wanted)
            self._retry_wanted = False
            self._state = replace(self._state, failure="")

    async def _settle_once(self) -> None:
        shard = self._state.shard
        try:
            result: SettleResult = await workflow.execute_activity(
                "settle",
                SettleRequest(shard),
                result_type=SettleResult,
                start_to_close_timeout=timedelta(seconds=60),
                heartbeat_timeout=timedelta(seconds=3),
                retry_policy=_RETRY,
                summary=PlainText(f"shard {shard} after {self._state.settled_sequence}"),
            )
        except ActivityError as error:
            await self._park(error)
            return
        self._state = replace(
            self._state,
            settled_sequence=result.to_sequence,
            trades=self._state.trades + result.trades,
            lag=result.lag,
            digest=result.digest or self._state.digest,
        )

    async def _park(self, error: ActivityError) -> None:
        """Remember what cannot be settled, and stop trading until people have looked at it."""
        cause = error.cause
        if not isinstance(cause, ApplicationError):
            workflow.logger.error("settlement failed: %s", cause)
            await asyncio.sleep(1)
            return
        self._state = replace(self._state, failure=f"{cause.type}: {cause.message}")
        self._show(FAILED)
        workflow.logger.error("settlement is parked: %s", self._state.failure)
        try:
            await workflow.execute_activity(
                "halt_shard",
                HaltRequest(self._state.shard, self._state.failure),
                start_to_close_timeout=timedelta(seconds=10),
                schedule_to_close_timeout=timedelta(minutes=1),
                retry_policy=_HALT_RETRY,
                summary=PlainText("stop trading"),
            )
        except ActivityError as not_halted:
            workflow.logger.error("the shard could not be halted: %s", not_halted.cause)

    def _show(self, stage: str) -> None:
        """Publish stage and lag; only changes become history events."""
        state = self._state
        lag = state.lag if state.lag >= _LAG_WORTH_SHOWING else 0
        if stage != self._stage:
            workflow.upsert_search_attributes([STAGE.value_set(stage)])
            self._stage = stage
        if lag != self._shown_lag:
            workflow.upsert_search_attributes([LAG.value_set(lag)])
            self._shown_lag = lag
        lines = [
            f"**{stage}** - shard {state.shard}",
            f"- settled up to sequence {state.settled_sequence}, {state.trades} trades",
            f"- lag {state.lag} commands",
            f"- last journal hash `{state.digest or '-'}`",
        ]
        if state.pause_reason:
            lines.append(f"- paused: {state.pause_reason}")
        if state.failure:
            lines.append(f"- **parked**: {state.failure}")
            lines.append("- repair the cause, then send the update `retry`")
        workflow.set_current_details("\n".join(lines))

    # ---- what operators may do ------------------------------------------------------------------

    @workflow.query(description="Where settlement stands")
    def state(self) -> SettlementState:
        """Return the state."""
        return self._state

    @workflow.update(description='Try the failed batch again: {"reason": "..."}')
    def retry(self, request: OperatorRequest) -> str:
        """Try the failed batch again."""
        workflow.logger.info("retry: %s", request.reason)
        self._retry_wanted = True
        return "trying again"

    @retry.validator
    def _validate_retry(self, request: OperatorRequest) -> None:
        _require_reason(request)
        if not self._state.failure:
            raise ApplicationError(
                "nothing to retry: settlement is not parked", type="PublicNotParked"
            )

    @workflow.signal(description="Try again if parked; without effect otherwise")
    def retry_parked(self) -> None:
        """Try again if parked: the batch button and `rialto ops retry` send this to many."""
        self._retry_wanted = bool(self._state.failure)

    @workflow.update(description='Stop settling after the running batch: {"reason": "..."}')
    def pause(self, request: OperatorRequest) -> str:
        """Stop after the running activity; the engine goes on up to its lag bound."""
        self._state = replace(self._state, pause_reason=request.reason)
        return "pausing"

    @pause.validator
    def _validate_pause(self, request: OperatorRequest) -> None:
        _require_reason(request)
        if self._state.pause_reason:
            raise ApplicationError("already paused", type="PublicAlreadyPaused")

    @workflow.update(description='Go on settling: {"reason": "..."}')
    def resume(self, request: OperatorRequest) -> str:
        """Go on after a pause."""
        workflow.logger.info("resume: %s", request.reason)
        self._state = replace(self._state, pause_reason="")
        return "resumed"

    @resume.validator
    def _validate_resume(self, request: OperatorRequest) -> None:
        _require_reason(request)
        if not self._state.pause_reason:
            raise ApplicationError("not paused", type="PublicNotPaused")


def _require_reason(request: OperatorRequest) -> None:
    if not request.reason.strip():
        raise ApplicationError("a reason is needed", type="PublicReasonMissing")
