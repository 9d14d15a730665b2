"""Listings and candles on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from domain.market_data import flat_candle
from infra.postgres import engine as postgres
from infra.postgres.markets import MarketStore

pytestmark = pytest.mark.servers
CANDLE = flat_candle(1, 60, 60_000_000, 7, 3)


@pytest_asyncio.fixture
async def store(fresh_database: str) -> AsyncIterator[MarketStore]:
    """Give a store on an empty database."""
    engine = postgres.create(fresh_database)
    yield MarketStore(engine)
    await engine.dispose()


async def test_candles_and_cursor_are_stored_together(store: MarketStore) -> None:
    """A candle stored again is replaced, never added up."""
    assert await store.cursor("market-data.0") == 0
    await store.store_candles("market-data.0", 5, [CANDLE])
    await store.store_candles("market-data.0", 9, [replace(CANDLE, trade_count=2)])
    assert await store.cursor("market-data.0") == 9
    assert await store.candles(1, 60, 10) == [replace(CANDLE, trade_count=2)]


async def test_the_newest_candles_come_oldest_first(store: MarketStore) -> None:
    """A chart draws them from left to right."""
    candles = [replace(CANDLE, open_time_us=60_000_000 * number) for number in range(5)]
    await store.store_candles("market-data.0", 5, candles)
    assert await store.candles(1, 60, 3) == candles[2:]


async def test_an_empty_exchange_has_empty_listings(store: MarketStore) -> None:
    """Before the demo is seeded."""
    listings = await store.listings()
    assert (listings.markets, listings.assets) == ([], [])
