"""One way to say that PostgreSQL is away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from asyncpg import PostgresError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

# Of connections; shutting down, crashed, starting; too many connections.
_AWAY_STATES = ("08", "57P", "53300")


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Give a connection to read from; `ConnectionError` when there is none or it breaks."""
    with _said_plainly():
        async with engine.connect() as connection:
            yield connection


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Give a connection in a transaction; `ConnectionError` when there is none or it breaks."""
    with _said_plainly():
        async with engine.begin() as connection:
            yield connection


@contextmanager
def _said_plainly() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout, OSError) as error:
        raise ConnectionError(f"PostgreSQL is away: {error}") from error
    except DBAPIError as error:
        if error.connection_invalidated or _is_away(error.orig):
            raise ConnectionError(f"PostgreSQL went away: {error}") from error
        raise
    except PostgresError as error:  # raised as it is where a connection is being made
        if _is_away(error):
            raise ConnectionError(f"PostgreSQL is away: {error}") from error
        raise


def _is_away(error: BaseException | None) -> bool:
    """Whether a server that starts, stops or has no place left says so."""
    return (getattr(error, "sqlstate", None) or "").startswith(_AWAY_STATES)
