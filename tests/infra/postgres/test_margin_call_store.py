"""Margin calls as rows."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.margin_call import MarginCall
from infra.postgres.engine import create
from infra.postgres.margin_call_store import MarginCallStore

pytestmark = pytest.mark.servers


def _call(account_id: int, sequence: int, symbol_id: int = 0) -> MarginCall:
    return MarginCall(0, account_id, symbol_id, sequence, sequence * 10, 1_100, 1_000)


async def test_calls_are_kept_once_and_listed_newest_first(database: AsyncEngine) -> None:
    """Each once, however often it is written; by pages, and only to its own account."""
    store = MarginCallStore(database)
    calls = [_call(5, 1), _call(5, 2), _call(5, 2, symbol_id=7), _call(6, 3)]
    await store.write(calls)
    await store.write(calls)
    assert await store.of(5, None, 2) == [calls[2], calls[1]]
    assert await store.of(5, (20, 2, 0, 7), 9) == [calls[1], calls[0]]
    assert await store.of(5, (20, 2, 0, 0), 9) == [calls[0]]
    assert await store.of(6, None, 9) == [calls[3]]
    assert await store.of(7, None, 9) == []


async def test_a_database_that_is_away_is_said_plainly() -> None:
    """Who writes tries again, who reads says that it cannot."""
    engine = create("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    store = MarginCallStore(engine)
    with pytest.raises(ConnectionError):
        await store.write([_call(5, 1)])
    with pytest.raises(ConnectionError):
        await store.of(5, None, 1)
    await engine.dispose()
