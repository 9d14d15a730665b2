"""The steps of a liquidation: one activity goes as far as it can, a keyed command at a time.

Whatever dies in between, the engine's log has one copy of what took effect: a new attempt reads
it from there first, and then computes the next step from how things are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from temporalio import activity

from activities.risk_ports import Level, Outcome, RiskDoor, RiskNews, ask, steps_since
from domain.commands import Command
from domain.errors import RejectReason
from domain.events import (
    Deleveraged,
    Event,
    LiquidationPlaced,
    PerpetualTrade,
    ScopeState,
    TakenOver,
)
from domain.liquidation_plan import (
    Progress,
    Situation,
    Step,
    StepKind,
    command_key,
    next_step,
    situation_of,
)
from domain.liquidation_story import (
    BOOK_LEVELS,
    Advanced,
    AdvanceRequest,
    LiquidationRequest,
    ScopeNumbers,
    StepRecord,
    advanced_of,
    advanced_text,
)
from domain.order import Side
from domain.risk_commands import Liquidate, TakeOver, Unfreeze
from domain.risk_picture import RiskPicture

WAIT_SECONDS = 20.0
_LOOK_SECONDS = 0.2
_US = 1_000_000
Levels = list[list[int]]
_MOST_STEPS = 50  # of one run; then the workflow shows them and goes on
_FUND_REFUSALS = frozenset(
    {
        RejectReason.FUND_POOL_EMPTY,
        RejectReason.FUND_DRAWDOWN,
        RejectReason.FUND_AT_CAPACITY,
        RejectReason.FUND_CANNOT_PAY,
    }
)
_COMPUTE_AGAIN = frozenset(
    {
        RejectReason.SCOPE_CHANGED,
        RejectReason.NOT_LIQUIDATABLE,
        RejectReason.STILL_LIQUIDATABLE,
        RejectReason.SCOPE_NOT_FROZEN,
        RejectReason.INVALID_POSITION_DELTA,
        RejectReason.OUTSIDE_SLICE_LIMITS,
        RejectReason.ZERO_FILL,
    }
)
_MOST_REFUSALS = 10  # of one run; then it waits a little


def numbers_of(now: Situation) -> ScopeNumbers:
    """Return a situation's numbers for a record."""
    scope = now.scope
    return ScopeNumbers(
        now.version,
        scope.cash_units,
        scope.equity_units,
        scope.maintenance_units,
        now.shortage_units,
    )


def marks_of(now: Situation) -> list[list[int]]:
    """Return [market, mark in ticks] of the scope's positions."""
    return [[one.symbol_id, one.mark_ticks] for one in now.scope.exposures]


def effects_of(events: tuple[Event, ...], record: StepRecord) -> StepRecord:
    """Return a record with what a command's events say it did."""
    fills: list[list[int]] = []
    done = quote = insurance = haircut = 0
    for event in events:
        match event:
            case PerpetualTrade():
                fills.append([event.price_ticks, event.quantity_lots])
                done += event.quantity_lots
                sold = event.taker_side is Side.SELL
                quote += event.quote_units if sold else -event.quote_units
                insurance += event.insurance_units
            case TakenOver():
                done, quote = abs(event.delta_lots), event.quote_units
            case Deleveraged() if event.key:
                done, quote = abs(event.delta_lots), event.quote_units
                haircut = event.haircut_units
            case ScopeState():
                after = ScopeNumbers(
                    event.version,
                    event.cash_units,
                    event.equity_units,
                    event.maintenance_units,
                    event.shortage_units,
                )
                record = replace(record, after=after)
            case _:
                pass
    return replace(
        record,
        done_lots=done,
        quote_units=quote,
        insurance_units=insurance,
        haircut_units=haircut,
        fills=fills,
    )


def book_met(step: Step, now: Situation, bids: list[Level], asks: list[Level]) -> Levels:
    """Return the side of a book that a slice meets, as a record has it."""
    sells = now.scope.of(step.symbol_id)
    assert sells is not None
    return [list(level) for level in (bids if sells.position.lots > 0 else asks)]


def time_of(events: tuple[Event, ...]) -> int:
    """Return the engine's time of a command."""
    return int(getattr(events[0], "time_us", 0))


