"""One liquidation, from the freeze to a scope that is flat or safe again.

The engine's freeze is the fence and the business row: it has cancelled the scope's orders, and
until the scope is released nothing but this reduces it; whoever froze it may have taken the first
step, and says so in the argument. The activity `advance_liquidation` goes as far as it can; the
workflow waits, has a market deleveraged by a child, asks officers about a shortfall, and has the
record written. Only the record needs PostgreSQL, and nobody waits for it longer than a minute.

Both activities are tried within the workflow's task first: an ordinary liquidation is one task.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass, field, replace

from temporalio import workflow
from temporalio.common import RetryPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, ChildWorkflowError, is_cancelled_exception
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.liquidation import LiquidationActivities
    from activities.liquidation_record import LiquidationRecordActivities
    from activities.shortfall import ShortfallActivities
    from domain.liquidation_story import (
        CLOSING_WORKFLOW,
        DELEVERAGING_WORKFLOW,
        LIQUIDATION_WORKFLOW,
        Advanced,
        AdvanceRequest,
        DeleverageRequest,
        DeleverageResult,
        LiquidationRecord,
        LiquidationRequest,
        LiquidationResult,
        RoundState,
        StepRecord,
        closing_workflow_id,
        deleveraging_workflow_id,
        money,
        state_after,
        story_of,
    )
    from domain.plain_text import PlainText
    from domain.shortfall import VALID_SECONDS, Restriction, Shortfall, ShortfallSignature
    from domain.two_signatures import SIGNATURES_NEEDED
    from workflows import search_attributes as attributes
    from workflows.operations import Step, run_step, run_within_task
    from workflows.parking import ParkingWorkflow, refusal

PAUSE_SECONDS = 5
LEDGER_SECONDS = 60
FIRST_STAGE = "liquidating"
RECORD_STAGE = "record"
_ADVANCE_SECONDS, _RECORD_SECONDS = 3.0, 2.0  # within a task, whose own time is ten seconds
_MOST_RETURNS = 10  # to a fund that could take over, and then does not


@dataclass(frozen=True)
class LiquidationStart:
    """The workflow's argument: the liquidation, and where an earlier run of it has come to."""

    request: LiquidationRequest
    state: RoundState = field(default_factory=RoundState)
    steps: list[StepRecord] = field(default_factory=list)
    began_us: int = 0


