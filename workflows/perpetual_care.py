"""Short workflows of perpetual markets: funding, the fund's unwinding, a market's end, dust.

Each is one keyed command to the engine, or slices of them, so whoever runs one twice does nothing
twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey

with workflow.unsafe.imports_passed_through():
    from activities.perpetual_care import PerpetualCareActivities
    from domain.liquidation_story import money
    from domain.perpetual_care import (
        DUST_WORKFLOW,
        FINAL_SETTLEMENT_WORKFLOW,
        FUNDING_WORKFLOW,
        UNWIND_WORKFLOW,
        DustRequest,
        Funded,
        FundingInstant,
        FundingRequest,
        MarketOfShard,
        SettledMarket,
        SettleRequest,
        Unwound,
        instant_of,
    )
    from domain.plain_text import PlainText
    from workflows import search_attributes as attributes
    from workflows.operations import Step, run_step
    from workflows.parking import ParkingWorkflow

UNWIND_PAUSE_SECONDS = 30
DAY_SECONDS = 86_400
_LATE_US = 5_000_000  # between an instant and the run that its schedule started for it
_SCHEDULED = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")
_SHORT = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=5)
)


def _meant_us() -> int:
    """Return when the schedule meant this run to start, or when it was started."""
    info = workflow.info()
    scheduled: datetime | None = info.typed_search_attributes.get(_SCHEDULED)
    return int((scheduled or info.start_time).timestamp() * 1_000_000)


def _show(stage: str, market: MarketOfShard, text: str) -> None:
    workflow.upsert_search_attributes(
        [
            attributes.STAGE.value_set(stage),
            attributes.SYMBOL.value_set(str(market.symbol_id)),
            attributes.SHARD.value_set(market.shard),
        ]
    )
    workflow.set_current_details(f"**{stage}** - {text}")


@workflow.defn(name=FUNDING_WORKFLOW)
class FundingWorkflow:
    """One run is one instant: the engine computes the rate and pays all positions at once."""

    @workflow.run
    async def run(self, request: FundingRequest) -> Funded:
        """Return the rate, the mark and how many positions paid or received."""
        meant_us = request.funding_time_us or _meant_us()
        instant = instant_of(meant_us, request.interval_seconds)
        market = MarketOfShard(request.shard, request.symbol_id)
        if meant_us - instant > _LATE_US:  # the first run of a new schedule, or somebody's click
            _show("not due", market, "This run was not meant for an instant; nothing was paid.")
            return Funded(0, refusal="FUNDING_NOT_DUE")
        _show("funding", market, f"Market {market.symbol_id}, the instant {instant}.")
        found = await workflow.execute_activity_method(
            PerpetualCareActivities.fund,
            FundingInstant(request.shard, request.symbol_id, instant),
            start_to_close_timeout=timedelta(seconds=20),
            retry_policy=_SHORT,
            summary=PlainText(f"fund market {request.symbol_id}"),
        )
        if found.refusal:
            _show("refused", market, f"The engine says {found.refusal}; nothing was paid.")
        else:
            _show(
                "done",
                market,
                f"Rate {found.rate_ppm} ppm at mark {found.mark_ticks}: {found.entries} positions, "
                f"dust {money(found.rounding_units)}, sequence {found.sequence}.",
            )
        return found


@workflow.defn(name=UNWIND_WORKFLOW)
class UnwindWorkflow(ParkingWorkflow):
    """Sells what the insurance fund took over, a slice at a time, until it is flat."""

    @workflow.init
    def __init__(self, request: Unwound) -> None:
        """Start where an earlier run has come to."""
        super().__init__()
        self._stage = "begin"
        self._now = request

    @workflow.run
    async def run(self, request: Unwound) -> Unwound:
        """Return how much was closed, for how much."""
        workflow.upsert_search_attributes(
            [
                attributes.SYMBOL.value_set(str(request.symbol_id)),
                attributes.SHARD.value_set(request.shard),
            ]
        )
        while self._now.state != "ended":
            if workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished():
                workflow.continue_as_new(self._now)
            self._enter("unwinding")
            await self._guarded("unwinding", self._slice)
            if self._now.state != "ended":
                self._enter(self._now.state)
                pause = self._now.why or "between two slices"
                await workflow.sleep(UNWIND_PAUSE_SECONDS, summary=PlainText(pause))
        self._enter("done")
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._now

    async def _slice(self) -> None:
        step = Step(f"slice {self._now.slices + 1}", heartbeat_seconds=None, run_seconds=30)
        self._now = await run_step(PerpetualCareActivities.unwind, self._now, step)

    def _headline(self) -> str:
        now = self._now
        return (
            f"**Unwinding market {now.symbol_id}**: {now.closed_lots} lots in {now.slices} slices "
            f"for {money(now.quote_units)}, {now.left_lots} left. {now.why}"
        )

    async def _note(self, action: str, text: str) -> None:
        workflow.logger.warning("unwind %s: %s", action, text)


@workflow.defn(name=FINAL_SETTLEMENT_WORKFLOW)
class FinalSettlementWorkflow(ParkingWorkflow):
    """Ends a market that two officers have put into SETTLEMENT: one command closes everybody."""

    @workflow.init
    def __init__(self, request: MarketOfShard) -> None:
        """Start empty: the engine knows whether it is done."""
        super().__init__()
        self._stage = "begin"
        self._request = request
        self._result: SettledMarket | None = None
        self._attempt = 0

    @workflow.run
    async def run(self, request: MarketOfShard) -> SettledMarket:
        """Return the final price and how many positions it closed."""
        workflow.upsert_search_attributes(
            [
                attributes.SYMBOL.value_set(str(request.symbol_id)),
                attributes.SHARD.value_set(request.shard),
            ]
        )
        self._enter("settling")
        while self._result is None:
            await self._guarded("settling", self._settle)
        self._enter("done")
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._result

    async def _settle(self) -> None:
        step = Step("close every position at the final index", run_seconds=60)
        self._attempt += 1
        request = SettleRequest(self._request, self._attempt)
        self._result = await run_step(PerpetualCareActivities.settle, request, step)
        self._lines.append(
            f"{self._result.entries} positions at {self._result.price_ticks} ticks, "
            f"sequence {self._result.sequence}"
        )

    def _headline(self) -> str:
        return f"**Final settlement of market {self._request.symbol_id}**"

    async def _note(self, action: str, text: str) -> None:
        workflow.logger.warning("final settlement %s: %s", action, text)


@workflow.defn(name=DUST_WORKFLOW)
class DustSweepWorkflow:
    """Once a day: what exact division has left over goes into the insurance fund."""

    @workflow.run
    async def run(self, request: DustRequest) -> int:
        """Return how many units were moved."""
        day_us = request.day_us or instant_of(_meant_us(), DAY_SECONDS)
        units = await workflow.execute_activity_method(
            PerpetualCareActivities.sweep,
            DustRequest(request.shard, day_us),
            start_to_close_timeout=timedelta(seconds=20),
            retry_policy=_SHORT,
            summary=PlainText(f"sweep the dust of shard {request.shard}"),
        )
        workflow.set_current_details(f"**done** - {money(units)} went to the fund.")
        return units