def found_step(number: int, events: tuple[Event, ...]) -> StepRecord | None:
    """Return the record of a step that the log has and nobody has told; None for other commands."""
    head = events[0]
    match head:
        case LiquidationPlaced():
            kind, lots, limit = StepKind.REDUCE, head.lots, head.limit_ticks
        case TakenOver():
            kind, lots, limit = StepKind.TAKE_OVER, abs(head.delta_lots), 0
        case Deleveraged():
            kind, lots, limit = StepKind.DELEVERAGE, abs(head.delta_lots), 0
        case _:
            return None
    record = StepRecord(
        number=number,
        kind=kind,
        key=f"{head.key:032x}",
        symbol_id=head.symbol_id,
        lots=lots,
        limit_ticks=limit,
        why="",
        sequence=head.sequence,
        time_us=head.time_us,
        counterparty_id=head.counterparty_id if isinstance(head, Deleveraged) else 0,
        found=True,
    )
    return effects_of(events, record)


class LiquidationRun:
    """A part of a liquidation: the state it is in, and the steps that it has taken so far."""

    def __init__(self, request: AdvanceRequest, door: RiskDoor, news: RiskNews) -> None:
        self.liquidation = request.liquidation
        self.state = request.state
        self.steps: list[StepRecord] = []
        self._door = door
        self._news = news

    @property
    def picture(self) -> RiskPicture:
        """Return the picture as it is now."""
        return self._news.picture

    def situation(self) -> Situation:
        """Return how the scope stands now."""
        return situation_of(self.picture, self.liquidation.scope, self._news.now_us())

    async def recover(self, told: Advanced | None) -> None:
        """Take what an earlier attempt has told, then what only the log knows."""
        if told is not None:
            self.state, self.steps = told.state, list(told.steps)
        await self._news.reached(max(self.state.last_sequence, self.liquidation.frozen_sequence))
        since = self.state.last_sequence or self.liquidation.frozen_sequence
        scope = self.liquidation.scope
        for events in await steps_since(self._door, self._news, scope, since):
            record = found_step(self.state.number, events)
            if record is not None:
                self._took(record)

    def advanced(self, stage: str, why: str = "", symbol_id: int = 0) -> Advanced:
        """Return what was done, and how it goes on."""
        return Advanced(stage, self.state, why, symbol_id, self.steps)

    def beat(self) -> None:
        """Tell the server how far it is; a local activity is too short for that."""
        if not activity.info().is_local:
            activity.heartbeat(advanced_text(self.advanced("running")))

    def progress(self) -> Progress:
        """Return what has been tried in this round; its time begins with the first question."""
        state, now_us = self.state, self._news.now_us()
        if not state.round_began_us:
            self.state = state = replace(state, round_began_us=now_us)
        terms = [
            self.picture.markets[symbol_id].terms
            for symbol_id in self.picture.symbols_of(self.liquidation.scope)
        ]
        seconds = max((term.slices_seconds for term in terms), default=0)
        return Progress(
            state.slices,
            now_us - state.round_began_us > seconds * _US,
            frozenset(state.fund_refused),
            frozenset(state.early),
        )

    def new_round(self) -> None:
        """Begin a round: slices and time anew, and nobody has refused."""
        state = self.state
        self.state = replace(
            state, round=state.round + 1, slices=0, round_began_us=0, fund_refused=[], early=[]
        )

    def command(self, step: Step, now: Situation) -> Command:
        """Return the command of the next step, as it was planned from a situation."""
        return command_of(self.liquidation, step, self.state.number, now.version)

    async def do(self, step: Step, now: Situation) -> Outcome:
        """Send the step's command and tell what came of it."""
        book: Levels = []
        if step.kind is StepKind.REDUCE:
            _, bids, asks = await self._door.book(step.symbol_id, BOOK_LEVELS)
            book = book_met(step, now, bids, asks)
        outcome = await ask(self._door, self._news, self.command(step, now))
        self.tell(step, now, book, outcome)
        self.beat()
        return outcome

    def tell(self, step: Step, now: Situation, book: Levels, outcome: Outcome) -> None:
        """Take the record of a step: what it was computed from, the book it met, what it did."""
        number = self.state.number
        record = StepRecord(
            number=number,
            kind=step.kind,
            key=f"{key_of(self.liquidation, step, number):032x}",
            symbol_id=step.symbol_id,
            lots=step.lots,
            limit_ticks=step.limit_ticks,
            why=step.why,
            sequence=outcome.sequence,
            time_us=time_of(outcome.events),
            refusal=outcome.refusal_name,
            before=numbers_of(now),
            marks=marks_of(now),
            book=book,
        )
        self._took(record if outcome.refusal else effects_of(outcome.events, record))

    def _took(self, record: StepRecord) -> None:
        state = self.state
        changed = record.refusal == RejectReason.SCOPE_CHANGED.name
        slices = state.slices + (record.kind == StepKind.REDUCE and not changed)
        self.state = replace(
            state,
            number=record.number + 1,
            slices=slices,
            last_sequence=max(state.last_sequence, record.sequence),
        )
        self.steps.append(record)

    def note_refusal(self, step: Step, refusal: RejectReason) -> bool:
        """Remember what a refusal means for the round; return whether to go on at once."""
        state = self.state
        if step.kind is StepKind.TAKE_OVER and refusal in _FUND_REFUSALS:
            self.state = replace(state, fund_refused=[*state.fund_refused, step.symbol_id])
        elif refusal is RejectReason.TAKEOVER_TOO_EARLY:
            self.state = replace(state, early=[*state.early, step.symbol_id])
        else:
            return refusal in _COMPUTE_AGAIN
        return True


