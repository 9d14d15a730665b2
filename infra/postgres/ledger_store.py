"""Post to the ledger, exactly once per key, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.hash_chain import JsonValue
from domain.ledger import (
    JournalContent,
    JournalHead,
    JournalRequest,
    net_of,
    request_hash,
    stored_detail,
)
from infra.postgres import tables
from infra.postgres.journal_rows import (
    Draft,
    LockedBalance,
    append_journals,
    create_accounts,
    first_below_floor,
    lock_balances,
    lock_stream,
)

_EARLIER = sa.text(
    "SELECT key, journal_id, request_hash FROM journal WHERE key = ANY(CAST(:keys AS text[]))"
)


@dataclass(frozen=True, slots=True)
class Posted:
    """The postings are in the ledger, once the caller's transaction commits.

    `balances` are the balances after, by account code, of the accounts that changed.
    `decided_again` when an account had changed since the caller decided.
    """

    journal_id: int
    position: int
    balances: Mapping[str, int]
    decided_again: bool = False


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
    """One ledger account; `balance` in chain units, `version` counts its changes."""

    code: str
    asset: str
    balance: int
    version: int


# What is to be posted, given how the accounts stand now; None when nothing is any more.
Decide = Callable[[Mapping[str, AccountBalance]], JournalRequest | None]


@dataclass(frozen=True, slots=True)
class Offer:
    """A request, and how to decide anew when an account changed since it was decided.

    `decide` is pure, keeps key and stream, and touches no account that `request` does not name.
    Without it a stale version is a `VersionConflict`.
    """

    request: JournalRequest
    decide: Decide | None = None

    @property
    def codes(self) -> set[str]:
        """Return the accounts that must be locked."""
        codes = set(self.request.expected_versions)
        for posting in self.request.postings:
            codes.add(posting.source)
            codes.add(posting.destination)
        return codes


@dataclass(frozen=True, slots=True)
class JournalKey:
    """What is posted under a key; `journal_id` is 0 until the database has given one."""

    journal_id: int
    request_hash: bytes


class _Batch:
    """Offers applied in memory to locked balances, in order."""

    def __init__(
        self,
        stream: str,
        head: JournalHead,
        balances: dict[str, LockedBalance],
        earlier: dict[str, JournalKey],
    ) -> None:
        self._stream = stream
        self._head = head
        self._balances = balances
        self._earlier = earlier
        self.drafts: list[Draft] = []

    def take(self, offer: Offer) -> PostResult:
        """Return what becomes of the offer; journal ids are given when the batch is written."""
        request = offer.request
        assert request.stream == self._stream, "one batch, one stream"
        stale = self._stale(request)
        decided_again = False
        if stale is not None and request.key not in self._earlier and offer.decide is not None:
            decided = offer.decide(self._views(offer.codes))
            if decided is None:
                return stale
            assert decided.key == request.key, "deciding anew keeps the key"
            request, stale, decided_again = decided, self._stale(decided), True
        detail = stored_detail(request)
        digest = request_hash(request.kind, detail)
        earlier = self._earlier.get(request.key)
        if earlier is not None:
            if earlier.request_hash == digest:
                return AlreadyPosted(earlier.journal_id)
            return KeyConflict(request.key, earlier.journal_id)
        if stale is not None:
            return stale
        net = net_of(request.postings)
        short = first_below_floor(self._balances, net)
        if short is not None and short.floor is not None:
            return InsufficientFunds(short.code, short.balance, short.floor, net[short.code])
        return self._accept(request, detail, digest, net, decided_again=decided_again)

    def _stale(self, request: JournalRequest) -> VersionConflict | None:
        for code, expected in sorted(request.expected_versions.items()):
            actual = self._balances[code].version
            if actual != expected:
                return VersionConflict(code, expected, actual)
        return None

    def _views(self, codes: Iterable[str]) -> dict[str, AccountBalance]:
        return {
            code: AccountBalance(
                code,
                code.rpartition(":")[2],
                self._balances[code].balance,
                self._balances[code].version,
            )
            for code in codes
        }

    def _accept(
        self,
        request: JournalRequest,
        detail: dict[str, JsonValue],
        digest: bytes,
        net: dict[str, int],
        *,
        decided_again: bool,
    ) -> Posted:
        position = self._head.position + len(self.drafts) + 1
        content = JournalContent(
            stream=request.stream,
            position=position,
            key=request.key,
            kind=request.kind,
            request_hash=digest,
            first_sequence=None,
            last_sequence=None,
            detail=detail,
        )
        self.drafts.append(Draft(content, net))
        for code, amount in net.items():
            before = self._balances[code]
            self._balances[code] = LockedBalance(
                before.account_id, code, before.floor, before.balance + amount, before.version + 1
            )
        after = {code: self._balances[code].balance for code in net}
        self._earlier[request.key] = JournalKey(0, digest)  # a repeat within the batch
        return Posted(0, position, after, decided_again)


class LedgerStore:
    """The one way for wallet, treasury and operations to move money in the ledger.

    Post once per transaction: a second post locks balances out of order, and may be the victim of
    a deadlock (an error of the database, so the activity is tried again).
    """

    async def post(self, conn: AsyncConnection, request: JournalRequest) -> PostResult:
        """Post `request` in `conn`'s transaction; accounts that do not exist yet are created.

        The caller commits. After anything but `Posted`, the transaction has changed no money.
        """
        (result,) = await self.post_many(conn, request.stream, [Offer(request)])
        return result

    async def post_many(
        self, conn: AsyncConnection, stream: str, offers: Sequence[Offer]
    ) -> list[PostResult]:
        """Post requests of one stream one after the other in one transaction, each on its own.

        One that is refused changes nothing, and the next ones do not see it. The results are in
        the order of the offers. The caller commits.
        """
        head = await lock_stream(conn, stream)
        earlier = await self._earlier(conn, [offer.request.key for offer in offers])
        codes = {code for offer in offers for code in offer.codes}
        await create_accounts(conn, codes)
        locked = await lock_balances(conn, codes)
        batch = _Batch(stream, head, dict(locked), earlier)
        results = [batch.take(offer) for offer in offers]
        if batch.drafts:
            ids, _ = await append_journals(conn, head, batch.drafts, locked)
            by_key = dict(zip((draft.content.key for draft in batch.drafts), ids, strict=True))
            results = [
                replace(result, journal_id=by_key[offer.request.key])
                if isinstance(result, Posted | AlreadyPosted | KeyConflict)
                and not result.journal_id
                else result
                for offer, result in zip(offers, results, strict=True)
            ]
        return results

    async def _earlier(self, conn: AsyncConnection, keys: Sequence[str]) -> dict[str, JournalKey]:
        rows = await conn.execute(_EARLIER, {"keys": list(keys)})
        return {row.key: JournalKey(row.journal_id, bytes(row.request_hash)) for row in rows}

    async def balances(self, conn: AsyncConnection, customer_id: int) -> list[AccountBalance]:
        """Return the customer's accounts, main and trading, by code."""
        account = tables.ledger_account.c
        rows = await conn.execute(
            sa.select(account.code, account.asset, account.balance, account.version)
            .where(account.customer_id == customer_id)
            .order_by(account.code)
        )
        return [AccountBalance(row.code, row.asset, int(row.balance), row.version) for row in rows]

    async def read(self, conn: AsyncConnection, codes: Iterable[str]) -> dict[str, AccountBalance]:
        """Return accounts by code as they stand; one that was never used has 0, version 0."""
        account = tables.ledger_account.c
        wanted = sorted(set(codes))
        rows = await conn.execute(
            sa.select(account.code, account.asset, account.balance, account.version).where(
                account.code.in_(wanted)
            )
        )
        found = {code: AccountBalance(code, code.rpartition(":")[2], 0, 0) for code in wanted}
        for row in rows:
            found[row.code] = AccountBalance(row.code, row.asset, int(row.balance), row.version)
        return found

    async def balance(self, conn: AsyncConnection, code: str) -> int:
        """Return one account's balance in chain units; 0 where it was never used."""
        account = tables.ledger_account.c
        found = await conn.scalar(sa.select(account.balance).where(account.code == code))
        return int(found or 0)
