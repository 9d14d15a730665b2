"""The follower: every order once, whatever fails on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from domain.events import Event, ShardModeSet, SymbolStateSet
from domain.order import Side
from domain.order_history import OrderChange
from infra.postgres import tables
from infra.postgres.order_history_store import OrderHistoryStore
from infra.redis.event_stream import EventBatch, EventReader
from matching.event_codec import encode_events
from tests.infra.postgres.flows import accepted, tick
from workers.order_history import Follower, _follow, concerns


class Reader:
    """Gives the events of `commands` at a time; fails on the first read of each third place."""

    def __init__(self, events: Sequence[Event], commands: int, *, fails: bool = False) -> None:
        self._events = events
        self._commands = commands
        self._failed: set[int] = set() if fails else set(range(1000))

    async def read(self, after: int, max_wait_seconds: float) -> EventBatch | None:
        if after % 3 == 0 and after not in self._failed:
            self._failed.add(after)
            raise ConnectionError("the engine is away")
        found = [e for e in self._events if after < e.sequence <= after + self._commands]
        if not found:
            await asyncio.sleep(0.01)
            return None
        return EventBatch(after + 1, found[-1].sequence, encode_events(found))


class Store:
    """Remembers what was stored, as the real one would."""

    def __init__(self, orders: int = 0) -> None:
        self.last = 0
        self.orders: list[int] = []
        self.calls = 0
        self.complete = asyncio.Event()
        self._wanted = orders
        self.refusal = ""
        self.refused = asyncio.Event()

    async def cursor(self, shard: int) -> int:
        return self.last

    async def apply(
        self,
        shard: int,
        first: int,
        last: int,
        changes: list[OrderChange],
        states: Sequence[ShardModeSet | SymbolStateSet],
    ) -> int:
        if self.refusal:
            self.refused.set()
            raise RuntimeError(self.refusal)
        assert first == self.last + 1
        self.calls += 1
        self.orders += [change.order_id for change in changes]
        self.last = last
        if len(self.orders) == self._wanted:
            self.complete.set()
        return last


def follower(reader: Reader, store: object) -> Follower:
    return Follower(0, cast("EventReader", reader), cast("OrderHistoryStore", store))


EVENTS = [accepted(n, 1, Side.BUY) if n % 2 else tick(n) for n in range(1, 31)]


async def test_each_order_is_stored_once_through_failures() -> None:
    """After any failure it begins again at the stored cursor."""
    store, stop = Store(orders=6), asyncio.Event()
    reader = Reader(EVENTS[:11], 1, fails=True)
    task = asyncio.create_task(_follow(follower(reader, store), stop))
    await asyncio.wait_for(store.complete.wait(), 30)
    stop.set()
    await task
    assert store.orders == [1, 3, 5, 7, 9, 11]


async def test_what_was_read_is_stored_at_the_end() -> None:
    """Ticks alone wait for a second, but not beyond the end of the process."""
    store, stop = Store(), asyncio.Event()
    found = follower(Reader([tick(n) for n in range(1, 6)], 1), store)
    task = asyncio.create_task(_follow(found, stop))
    async with asyncio.timeout(30):
        while found.position == 0:  # noqa: ASYNC110 - the follower tells nobody
            await asyncio.sleep(0.01)
    stop.set()
    await task
    assert store.last == found.position
    assert store.calls <= 3


async def test_a_history_that_stands_still_says_why() -> None:
    """Whoever looks at the components reads it, until the events are stored after all."""
    store, stop = Store(orders=1), asyncio.Event()
    found = follower(Reader(EVENTS[:1], 1), store)
    store.refusal = "an order that was never accepted"
    task = asyncio.create_task(_follow(found, stop))
    await asyncio.wait_for(store.refused.wait(), 30)
    said = "the history of shard 0 waits behind 0: an order that was never accepted"
    async with asyncio.timeout(30):
        while concerns([found]) != {"attention": {"history": said}}:  # noqa: ASYNC110 - ditto
            await asyncio.sleep(0.01)
    store.refusal = ""
    await asyncio.wait_for(store.complete.wait(), 30)
    stop.set()
    await task
    assert concerns([found]) == {"attention": {}}


@pytest.mark.servers
async def test_rows_appear_in_the_database(fresh_database: str) -> None:
    """With the real store, the orders can be read."""
    engine = create_async_engine(fresh_database)
    found = follower(Reader(EVENTS, 7), OrderHistoryStore(engine))
    await found.start()
    while found.position < 30:
        await found.step()
    await found.finish()
    async with engine.connect() as conn:
        count = await conn.scalar(sa.select(sa.func.count()).select_from(tables.order_history))
    await engine.dispose()
    assert (count, found.saved) == (15, 30)
