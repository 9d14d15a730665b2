"""The migrations give exactly the schema that the code expects."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from infra.postgres.migrate import bring, check, upgrade

pytestmark = pytest.mark.servers


def test_tables_and_migrations_agree(postgres_url: str) -> None:
    """`alembic check` finds nothing to migrate, and a second upgrade does nothing."""
    upgrade(postgres_url)
    check(postgres_url)


async def test_two_processes_may_migrate_at_once(fresh_database: str) -> None:
    """Upgrades that start together wait for each other."""
    await asyncio.gather(*(asyncio.to_thread(upgrade, fresh_database) for _ in range(2)))


async def test_balances_leave_room_on_their_pages(database: AsyncEngine) -> None:
    """Balances are updated in place (HOT) only where pages have room: fillfactor 50."""
    async with database.connect() as conn:
        options = await conn.scalar(
            sa.text("SELECT reloptions FROM pg_class WHERE relname = 'ledger_account'")
        )
    assert options == ["fillfactor=50"]


async def test_books_of_another_version_are_refused(fresh_database: str) -> None:
    """Tables with the newest number that lack a column are named, with what to do."""
    assert await asyncio.to_thread(bring, fresh_database) == ""
    engine = create_async_engine(fresh_database)
    async with engine.begin() as conn:
        await conn.execute(sa.text("ALTER TABLE api_key DROP COLUMN label"))
    await engine.dispose()
    told = await asyncio.to_thread(bring, fresh_database)
    assert "label" in told
    assert "`./rialto reset`" in told