@workflow.defn(name=LIQUIDATION_WORKFLOW)
class LiquidationWorkflow(ParkingWorkflow):
    """advance -> (wait | pause | auto-deleveraging | shortfall)* -> record."""

    @workflow.init
    def __init__(self, start: LiquidationStart) -> None:
        """Start where the argument says; what counts is in the engine."""
        super().__init__()
        known = workflow.info().typed_search_attributes
        self._stage = known.get(attributes.STAGE) or "frozen"
        self._request = start.request
        self._state = start.state
        self._steps = list(start.steps)
        self._began_us = start.began_us or int(workflow.now().timestamp() * 1_000_000)
        self._advanced: Advanced | None = None
        self._shortfall: Shortfall | None = None
        self._signatures: dict[str, str] = {}
        self._signed: dict[str, str] = {}  # of all rounds, for the record
        self._returns = 0
        self._is_quick = True
        self._restricted = ""
        self._why = ""
        self._recording: asyncio.Task[int] | None = None
        self._has_to_end = False

    @workflow.run
    async def run(self, start: LiquidationStart) -> LiquidationResult:
        """Return how it ended, and whether the ledger has it already."""
        if not workflow.info().typed_search_attributes.get(attributes.ACCOUNT_ID):
            workflow.upsert_search_attributes(
                [
                    attributes.ACCOUNT_ID.value_set(str(self._request.account_id)),
                    attributes.SHARD.value_set(self._request.shard),
                ]
            )
        while True:
            if workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished():
                workflow.continue_as_new(
                    LiquidationStart(self._request, self._state, self._steps, self._began_us)
                )
            self._enter(FIRST_STAGE)
            self._advanced = None
            while self._advanced is None:
                await self._guarded(FIRST_STAGE, self._advance)
            match self._advanced.next_stage:
                case "released" | "over":
                    break
                case "later":
                    self._say("later", self._advanced.why)
                    await workflow.sleep(
                        PAUSE_SECONDS, summary=PlainText("until the next round of slices")
                    )
                case "waiting":
                    self._is_quick = False
                    self._say("waiting", self._advanced.why)
                case "refused":
                    self._say("waiting", self._advanced.why)
                    await workflow.sleep(PAUSE_SECONDS, summary=PlainText(self._advanced.why))
                case "deleveraging":
                    await self._deleverage(self._advanced.symbol_id)
        return await self._close(self._advanced.next_stage)

    # ---- steps --------------------------------------------------------------------------------

    async def _advance(self) -> None:
        """Reduce the scope; what waits, or has just failed, does so in an activity of its own."""
        request = AdvanceRequest(self._request, self._state)
        summary = f"reduce the scope, from step {self._state.number}"
        found = None
        if self._is_quick:
            found = await run_within_task(
                LiquidationActivities.advance, request, summary, _ADVANCE_SECONDS
            )
        if found is None:
            found = await run_step(
                LiquidationActivities.advance, request, Step(summary, None, 120, 10)
            )
        self._is_quick = True
        self._state = found.state
        self._steps += found.steps
        self._advanced = found
        self._tell()

    async def _deleverage(self, symbol_id: int) -> None:
        """Have a child close the position against the ranked other side."""
        self._say("auto-deleveraging", f"market {symbol_id}")
        workflow.upsert_search_attributes([attributes.SYMBOL.value_set(str(symbol_id))])
        before = self._state
        request = DeleverageRequest(
            self._request, symbol_id, before.round, before.number, before.last_sequence
        )
        try:
            found: DeleverageResult = await workflow.execute_child_workflow(
                DELEVERAGING_WORKFLOW,
                request,
                id=deleveraging_workflow_id(self._request.liquidation_id, symbol_id),
                result_type=DeleverageResult,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                parent_close_policy=ParentClosePolicy.REQUEST_CANCEL,
                static_summary=PlainText(f"Deleverage market {symbol_id} for {self._request.name}"),
            )
        except ChildWorkflowError as error:  # somebody ended it: what it did is in the log
            self._why = f"the child ended: {type(error.cause or error).__name__}"
            self._state = replace(before, round=before.round + 1)
            await workflow.sleep(
                PAUSE_SECONDS, summary=PlainText("the child was ended; it is begun anew")
            )
            return
        self._steps += found.steps
        self._state = state_after(before, symbol_id, found)
        self._tell()
        await self._after(symbol_id, found)

    async def _after(self, symbol_id: int, found: DeleverageResult) -> None:
        match found.ended:
            case "fund":
                self._returns += 1
                if self._returns >= _MOST_RETURNS:
                    self._say("later", "the fund could take over, and does not")
                    await workflow.sleep(
                        PAUSE_SECONDS, summary=PlainText("the fund could take over")
                    )
            case "held":
                self._say("waiting", found.why)
                await workflow.sleep(PAUSE_SECONDS, summary=PlainText(found.why))
            case "shortfall":
                await self._ask_officers(symbol_id, found.left_lots)
            case _:
                pass

    async def _ask_officers(self, symbol_id: int, left_lots: int) -> None:
        """Restrict the market, then wait until two officers have signed that it goes on."""
        liquidation_id, round_ = self._request.liquidation_id, self._state.round
        restriction = Restriction(self._request.shard, symbol_id, liquidation_id, round_)
        self._enter("shortfall")

        self._restricted = ""

        async def restrict() -> None:
            self._restricted = await run_step(
                ShortfallActivities.restrict, restriction, Step("restrict the market")
            )

        while not self._restricted:
            await self._guarded("shortfall", restrict)
        self._why = f"Market {symbol_id} is {self._restricted}."
        while len(self._signatures) < SIGNATURES_NEEDED:
            self._shortfall = self._proposal(symbol_id, left_lots)
            self._signatures = {}
            self._enter("failed:shortfall")
            self._tell(
                f"**Parked: shortfall.** {left_lots} lots of market {symbol_id} are left and "
                "nobody can take them.",
                "What to do: give the fund cash or wait for counterparties, "
                f"then two officers sign: `rialto liquidation sign {self._request.name} "
                "--officer NAME`. Runbook: docs/runbooks/liquidation-parked.md.",
            )
            try:
                await workflow.wait_condition(
                    lambda: len(self._signatures) >= SIGNATURES_NEEDED,
                    timeout=dt.timedelta(seconds=VALID_SECONDS),
                    timeout_summary=PlainText("then the statement to sign is renewed"),
                )
            except asyncio.TimeoutError:  # noqa: UP041 - the SDK raises this one
                continue
        self._signed |= {f"{name}:{round_}": text for name, text in self._signatures.items()}
        self._signatures, self._shortfall = {}, None
        self._state = replace(self._state, fund_refused=[], early=[])

    def _proposal(self, symbol_id: int, left_lots: int) -> Shortfall:
        after = next((step.after for step in reversed(self._steps) if step.after), None)
        return Shortfall(
            self._request.liquidation_id,
            self._request.name,
            symbol_id,
            left_lots,
            after.equity_units if after else 0,
            self._state.round,
            int(workflow.now().timestamp()) + VALID_SECONDS,
        )

    async def _close(self, ended: str) -> LiquidationResult:
        """Have the record written; whoever has waited a minute leaves it to another workflow."""
        record = LiquidationRecord(
            self._request,
            ended,
            self._began_us,
            int(workflow.now().timestamp() * 1_000_000),
            self._state.last_sequence or self._request.frozen_sequence,
            self._signed,
            self._steps,
        )
        summary = f"write the record of {len(record.steps)} steps"
        settled = await run_within_task(
            LiquidationRecordActivities.write, record, summary, _RECORD_SECONDS
        )
        if settled is None:
            self._enter(RECORD_STAGE)
        is_written = settled is not None or await self._recorded(record, summary)
        ledger = "settled" if is_written else "pending"
        if not is_written:
            await workflow.start_child_workflow(
                CLOSING_WORKFLOW,
                record,
                id=closing_workflow_id(self._request.liquidation_id),
                parent_close_policy=ParentClosePolicy.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                static_summary=PlainText(f"Record of the liquidation of {self._request.name}"),
            )
        self._enter("done")
        self._tell(f"It ended: {ended}. Ledger: {ledger}.")
        await workflow.wait_condition(workflow.all_handlers_finished)
        return LiquidationResult(ended, len(self._steps), record.last_sequence, ledger)

    async def _recorded(self, record: LiquidationRecord, summary: str) -> bool:
        """Return whether the database has the record, and the ledger the money, within a minute."""
        self._recording = workflow.start_activity_method(
            LiquidationRecordActivities.write,
            record,
            schedule_to_close_timeout=dt.timedelta(seconds=LEDGER_SECONDS),
            start_to_close_timeout=dt.timedelta(seconds=LEDGER_SECONDS),
            heartbeat_timeout=dt.timedelta(seconds=15),
            retry_policy=RetryPolicy(
                initial_interval=dt.timedelta(seconds=1), maximum_interval=dt.timedelta(seconds=15)
            ),
            summary=PlainText(summary),
        )
        if self._has_to_end:
            self._recording.cancel()
        try:
            await self._recording
        except ActivityError as error:
            if is_cancelled_exception(error) and not self._has_to_end:
                raise
            return False
        except asyncio.CancelledError:
            if not self._has_to_end:
                raise
            return False
        return True

    # ---- handlers -----------------------------------------------------------------------------

    @workflow.signal(description="The scope is frozen anew: leave the record to another workflow")
    def hand_over(self, liquidation_id: str) -> None:
        """End without waiting for the database, if another liquidation of the scope waits."""
        if liquidation_id != self._request.liquidation_id:
            self._has_to_end = True
            if self._recording is not None:
                self._recording.cancel()

    @workflow.query(description="The text that officers sign; empty when nothing waits for them")
    def shortfall(self) -> str:
        """Return the statement of the shortfall that waits."""
        return "" if self._shortfall is None else self._shortfall.statement()

    @workflow.update(description="An officer's signed decision: `rialto liquidation sign`")
    async def sign(self, decision: dict[str, str]) -> int:
        """Check and add a signature; return how many there are."""
        shortfall = self._shortfall
        assert shortfall is not None
        request = ShortfallSignature(shortfall, decision, sorted(self._signatures))
        found = await run_step(
            ShortfallActivities.check, request, Step("check the officer's signature")
        )
        if not found and shortfall is not self._shortfall:
            found = "the shortfall has changed meanwhile"
        if not found and decision["officer"] in self._signatures:
            found = "this officer has signed already"
        if found:
            raise refusal(found)
        self._signatures[decision["officer"]] = decision["signature_hex"]
        return len(self._signatures)

    @sign.validator
    def _validate_sign(self, decision: dict[str, str]) -> None:
        if self._shortfall is None:
            raise refusal("no shortfall waits for officers here")

    # ---- what operators see -------------------------------------------------------------------

    def _headline(self) -> str:
        request = self._request
        kind = (
            f"isolated position in market {request.symbol_id}" if request.symbol_id else "account"
        )
        return f"**Liquidation of {kind} {request.account_id}**, shard {request.shard}"

    def _say(self, stage: str, why: str) -> None:
        self._why = why
        self._enter(stage)
        self._tell()

    def _tell(self, *lines: str) -> None:
        """Show the story so far."""
        self._lines = story_of(self._steps)
        after = next((step.after for step in reversed(self._steps) if step.after), None)
        now = [self._why] if self._why else []
        if after is not None:
            equity, margin = money(after.equity_units), money(after.maintenance_units)
            now.insert(0, f"Equity {equity}, maintenance margin {margin}.")
        self._describe(*now, *lines)

    async def _note(self, action: str, text: str) -> None:
        """Log it: a liquidation's record are its steps."""
        workflow.logger.warning("liquidation %s: %s", action, text)
