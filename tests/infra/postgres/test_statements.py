"""Statements on a real ledger: they add up, follow on each other, and notice damage."""

from __future__ import annotations

import csv
import datetime as dt
import io
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.ledger import LedgerInvariantError
from domain.order import Side
from infra.postgres.settlement_store import SettlementStore
from infra.postgres.statements import StatementStore
from matching.event_codec import encode_events
from tests.infra.postgres.flows import accepted, credited, trade
from tests.infra.postgres.transfers import deposit, to_trading

pytestmark = pytest.mark.servers

ETHER, DOLLAR = 10**9, 10**6
BEGIN = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
END = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


async def now(database: AsyncEngine) -> dt.datetime:
    async with database.connect() as conn:
        moment: dt.datetime = await conn.scalar(sa.text("SELECT clock_timestamp()"))
    return moment


@pytest.fixture
async def halves(database: AsyncEngine) -> tuple[AsyncEngine, dt.datetime]:
    """Give a ledger with deposits and transfers, a moment, and then two trades."""
    async with database.begin() as conn:
        await deposit(conn, "d-1", 1, "ETH", 10 * 10**18)
        await deposit(conn, "=d-2", 2, "USDT", 9000 * DOLLAR)
        await to_trading(conn, 1, 1, "ETH", 10 * 10**18)
        await to_trading(conn, 2, 2, "USDT", 8000 * DOLLAR)
    store = SettlementStore(database)
    funding = [
        credited(1, UUID(int=1), 1, 2, 10 * ETHER),
        credited(2, UUID(int=2), 2, 1, 8000 * DOLLAR),
    ]
    await store.settle(0, 1, 2, encode_events(funding))
    moment = await now(database)
    events = [
        accepted(3, 2, Side.BUY),
        trade(3, 1, 1, maker=1, taker=2, base_units=ETHER, quote_units=2500 * DOLLAR),
        trade(3, 2, 2, maker=1, taker=2, base_units=ETHER, quote_units=2501 * DOLLAR),
    ]
    await store.settle(0, 3, 3, encode_events(events))
    return database, moment


async def test_statement_adds_up(halves: tuple[AsyncEngine, dt.datetime]) -> None:
    """Opening, one line for each change, closing: per asset, as JSON and as CSV."""
    found = await StatementStore(halves[0]).statement(2, BEGIN, END)
    by_asset = {part.asset.code: part for part in found.assets}
    usdt, eth = by_asset["USDT"], by_asset["ETH"]
    assert (usdt.opening, eth.opening) == (0, 0)
    assert eth.closing == 2 * 10**18
    assert usdt.closing == (9000 - 2500 - 2501) * DOLLAR - 8
    assert [(line.kind, line.amount) for line in eth.lines] == [("buy", 10**18)] * 2
    assert [(line.kind, line.reference, line.amount) for line in usdt.lines] == [
        ("deposit", "=d-2", 9000 * DOLLAR),
        ("transfer", f"transfer-{UUID(int=2)}", -8000 * DOLLAR),
        ("transfer", f"transfer {UUID(int=2)}", 8000 * DOLLAR),
        ("buy", "trade 1", -2500 * DOLLAR - 4),
        ("buy", "trade 2", -2501 * DOLLAR - 4),
    ]
    rows = list(csv.reader(io.StringIO(found.as_csv())))
    assert rows[0][0] == "asset"
    assert [row[-1] for row in rows if row[:1] == ["USDT"]][-1] == "3998.999992"
    assert "'=d-2" in found.as_csv()
    parts = found.as_json()["assets"]
    assert isinstance(parts, list)
    assert parts[1]["lines"][-1]["balance"] == parts[1]["closing"] == "3998.999992"


async def test_periods_follow_on_each_other(halves: tuple[AsyncEngine, dt.datetime]) -> None:
    """What one period closes with is what the next one opens with, and what was held then."""
    database, moment = halves
    store = StatementStore(database)
    for customer in (1, 2):
        first = await store.statement(customer, BEGIN, moment)
        second = await store.statement(customer, moment, END)
        closing = {part.asset.code: part.closing for part in first.assets}
        assert {part.asset.code: part.opening for part in second.assets if part.opening} == closing
        held = await store.balances_at(customer, moment)
        assert sum(held.values()) == sum(closing.values())
    assert (await store.balances_at(2, moment))["customer:2:trading.0:USDT"] == 8000 * DOLLAR
    assert sum((await store.balances_at(2, BEGIN)).values()) == 0
    sold = await store.statement(1, moment, END)
    assert {line.kind for part in sold.assets for line in part.lines} == {"sell"}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE trade_event SET quote_units = quote_units + 1 WHERE index = 1",
        (
            "UPDATE entry SET balance_after = balance_after + 1 WHERE journal_id ="
            " (SELECT max(journal_id) FROM journal)"
        ),
        "DELETE FROM balance_event",
    ],
)
async def test_damaged_books_give_no_statement(
    halves: tuple[AsyncEngine, dt.datetime], damage: str
) -> None:
    """Where lines and balances differ, the account is named instead of a wrong paper."""
    database, _ = halves
    async with database.begin() as conn:
        await conn.execute(sa.text(damage))
    with pytest.raises(LedgerInvariantError, match=r"customer:2:.*its lines sum to"):
        await StatementStore(database).statement(2, BEGIN, END)
