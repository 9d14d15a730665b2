"""Partitions on a real PostgreSQL: there before they are needed, also for two at once."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from infra.postgres.partitions import ENTRY_WIDTH, EVENT_WIDTH, ensure_partitions
from infra.postgres.settlement_store import SettlementStore
from matching.event_codec import encode_events
from tests.infra.postgres.flows import credited, tick
from tests.infra.postgres.transfers import deposit, to_trading

pytestmark = pytest.mark.servers


async def names(database: AsyncEngine, table: str) -> list[str]:
    async with database.connect() as conn:
        found = await conn.execute(
            sa.text(
                "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
                " WHERE i.inhparent = CAST(:parent AS regclass) ORDER BY c.oid"
            ),
            {"parent": table},
        )
        return list(found.scalars())


async def test_settlement_makes_the_next_partitions_in_passing(database: AsyncEngine) -> None:
    """A shard at the end of its last partition settles across the border, and on."""
    last = 3 * EVENT_WIDTH - 1
    async with database.begin() as conn:
        await deposit(conn, "d-1", 1, "USDT", 10)
        await to_trading(conn, 1, 1, "USDT", 10)
        await conn.execute(
            sa.text("INSERT INTO cursor (stream, last_sequence) VALUES ('settlement.0', :last)"),
            {"last": last - 1},
        )
    events = [tick(last), credited(last + 1, UUID(int=1), 1, 1, 10)]
    await SettlementStore(database).settle(0, last, last + 1, encode_events(events))
    assert await names(database, "trade_event") == [f"trade_event_{n}" for n in range(6)]
    async with database.connect() as conn:
        where = await conn.scalar(sa.text("SELECT tableoid::regclass::text FROM balance_event"))
    assert where == "partition.balance_event_3"


async def test_entries_go_on_at_the_end_of_a_partition(database: AsyncEngine) -> None:
    """Journals whose numbers cross a border find a partition for their entries."""
    async with database.begin() as conn:
        await conn.execute(
            sa.text("ALTER TABLE journal ALTER COLUMN journal_id RESTART WITH 2999999")
        )
    for number in range(3):
        async with database.begin() as conn:
            await deposit(conn, f"d-{number}", 1, "USDT", 10)
    async with database.connect() as conn:
        rows = await conn.execute(
            sa.text(
                "SELECT DISTINCT journal_id / :width, tableoid::regclass::text FROM entry"
                " ORDER BY 1"
            ),
            {"width": ENTRY_WIDTH},
        )
        assert [tuple(row) for row in rows] == [
            (2, "partition.entry_2"),
            (3, "partition.entry_3"),
        ]


async def test_many_make_the_same_partition_once(database: AsyncEngine) -> None:
    """Whoever comes second finds it made, or leaves it to the one who makes it."""

    async def make() -> int:
        async with database.begin() as conn:
            return await ensure_partitions(conn, "entry", 7 * ENTRY_WIDTH)

    made = await asyncio.gather(*(make() for _ in range(6)))
    assert sum(made) == 3
    assert (await names(database, "entry"))[-3:] == ["entry_7", "entry_8", "entry_9"]


async def test_vacuum_comes_by_the_row_however_large_a_partition_is(database: AsyncEngine) -> None:
    """Each partition has its own settings, also one that was made in passing."""
    async with database.begin() as conn:
        assert await ensure_partitions(conn, "entry", 7 * ENTRY_WIDTH)
        found = await conn.execute(
            sa.text(
                "SELECT count(*), count(*) FILTER (WHERE"
                " 'autovacuum_vacuum_insert_scale_factor=0' = ANY(c.reloptions))"
                " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE n.nspname = 'partition' AND c.relkind = 'r'"
            )
        )
    made, by_the_row = found.one()
    assert made == by_the_row > 9
