"""Order history and fills on a real PostgreSQL: one customer's, in pages, nothing left out."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.order import Side
from domain.order_id import client_key
from domain.order_record import FillRecord, OrderRecord
from infra.postgres import engine as postgres
from infra.postgres import tables
from infra.postgres.orders import OrderReadStore

pytestmark = pytest.mark.servers


@pytest_asyncio.fixture
async def engine(fresh_database: str) -> AsyncIterator[AsyncEngine]:
    """Give a database with ten orders and twelve trades of accounts 1 and 2."""
    made = postgres.create(fresh_database)
    async with made.begin() as connection:
        for number in range(1, 11):
            await connection.execute(tables.order_history.insert().values(_order(number)))
        for number in range(1, 13):
            await connection.execute(tables.trade_event.insert().values(_trade(number)))
    yield made
    await made.dispose()


def _order(number: int) -> dict[str, object]:
    name = f"c{number}"
    return {
        "shard": 0,
        "order_id": number,
        "account_id": 1 if number % 2 else 2,
        "symbol_id": 1 if number < 8 else 2,
        "client_order_id": name,
        "client_key": uuid.UUID(int=client_key(name)),
        "side": 0,
        "order_type": 0,
        "time_in_force": 0,
        "post_only": False,
        "self_trade": 0,
        "price_ticks": 10,
        "quantity_lots": 5,
        "quote_budget_units": 0,
        "expires_at_us": 0,
        "display_lots": 0,
        "trigger_price_ticks": 0,
        "trailing_offset_ticks": 0,
        "list_id": 0,
        "trigger_source": 0,
        "reduce_only": False,
        "close_position": False,
        "is_waiting": False,
        "is_pending": False,
        "filled_lots": 5,
        "filled_quote_units": 50,
        "fee_units": 1,
        "status": 1,
        "accepted_sequence": number,
        "accepted_at_us": number,
        "updated_sequence": number,
        "updated_at_us": number,
    }


def _trade(number: int) -> dict[str, object]:
    """Return a trade; number 12 is one that account 1 made with itself."""
    maker, taker = (1, 1) if number == 12 else ((1, 2) if number % 2 else (2, 1))
    return {
        "shard": 0,
        "sequence": 100 + number // 2,
        "index": 1 + number % 2,
        "trade_id": number,
        "symbol_id": 1,
        "time_us": number,
        "taker_side": 0,
        "maker_order_id": 1,
        "taker_order_id": 2,
        "maker_account_id": maker,
        "taker_account_id": taker,
        "price_ticks": 10,
        "quantity_lots": 1,
        "base_units": 1,
        "quote_units": 10,
        "maker_fee_units": 3,
        "taker_fee_units": 4,
        "journal_id": 1,
    }


async def test_orders_of_one_customer_newest_first(engine: AsyncEngine) -> None:
    """By account, by market, and from a position on."""
    store = OrderReadStore(engine)
    found = await store.orders(1, 0, None, 10)
    assert [order.order_id for order in found] == [9, 7, 5, 3, 1]
    assert [order.order_id for order in await store.orders(1, 2, None, 10)] == [9]
    page = await store.orders(1, 0, (7, 7), 2)
    assert [order.order_id for order in page] == [5, 3]


async def test_orders_of_two_shards_go_by_time(engine: AsyncEngine) -> None:
    """Not by shard: pages of any size give each once, and one that comes in late breaks none."""
    async with engine.begin() as connection:
        for number in (2, 3, 8):
            twin = {**_order(number), "shard": 1, "order_id": 1 << 48 | number, "account_id": 1}
            await connection.execute(tables.order_history.insert().values(twin))
    store = OrderReadStore(engine)
    whole = await store.orders(1, 0, None, 10)
    assert [(order.accepted_at_us, order.order_id >> 48) for order in whole] == [
        (9, 0), (8, 1), (7, 0), (5, 0), (3, 1), (3, 0), (2, 1), (1, 0)
    ]  # fmt: skip
    for size in (1, 2, 3):
        seen: list[OrderRecord] = []
        before = None
        while page := await store.orders(1, 0, before, size):
            seen += page
            before = (page[-1].accepted_at_us, page[-1].order_id)
        assert seen == whole


async def test_one_order_is_ones_own(engine: AsyncEngine) -> None:
    """By id and by client key, only for its customer."""
    store = OrderReadStore(engine)
    assert (await store.order(1, 3)) is not None
    assert (await store.order(2, 3)) is None
    assert (await store.order_by_client_key(1, client_key("c5"))) is not None
    assert (await store.order_by_client_key(2, client_key("c5"))) is None


async def test_fills_in_pages_leave_nothing_out(engine: AsyncEngine) -> None:
    """Pages of any size give the same fills, each once, both sides of a self-trade."""
    store = OrderReadStore(engine)
    whole = await store.fills(1, 0, 0, None, 100)
    assert len(whole) == 13
    assert [(fill.trade_id, fill.is_maker) for fill in whole[:2]] == [(12, True), (12, False)]
    for size in (1, 2, 5):
        seen = []
        before = None
        while page := await store.fills(1, 0, 0, before, size):
            seen += page
            before = _place(page[-1])
        assert seen == whole


async def test_fills_of_two_shards_with_the_same_numbers_are_both_there(
    engine: AsyncEngine,
) -> None:
    """Each shard counts for itself: a page that ends between two equal numbers skips neither."""
    async with engine.begin() as connection:
        for number in range(1, 13):
            twin = {**_trade(number), "shard": 1, "trade_id": 1 << 48 | number}
            await connection.execute(tables.trade_event.insert().values(twin))
    store = OrderReadStore(engine)
    whole = await store.fills(1, 0, 0, None, 100)
    assert len(whole) == 26
    for size in (1, 3):
        seen: list[FillRecord] = []
        before = None
        while page := await store.fills(1, 0, 0, before, size):
            seen += page
            before = _place(page[-1])
        assert seen == whole


def _place(fill: FillRecord) -> tuple[int, ...]:
    return fill.time_us, fill.trade_id, int(fill.is_maker)


async def test_a_fill_is_seen_from_its_owners_side(engine: AsyncEngine) -> None:
    """Side, role and fee are the owner's."""
    store = OrderReadStore(engine)
    fill = (await store.fills(2, 0, 0, None, 1))[0]
    other = next(item for item in await store.fills(1, 0, 0, None, 9) if item.trade_id == 11)
    assert (fill.trade_id, fill.is_maker, fill.side, fill.fee_units) == (11, False, Side.BUY, 4)
    assert (other.is_maker, other.side, other.fee_units) == (True, Side.SELL, 3)


async def test_fills_of_one_order(engine: AsyncEngine) -> None:
    """Order 1 is only ever a maker here, so its fills are the maker's."""
    found = await OrderReadStore(engine).fills(1, 1, 1, None, 100)
    assert found
    assert all(fill.is_maker for fill in found)
    assert await OrderReadStore(engine).fills(1, 2, 1, None, 100) == []
