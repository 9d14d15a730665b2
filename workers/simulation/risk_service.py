"""The risk service of a simulation: the risk monitor's own scan and the workflows' own activities.

What Temporal does between activities is done here at once, a step of the simulation at a time:
wait, begin a new round, deleverage, ask officers. Which step comes next, how large it is and who
is closed first is decided by the same code as in the process `risk-monitor`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from temporalio.testing import ActivityEnvironment

from activities.auto_deleveraging import DeleveragingActivities
from activities.liquidation import LiquidationActivities
from activities.perpetual_care import PerpetualCareActivities
from activities.shortfall import ShortfallActivities
from domain.liquidation_plan import command_key
from domain.liquidation_story import (
    AdvanceRequest,
    DeleverageRequest,
    LiquidationRequest,
    RoundState,
    state_after,
)
from domain.money import PPM
from domain.perpetual_care import DustRequest, FundingInstant, Unwound, instant_of
from domain.perpetual_state import PerpetualState
from domain.risk_commands import SetPerpetualState, TopUpFund, Trigger
from domain.risk_picture import FrozenScope, ScopeKey
from domain.shortfall import Restriction
from workers.risk_watch import RiskWatch
from workers.risk_workflows import MOST_OPEN
from workers.simulation.market import USDT, WHOLE
from workers.simulation.shard import SimulatedShard
from workflows.perpetual_care import DAY_SECONDS

T = TypeVar("T")
SECOND_US = 1_000_000
_PAUSE_US = 5 * SECOND_US
_UNWIND_PAUSE_US = 30 * SECOND_US
_OFFICERS_US = 120 * SECOND_US
_MOST_RUNS = 20  # of one liquidation in one step
_ACTOR = "officers"


@dataclass(slots=True)
class _Case:
    """A liquidation under way; `parked` in the markets whose shortfall waits for officers."""

    request: LiquidationRequest
    state: RoundState = field(default_factory=RoundState)
    not_before_us: int = 0
    parked: int = 0


class RiskService:
    """Watches a shard, liquidates, pays funding, unwinds; `counts` has what it did, by name.

    With `loses_ppm` an activity's answer is lost now and then, as when its worker dies: the next
    attempt has to find in the log what was done.
    """

    def __init__(
        self,
        shard: SimulatedShard,
        chance: random.Random,
        *,
        loses_ppm: int = 0,
        most_open: int = MOST_OPEN,
    ) -> None:
        def doors(_: int) -> tuple[SimulatedShard, Any]:
            return shard, shard.news

        self._shard = shard
        self._chance = chance
        self._loses_ppm = loses_ppm
        self._most_open = most_open
        self._environment = ActivityEnvironment()
        self._watch = RiskWatch(shard.news, shard)
        self._liquidation = LiquidationActivities(doors, wait_seconds=0)
        self._deleveraging = DeleveragingActivities(doors)
        self._care = PerpetualCareActivities(doors, doors, pause_seconds=0)
        self._shortfall = ShortfallActivities(doors, {}, lambda *_: False, lambda: 0)
        self._cases: dict[ScopeKey, _Case] = {}
        self._unwinding: dict[int, tuple[Unwound, int]] = {}
        self._swept_us = instant_of(shard.now_us, DAY_SECONDS)
        self.counts: Counter[str] = Counter()

    @property
    def open_count(self) -> int:
        """Return how many liquidations are under way."""
        return len(self._shard.picture.frozen)

    async def _do(self, activity: Callable[[Any], Awaitable[T]], request: object) -> T:
        """Run an activity until an answer of it arrives."""
        while True:
            answer = await self._environment.run(activity, request)
            if self._chance.randrange(PPM) >= self._loses_ppm:
                return answer
            self.counts["answers_lost"] += 1

    # ---- what happens in every step -------------------------------------------------------------

    async def look(self) -> None:
        """Scan at the fresh marks, and freeze who is below his margin."""
        await self._shard.news.tell()
        self.counts["frozen"] += len(await self._watch.look())

    async def unanswered(self) -> int:
        """Return how many scopes are below their margin at fresh marks and not frozen."""
        await self._shard.news.tell()
        return len(self._shard.news.scan().breached)

    async def work(self) -> None:
        """Go on with the liquidations, those in need first, then unwind, pay and sweep."""
        await self._shard.news.tell()
        for found in self._shard.news.in_order_of_need()[: self._most_open]:
            case = self._case_of(found)
            if case.not_before_us <= self._shard.now_us:
                await self._go_on(found.scope, case)
        await self._unwind()
        await self._fund()
        await self._sweep_dust()

    # ---- one liquidation ------------------------------------------------------------------------

    def _case_of(self, found: FrozenScope) -> _Case:
        name = f"{found.key:032x}"
        case = self._cases.get(found.scope)
        if case is None or case.request.liquidation_id != name:
            request = LiquidationRequest(0, *found.scope, name, found.sequence)
            case = self._cases[found.scope] = _Case(request)
        return case

    async def _go_on(self, scope: ScopeKey, case: _Case) -> None:
        """Go as far as it goes now; what waits comes again in a later step."""
        if case.parked:
            await self._officers_sign(case)
        for _ in range(_MOST_RUNS):
            found = await self._do(
                self._liquidation.advance, AdvanceRequest(case.request, case.state)
            )
            case.state = found.state
            self.counts["steps"] += len(found.steps)
            match found.next_stage:
                case "released" | "over":
                    self.counts["finished"] += 1
                    del self._cases[scope]
                    return
                case "deleveraging":
                    if not await self._deleverage(case, found.symbol_id):
                        return
                case "running":
                    continue
                case _:
                    self._pause(case, _PAUSE_US)
                    return
        self._pause(case, _PAUSE_US)

    def _pause(self, case: _Case, how_long_us: int) -> None:
        case.not_before_us = self._shard.now_us + how_long_us

    async def _deleverage(self, case: _Case, symbol_id: int) -> bool:
        """Close against the other side; return whether to go on at once."""
        state = case.state
        request = DeleverageRequest(
            case.request, symbol_id, state.round, state.number, state.last_sequence
        )
        found = await self._do(self._deleveraging.deleverage, request)
        case.state = state_after(state, symbol_id, found)
        self.counts["passes"] += 1
        if found.ended == "held":
            self._pause(case, _PAUSE_US)
        elif found.ended == "shortfall":
            await self._restrict(case, symbol_id)
        return found.ended not in ("held", "shortfall")

    async def _restrict(self, case: _Case, symbol_id: int) -> None:
        """Nobody is left: restrict the market, and wait for officers."""
        self.counts["shortfalls"] += 1
        name, round_ = case.request.liquidation_id, case.state.round
        await self._do(self._shortfall.restrict, Restriction(0, symbol_id, name, round_))
        case.parked = symbol_id
        self._pause(case, _OFFICERS_US)

    async def _officers_sign(self, case: _Case) -> None:
        """Give the fund what is missing, open the market again, and let the liquidation go on."""
        shard, symbol_id = self._shard, case.parked
        equity = shard.picture.scope(case.request.scope).equity_units
        self.top_up(max(WHOLE, -2 * equity))
        if shard.picture.markets[symbol_id].state in (
            PerpetualState.REDUCE_ONLY,
            PerpetualState.HALTED,
        ):
            why = "the fund has been topped up"
            shard.run([SetPerpetualState(symbol_id, Trigger.RESUME, _ACTOR, why)])
        case.state = replace(case.state, fund_refused=[], early=[])
        case.parked = 0

    def top_up(self, units: int) -> None:
        """Give the fund cash."""
        key = command_key("top-up", self._shard.engine.sequence)
        self._shard.run([TopUpFund(key, USDT.asset_id, units, self._shard.now_us)])

    # ---- what recurs ----------------------------------------------------------------------------

    async def _unwind(self) -> None:
        """Sell a slice of what the fund has, in each market, every half minute."""
        picture, now_us = self._shard.picture, self._shard.now_us
        for symbol_id in sorted(picture.markets):
            if not picture.fund_lots(symbol_id):
                continue
            known = self._unwinding.get(symbol_id)
            if known is None:
                known = Unwound(0, symbol_id, picture.sequence), 0
            now, not_before_us = known
            if now_us < not_before_us:
                continue
            now = await self._do(self._care.unwind, now)
            self._unwinding[symbol_id] = now, now_us + _UNWIND_PAUSE_US
            if now.state == "ended":
                del self._unwinding[symbol_id]

    async def _fund(self) -> None:
        """Pay each market's funding at its instant; one that was missed is not paid later."""
        picture, now_us = self._shard.picture, self._shard.now_us
        for symbol_id, market in sorted(picture.markets.items()):
            instant = instant_of(now_us, market.terms.funding_interval_seconds)
            late = now_us - instant > _PAUSE_US
            if instant > market.funding_time_us and market.mark_ticks and not late:
                found = await self._do(self._care.fund, FundingInstant(0, symbol_id, instant))
                self.counts["fundings" if not found.refusal else "fundings_refused"] += 1

    async def _sweep_dust(self) -> None:
        """Move the dust of a day into the fund."""
        day_us = instant_of(self._shard.now_us, DAY_SECONDS)
        if day_us > self._swept_us:
            self._swept_us = day_us
            await self._do(self._care.sweep, DustRequest(0, day_us))
