"""The rows that every writer of the ledger shares: balances, entries, journal, hash chain.

All functions run inside the caller's transaction. Lock order, the same everywhere: cursor, then
the stream's chain, then balances in id order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.account import parse_account
from domain.hash_chain import GENESIS, canonical_json
from domain.ledger import JournalContent, JournalHead, journal_hash
from infra.postgres.partitions import ensure_in_passing


class StaleBalancesError(Exception):
    """Balances are not what the writer has computed with: nothing of its transaction may stay."""


class LockedBalance(NamedTuple):  # thousands are made a batch, which a dataclass takes longer for
    """One account's row, locked until the transaction ends (or known to its only writer)."""

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
    "SELECT array_agg(account_id) AS ids, array_agg(code) AS codes,"
    " array_agg(floor::text) AS floors, array_agg(balance::text) AS balances,"
    " array_agg(version) AS versions FROM (SELECT * FROM ledger_account"
    " WHERE code = ANY(CAST(:codes AS text[])) ORDER BY account_id FOR UPDATE) locked"
)
_INSERT = sa.text(
    "INSERT INTO journal (stream, position, key, request_hash, kind, first_sequence, last_sequence,"
    " detail, previous_hash, hash)"
    " SELECT :stream, position, key, request_hash, kind, first_sequence, last_sequence,"
    " CAST(detail AS jsonb), previous_hash, hash"
    " FROM unnest(CAST(:positions AS bigint[]), CAST(:keys AS text[]),"
    " CAST(:request_hashes AS bytea[]), CAST(:kinds AS text[]), CAST(:firsts AS bigint[]),"
    " CAST(:lasts AS bigint[]), CAST(:details AS text[]), CAST(:previous AS bytea[]),"
    " CAST(:hashes AS bytea[]))"
    " AS new(position, key, request_hash, kind, first_sequence, last_sequence, detail,"
    " previous_hash, hash) ORDER BY position"
    " RETURNING position, journal_id"
)
# The balances are locked, so what they become is known here; the count says that the database
# agrees. Numbers go as one text: thousands of Decimals a batch cost more than the update.
_UPDATE = sa.text(
    "WITH changed AS ("
    "  UPDATE ledger_account a SET balance = a.balance + net.amount,"
    "    version = a.version + net.changes"
    "    FROM unnest(CAST(:ids AS bigint[]), CAST(CAST(:amounts AS text) AS numeric[]),"
    "      CAST(CAST(:afters AS text) AS numeric[]), CAST(:changes AS bigint[]))"
    "      AS net(account_id, amount, after, changes)"
    "    WHERE a.account_id = net.account_id AND a.balance + net.amount = net.after"
    "  RETURNING 1"
    "), entries AS ("
    "  INSERT INTO entry (journal_id, account_id, amount, balance_after)"
    "  SELECT * FROM unnest(CAST(:entry_journals AS bigint[]), CAST(:entry_accounts AS bigint[]),"
    "    CAST(CAST(:entry_amounts AS text) AS numeric[]),"
    "    CAST(CAST(:entry_afters AS text) AS numeric[]))"
    ") SELECT count(*) FROM changed"
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
    row = (await conn.execute(_LOCK, {"codes": sorted(codes)})).one()
    columns = (row.ids, row.codes, row.floors, row.balances, row.versions)
    return {
        code: LockedBalance(
            account_id, code, None if floor is None else int(floor), int(balance), version
        )
        for account_id, code, floor, balance, version in zip(
            *(column or () for column in columns), strict=True
        )
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


@dataclass(frozen=True, slots=True)
class Draft:
    """A journal about to be written: what it says, and the net change per account code."""

    content: JournalContent
    net: Mapping[str, int]


async def append_journals(
    conn: AsyncConnection,
    head: JournalHead,
    drafts: Sequence[Draft],
    balances: Mapping[str, LockedBalance],
) -> tuple[list[int], JournalHead]:
    """Write journals of one stream, in order, with entries and new balances; return ids and head.

    `balances` are locked, so each balance after is known before the database says it. Where it
    comes to another one for any account: `StaleBalancesError`.
    """
    running = {code: account.balance for code, account in balances.items()}
    changes: Counter[str] = Counter()
    entries: list[tuple[int, int, int, int]] = []  # draft, account id, amount, balance after
    hashes: list[bytes] = []
    last = head
    for number, draft in enumerate(drafts):
        for code in draft.net:
            running[code] += draft.net[code]
            changes[code] += 1
        lines = [(code, amount, running[code]) for code, amount in draft.net.items()]
        hashes.append(journal_hash(last.hash, draft.content, lines))
        last = JournalHead(draft.content.position, hashes[-1])
        entries += [
            (number, balances[code].account_id, amount, after) for code, amount, after in lines
        ]
    ids = await _insert_journals(conn, head, drafts, hashes)
    if entries:
        await ensure_in_passing(conn, "entry", ids[0], ids[-1])
        ordered = sorted(changes, key=lambda code: balances[code].account_id)
        changed = await conn.scalar(
            _UPDATE,
            {
                "ids": [balances[code].account_id for code in ordered],
                "amounts": _numbers(running[code] - balances[code].balance for code in ordered),
                "afters": _numbers(running[code] for code in ordered),
                "changes": [changes[code] for code in ordered],
                "entry_journals": [ids[number] for number, _, _, _ in entries],
                "entry_accounts": [account for _, account, _, _ in entries],
                "entry_amounts": _numbers(amount for _, _, amount, _ in entries),
                "entry_afters": _numbers(after for _, _, _, after in entries),
            },
        )
        if changed != len(ordered):
            raise StaleBalancesError(f"{len(ordered) - changed} balances are not as they were read")
    return ids, last


def _numbers(values: Iterable[int]) -> str:
    """Return the text of a PostgreSQL array of integers."""
    return "{" + ",".join(map(str, values)) + "}"


async def _insert_journals(
    conn: AsyncConnection, head: JournalHead, drafts: Sequence[Draft], hashes: Sequence[bytes]
) -> list[int]:
    contents = [draft.content for draft in drafts]
    rows = await conn.execute(
        _INSERT,
        {
            "stream": contents[0].stream,
            "positions": [content.position for content in contents],
            "keys": [content.key for content in contents],
            "request_hashes": [content.request_hash for content in contents],
            "kinds": [content.kind for content in contents],
            "firsts": [content.first_sequence for content in contents],
            "lasts": [content.last_sequence for content in contents],
            "details": [canonical_json(content.detail).decode("ascii") for content in contents],
            "previous": [head.hash, *hashes[:-1]],
            "hashes": list(hashes),
        },
    )
    by_position = {row.position: row.journal_id for row in rows}
    return [by_position[content.position] for content in contents]
