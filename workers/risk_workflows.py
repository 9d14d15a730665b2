"""The workflows that a shard's picture asks for: liquidations, unwinding, funding, a market's end.

No orphan: every round compares the picture with what runs, so whatever somebody ended is begun
again, and a monitor that was away catches up. At most `MOST_OPEN` liquidations are open at a time,
in order of need; the others wait frozen.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from domain.liquidation_plan import scope_name
from domain.liquidation_story import (
    LIQUIDATION_WORKFLOW,
    LiquidationRequest,
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
from domain.risk_picture import FrozenScope, MarketNow
from infra.temporal.runs import OPEN, Run, list_runs
from infra.temporal.schedules import TASK_TIMEOUT, ScheduledWorkflow, ensure_schedule
from workers.risk_news import ShardNews
from workers.risk_watch import in_order_of_need
from workflows.liquidation import LiquidationStart
from workflows.perpetual_care import DAY_SECONDS
from workflows.task_queues import risk_queue

MOST_OPEN = 200
_OURS = (LIQUIDATION_WORKFLOW, UNWIND_WORKFLOW, FINAL_SETTLEMENT_WORKFLOW)
_DETAILS = (
    "The engine's freeze is the business row: the scope is frozen until this releases it. What was "
    "terminated, reset or deleted is begun again by the process `risk-monitor`. Stage `failed:...` "
    "waits for people: docs/runbooks/liquidation-parked.md."
)
_log = structlog.get_logger()


class RiskWorkflows:
    """Starts what is missing; `open_count` and `waiting_count` are for the heartbeat."""

    def __init__(self, client: Client, news: ShardNews, most_open: int = MOST_OPEN) -> None:
        self._client = client
        self._news = news
        self._most_open = most_open
        self._scheduled: dict[str, int] = {}  # schedule -> seconds
        self.open_count = 0
        self.waiting_count = 0

    async def round(self) -> list[str]:
        """Compare once; return the ids of what was started."""
        running = {run.workflow_id async for run in self._runs()}
        started = [await self._liquidation(found) for found in self._missing(running)]
        for market in list(self._news.picture.markets.values()):
            started += await self._of_market(market, running)
            await self._schedule_funding(market)
        await self._schedule_dust()
        if started:
            _log.info("workflows_started", count=len(started), first=started[0])
        return started

    def _runs(self) -> AsyncIterator[Run]:
        kinds = ", ".join(f"'{kind}'" for kind in _OURS)
        return list_runs(self._client, f"{OPEN} AND WorkflowType IN ({kinds})")

    def _missing(self, running: set[str]) -> Iterable[FrozenScope]:
        """Return the frozen scopes whose workflow is to be started: for as many there is room."""
        shard = self._news.picture.shard
        prefix = f"liquidation-{shard}-"
        open_ids = {name for name in running if name.startswith(prefix)}
        waiting = [
            found
            for found in in_order_of_need(self._news.picture)
            if liquidation_workflow_id(shard, found.scope) not in open_ids
        ]
        room = max(0, self._most_open - len(open_ids))
        self.open_count = len(open_ids) + min(room, len(waiting))
        self.waiting_count = max(0, len(waiting) - room)
        return waiting[:room]

    async def _liquidation(self, found: FrozenScope) -> str:
        shard, scope = self._news.picture.shard, found.scope
        request = LiquidationRequest(
            shard, scope.account_id, scope.symbol_id, f"{found.key:032x}", found.sequence
        )
        workflow_id = liquidation_workflow_id(shard, scope)
        summary = f"Liquidation of scope {scope_name(shard, scope)}"
        await self._start(
            LIQUIDATION_WORKFLOW, workflow_id, LiquidationStart(request), summary, _DETAILS
        )
        return workflow_id

    async def _of_market(self, market: MarketNow, running: set[str]) -> list[str]:
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
        self, workflow: str, workflow_id: str, argument: object, summary: str, details: str = ""
    ) -> None:
        await self._client.start_workflow(
            workflow,
            argument,
            id=workflow_id,
            task_queue=risk_queue(self._news.picture.shard),
            task_timeout=TASK_TIMEOUT,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            static_summary=summary,
            static_details=details or None,
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
