"""Margin calls and lights, from a scan to the row, the message and the hash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.margin_call import MarginCall
from domain.risk_picture import ScopeKey
from infra.postgres.engine import create
from infra.postgres.margin_call_store import MarginCallStore
from infra.redis.adl_lights import AdlLights
from infra.redis.margin_calls import CHANNEL, MarginCallFeed
from tests.workflows.risk_rig import PERP, VICTIM, RiskDesk
from workers.risk_notices import RiskNotices
from workers.risk_watch import RiskWatch

pytestmark = pytest.mark.servers


@pytest.fixture
async def database(fresh_database: str) -> AsyncIterator[AsyncEngine]:
    """Give a database."""
    engine = create(fresh_database)
    yield engine
    await engine.dispose()


@asynccontextmanager
async def _telling(desk: RiskDesk, engine: AsyncEngine, redis: Redis) -> AsyncIterator[RiskNotices]:
    """Give a teller that runs."""
    notices = RiskNotices(
        desk.news, MarginCallStore(engine), MarginCallFeed(redis), AdlLights(redis)
    )
    tasks = [asyncio.create_task(run()) for run in (notices.run_calls, notices.run_lights)]
    try:
        yield notices
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _low() -> RiskDesk:
    """Return a desk whose long is above his margin by less than a quarter of it."""
    desk = RiskDesk()
    desk.victim()
    desk.move(960)
    return desk


async def _until_listed(store: MarginCallStore) -> list[MarginCall]:
    async with asyncio.timeout(30):
        while not (found := await store.of(VICTIM, None, 9)):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return found


async def test_a_call_comes_before_the_liquidation(database: AsyncEngine, redis_url: str) -> None:
    """Told once to whoever listens, and listed; nobody is frozen, nobody is told twice."""
    desk, store = _low(), MarginCallStore(database)
    async with Redis.from_url(redis_url) as redis, Redis.from_url(redis_url) as listener:
        heard: list[MarginCall] = []

        async def listen() -> None:
            async for call in MarginCallFeed(listener).messages():
                heard.append(call)  # noqa: PERF401 - it never ends

        listening = asyncio.create_task(listen())
        async with asyncio.timeout(30):
            while (await redis.pubsub_numsub(CHANNEL))[0][1] == 0:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        async with _telling(desk, database, redis) as notices:
            await desk.news.tell()
            watch = RiskWatch(desk.news, desk, notices.tell)
            for _ in range(2):
                assert await watch.look() == []
            (call,) = await _until_listed(store)
            assert notices.unwritten() == set()
        listening.cancel()
    assert heard == [call]
    assert (call.account_id, call.symbol_id, watch.calls) == (VICTIM, 0, 1)
    assert call.maintenance_units < call.equity_units < call.maintenance_units * 5 // 4
    assert desk.news.book.called() == [ScopeKey(VICTIM)]


async def test_a_call_waits_for_a_database_that_is_away(redis_url: str) -> None:
    """It is still to be written, so a monitor that starts anew calls again."""
    desk = _low()
    engine = create("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    async with Redis.from_url(redis_url) as redis, _telling(desk, engine, redis) as notices:
        await desk.news.tell()
        await RiskWatch(desk.news, desk, notices.tell).look()
        await asyncio.sleep(0.2)
        assert notices.unwritten() == {ScopeKey(VICTIM)}
    await engine.dispose()


async def test_lights_are_said_again_when_they_were_forgotten(
    database: AsyncEngine, redis_url: str
) -> None:
    """Each side's own ranking; after a FLUSHALL all of them, not only what has changed."""
    desk = _low()
    await desk.news.tell()
    async with Redis.from_url(redis_url) as redis, _telling(desk, database, redis):
        lights = AdlLights(redis)
        async with asyncio.timeout(30):
            while await lights.of(VICTIM, PERP) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert await lights.of(2, PERP) in range(1, 6)
        await redis.delete(f"adl-lights:{PERP}")
        async with asyncio.timeout(30):
            while await lights.of(2, PERP) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
