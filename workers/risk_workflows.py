"""The workflows that a shard's picture asks for: liquidations, unwinding, funding, a market's end.

No orphan: every round compares the picture with what runs, so whatever somebody ended is begun
again, and a monitor that was away catches up. At most `MOST_OPEN` liquidations are open at a time,
in order of need; the others wait frozen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Container, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import structlog
from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

from domain.liquidation_story import (
    LIQUIDATION_WORKFLOW,
    liquidation_workflow_id,
)
from domain.perpetual_care import (
    DUST_WORKFLOW,
    FINAL_SETTLEMENT_WORKFLOW,
    FUNDING_WORKFLOW,
    UNWIND_WORKFLOW,
    DustRequest,
    FundingRequest,
    MarketOfShard,
    Unwound,
    dust_id,
    final_settlement_id,
    funding_id,
    unwind_id,
)
from domain.perpetual_state import Liquidations, PerpetualState, liquidations_in
from domain.plain_text import PlainText
from domain.risk_picture import FrozenScope, MarketNow, ScopeKey
from infra.temporal.runs import OPEN, Run, list_runs
from infra.temporal.schedules import TASK_TIMEOUT, ScheduledWorkflow, ensure_schedule
from workers.risk_first_steps import FirstSteps, Taken, request_of
from workers.risk_news import ShardNews
from workflows.liquidation import FIRST_STAGE, RECORD_STAGE, LiquidationStart
from workflows.perpetual_care import DAY_SECONDS
from workflows.search_attributes import ACCOUNT_ID, SHARD, STAGE
from workflows.task_queues import risk_queue

MOST_OPEN = 200
_OURS = (LIQUIDATION_WORKFLOW, UNWIND_WORKFLOW, FINAL_SETTLEMENT_WORKFLOW)
_DETAILS = (
    "The engine's freeze is the business row: the scope is frozen until this releases it. What was "
    "terminated, reset or deleted is begun again by the process `risk-monitor`. Stage `failed:...` "
    "waits for people: docs/runbooks/liquidation-parked.md."
)
_AT_A_TIME = 20  # starts; each takes its first task along where the worker has room for it
_PATIENT = timedelta(seconds=10)  # of a task among hundreds, on a machine that is busy
_LISTED_SECONDS = 3.0  # after which a workflow that runs is listed as running
_log = structlog.get_logger()


class _Begun(NamedTuple):
    """A workflow that runs for a freeze, and when it was started or seen."""

    freeze: int
    at: float


class RiskWorkflows:
    """Starts what is missing; `open_count` and `waiting_count` are for the heartbeat.

    A liquidation counts as open until its scope is released: who only waits for the database to
    take the record holds up nobody.
    """

    def __init__(
        self,
        client: Client,
        news: ShardNews,
        most_open: int = MOST_OPEN,
        first: FirstSteps | None = None,
    ) -> None:
        """`first` takes first steps; without it the workflows take them."""
        self._client = client
        self._news = news
        self._first = first
        self._most_open = most_open
        self._scheduled: dict[str, int] = {}  # schedule -> seconds
        self._starting = asyncio.Semaphore(_AT_A_TIME)
        self._begun: dict[ScopeKey, _Begun] = {}  # frozen scopes whose workflow runs
        self.waiting_count = 0

    @property
    def open_count(self) -> int:
        """Return how many scopes are being liquidated now."""
        return len(self._begun)

    async def round(self) -> list[str]:
        """Compare what is wanted with what runs; return the ids of what was started."""
        running = {run.workflow_id: run async for run in self._runs()}
        await self._compare(running)
        started = await self.begin()
        for market in list(self._news.picture.markets.values()):
            started += await self._of_market(market, running)
            await self._schedule_funding(market)
        await self._schedule_dust()
        if started:
            _log.info("workflows_started", count=len(started), first=started[0])
        return started

    async def begin(self, just_frozen: Sequence[FrozenScope] = ()) -> list[str]:
        """Start the liquidations that wait, the worst first, as many as there is room for.

        `just_frozen` are those that the picture may not know yet, the worst first. Each has had
        its first step before its workflow is started.
        """
        if self._first is not None:
            self._first.froze(just_frozen)
        known = {found.scope: found.key for found in just_frozen}
        known |= {scope: found.key for scope, found in self._news.picture.frozen.items()}
        self._begun = {
            scope: begun for scope, begun in self._begun.items() if known.get(scope) == begun.freeze
        }
        room = max(0, self._most_open - len(self._begun))
        waiting = {
            found.scope: found
            for found in (*self._news.in_order_of_need(), *just_frozen)
            if found.scope not in self._begun
        }
        chosen = list(waiting.values())[:room]
        self.waiting_count = len(waiting) - len(chosen)
        now = time.monotonic()
        self._begun |= {found.scope: _Begun(found.key, now) for found in chosen}
        taken = await self._take_first(chosen)
        starts = (self._liquidation(found, taken.get(found.key, Taken())) for found in chosen)
        return list(await asyncio.gather(*starts))

    async def _take_first(self, chosen: Sequence[FrozenScope]) -> dict[int, Taken]:
        if self._first is None or not chosen:
            return {}
        self._first.forget(list(self._news.picture.frozen.values()))
        return await self._first.take(chosen)

    async def _compare(self, running: Mapping[str, Run]) -> None:
        """Learn which frozen scopes have a workflow; what was started just now is not listed yet.

        One that only waits for the database, and whose scope is frozen anew, is told to end.
        """
        shard, listed_since = self._news.picture.shard, time.monotonic() - _LISTED_SECONDS
        begun = {scope: found for scope, found in self._begun.items() if found.at > listed_since}
        for scope, found in list(self._news.picture.frozen.items()):
            run = running.get(liquidation_workflow_id(shard, scope))
            if run is None:
                continue
            if run.attributes.get(STAGE) != RECORD_STAGE:
                begun.setdefault(scope, _Begun(found.key, listed_since))
                continue
            begun.pop(scope, None)
            handle = self._client.get_workflow_handle(run.workflow_id)
            await handle.signal("hand_over", f"{found.key:032x}")
        self._begun = begun

    def _runs(self) -> AsyncIterator[Run]:
        kinds = ", ".join(f"'{kind}'" for kind in _OURS)
        return list_runs(self._client, f"{OPEN} AND WorkflowType IN ({kinds})")

    async def _liquidation(self, found: FrozenScope, taken: Taken) -> str:
        """Start a liquidation, with its first task in the answer."""
        shard, scope = self._news.picture.shard, found.scope
        workflow_id = liquidation_workflow_id(shard, scope)
        start = LiquidationStart(
            request_of(shard, found), taken.state, taken.steps, began_us=found.time_us
        )
        attributes: list[SearchAttributePair[Any]] = [
            SearchAttributePair(STAGE, FIRST_STAGE),
            SearchAttributePair(ACCOUNT_ID, str(scope.account_id)),
            SearchAttributePair(SHARD, shard),
        ]
        try:
            async with self._starting:
                await self._start_liquidation(workflow_id, start, attributes)
        except BaseException:
            self._begun.pop(scope, None)
            raise
        return workflow_id

    async def _start_liquidation(
        self,
        workflow_id: str,
        start: LiquidationStart,
        attributes: list[SearchAttributePair[Any]],
    ) -> None:
        await self._start(
            LIQUIDATION_WORKFLOW,
            workflow_id,
            start,
            f"Liquidation of scope {start.request.name}",
            details=_DETAILS,
            search_attributes=TypedSearchAttributes(attributes),
            request_eager_start=True,
            task_timeout=_PATIENT,
        )

    async def _of_market(self, market: MarketNow, running: Container[str]) -> list[str]:
        """Start the unwinding of a position that the fund has, and the end of a market."""
        picture = self._news.picture
        place = MarketOfShard(picture.shard, market.symbol_id)
        if market.state is PerpetualState.SETTLEMENT:
            name = final_settlement_id(place)
            if not market.positions or name in running:
                return []
            summary = f"Final settlement of market {place.name}"
            await self._start(FINAL_SETTLEMENT_WORKFLOW, name, place, summary)
            return [name]
        name = unwind_id(place)
        fresh = market.is_fresh(self._news.now_us())
        runs = liquidations_in(market.state, mark_is_fresh=fresh) is Liquidations.RUN
        if not picture.fund_lots(market.symbol_id) or name in running or not runs:
            return []
        request = Unwound(picture.shard, market.symbol_id, picture.sequence)
        summary = f"Sell the insurance fund's position in market {place.name}"
        await self._start(UNWIND_WORKFLOW, name, request, summary)
        return [name]

    async def _start(
        self,
        workflow: str,
        workflow_id: str,
        argument: object,
        summary: str,
        *,
        details: str = "",
        search_attributes: TypedSearchAttributes = TypedSearchAttributes.empty,
        request_eager_start: bool = False,
        task_timeout: timedelta = TASK_TIMEOUT,
    ) -> None:
        await self._client.start_workflow(
            workflow,
            argument,
            id=workflow_id,
            task_queue=risk_queue(self._news.picture.shard),
            task_timeout=task_timeout,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            static_summary=PlainText(summary),
            static_details=PlainText(details) if details else None,
            search_attributes=search_attributes,
            request_eager_start=request_eager_start,
        )

    async def _schedule_funding(self, market: MarketNow) -> None:
        picture = self._news.picture
        place = MarketOfShard(picture.shard, market.symbol_id)
        seconds = market.terms.funding_interval_seconds
        request = FundingRequest(picture.shard, market.symbol_id, seconds)
        await self._schedule(funding_id(place), FUNDING_WORKFLOW, request, seconds)

    async def _schedule_dust(self) -> None:
        shard = self._news.picture.shard
        if self._news.picture.collateral:
            await self._schedule(dust_id(shard), DUST_WORKFLOW, DustRequest(shard), DAY_SECONDS)

    async def _schedule(self, name: str, workflow: str, request: object, seconds: int) -> None:
        """Keep a schedule as the terms want it; renewed when they change."""
        if self._scheduled.get(name) == seconds:
            return
        shard = self._news.picture.shard
        wanted = ScheduledWorkflow(name, workflow, request, risk_queue(shard), seconds)
        await ensure_schedule(self._client, wanted)
        self._scheduled[name] = seconds

    def forget_schedules(self) -> None:
        """Look at every schedule again in the next round: somebody may have deleted one."""
        self._scheduled.clear()
