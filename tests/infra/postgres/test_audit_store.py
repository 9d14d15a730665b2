"""The audit log on a real PostgreSQL: dense, chained, once per key."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.audit import AuditConflictError
from domain.hash_chain import GENESIS
from infra.postgres.audit_store import AuditStore, Entry

pytestmark = pytest.mark.servers

STORE = AuditStore()


async def append(database: AsyncEngine, key: str, action: str = "approve") -> int:
    async with database.begin() as conn:
        return await STORE.append(conn, "withdrawal-1", "officer:ann", action, key, {"n": 1})


async def test_records_are_dense_and_chained(database: AsyncEngine) -> None:
    """Concurrent writers get ids 1..n, and each record's hash is its content's."""
    ids = await asyncio.gather(*(append(database, f"k-{n}") for n in range(12)))
    assert sorted(ids) == list(range(1, 13))
    async with database.connect() as conn:
        records = await STORE.read(conn, "withdrawal-1")
    previous = GENESIS
    for record in records:
        assert record.previous_hash == previous
        assert record.computed_hash() == record.hash
        previous = record.hash


async def test_repeat_returns_the_first_id(database: AsyncEngine) -> None:
    """A retried step logs once."""
    assert await append(database, "k") == await append(database, "k") == 1


async def test_many_at_once_are_chained_like_one_after_the_other(database: AsyncEngine) -> None:
    """Those that are known keep their ids, within the batch too; one conflict stops all."""
    first = await append(database, "k-0")
    entries = [
        Entry("withdrawal-1", "officer:ann", "approve", f"k-{n}", {"n": 1}) for n in range(3)
    ]
    async with database.begin() as conn:
        assert await STORE.append_many(conn, [*entries, entries[1]]) == [first, 2, 3, 2]
    other = [entries[0]._replace(key="k-9"), entries[2]._replace(detail={"n": 2})]
    with pytest.raises(AuditConflictError):
        await _append_many(database, other)
    async with database.connect() as conn:
        assert await STORE.verify(conn) == (3, "")


async def _append_many(database: AsyncEngine, entries: list[Entry]) -> None:
    async with database.begin() as conn:
        await STORE.append_many(conn, entries)


async def test_key_for_another_record_is_refused(database: AsyncEngine) -> None:
    """The same key for another action is a bug that surfaces."""
    await append(database, "k")
    with pytest.raises(AuditConflictError):
        await append(database, "k", action="reject")


@pytest.mark.parametrize(
    "change",
    ["UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log", "TRUNCATE audit_log"],
)
async def test_records_cannot_be_changed(database: AsyncEngine, change: str) -> None:
    """The database refuses it, whoever is connected; the record stays as it was."""
    await append(database, "k")
    with pytest.raises(DBAPIError, match="audit_log is append-only"):
        async with database.begin() as conn:
            await conn.execute(sa.text(change))
    async with database.connect() as conn:
        assert await STORE.verify(conn) == (1, "")
