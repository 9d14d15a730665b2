"""What the steps of the risk service need: an engine to command, its log, the newest picture."""

from __future__ import annotations

from typing import Protocol

from domain.commands import Command
from domain.errors import RejectReason
from domain.events import CommandRejected, Event, KeyDuplicate
from domain.risk_picture import RiskPicture, ScopeKey

Level = tuple[int, int]


class RiskDoor(Protocol):
    """A shard's engine, for commands of the role `risk`."""

    async def submit(self, command: Command) -> tuple[Event, ...]:
        """Run a command; safe to repeat with the same key when the outcome is unknown."""

    async def events_at(self, sequence: int) -> tuple[Event, ...]:
        """Return the events of one command."""

    async def book(self, symbol_id: int, depth: int) -> tuple[int, list[Level], list[Level]]:
        """Return (sequence, bids, asks), best first."""


class RiskNews(Protocol):
    """A shard's picture, which follows the engine's events."""

    @property
    def picture(self) -> RiskPicture:
        """Return the picture as it is now."""

    def now_us(self) -> int:
        """Return the time, in microseconds since 1970."""

    def counterparties(self, symbol_id: int, lots: int, most: int) -> tuple[list[int], bool]:
        """Return who may be among the first `most` to be closed against `lots`, and if all are."""

    async def reached(self, sequence: int) -> None:
        """Wait until the picture has followed to a sequence."""


class Outcome:
    """What the engine answered to a keyed command, whether it was asked now or before.

    `refusal` is NONE when it took effect, at `sequence`; then `events` are its events.
    """

    def __init__(self, events: tuple[Event, ...], refusal: RejectReason, sequence: int) -> None:
        self.events = events
        self.refusal = refusal
        self.sequence = sequence

    @property
    def refusal_name(self) -> str:
        """Return the refusal's name, "" when there is none."""
        return "" if self.refusal is RejectReason.NONE else self.refusal.name


async def steps_since(
    door: RiskDoor, news: RiskNews, scope: ScopeKey, sequence: int
) -> list[tuple[Event, ...]]:
    """Return the events of each command that closed some of a scope after a sequence."""
    numbers = [number for number in news.picture.steps.get(scope, ()) if number > sequence]
    return [await door.events_at(number) for number in numbers]


async def ask(door: RiskDoor, news: RiskNews, command: Command) -> Outcome:
    """Run a keyed command once, and wait until the picture knows what it did.

    A key that was used before stands for the first outcome, whatever is asked under it now.
    """
    events = await door.submit(command)
    await news.reached(events[0].sequence)
    return await outcome_of(door, events)


async def outcome_of(door: RiskDoor, events: tuple[Event, ...]) -> Outcome:
    """Return what a keyed command's events say; a used key's, what the first command did."""
    head = events[0]
    match head:
        case KeyDuplicate(first_reason=RejectReason.NONE):
            first = await door.events_at(head.first_sequence)
            return Outcome(first, RejectReason.NONE, head.first_sequence)
        case KeyDuplicate():
            return Outcome(events, head.first_reason, head.sequence)
        case CommandRejected():
            return Outcome(events, head.reason, head.sequence)
        case _:
            return Outcome(events, RejectReason.NONE, head.sequence)
