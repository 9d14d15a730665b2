"""The gateway's end of the event log: what happens to the accounts that somebody listens to.

One tail a shard reads the log while anybody listens, and tells each follower the commands that
concern its account. A newcomer reads for itself, from its snapshot or from where it was before,
until it has caught up with the tail; the two never tell the same command twice.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import structlog

from api import order_answers as answers
from api.account_state import called
from api.engine_calls import ask
from api.errors import Problem
from api.ports import EngineAway, EventLog, EventsForgotten, MarginCallSource
from api.services import Services
from api.websocket.account_words import told
from api.websocket.disconnect_guard import DisconnectGuards
from domain.events import Event
from domain.margin_call import MarginCall
from matching.account_events import command_of, concerned
from matching.codec import decode_events

READ_SECONDS = 0.5
AGAIN_SECONDS = 0.25
LONGEST_REPLAY = 100_000  # commands; who was away longer starts from a snapshot
LARGEST_FOLLOWER_COUNT = 500
LARGEST_OF_ACCOUNT = 20
"""How many may follow one account: it does not take the room of others."""

log = structlog.get_logger(__name__)


class Follower(Protocol):
    """Somebody who listens to an account on a shard. `sequence` is where it is; -1: nowhere.

    One that `is_gone` is taken nowhere any more.
    """

    account_id: int
    sequence: int
    is_gone: bool

    def snapshot(self, sequence: int, orders: Sequence[dict[str, Any]]) -> None:
        """Begin at a sequence, with the orders that are open there."""

    def resume(self, sequence: int) -> None:
        """Go on after a sequence that was told to it before."""

    def update(self, sequence: int, time_us: int, events: Sequence[dict[str, Any]]) -> None:
        """Go on with what a command did."""

    def margin_call(self, call: Mapping[str, Any]) -> None:
        """Hear a warning, which has no place among the commands."""


class ShardTail:
    """One shard's log, and who follows it."""

    def __init__(self, shard: int, event_log: EventLog) -> None:
        self._shard = shard
        self._log = event_log
        self._followers: dict[int, set[Follower]] = {}
        self._arrived = asyncio.Event()
        self.sequence = -1  # nobody has listened yet

    def of(self, account_id: int) -> list[Follower]:
        """Return who follows an account."""
        return list(self._followers.get(account_id, ()))

    async def join(self, follower: Follower, after: int | None, services: Services) -> None:
        """Start a follower: `after` a sequence where that is still told, else with a snapshot.

        `Problem` while the engine is away.
        """
        newest, orders = await ask(services.door(self._shard).open_orders(follower.account_id, 0))
        if follower.is_gone:
            return
        resumes = after is not None and max(0, newest - LONGEST_REPLAY) <= after <= newest
        if resumes and after is not None:
            follower.resume(after)
        else:
            listed = [answers.recorded(order, services.listings) for order in orders]
            follower.snapshot(newest, [order.model_dump(exclude={"fills"}) for order in listed])
        try:
            while not self._takes(follower):
                await self._catch_up(follower, services)
        except EventsForgotten as error:
            if not resumes:
                raise Problem("engine_unavailable") from error
            await self.join(follower, None, services)

    def _takes(self, follower: Follower) -> bool:
        """Take a follower that is where the tail is; the first one tells the tail where to be."""
        if follower.is_gone:
            return True
        if not self._followers:
            self.sequence = follower.sequence
        if follower.sequence < self.sequence:
            return False
        self._followers.setdefault(follower.account_id, set()).add(follower)
        self._arrived.set()
        return True

    async def _catch_up(self, follower: Follower, services: Services) -> None:
        try:
            run = await self._log.read(follower.sequence, 0.0)
        except EngineAway as error:
            raise Problem("engine_unavailable") from error
        if run is None:
            await asyncio.sleep(AGAIN_SECONDS)
            return
        self._tell(run.raw, {follower.account_id: {follower}}, services)
        follower.sequence = run.last_sequence

    def leave(self, follower: Follower) -> None:
        """Forget a follower, also one that is waiting to be taken."""
        follower.is_gone = True
        found = self._followers.get(follower.account_id, set())
        found.discard(follower)
        if not found:
            self._followers.pop(follower.account_id, None)
        if not self._followers:
            self._arrived.clear()

    async def run(self, services: Services) -> None:
        """Follow the log while anybody listens; whatever is away is waited for."""
        while True:
            await self._arrived.wait()
            try:
                run = await self._log.read(self.sequence, READ_SECONDS)
                # somebody who came meanwhile, as the only one, may have set another place
                if run is not None and run.first_sequence == self.sequence + 1:
                    self._tell(run.raw, self._followers, services)
                    self._move_to(run.last_sequence)
            except EventsForgotten:
                await self._start_again(services)
            except (EngineAway, Problem) as error:  # a market that is not listed here yet
                log.warning("the event log waits", shard=self._shard, error=str(error))
                await asyncio.sleep(AGAIN_SECONDS)

    def _move_to(self, sequence: int) -> None:
        self.sequence = sequence
        for followers in self._followers.values():
            for follower in followers:
                follower.sequence = max(follower.sequence, sequence)

    async def _start_again(self, services: Services) -> None:
        """Give everybody a snapshot: what lies between is not kept any more."""
        waiting = [one for followers in self._followers.values() for one in followers]
        self._followers.clear()
        self._arrived.clear()
        for follower in waiting:
            try:
                await self.join(follower, None, services)
            except Problem:  # it stays where it was, and the next look starts again
                if not follower.is_gone:
                    self._followers.setdefault(follower.account_id, set()).add(follower)
                    self._arrived.set()
                await asyncio.sleep(AGAIN_SECONDS)

    def _tell(self, raw: bytes, followers: Mapping[int, set[Follower]], services: Services) -> None:
        for sequence, accounts in concerned(raw, followers):
            events = decode_events(command_of(raw, sequence))
            time_us = _time_of(events)
            for account in accounts:
                words = told(services.listings, account, events)
                for follower in list(followers.get(account, ())) if words else ():
                    if follower.sequence < sequence:
                        follower.update(sequence, time_us, words)
                        follower.sequence = sequence


