"""Settlement on a real PostgreSQL: each event once, in order, whole batches or nothing."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.events import Event
from domain.ledger import LedgerInvariantError, SequenceGapError
from domain.order import Side
from infra.postgres import tables
from infra.postgres.settlement_store import SettlementStore
from matching.event_codec import encode_events
from tests.infra.postgres.flows import accepted, credited, debited, tick, trade
from tests.infra.postgres.transfers import deposit, from_trading, to_trading

pytestmark = pytest.mark.servers

ETHER = 10**9  # engine units
DOLLAR = 10**6


async def fund(database: AsyncEngine) -> list[Event]:
    """Give customer 1 ether and customer 2 dollars on the way to trading; return the events."""
    async with database.begin() as conn:
        await deposit(conn, "d-1", 1, "ETH", 10 * 10**18)
        await deposit(conn, "d-2", 2, "USDT", 9000 * DOLLAR)
        await to_trading(conn, 1, 1, "ETH", 10 * 10**18)
        await to_trading(conn, 2, 2, "USDT", 9000 * DOLLAR)
    return [
        credited(1, UUID(int=1), 1, 2, 10 * ETHER),
        credited(2, UUID(int=2), 2, 1, 9000 * DOLLAR),
    ]


def two_trades() -> list[Event]:
    """Return two commands in which customer 2 buys 1 ETH, then 2 ETH, from customer 1."""
    return [
        accepted(3, 2, Side.BUY),
        trade(3, 1, 1, maker=1, taker=2, base_units=ETHER, quote_units=2500 * DOLLAR),
        tick(4),
        accepted(5, 2, Side.BUY),
        trade(5, 1, 2, maker=1, taker=2, base_units=2 * ETHER, quote_units=5000 * DOLLAR),
    ]


async def balances(database: AsyncEngine) -> dict[str, int]:
    account = tables.ledger_account.c
    async with database.connect() as conn:
        rows = await conn.execute(sa.select(account.code, account.balance))
        return {row.code: int(row.balance) for row in rows if row.balance}


async def test_credit_trade_debit_end_to_end(database: AsyncEngine) -> None:
    """Money goes main -> transit -> trading -> trade -> transit, to the unit, and sums to zero."""
    store = SettlementStore(database)
    events = [*await fund(database), *two_trades()]
    settled = await store.settle(0, 1, 5, encode_events(events))
    assert (settled.last_sequence, settled.trades) == (5, 2)
    async with database.begin() as conn:
        await from_trading(conn, 3, 2, "ETH", 3 * 10**18)
    await store.settle(0, 6, 6, encode_events([debited(6, UUID(int=3), 2, 2, 3 * ETHER)]))
    assert await balances(database) == {
        "customer:1:trading.0:ETH": 7 * 10**18,
        "customer:1:trading.0:USDT": 7500 * DOLLAR - 4,
        "customer:2:trading.0:USDT": 1500 * DOLLAR - 8,
        "fees.0:USDT": 12,
        "transit.0:ETH": 3 * 10**18,
        "wallet:deposit:ETH:ETH": -10 * 10**18,
        "wallet:deposit:ETH:USDT": -9000 * DOLLAR,
    }
    async with database.connect() as conn:
        states = (await conn.execute(sa.text("SELECT state, settled_sequence FROM transfer"))).all()
    assert sorted(tuple(row) for row in states) == [("posted", 1), ("posted", 2), ("posted", 6)]
    assert await store.cursor(0) == 6


async def test_view_gives_each_events_exact_delta(database: AsyncEngine) -> None:
    """`event_posting` has each event's delta per account; their sums equal the entries."""
    store = SettlementStore(database)
    await store.settle(0, 1, 5, encode_events([*await fund(database), *two_trades()]))
    async with database.connect() as conn:
        of_buyer = await conn.execute(
            sa.text(
                "SELECT sequence, asset, amount FROM event_posting WHERE customer_id = 2"
                " AND sequence = 3 ORDER BY asset"
            )
        )
        assert [(row.sequence, row.asset, int(row.amount)) for row in of_buyer] == [
            (3, "ETH", 10**18),
            (3, "USDT", -2500 * DOLLAR - 4),
        ]
        different = await conn.scalar(
            sa.text(
                "SELECT count(*) FROM (SELECT journal_id, account, sum(amount) AS amount"
                " FROM event_posting GROUP BY 1, 2 HAVING sum(amount) <> 0) lines"
                " FULL JOIN (SELECT journal_id, code AS account, amount FROM entry"
                " JOIN ledger_account USING (account_id) JOIN journal USING (journal_id)"
                " WHERE kind = 'settlement') entries USING (journal_id, account, amount)"
                " WHERE lines.amount IS NULL OR entries.amount IS NULL"
            )
        )
        assert different == 0


