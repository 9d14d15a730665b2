"""The rows that every writer of the ledger shares: balances, entries, journal, hash chain.

All functions run inside the caller's transaction. Lock order, the same everywhere: cursor, then
the stream's chain, then balances in id order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.account import parse_account
from domain.hash_chain import GENESIS
from domain.ledger import JournalContent, JournalHead, journal_hash
from infra.postgres import tables


@dataclass(frozen=True, slots=True)
class LockedBalance:
    """One account's row, locked until the transaction ends."""

    account_id: int
    code: str
    floor: int | None
    balance: int
    version: int


_LOCK_STREAM = sa.text("SELECT pg_advisory_xact_lock(hashtextextended('journal:' || :stream, 0))")
_HEAD = sa.text(
    "SELECT position, hash FROM journal WHERE stream = :stream ORDER BY position DESC LIMIT 1"
)
_MISSING = sa.text(
    "SELECT wanted.code FROM unnest(CAST(:codes AS text[])) AS wanted(code)"
    " WHERE NOT EXISTS (SELECT FROM ledger_account a WHERE a.code = wanted.code)"
    " ORDER BY wanted.code"
)
_CREATE = sa.text(
    "INSERT INTO ledger_account (code, asset, customer_id, floor)"
    " SELECT * FROM unnest(CAST(:codes AS text[]), CAST(:assets AS text[]),"
    " CAST(:customers AS bigint[]), CAST(:floors AS numeric[]))"
    " ON CONFLICT (code) DO NOTHING"
)
_LOCK = sa.text(
    "SELECT account_id, code, floor, balance, version FROM ledger_account"
    " WHERE code = ANY(CAST(:codes AS text[])) ORDER BY account_id FOR UPDATE"
)
_UPDATE = sa.text(
    "WITH net AS ("
    "  SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:amounts AS numeric[]))"
    "    AS net(account_id, amount)"
    "), changed AS ("
    "  UPDATE ledger_account a SET balance = a.balance + net.amount, version = a.version + 1"
    "    FROM net WHERE a.account_id = net.account_id"
    "  RETURNING a.account_id, net.amount, a.balance"
    ")"
    " INSERT INTO entry (journal_id, account_id, amount, balance_after)"
    " SELECT :journal_id, account_id, amount, balance FROM changed"
    " RETURNING account_id, balance_after"
)


async def lock_stream(conn: AsyncConnection, stream: str) -> JournalHead:
    """Make this transaction the only writer of `stream`'s chain; return where the chain ends."""
    await conn.execute(_LOCK_STREAM, {"stream": stream})
    row = (await conn.execute(_HEAD, {"stream": stream})).one_or_none()
    return JournalHead(0, GENESIS) if row is None else JournalHead(row.position, row.hash)


async def create_accounts(conn: AsyncConnection, codes: Iterable[str]) -> None:
    """Create the rows of those `codes` that have none, with the floor that the code implies."""
    wanted = {"codes": sorted(codes)}
    missing = (await conn.execute(_MISSING, wanted)).scalars().all()
    if not missing:
        return
    accounts = [parse_account(code) for code in missing]
    await conn.execute(
        _CREATE,
        {
            "codes": list(missing),
            "assets": [account.asset for account in accounts],
            "customers": [account.customer_id for account in accounts],
            "floors": [account.floor for account in accounts],
        },
    )


async def lock_balances(conn: AsyncConnection, codes: Iterable[str]) -> dict[str, LockedBalance]:
    """Lock the rows of `codes` in id order and return them by code."""
    rows = (await conn.execute(_LOCK, {"codes": sorted(codes)})).all()
    return {
        row.code: LockedBalance(
            row.account_id,
            row.code,
            None if row.floor is None else int(row.floor),
            int(row.balance),
            row.version,
        )
        for row in rows
    }


def first_below_floor(
    balances: Mapping[str, LockedBalance], net: Mapping[str, int]
) -> LockedBalance | None:
    """Return the first account, in code order, that `net` takes below its floor; else None.

    An account that gains is never refused, even where it stands below its floor already.
    """
    for code in sorted(net):
        account = balances[code]
        if account.floor is not None and net[code] < 0:
            after = account.balance + net[code]
            if after < account.floor:
                return account
    return None


async def append_journal(
    conn: AsyncConnection,
    head: JournalHead,
    content: JournalContent,
    balances: Mapping[str, LockedBalance],
    net: Mapping[str, int],
) -> tuple[int, JournalHead]:
    """Write one journal with its entries and new balances; return its id and the new head.

    `balances` are locked, so the balance after is known before the database says it; that the
    database agrees is asserted, row by row.
    """
    after = {code: balances[code].balance + amount for code, amount in net.items()}
    new_hash = journal_hash(
        head.hash, content, ((code, amount, after[code]) for code, amount in net.items())
    )
    journal_id = (
        await conn.execute(
            sa.insert(tables.journal)
            .values(
                stream=content.stream,
                position=content.position,
                key=content.key,
                request_hash=content.request_hash,
                kind=content.kind,
                first_sequence=content.first_sequence,
                last_sequence=content.last_sequence,
                detail=dict(content.detail),
                previous_hash=head.hash,
                hash=new_hash,
            )
            .returning(tables.journal.c.journal_id)
        )
    ).scalar_one()
    if net:
        ordered = sorted(net, key=lambda code: balances[code].account_id)
        rows = await conn.execute(
            _UPDATE,
            {
                "journal_id": journal_id,
                "ids": [balances[code].account_id for code in ordered],
                "amounts": [net[code] for code in ordered],
            },
        )
        written = {row.account_id: int(row.balance_after) for row in rows}
        assert written == {balances[code].account_id: after[code] for code in net}, (
            "the database changed other rows than the ones that were locked"
        )
    return journal_id, JournalHead(content.position, new_hash)
