"""Post to the ledger, exactly once per key, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.hash_chain import canonical_json
from domain.ledger import (
    JournalContent,
    JournalRequest,
    net_of,
    request_hash,
    stored_detail,
)
from infra.postgres import tables
from infra.postgres.journal_rows import (
    append_journal,
    create_accounts,
    first_below_floor,
    lock_balances,
    lock_stream,
)


@dataclass(frozen=True, slots=True)
class Posted:
    """The postings are in the ledger, once the caller's transaction commits.

    `balances` are the balances after, by account code, of the accounts that changed.
    """

    journal_id: int
    position: int
    balances: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class AlreadyPosted:
    """The same request was posted before under this key; nothing changed. As good as `Posted`."""

    journal_id: int


@dataclass(frozen=True, slots=True)
class KeyConflict:
    """The key was used before for other postings; nothing changed. A bug in the caller."""

    key: str
    journal_id: int


@dataclass(frozen=True, slots=True)
class InsufficientFunds:
    """`account` would go below its floor; nothing changed. Amounts in chain units."""

    account: str
    balance: int
    floor: int
    change: int


@dataclass(frozen=True, slots=True)
class VersionConflict:
    """`account` changed since the caller read it (only with `expected_versions`); read again."""

    account: str
    expected: int
    actual: int


PostResult = Posted | AlreadyPosted | KeyConflict | InsufficientFunds | VersionConflict


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """One ledger account of a customer; `balance` in chain units, `version` counts its changes."""

    code: str
    asset: str
    balance: int
    version: int


class LedgerStore:
    """The one way for wallet, treasury and operations to move money in the ledger.

    Post once per transaction: a second post locks balances out of order, and may be the victim of
    a deadlock (an error of the database, so the activity is tried again).
    """

    async def post(self, conn: AsyncConnection, request: JournalRequest) -> PostResult:
        """Post `request` in `conn`'s transaction; accounts that do not exist yet are created.

        The caller commits. After anything but `Posted`, the transaction has changed no money.
        """
        detail = stored_detail(request)
        canonical_json(detail)
        digest = request_hash(request.kind, detail)
        head = await lock_stream(conn, request.stream)
        earlier = await self.find(conn, request.key)
        if earlier is not None:
            same = earlier.request_hash == digest
            return (
                AlreadyPosted(earlier.journal_id)
                if same
                else KeyConflict(request.key, earlier.journal_id)
            )
        net = net_of(request.postings)
        codes = net.keys() | request.expected_versions.keys()
        await create_accounts(conn, codes)
        balances = await lock_balances(conn, codes)
        for code, expected in sorted(request.expected_versions.items()):
            if balances[code].version != expected:
                return VersionConflict(code, expected, balances[code].version)
        short = first_below_floor(balances, net)
        if short is not None and short.floor is not None:
            return InsufficientFunds(short.code, short.balance, short.floor, net[short.code])
        content = JournalContent(
            stream=request.stream,
            position=head.position + 1,
            key=request.key,
            kind=request.kind,
            request_hash=digest,
            first_sequence=None,
            last_sequence=None,
            detail=detail,
        )
        journal_id, _ = await append_journal(conn, head, content, balances, net)
        after = {code: balances[code].balance + amount for code, amount in net.items()}
        return Posted(journal_id, content.position, after)

    async def find(self, conn: AsyncConnection, key: str) -> JournalKey | None:
        """Return the journal that was posted under `key`, or None."""
        row = (
            await conn.execute(
                sa.select(tables.journal.c.journal_id, tables.journal.c.request_hash).where(
                    tables.journal.c.key == key
                )
            )
        ).one_or_none()
        return None if row is None else JournalKey(row.journal_id, row.request_hash)

    async def balances(self, conn: AsyncConnection, customer_id: int) -> list[AccountBalance]:
        """Return the customer's accounts, main and trading, by code."""
        account = tables.ledger_account.c
        rows = await conn.execute(
            sa.select(account.code, account.asset, account.balance, account.version)
            .where(account.customer_id == customer_id)
            .order_by(account.code)
        )
        return [AccountBalance(row.code, row.asset, int(row.balance), row.version) for row in rows]

    async def balance(self, conn: AsyncConnection, code: str) -> int:
        """Return one account's balance in chain units; 0 where it was never used."""
        account = tables.ledger_account.c
        found = await conn.scalar(sa.select(account.balance).where(account.code == code))
        return int(found or 0)


@dataclass(frozen=True, slots=True)
class JournalKey:
    """A posted journal, as far as a caller that asks for its key needs it."""

    journal_id: int
    request_hash: bytes