async def test_repeat_and_overlap_change_nothing(database: AsyncEngine) -> None:
    """The same batch again, or one that begins before the cursor, only says where it stands."""
    store = SettlementStore(database)
    events = [*await fund(database), *two_trades()]
    raw = encode_events(events)
    await store.settle(0, 1, 5, raw)
    before = await balances(database)
    assert (await store.settle(0, 1, 5, raw)).last_sequence == 5
    longer = encode_events([*events, tick(6)])
    assert (await store.settle(0, 1, 6, longer)).last_sequence == 5
    assert await balances(database) == before


async def test_two_settlers_at_once_settle_once(database: AsyncEngine) -> None:
    """A forgotten activity that still runs beside its successor doubles nothing."""
    stores = [SettlementStore(database) for _ in range(4)]
    raw = encode_events([*await fund(database), *two_trades()])
    results = await asyncio.gather(*(store.settle(0, 1, 5, raw) for store in stores))
    assert sorted(result.trades for result in results) == [0, 0, 0, 2]
    assert (await balances(database))["fees.0:USDT"] == 12


async def test_gap_is_refused(database: AsyncEngine) -> None:
    """Events that begin beyond the cursor's successor are a gap, not a jump."""
    store = SettlementStore(database)
    with pytest.raises(SequenceGapError, match="settled up to 0"):
        await store.settle(0, 2, 2, encode_events([tick(2)]))
    assert await store.cursor(0) == 0


async def test_ticks_move_only_the_cursor(database: AsyncEngine) -> None:
    """Commands without money leave no journal."""
    store = SettlementStore(database)
    await store.settle(0, 1, 3, encode_events([tick(1), tick(2), tick(3)]))
    async with database.connect() as conn:
        assert await conn.scalar(sa.select(sa.func.count()).select_from(tables.journal)) == 0
    assert await store.cursor(0) == 3


async def test_floor_violation_names_the_event_and_changes_nothing(database: AsyncEngine) -> None:
    """A trade of what the seller does not have stops the batch and says which event it was."""
    store = SettlementStore(database)
    events = await fund(database)
    bad = [
        *two_trades(),
        accepted(6, 2, Side.BUY),
        trade(6, 1, 3, maker=1, taker=2, base_units=8 * ETHER, quote_units=2500 * DOLLAR),
    ]
    with pytest.raises(LedgerInvariantError, match=r"customer:1:trading.0:ETH .* event 6\.1"):
        await store.settle(0, 1, 6, encode_events([*events, *bad]))
    assert await store.cursor(0) == 0
    assert (await balances(database))["transit.0:ETH"] == 10 * 10**18


@pytest.mark.parametrize(
    "event",
    [
        credited(1, UUID(int=99), 1, 2, 10 * ETHER),  # no such transfer
        credited(1, UUID(int=1), 2, 2, 10 * ETHER),  # another customer's
        credited(1, UUID(int=1), 1, 2, 9 * ETHER),  # another amount
    ],
)
async def test_credit_must_equal_its_transfer(database: AsyncEngine, event: Event) -> None:
    """A credit without an open transfer that asks for exactly it is never posted."""
    await fund(database)
    with pytest.raises(LedgerInvariantError, match="transfer"):
        await SettlementStore(database).settle(0, 1, 1, encode_events([event]))


async def test_market_listed_later_is_found(database: AsyncEngine) -> None:
    """A settler that runs while a market is listed reads the listing when it needs it."""
    store = SettlementStore(database)
    await store.settle(0, 1, 2, encode_events(await fund(database)))
    async with database.begin() as conn:
        await conn.execute(sa.text("UPDATE instrument SET symbol_id = 7"))
    events = [accepted(3, 2, Side.BUY), trade(3, 1, 1, maker=1, taker=2)]
    with pytest.raises(LedgerInvariantError, match="unknown symbol 1"):
        await SettlementStore(database).settle(0, 3, 3, encode_events(events))
    async with database.begin() as conn:
        await conn.execute(sa.text("UPDATE instrument SET symbol_id = 1"))
    assert (await store.settle(0, 3, 3, encode_events(events))).trades == 1


async def test_batches_are_prepared_ahead_of_their_turn(database: AsyncEngine) -> None:
    """Two batches computed before either is settled give what they give one by one."""
    store = SettlementStore(database)
    first = await store.prepare(0, 1, 2, encode_events(await fund(database)))
    second = await store.prepare(0, 3, 5, encode_events(two_trades()))
    with pytest.raises(SequenceGapError, match="settled up to 0"):
        await second.settle()
    assert [(await batch.settle()).last_sequence for batch in (first, second)] == [2, 5]
    assert (await second.settle()).trades == 0  # again: a repeat
    assert (await balances(database))["fees.0:USDT"] == 12
    async with database.connect() as conn:
        found = await conn.execute(sa.select(sa.func.count()).select_from(tables.trade_event))
        assert found.scalar_one() == 2
