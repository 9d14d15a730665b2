"""Volumes by day and the tiers they give, on a real PostgreSQL: to the microsecond, and once."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.events import AccountTierSet
from domain.fee_tiers import DAY_US, TIER_VOLUMES, start_of_day_us, window_days
from infra.postgres import tables
from infra.postgres.fee_tier_store import FeeTierStore
from infra.postgres.order_history_store import OrderHistoryStore

pytestmark = pytest.mark.servers

DAY = dt.date(2026, 11, 27)
START, END = start_of_day_us(window_days(DAY)[0]), start_of_day_us(DAY)
DOLLAR = 10**6


async def _trade(
    database: AsyncEngine, sequence: int, time_us: int, dollars: int, *, symbol_id: int = 1
) -> None:
    """Write a settled trade of customer 1, the maker, with customer 2."""
    async with database.begin() as conn:
        await conn.execute(
            sa.insert(tables.trade_event).values(
                shard=0,
                sequence=sequence,
                index=1,
                trade_id=sequence,
                symbol_id=symbol_id,
                time_us=time_us,
                taker_side=0,
                maker_order_id=1,
                taker_order_id=2,
                maker_account_id=1,
                taker_account_id=2,
                price_ticks=1,
                quantity_lots=1,
                base_units=1,
                quote_units=dollars * DOLLAR,
                maker_fee_units=0,
                taker_fee_units=0,
                journal_id=1,
            )
        )


async def _volume(database: AsyncEngine, customer_id: int = 1) -> int:
    return (await FeeTierStore(database).of_customer(customer_id)).volume_units


async def test_windows_end_to_the_microsecond(database: AsyncEngine) -> None:
    """The first and the last moment of the window count, those beside it do not."""
    moments = [START - 1, START, END - 1, END, END + DAY_US]
    for sequence, moment in enumerate(moments, 1):
        await _trade(database, sequence * 10, moment, 10 ** (sequence - 1))
    store = FeeTierStore(database)
    await store.add_up(DAY, 0)
    found = await store.assess(DAY)
    assert (found.day, found.accounts, found.tiers) == ("2026-11-27", 2, {})
    for customer in (1, 2):  # maker and taker
        assert await _volume(database, customer) == 110 * DOLLAR
    assert await _volume(database, 3) == 0


async def test_a_rolling_window_takes_up_a_day_and_drops_one(database: AsyncEngine) -> None:
    """Days are added up once; the next assessment reads one more and one less."""
    await _trade(database, 1, START, 1)
    await _trade(database, 2, END - 1, 10)
    await _trade(database, 3, END, 100)
    store = FeeTierStore(database)
    await store.add_up(DAY, 0)
    await store.assess(DAY)
    assert await _volume(database) == 11 * DOLLAR
    tomorrow = DAY + dt.timedelta(days=1)
    await store.add_up(tomorrow, 0)
    await store.assess(tomorrow)
    assert await _volume(database) == 110 * DOLLAR


async def test_an_assessment_stands(database: AsyncEngine) -> None:
    """Run again, after a reset or by hand, it finds what it has written."""
    await _trade(database, 1, START, 150_000)
    store = FeeTierStore(database)
    for _ in range(2):
        await store.add_up(DAY, 0)
        found = await store.assess(DAY)
        assert (found.accounts, found.tiers) == (2, {"1": 2})
    await _trade(database, 2, END - 1, 10**9)
    await store.add_up(DAY, 0)
    assert (await store.assess(DAY)).tiers == {"1": 2}
    async with database.connect() as conn:
        done = sa.select(sa.func.count()).select_from(tables.volume_day_done)
        assert await conn.scalar(done) == 30


async def test_only_changes_are_wanted(database: AsyncEngine) -> None:
    """An account whose tier the shard has is left alone; who traded less falls back to 0."""
    await _trade(database, 1, START, TIER_VOLUMES[2])
    store = FeeTierStore(database)
    await store.add_up(DAY, 0)
    await store.assess(DAY)
    assert await store.wanted_changes(DAY, 0) == {1: 2, 2: 2}
    events = [AccountTierSet(1, 0, 5, 1, 2, 0), AccountTierSet(2, 0, 6, 7, 3, 0)]
    await OrderHistoryStore(database).apply(0, 1, 2, [], events)
    assert await store.wanted_changes(DAY, 0) == {2: 2, 7: 0}
    assert await store.wanted_changes(DAY, 1) == {1: 2, 2: 2}
    assert (await store.of_customer(1)).tiers == {0: 2}


async def test_other_quote_assets_count_at_the_last_close(database: AsyncEngine) -> None:
    """Of the asset's market against the reference, before the window's end; else nothing."""
    async with database.begin() as conn:
        terms = await conn.execute(sa.select(tables.asset).where(tables.asset.c.asset_id == 2))
        eth = terms.mappings().one()
        await conn.execute(sa.insert(tables.asset).values({**eth, "asset_id": 3, "code": "XYZ"}))
        market = (await conn.execute(sa.select(tables.instrument))).mappings().one()
        for symbol_id, symbol, base, quote in ((2, "XYZ/ETH", 3, 2), (3, "ETH/XYZ", 2, 3)):
            await conn.execute(
                sa.insert(tables.instrument).values(
                    {
                        **market,
                        "symbol_id": symbol_id,
                        "symbol": symbol,
                        "base_asset_id": base,
                        "quote_asset_id": quote,
                    }
                )
            )
        for open_time_us, close in ((END - 120_000_000, 250_000), (END, 900_000)):
            await conn.execute(
                sa.insert(tables.candle).values(
                    symbol_id=1,
                    interval_seconds=60,
                    open_time_us=open_time_us,
                    open_ticks=1,
                    high_ticks=1,
                    low_ticks=1,
                    close_ticks=close,
                    base_units=0,
                    quote_units=0,
                    trade_count=0,
                    last_sequence=1,
                )
            )
    await _trade(database, 1, START, 2_000, symbol_id=2)  # 2 * 10**9 units: 2 ETH at 2500.00
    await _trade(database, 2, START, 10**6, symbol_id=3)  # XYZ has no market against USDT
    store = FeeTierStore(database)
    await store.add_up(DAY, 0)
    await store.assess(DAY)
    assert await _volume(database) == 5_000 * DOLLAR
    found = await store.day(None)
    assert found is not None
    assert found["worths"] == {"USDT": [1, 1], "ETH": [250_000, 100_000]}
    (first, _) = await store.customers(DAY)
    assert (first["name"], first["tier"]) == ("customer-1", 0)


async def test_nothing_traded_is_an_assessment_too(database: AsyncEngine) -> None:
    """A fresh exchange has a day, and nobody in it."""
    store = FeeTierStore(database)
    assert (await store.of_customer(1)).day == ""
    await store.add_up(DAY, 0)
    assert (await store.assess(DAY)).accounts == 0
    assert (await store.of_customer(1)).day == "2026-11-27"
