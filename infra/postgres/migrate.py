"""Bring a database to the newest schema: `python -m infra.postgres.migrate URL`, or `upgrade`.

`-` for URL is the first line of standard input: there nobody sees the password.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

_MIGRATION_LOCK = 0x52_49_41_4C_54_4F_00_01  # two processes that start together migrate in turn


def upgrade(database_url: str) -> None:
    """Apply all missing migrations; nothing to do is not an error.

    Synchronous; inside a running event loop it blocks that loop until it is done.
    """
    _complete(_with_connection(database_url, lambda config: command.upgrade(config, "head")))


def check(database_url: str) -> None:
    """Raise `alembic.util.CommandError` when the tables' metadata and the migrations differ."""
    _complete(_with_connection(database_url, command.check))


def _complete(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` to its end in a thread of its own, which may have an event loop of its own."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, work).result()


async def _with_connection(database_url: str, run: Callable[[Config], object]) -> None:
    engine = create_async_engine(database_url, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_run, run)
    finally:
        await engine.dispose()


def _run(connection: Connection, run: Callable[[Config], object]) -> None:
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    run(config)


def bring(database_url: str) -> str:
    """Upgrade, then compare the tables with those that the code expects; return what is wrong.

    Until the first release the one migration is edited in place: books of an older version have its
    number and not its tables.
    """
    upgrade(database_url)
    try:
        check(database_url)
    except CommandError as error:
        return (
            "The database was made by another version of Rialto, and its tables are not those that "
            "this one needs. Nothing was changed. Run the version that made it, or give up what "
            f"is in it: `./rialto reset` deletes the data folder.\n{str(error)[:500]}"
        )
    return ""


if __name__ == "__main__":
    url = sys.argv[1]
    sys.exit(bring(sys.stdin.readline().strip() if url == "-" else url) or 0)
