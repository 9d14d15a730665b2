"""Retention on a real ledger: what leaves was checked, and the books still add up without it."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.reconciliation import check_exchange
from domain.checker_records import EngineRecord
from infra.postgres.partitions import ENTRY_WIDTH, EVENT_WIDTH
from infra.postgres.record_reader import RecordReader
from infra.postgres.retention import LedgerRetention
from infra.postgres.settlement_store import SettlementStore
from infra.postgres.statements import ArchivedError, StatementStore
from matching.event_codec import encode_events
from tests.infra.postgres.flows import credited, tick
from tests.infra.postgres.transfers import deposit, to_trading

pytestmark = pytest.mark.servers

TOMORROW = dt.timedelta(days=1)


class KnownEngine:
    """The engine of the books below."""

    async def at(self, shard: int, sequence: int) -> EngineRecord:
        return EngineRecord(shard, sequence, {(1, 1): 25}, {1: 0}, 0)


@pytest.fixture
async def aged(database: AsyncEngine) -> AsyncEngine:
    """Give a ledger whose first event and entry partitions are full, and the second begun."""
    store = SettlementStore(database)
    async with database.begin() as conn:
        await deposit(conn, "d-1", 1, "USDT", 100)
        await deposit(conn, "d-idle", 2, "USDT", 7)
        await to_trading(conn, 1, 1, "USDT", 10)
    await store.settle(0, 1, 1, encode_events([credited(1, UUID(int=1), 1, 1, 10)]))
    async with database.begin() as conn:
        await conn.execute(
            sa.text("ALTER TABLE journal ALTER COLUMN journal_id RESTART WITH 999999")
        )
        await conn.execute(sa.text("UPDATE cursor SET last_sequence = 3999998"))
        await to_trading(conn, 2, 1, "USDT", 15)
    events = [tick(EVENT_WIDTH - 1), credited(EVENT_WIDTH, UUID(int=2), 1, 1, 15)]
    for sequence, event in enumerate(events, EVENT_WIDTH - 1):
        await store.settle(0, sequence, sequence, encode_events([event]))
    async with database.begin() as conn:
        await deposit(conn, "d-2", 1, "USDT", 5)
    return database


async def positions(database: AsyncEngine) -> dict[str, int]:
    checked = await check_exchange(RecordReader(database), KnownEngine(), None, [0])
    assert checked.report.violations == ()
    return {stream: position for stream, (position, _) in checked.closing.heads.items()}


async def tomorrow(database: AsyncEngine) -> dt.datetime:
    async with database.connect() as conn:
        moment: dt.datetime = await conn.scalar(sa.text("SELECT now()"))
    return moment + TOMORROW


async def test_old_and_checked_partitions_leave(aged: AsyncEngine) -> None:
    """Afterwards full checks are clean from the floor on, also of accounts that only rest."""
    checked, before = await positions(aged), await tomorrow(aged)
    retention = LedgerRetention(aged)
    assert await retention.detach(before, checked) == ["partition.entry_0"]
    assert await positions(aged) == checked
    async with aged.connect() as conn:
        assert await conn.scalar(sa.text("SELECT count(*) FROM archive.entry_0")) == 10
        assert await conn.scalar(sa.text("SELECT min(journal_id) FROM entry")) == ENTRY_WIDTH
    assert {p.name for p in await retention.partitions() if not p.attached} == {"archive.entry_0"}
    assert await retention.detach(before, checked) == []  # twice is once
    async with aged.begin() as conn:
        await conn.execute(
            sa.text("UPDATE ledger_account SET balance = 8 WHERE code = 'customer:2:main:USDT'")
        )
    report = (await check_exchange(RecordReader(aged), KnownEngine(), None, [0])).report
    assert {v.account for v in report.violations if v.account} == {"customer:2:main:USDT"}


async def test_what_was_not_checked_stays(aged: AsyncEngine) -> None:
    """Without a clean check, or with one that ended earlier, or too young: nothing leaves."""
    checked, before = await positions(aged), await tomorrow(aged)
    retention = LedgerRetention(aged)
    assert await retention.detach(before, {}) == []
    assert await retention.detach(before, {**checked, "wallet": 1}) == []
    assert await retention.detach(before - 2 * TOMORROW, checked) == []


async def test_event_rows_leave_once_their_shards_have_passed(aged: AsyncEngine) -> None:
    """When the floor lies beyond a range of sequences, its event rows leave with the entries."""
    async with aged.begin() as conn:
        await conn.execute(
            sa.text("ALTER TABLE journal ALTER COLUMN journal_id RESTART WITH 2000000")
        )
        await deposit(conn, "d-3", 1, "USDT", 1)
    checked, before = await positions(aged), await tomorrow(aged)
    names = await LedgerRetention(aged).detach(before, checked)
    assert names == [
        "partition.entry_0",
        "partition.entry_1",
        "partition.balance_event_0",
        "partition.perpetual_event_0",
        "partition.trade_event_0",
    ]
    assert await positions(aged) == checked


async def test_archived_periods_are_refused(aged: AsyncEngine) -> None:
    """A statement begins at the floor at the earliest; after it the books are as before."""
    store, before = StatementStore(aged), await tomorrow(aged)
    held = await store.balances_at(1, before)
    await LedgerRetention(aged).detach(before, await positions(aged))
    assert await store.balances_at(1, before) == held
    with pytest.raises(ArchivedError, match="is archived"):
        await store.statement(1, before - 400 * TOMORROW, before)


async def test_partitions_are_made_ahead_of_all_writers(aged: AsyncEngine) -> None:
    """What the schedule calls makes two ahead of the newest row, once."""
    retention = LedgerRetention(aged)
    async with aged.begin() as conn:
        await conn.execute(sa.text("UPDATE cursor SET last_sequence = 21000000"))
    assert await retention.ensure_ahead() == 9
    assert await retention.ensure_ahead() == 0
    newest = {p.table: p.number for p in await retention.partitions()}
    assert (newest["trade_event"], newest["balance_event"]) == (7, 7)