def key_of(liquidation: LiquidationRequest, step: Step, number: int) -> int:
    """Return the key of a liquidation's numbered step."""
    kind = {StepKind.TAKE_OVER: "take", StepKind.RELEASE: "release"}.get(step.kind, "liq")
    return command_key(kind, liquidation.liquidation_id, step.symbol_id, number)


def command_of(liquidation: LiquidationRequest, step: Step, number: int, version: int) -> Command:
    """Return the command of a step that the engine takes."""
    key, account_id = key_of(liquidation, step, number), liquidation.account_id
    match step.kind:
        case StepKind.REDUCE:
            return Liquidate(key, account_id, step.symbol_id, step.lots, step.limit_ticks, version)
        case StepKind.TAKE_OVER:
            return TakeOver(key, account_id, step.symbol_id, step.lots, version)
        case _:
            return Unfreeze(key, account_id, liquidation.symbol_id, version)


class LiquidationActivities:
    """The activity of `liquidation-{scope}`; `stopping` says that the process wants to end."""

    def __init__(
        self,
        doors: Callable[[int], tuple[RiskDoor, RiskNews]],
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._doors = doors
        self._wait_seconds = wait_seconds

    @activity.defn(name="advance_liquidation")
    async def advance(self, request: AdvanceRequest) -> Advanced:
        """Go on until the scope is released, deleveraging is needed, or it has to wait.

        As a local activity, in the middle of a workflow task, it does not wait.
        """
        wait_seconds = 0.0 if activity.info().is_local else self._wait_seconds
        door, news = self._doors(request.liquidation.shard)
        run = LiquidationRun(request, door, news)
        details = activity.info().heartbeat_details
        await run.recover(advanced_of(details[0]) if details else None)
        waited, refusals = 0.0, 0
        while len(run.steps) < _MOST_STEPS:
            now = run.situation()
            if now.frozen is not None and now.frozen.key != request.liquidation.key:
                return run.advanced("over", "another liquidation has the scope")
            step = next_step(now, run.progress())
            match step.kind:
                case StepKind.OVER:
                    return run.advanced("over", step.why)
                case StepKind.DELEVERAGE:
                    return run.advanced("deleveraging", step.why, step.symbol_id)
                case StepKind.PAUSE:
                    run.new_round()
                    return run.advanced("later", step.why)
                case StepKind.WAIT:
                    if waited >= wait_seconds or activity.is_worker_shutdown():
                        return run.advanced("waiting", step.why)
                    run.beat()
                    await asyncio.sleep(_LOOK_SECONDS)
                    waited += _LOOK_SECONDS
                    continue
                case _:
                    outcome = await run.do(step, now)
            if outcome.refusal:
                refusals += 1
                if not run.note_refusal(step, outcome.refusal) or refusals >= _MOST_REFUSALS:
                    return run.advanced("refused", f"the engine says {outcome.refusal_name}")
            elif step.kind is StepKind.RELEASE:
                return run.advanced("released", step.why)
        return run.advanced("running")
