"""Listings and candles on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.candles import combined, flat_candle
from domain.events import RiskParametersSet, SymbolDelisted
from domain.perpetual_terms import BracketRow, PerpetualTerms
from infra.postgres import engine as postgres
from infra.postgres import tables
from infra.postgres.markets import MarketStore
from infra.postgres.order_history_store import OrderHistoryStore

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


async def test_minutes_combine_to_any_interval(store: MarketStore) -> None:
    """First open, last close, extremes and sums of the minutes in the range, oldest first."""
    minutes = [
        replace(
            CANDLE,
            open_time_us=60_000_000 * number,
            open_ticks=100 + number,
            high_ticks=200 - number,
            low_ticks=50 + number,
            close_ticks=110 + number,
            base_units=number,
            quote_units=10 * number,
            trade_count=1,
            last_sequence=number,
        )
        for number in range(6)
    ]
    await store.store_candles("market-data.0", 5, minutes)
    await store.store_candles("market-data.0", 6, [replace(CANDLE, symbol_id=2)])
    first, second = await store.combined_candles(1, 180, 60_000_000, 5 * 60_000_000)
    assert (first.open_time_us, first.interval_seconds, first.trade_count) == (0, 180, 2)
    assert (first.open_ticks, first.close_ticks) == (101, 112)
    assert (first.high_ticks, first.low_ticks) == (199, 51)
    assert (first.base_units, first.quote_units, first.last_sequence) == (3, 30, 2)
    assert (second.open_time_us, second.open_ticks, second.close_ticks) == (180_000_000, 103, 114)
    assert await store.combined_candles(3, 180, 0, 10**12) == []


async def test_minutes_without_trades_count_only_alone(store: MarketStore) -> None:
    """They carry a price from before: no open, high or low of an interval that has traded."""
    flat = [replace(CANDLE, open_time_us=60_000_000 * number) for number in (0, 2, 3)]
    prices = {"open_ticks": 9, "high_ticks": 11, "low_ticks": 8, "close_ticks": 10}
    traded = replace(CANDLE, **prices, trade_count=2)
    await store.store_candles("market-data.0", 5, [*flat, traded])
    first, second = await store.combined_candles(1, 180, 0, 6 * 60_000_000)
    assert first == combined([flat[0], traded, flat[1]], 180)
    assert (first.open_ticks, first.high_ticks, first.low_ticks) == (9, 11, 8)
    assert (second.open_ticks, second.trade_count) == (7, 0)
    assert second == combined(flat[2:], 180)


async def test_seconds_are_filled_and_forgotten(store: MarketStore) -> None:
    """Ones without trades carry the close before, also of before the range; a day is kept."""
    day = 86_400
    seconds = [
        replace(CANDLE, interval_seconds=1, open_time_us=number * 1_000_000, close_ticks=number)
        for number in (10, 13, day + 12)
    ]
    await store.store_candles("market-data.0", 5, [*seconds, CANDLE])

    async def found(since: int, until: int) -> list[tuple[int, int]]:
        candles = await store.combined_candles(1, 1, since * 1_000_000, until * 1_000_000)
        return [(one.open_time_us // 1_000_000, one.close_ticks) for one in candles]

    assert await found(0, 13) == [(10, 10), (11, 10), (12, 10)]
    assert await found(12, 15) == [(12, 10), (13, 13), (14, 13)]
    assert await found(day + 11, day + 99) == [(day + 11, 13), (day + 12, day + 12)]
    assert await found(day + 13, day + 99) == []
    await store.forget_seconds(1)
    assert [one.close_ticks for one in await store.candles(1, 1, 9)] == [13, day + 12]
    assert await store.candles(1, 60, 9) == [CANDLE]


async def test_an_empty_exchange_has_empty_listings(store: MarketStore) -> None:
    """Before the demo is seeded."""
    listings = await store.listings()
    assert (listings.markets, listings.assets) == ([], [])


async def test_perpetuals_are_the_markets_with_terms(database: AsyncEngine) -> None:
    """Rows follow the engine's event; later terms replace them, a delisted market is none."""
    history, store = OrderHistoryStore(database), MarketStore(database)
    terms = PerpetualTerms((BracketRow(0, 5_000, 10_000),), 10**9, 10**6, 20)
    assert await store.perpetuals(0) == set()
    await history.apply(0, 1, 1, [], [RiskParametersSet(1, 1, 1, 1, terms)])
    assert (await store.perpetuals(0), await store.perpetuals(1)) == ({1}, set())
    harder = replace(terms, max_leverage=5)
    await history.apply(0, 2, 2, [], [RiskParametersSet(2, 0, 2, 1, harder)])
    async with database.connect() as conn:
        named = tables.instrument.c
        query = sa.select(named.perpetual).where(named.symbol_id == 1)
        found = (await conn.execute(query)).scalar_one()
    assert (found["max_leverage"], found["brackets"]) == (5, [[0, 5_000, 10_000]])
    gone = SymbolDelisted(3, 0, 3, 1, 0, 0, "", "")
    await history.apply(0, 3, 3, [], [gone])
    assert await store.perpetuals(0) == set()