def _time_of(events: Sequence[Event]) -> int:
    return next((time for one in events if (time := getattr(one, "time_us", 0))), 0)


class AccountHub:
    """The tails of all shards, the margin calls, and the guards of sockets over their accounts."""

    def __init__(self, logs: Mapping[int, EventLog], calls: MarginCallSource) -> None:
        self._calls = calls
        self._places: Counter[int] = Counter()
        self.tails = {shard: ShardTail(shard, event_log) for shard, event_log in logs.items()}
        self.guards = DisconnectGuards()

    def take_place(self, account_id: int) -> None:
        """Take a place among those who follow; a `Problem` when there is no room.

        It is given back with `leave_place`, also by who has not come to follow.
        """
        if self._places.total() >= LARGEST_FOLLOWER_COUNT:
            raise Problem("rate_limited", "Too many accounts are followed here; try again later.")
        if self._places[account_id] >= LARGEST_OF_ACCOUNT:
            detail = f"At most {LARGEST_OF_ACCOUNT} connections follow an account here."
            raise Problem("rate_limited", detail)
        self._places[account_id] += 1

    def leave_place(self, account_id: int) -> None:
        """Give a place back."""
        self._places[account_id] -= 1
        if not self._places[account_id]:
            del self._places[account_id]

    async def run(self, services: Services) -> None:
        """Follow all logs until cancelled."""
        # not a TaskGroup: that would pass a second cancel() on to nobody who missed the first
        tails = (tail.run(services) for tail in self.tails.values())
        await asyncio.gather(self._pass_calls(services), *tails)

    async def _pass_calls(self, services: Services) -> None:
        """Tell margin calls to those who listen; one that is missed stays in the list."""
        while True:
            try:
                async for call in self._calls.messages():
                    self._pass_call(call, services)
            except ConnectionError as error:
                log.warning("margin calls are away", error=str(error))
            await asyncio.sleep(AGAIN_SECONDS)

    def _pass_call(self, call: MarginCall, services: Services) -> None:
        tail = self.tails.get(call.shard)
        followers = tail.of(call.account_id) if tail is not None else ()
        if not followers:
            return
        try:
            words = called(services, call).model_dump(exclude={"shard"})
        except Problem as problem:
            log.warning("a margin call cannot be told", error=str(problem))
            return
        for follower in followers:
            follower.margin_call(words)
