"""Group commit on a real PostgreSQL: outcomes one by one, and no update is ever lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain import ledger
from domain.ledger import JournalRequest, Posting
from infra.postgres import tables
from infra.postgres.engine import create
from infra.postgres.ledger_store import (
    AccountBalance,
    AlreadyPosted,
    InsufficientFunds,
    KeyConflict,
    LedgerStore,
    Posted,
    VersionConflict,
)
from infra.postgres.ledger_writer import LedgerWriter

pytestmark = pytest.mark.servers

ALICE, BOB, CAROL = (ledger.main(number, "USDT") for number in (1, 2, 3))


def move(key: str, source: str, target: str, amount: int, **versions: int) -> JournalRequest:
    expected = {ledger.main(int(name[1:]), "USDT"): value for name, value in versions.items()}
    posting = Posting(source, target, "USDT", amount)
    return JournalRequest("house", key, "move", (posting,), {}, expected)


async def fund(database: AsyncEngine, amount: int) -> None:
    postings = tuple(
        Posting(ledger.capital("USDT"), code, "USDT", amount) for code in (ALICE, BOB, CAROL)
    )
    async with database.begin() as conn:
        await LedgerStore().post(conn, JournalRequest("house", "fund", "seed", postings))


async def balance(database: AsyncEngine, code: str) -> int:
    async with database.connect() as conn:
        return await LedgerStore().balance(conn, code)


async def test_each_request_has_its_own_outcome(database: AsyncEngine) -> None:
    """Refused, repeated and conflicting requests change nothing beside the good ones."""
    await fund(database, 10)
    writer = LedgerWriter(database, "house")
    results = await asyncio.gather(
        writer.post(move("m-1", ALICE, BOB, 4)),
        writer.post(move("m-2", ALICE, BOB, 7)),
        writer.post(move("m-1", ALICE, BOB, 4)),
        writer.post(move("m-1", ALICE, BOB, 5)),
        writer.post(move("m-3", BOB, CAROL, 14)),
        writer.post(move("m-4", CAROL, ALICE, 1, c3=0)),
    )
    first = results[0]
    assert isinstance(first, Posted)
    assert first.journal_id > 0
    assert results[1] == InsufficientFunds(ALICE, 6, 0, -7)
    assert results[2] == AlreadyPosted(first.journal_id)
    assert results[3] == KeyConflict("m-1", first.journal_id)
    assert isinstance(results[4], Posted)
    assert results[5] == VersionConflict(CAROL, 0, 2)
    assert [await balance(database, code) for code in (ALICE, BOB, CAROL)] == [6, 0, 24]


async def test_what_is_no_account_meets_nobody(database: AsyncEngine) -> None:
    """A request that makes no sense raises, and those that came with it are posted."""
    await fund(database, 10)
    writer = LedgerWriter(database, "house")
    good, bad = await asyncio.gather(
        writer.post(move("m-1", ALICE, BOB, 4)),
        writer.post(move("m-2", ALICE, "nobody", 4)),
        return_exceptions=True,
    )
    assert isinstance(good, Posted)
    assert isinstance(bad, ValueError)


async def test_no_update_is_lost_between_writers(database: AsyncEngine) -> None:
    """Three writers halve, double and swap what they read of three accounts; the books add up.

    Each amount depends on the balance that was read, so that one stale decision would show: every
    journal says the balance it decided on, and its entry begins there.
    """
    await fund(database, 10**9)
    writers = [LedgerWriter(database, "house") for _ in range(3)]

    async def client(number: int) -> tuple[int, int]:
        chance = random.Random(number)
        posted = again = 0
        for turn in range(20):
            source, target = chance.sample((ALICE, BOB, CAROL), 2)

            def decide(
                seen: Mapping[str, AccountBalance],
                pair: tuple[str, str] = (source, target),
                key: str = f"m-{number}-{turn}",
            ) -> JournalRequest:
                amount = seen[pair[0]].balance // 3 + 1
                versions = {code: seen[code].version for code in pair}
                detail = {"seen": str(seen[pair[0]].balance)}
                posting = Posting(pair[0], pair[1], "USDT", amount)
                return JournalRequest("house", key, "move", (posting,), detail, versions)

            result = await writers[number % 3].post_decided((source, target), decide)
            assert isinstance(result, Posted)
            posted, again = posted + 1, again + result.decided_again
        return posted, again

    tallies = await asyncio.gather(*(client(number) for number in range(12)))
    assert sum(posted for posted, _ in tallies) == 240
    assert sum(again for _, again in tallies) > 0  # there was something to lose
    async with database.connect() as conn:
        rows = await conn.execute(
            sa.text(
                "SELECT (j.detail->>'seen')::numeric AS seen, e.amount, e.balance_after"
                " FROM journal j JOIN entry e USING (journal_id)"
                " WHERE j.kind = 'move' AND e.amount < 0"
            )
        )
        lines = rows.all()
        total = await conn.scalar(sa.select(sa.func.sum(tables.ledger_account.c.balance)))
    assert len(lines) == 240
    assert all(line.seen + line.amount == line.balance_after for line in lines)
    assert total == 0


async def test_nothing_to_decide_posts_nothing(database: AsyncEngine) -> None:
    """A decision against posting, first or again, leaves the ledger alone."""
    await fund(database, 10)
    writer = LedgerWriter(database, "house")
    assert await writer.post_decided((ALICE, BOB), lambda _: None) is None
    answers = [move("m-1", ALICE, BOB, 4, c1=0), None]
    assert await writer.post_decided((ALICE, BOB), lambda _: answers.pop(0)) is None
    assert await balance(database, ALICE) == 10


async def test_database_away_is_told_to_everybody() -> None:
    """Whoever waits gets the error, and the writer serves the next ones again."""
    engine = create("postgresql+asyncpg://nobody:x@127.0.0.1:1/none")
    writer = LedgerWriter(engine, "house")
    for _ in range(2):
        results = await asyncio.gather(
            *(writer.post(move(f"m-{n}", ALICE, BOB, 4)) for n in range(3)), return_exceptions=True
        )
        assert all(isinstance(result, OSError) for result in results)
    with pytest.raises(OSError, match="Connect call failed"):
        await writer.read([ALICE])
    await engine.dispose()
