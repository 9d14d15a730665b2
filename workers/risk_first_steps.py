"""The first step of each liquidation, taken by whoever froze its scope: no server is asked.

Between a freeze and its workflow's first command lie a start, a task and an activity; what falls
does so meanwhile. So the monitor sends the first slice, or takeover, itself: of all scopes that
begin together in one request, each under the key that the workflow would have used. The workflow
is told in its argument. Who dies before that loses nothing: the step is in the log, where the
workflow looks first. A release is left to the workflow: until there is one the scope is frozen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from activities.liquidation import Levels, LiquidationRun, book_met
from activities.risk_ports import Level, RiskDoor, outcome_of
from domain.commands import Command
from domain.events import Event
from domain.liquidation_plan import Situation, Step, StepKind, next_step
from domain.liquidation_story import (
    BOOK_LEVELS,
    AdvanceRequest,
    LiquidationRequest,
    RoundState,
    StepRecord,
)
from domain.risk_picture import FrozenScope
from workers.risk_news import ShardNews

_CLOSING = (StepKind.REDUCE, StepKind.TAKE_OVER)
_MOST_SECONDS = 5.0
_log = structlog.get_logger()


class FirstDoor(RiskDoor, Protocol):
    """An engine that takes many commands in one request."""

    async def submit_many(self, commands: Sequence[Command]) -> list[tuple[Event, ...]]:
        """Run commands in order; return the events of each."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Where a liquidation is after its first step, or at its beginning."""

    state: RoundState = field(default_factory=RoundState)
    steps: list[StepRecord] = field(default_factory=list)


def request_of(shard: int, found: FrozenScope) -> LiquidationRequest:
    """Return the request of a frozen scope's liquidation."""
    scope = found.scope
    return LiquidationRequest(
        shard, scope.account_id, scope.symbol_id, f"{found.key:032x}", found.sequence
    )


class FirstSteps:
    """Takes first steps of scopes that this process froze, each once, and remembers them.

    Of any other scope a workflow may be under way, and the steps are its own.
    """

    def __init__(self, news: ShardNews, door: FirstDoor) -> None:
        self._news = news
        self._door = door
        self._lock = asyncio.Lock()
        self._untouched: dict[int, FrozenScope] = {}  # by the freeze's key
        self._taken: dict[int, Taken] = {}

    def froze(self, just_frozen: Sequence[FrozenScope]) -> None:
        """Hear of scopes that this process has frozen just now."""
        self._untouched |= {found.key: found for found in just_frozen}

    async def take(self, chosen: Sequence[FrozenScope]) -> dict[int, Taken]:
        """Take the first steps of those whose turn it is; return all that is known of them.

        Without an answer of the engine nothing is known: the workflows find out.
        """
        async with self._lock:
            todo = [found for found in chosen if self._untouched.pop(found.key, None)]
            if todo:
                try:
                    async with asyncio.timeout(_MOST_SECONDS):
                        self._taken |= await self._send(todo)
                except Exception as error:  # noqa: BLE001 - the workflow begins all the same
                    _log.warning("first_steps_failed", scopes=len(todo), error=repr(error)[:200])
            return {
                found.key: self._taken[found.key] for found in chosen if found.key in self._taken
            }

    def forget(self, still_frozen: Sequence[FrozenScope]) -> None:
        """Forget whatever is not frozen any more."""
        keys = {found.key for found in still_frozen}
        seen = self._news.picture.sequence
        self._taken = {key: found for key, found in self._taken.items() if key in keys}
        self._untouched = {
            key: found
            for key, found in self._untouched.items()
            if key in keys or found.sequence > seen
        }

    async def _send(self, todo: Sequence[FrozenScope]) -> dict[int, Taken]:
        await self._news.reached(max(found.sequence for found in todo))
        planned: list[tuple[LiquidationRun, Step, Situation]] = []
        for found in todo:
            request = request_of(self._news.picture.shard, found)
            run = LiquidationRun(AdvanceRequest(request, RoundState()), self._door, self._news)
            now = run.situation()
            step = next_step(now, run.progress())
            if now.frozen == found and step.kind in _CLOSING:
                planned.append((run, step, now))
        if not planned:
            return {}
        books = await self._books({step.symbol_id for _, step, _ in planned})
        answers = await self._door.submit_many(
            [run.command(step, now) for run, step, now in planned]
        )
        taken = {}
        for (run, step, now), events in zip(planned, answers, strict=True):
            outcome = await outcome_of(self._door, events)
            met: Levels = []
            if step.kind is StepKind.REDUCE:
                met = book_met(step, now, *books[step.symbol_id])
            run.tell(step, now, met, outcome)
            if outcome.refusal:
                run.note_refusal(step, outcome.refusal)
            taken[run.liquidation.key] = Taken(run.state, run.steps)
        return taken

    async def _books(self, symbols: set[int]) -> dict[int, tuple[list[Level], list[Level]]]:
        """Return (bids, asks) of each market before the first of these orders."""
        found = {}
        for symbol_id in sorted(symbols):
            _, bids, asks = await self._door.book(symbol_id, BOOK_LEVELS)
            found[symbol_id] = bids, asks
        return found
