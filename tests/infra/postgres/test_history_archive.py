"""The archive of histories on a real PostgreSQL: once a run, sealed, vouched for."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.workflow_history import ClosedRun
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.history_archive import HistoryArchive
from infra.secret_box import SecretBox

pytestmark = pytest.mark.servers

NOW = dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(days=2557)
HISTORY = '{"events": [{"eventId": "1", "eventType": "EVENT_TYPE_X", "name": "Alice Example"}]}'
RUN = ClosedRun("withdrawal-1", "run-1", "WithdrawalWorkflow", "completed", NOW)


@pytest.fixture
def archive(database: AsyncEngine, tmp_path: Path) -> HistoryArchive:
    """Give an archive with a key of its own."""
    return HistoryArchive(database, AuditStore(), SecretBox.from_file(tmp_path / "key"))


async def test_history_comes_back_and_is_readable_nowhere(
    archive: HistoryArchive, database: AsyncEngine
) -> None:
    """Twice exported is once kept; what is stored does not show what it holds."""
    assert await archive.missing(["run-1"]) == {"run-1"}
    await archive.keep(RUN, HISTORY, LATER)
    await archive.keep(RUN, "another", LATER)
    assert (await archive.missing(["run-1", "run-2"]), await archive.newest()) == ({"run-2"}, NOW)
    (kept,) = await archive.of("withdrawal-1")
    assert (kept.run, kept.history, kept.keep_until, kept.fault) == (RUN, HISTORY, LATER, "")
    async with database.connect() as conn:
        sealed = await conn.scalar(sa.select(tables.workflow_history.c.sealed))
        records = await AuditStore().read(conn, "withdrawal-1")
    assert b"Alice" not in bytes(sealed or b"")
    assert [(record.action, record.detail["events"]) for record in records] == [
        ("history_exported", 1)
    ]


async def test_tampered_export_is_noticed(archive: HistoryArchive, database: AsyncEngine) -> None:
    """A changed byte, another run's history, and one that the audit log knows nothing of."""
    await archive.keep(RUN, HISTORY, LATER)
    table = tables.workflow_history
    async with database.begin() as conn:
        row = (await conn.execute(sa.select(table))).one()
        changed = bytes(row.sealed[:-1]) + bytes([row.sealed[-1] ^ 1])
        await conn.execute(sa.update(table).values(sealed=changed))
    assert [one.fault for one in await archive.of("withdrawal-1")] == [
        "changed since it was exported"
    ]
    async with database.begin() as conn:
        forged = archive._box.seal(b"not compressed", "run-1")
        await conn.execute(sa.update(table).values(sealed=forged))
    assert [one.fault for one in await archive.of("withdrawal-1")] == [
        "changed since it was exported"
    ]
    async with database.begin() as conn:
        await conn.execute(sa.update(table).values(sealed=row.sealed, run_id="run-9"))
    (moved,) = await archive.of("withdrawal-1")
    assert (moved.fault, moved.history) == ("changed since it was exported", "")


async def test_what_was_kept_long_enough_is_forgotten(
    archive: HistoryArchive, database: AsyncEngine
) -> None:
    """Not a day earlier; the audit log keeps the hash, and nothing is exported again."""
    await archive.keep(RUN, HISTORY, LATER)
    assert await archive.expire(LATER) == 0
    assert await archive.expire(LATER + dt.timedelta(days=1)) == 1
    assert await archive.of("withdrawal-1") == []
    assert await archive.missing(["run-1"]) == set()
    async with database.connect() as conn:
        assert (await AuditStore().verify(conn)) == (2, "")
