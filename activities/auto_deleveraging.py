"""Auto-deleveraging: a pass through the ranked other side, a pair at a time, under its key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from temporalio import activity

from activities.liquidation import effects_of, found_step, marks_of, numbers_of, time_of
from activities.risk_ports import Outcome, RiskDoor, RiskNews, ask, steps_since
from domain.auto_deleveraging import Ranked, rank, score_in
from domain.errors import RejectReason
from domain.liquidation_plan import (
    Progress,
    Situation,
    StepKind,
    command_key,
    next_step,
    situation_of,
)
from domain.liquidation_story import (
    RANKS_SHOWN,
    DeleverageRequest,
    DeleverageResult,
    StepRecord,
)
from domain.risk_commands import Deleverage
from domain.risk_picture import RiskPicture

_MOST_PAIRS = 200  # of one pass; the next one ranks anew
_PASSED_OVER = frozenset(
    {
        RejectReason.COUNTERPARTY_WOULD_BE_INSOLVENT,
        RejectReason.INVALID_POSITION_DELTA,  # he has closed it meanwhile
    }
)


def ranking(picture: RiskPicture, symbol_id: int, accounts: Iterable[int]) -> list[Ranked]:
    """Return who of these would be closed, the first in line first; exactly."""
    market = picture.markets[symbol_id]
    found = []
    for account_id in accounts:
        scope = picture.scope(market.scope_of(account_id))
        score = score_in(scope, symbol_id)
        exposure = scope.of(symbol_id)
        if score is not None and exposure is not None:
            size = abs(exposure.position.lots)
            found.append(Ranked(account_id, size, exposure.notional_units, score))
    return rank(found)


@dataclass(slots=True)
class _Pass:
    """One pass: what it has told, and the number of the next step."""

    request: DeleverageRequest
    number: int
    steps: list[StepRecord]

    def result(self, ended: str, left_lots: int, why: str = "") -> DeleverageResult:
        return DeleverageResult(ended, left_lots, why, self.steps)


class DeleveragingActivities:
    """The activity of `auto-deleveraging-{liq_id}-{symbol}`."""

    def __init__(self, doors: Callable[[int], tuple[RiskDoor, RiskNews]]) -> None:
        self._doors = doors

    @activity.defn(name="deleverage_position")
    async def deleverage(self, request: DeleverageRequest) -> DeleverageResult:
        """Close a position against the ranked other side; every pair is priced and checked anew.

        Rank, solvency and price are the engine's to check; a refusal of one counterparty passes
        him over, one that concerns the scope ends the pass.
        """
        door, news = self._doors(request.liquidation.shard)
        own = _Pass(request, request.first_number, [])
        await self._recover(own, door, news)
        picture, scope = news.picture, request.liquidation.scope
        position = picture.position(request.liquidation.account_id, request.symbol_id)
        able, is_all = news.counterparties(request.symbol_id, position.lots, _MOST_PAIRS)
        ranked = ranking(picture, request.symbol_id, able) if position.lots else []
        shown = [[one.account_id, one.lots, one.score_ppm] for one in ranked[:RANKS_SHOWN]]
        for candidate in ranked[:_MOST_PAIRS]:
            now = situation_of(picture, scope, news.now_us())
            exposure = now.scope.of(request.symbol_id)
            if now.frozen is None or exposure is None:
                return own.result("done", 0)
            left = abs(exposure.position.lots)
            planned = next_step(now, Progress(time_is_over=True, fund_refused=_of(request)))
            if planned.kind is StepKind.WAIT:
                return own.result("held", left, planned.why)
            if planned.kind is not StepKind.DELEVERAGE or planned.symbol_id != request.symbol_id:
                return own.result("changed", left, planned.why)
            lots = min(left, candidate.lots)
            outcome = await self._pair(own, door, news, now, candidate.account_id, lots)
            if own.steps:
                own.steps[-1].ranks[:] = shown
                shown = []
            if outcome.refusal is RejectReason.FUND_CAN_TAKE_OVER:
                return own.result("fund", left)
            if outcome.refusal is RejectReason.TAKEOVER_TOO_EARLY:
                return own.result("early", left, outcome.refusal_name)
            if outcome.refusal is RejectReason.SCOPE_CHANGED:
                return own.result("changed", left, outcome.refusal_name)
            if outcome.refusal and outcome.refusal not in _PASSED_OVER:
                return own.result("held", left, f"the engine says {outcome.refusal_name}")
        return self._end(own, news, more=not is_all or len(ranked) > _MOST_PAIRS)

    async def _recover(self, own: _Pass, door: RiskDoor, news: RiskNews) -> None:
        """Take what an attempt before this one did: the log has it."""
        request = own.request
        await news.reached(request.last_sequence)
        scope = request.liquidation.scope
        for events in await steps_since(door, news, scope, request.last_sequence):
            record = found_step(own.number, events)
            if record is not None and record.symbol_id == request.symbol_id:
                own.steps.append(record)
                own.number += 1

    async def _pair(
        self,
        own: _Pass,
        door: RiskDoor,
        news: RiskNews,
        now: Situation,
        counterparty_id: int,
        lots: int,
    ) -> Outcome:
        request = own.request
        liquidation, symbol_id = request.liquidation, request.symbol_id
        key = command_key(
            "adl", liquidation.liquidation_id, symbol_id, request.round, counterparty_id
        )
        outcome = await ask(
            door,
            news,
            Deleverage(key, liquidation.account_id, symbol_id, counterparty_id, lots, now.version),
        )
        record = StepRecord(
            number=own.number,
            kind=StepKind.DELEVERAGE,
            key=f"{key:032x}",
            symbol_id=symbol_id,
            lots=lots,
            limit_ticks=0,
            why="next in the ranking",
            sequence=outcome.sequence,
            time_us=time_of(outcome.events),
            refusal=outcome.refusal_name,
            counterparty_id=counterparty_id,
            before=numbers_of(now),
            marks=marks_of(now),
        )
        own.number += 1
        own.steps.append(record if outcome.refusal else effects_of(outcome.events, record))
        activity.heartbeat(len(own.steps))
        return outcome

    def _end(self, own: _Pass, news: RiskNews, *, more: bool) -> DeleverageResult:
        liquidation = own.request.liquidation
        left = abs(news.picture.position(liquidation.account_id, own.request.symbol_id).lots)
        if left == 0:
            return own.result("done", 0)
        if more or any(not step.refusal for step in own.steps):
            return own.result("changed", left, "the ranking is computed anew")
        return own.result("shortfall", left, "nobody is left who can be a counterparty")


def _of(request: DeleverageRequest) -> frozenset[int]:
    return frozenset({request.symbol_id})
