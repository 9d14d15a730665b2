"""Measures optimistic transfers between main accounts, and looks whether an update was lost."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.ledger import JournalRequest, Posting, capital, main
from infra.postgres.engine import create
from infra.postgres.ledger_store import AccountBalance, LedgerStore, Posted
from infra.postgres.ledger_writer import LedgerWriter

_ASSET = "USDT"
_START = 10**12
_STREAM = "bench"
# An update is lost where an entry does not begin at the balance that the one before it left.
_LOST = sa.text(
    "SELECT count(*) FROM (SELECT amount, balance_after, coalesce(lag(balance_after)"
    " OVER (PARTITION BY account_id ORDER BY journal_id), 0) AS before FROM entry) line"
    " WHERE before + amount <> balance_after"
)
_DRIFTED = sa.text(
    "SELECT count(*) FROM ledger_account a JOIN (SELECT account_id, sum(amount) AS total,"
    " count(*) AS changes FROM entry GROUP BY account_id) e USING (account_id)"
    " WHERE a.balance <> e.total OR a.version <> e.changes"
)


@dataclass
class _Tally:
    outcomes: Counter[str] = field(default_factory=Counter)
    decided_again: int = 0
    moved: Counter[str] = field(default_factory=Counter)


async def measure(
    database_url: str, accounts: int, seconds: float, clients: int, writers: int
) -> dict[str, Any]:
    """Return the report of `clients` that move money between `accounts` for `seconds`.

    Each reads two balances, decides an amount from what it read, and posts on the condition that
    both accounts are as they were read. `writers` group commits, as of so many processes.
    """
    engine = create(database_url, pool_size=writers * 2 + 2)
    try:
        codes = [main(number, _ASSET) for number in range(1, accounts + 1)]
        await _fund(engine, codes)
        desks = [LedgerWriter(engine, _STREAM) for _ in range(writers)]
        tally = _Tally()
        begun = time.monotonic()
        deadline = begun + seconds
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                client = _client(number, desks[number % writers], codes, deadline, tally)
                group.create_task(client)
        took = time.monotonic() - begun
        return await _report(engine, tally, took)
    finally:
        await engine.dispose()


async def _fund(engine: AsyncEngine, codes: list[str]) -> None:
    postings = tuple(Posting(capital(_ASSET), code, _ASSET, _START) for code in codes)
    request = JournalRequest(_STREAM, f"fund-{len(codes)}-{time.time_ns()}", "seed", postings)
    async with engine.begin() as conn:
        assert isinstance(await LedgerStore().post(conn, request), Posted)


async def _client(
    number: int, writer: LedgerWriter, codes: list[str], deadline: float, tally: _Tally
) -> None:
    chance = random.Random(number)  # noqa: S311 - a load, not a secret
    run = time.time_ns()
    for turn in range(10**9):
        if time.monotonic() >= deadline:
            return
        source, target = chance.sample(codes, 2)
        key = f"bench-{run}-{number}-{turn}"

        def decide(
            seen: Mapping[str, AccountBalance],
            source: str = source,
            target: str = target,
            key: str = key,
        ) -> JournalRequest | None:
            amount = seen[source].balance % 997 + 1
            if amount > seen[source].balance:
                return None
            versions = {code: seen[code].version for code in (source, target)}
            posting = Posting(source, target, _ASSET, amount)
            return JournalRequest(_STREAM, key, "move", (posting,), {}, versions)

        result = await writer.post_decided((source, target), decide)
        tally.outcomes[type(result).__name__] += 1
        if isinstance(result, Posted):
            tally.decided_again += result.decided_again


async def _report(engine: AsyncEngine, tally: _Tally, took: float) -> dict[str, Any]:
    async with engine.connect() as conn:
        lost = int(await conn.scalar(_LOST) or 0)
        drifted = int(await conn.scalar(_DRIFTED) or 0)
    posted = tally.outcomes["Posted"]
    return {
        "transfers": posted,
        "transfers_per_second": round(posted / took),
        "conflict_rate": round(tally.decided_again / max(1, posted), 4),
        "refused": tally.outcomes.total() - posted,
        "lost_updates": lost + drifted,
    }
