"""The ledger store on a real PostgreSQL: once per key, never below a floor, chained."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain import ledger
from domain.hash_chain import GENESIS
from domain.ledger import JournalRequest, Posting
from infra.postgres import tables
from infra.postgres.ledger_store import (
    AlreadyPosted,
    InsufficientFunds,
    KeyConflict,
    LedgerStore,
    Posted,
    PostResult,
    VersionConflict,
)

pytestmark = pytest.mark.servers

STORE = LedgerStore()
COINS = ledger.wallet_deposit("ETH", "USDT")
ALICE = ledger.main(1, "USDT")
BOB = ledger.main(2, "USDT")


def deposit(key: str, amount: int, account: str = ALICE, stream: str = "wallet") -> JournalRequest:
    """Return a request that credits a deposit."""
    return JournalRequest(stream, key, "deposit", (Posting(COINS, account, "USDT", amount),))


async def post(database: AsyncEngine, request: JournalRequest) -> PostResult:
    async with database.begin() as conn:
        return await STORE.post(conn, request)


async def balance(database: AsyncEngine, code: str) -> int:
    async with database.connect() as conn:
        return await STORE.balance(conn, code)


async def test_posting_moves_money_and_creates_accounts(database: AsyncEngine) -> None:
    """A first posting creates both accounts, one up and one down by the amount."""
    result = await post(database, deposit("d-1", 10**30))
    assert isinstance(result, Posted)
    assert result.balances == {ALICE: 10**30, COINS: -(10**30)}
    assert await balance(database, ALICE) == 10**30
    assert await balance(database, COINS) == -(10**30)


async def test_same_key_same_body_is_already_posted(database: AsyncEngine) -> None:
    """A repeat returns the first journal and moves nothing."""
    first = await post(database, deposit("d-1", 5))
    again = await post(database, deposit("d-1", 5))
    assert isinstance(first, Posted)
    assert again == AlreadyPosted(first.journal_id)
    assert await balance(database, ALICE) == 5


async def test_same_key_other_body_is_a_conflict(database: AsyncEngine) -> None:
    """The same key for another amount, account or kind is refused."""
    await post(database, deposit("d-1", 5))
    assert isinstance(await post(database, deposit("d-1", 6)), KeyConflict)
    assert isinstance(await post(database, deposit("d-1", 5, BOB)), KeyConflict)
    assert await balance(database, ALICE) == 5


async def test_no_account_goes_below_its_floor(database: AsyncEngine) -> None:
    """A customer cannot spend more than the balance; the refusal names account and amounts."""
    await post(database, deposit("d-1", 5))
    spend = JournalRequest("wallet", "w-1", "spend", (Posting(ALICE, BOB, "USDT", 6),))
    assert await post(database, spend) == InsufficientFunds(ALICE, 5, 0, -6)
    assert await balance(database, ALICE) == 5
    assert await balance(database, BOB) == 0


async def test_refused_key_may_be_used_again(database: AsyncEngine) -> None:
    """A refusal leaves no journal, so the same request succeeds once the money is there."""
    spend = JournalRequest("wallet", "w-1", "spend", (Posting(ALICE, BOB, "USDT", 6),))
    assert isinstance(await post(database, spend), InsufficientFunds)
    await post(database, deposit("d-1", 6))
    assert isinstance(await post(database, spend), Posted)


async def test_version_conflict_after_a_change(database: AsyncEngine) -> None:
    """A post that was decided on an old reading of an account is refused."""
    await post(database, deposit("d-1", 10))
    async with database.connect() as conn:
        (before,) = [a for a in await STORE.balances(conn, 1) if a.code == ALICE]
    await post(database, deposit("d-2", 10))
    request = JournalRequest(
        "wallet",
        "w-1",
        "spend",
        (Posting(ALICE, BOB, "USDT", 10),),
        expected_versions={ALICE: before.version},
    )
    assert await post(database, request) == VersionConflict(ALICE, before.version, 2)


async def test_business_row_and_posting_share_a_transaction(database: AsyncEngine) -> None:
    """When the caller rolls back, the posting is gone too."""
    async with database.connect() as conn:
        await STORE.post(conn, deposit("d-1", 5))
        await conn.rollback()
    assert await balance(database, ALICE) == 0


async def test_concurrent_posts_all_land_once(database: AsyncEngine) -> None:
    """Twenty writers in both directions, each key tried twice: exact sums, dense chains."""
    await post(database, deposit("start", 1000))
    requests = [
        JournalRequest(
            f"stream-{n % 3}",
            f"k-{n}",
            "move",
            (Posting(*((ALICE, BOB) if n % 2 else (BOB, ALICE)), "USDT", 1 + n),),
        )
        for n in range(1, 20)
    ]
    await post(database, deposit("start-bob", 1000, BOB))
    results = await asyncio.gather(*(post(database, request) for request in requests * 2))
    assert sum(isinstance(result, Posted) for result in results) == len(requests)
    assert sum(isinstance(result, AlreadyPosted) for result in results) == len(requests)
    moved = sum((1 + n) * (-1 if n % 2 else 1) for n in range(1, 20))
    assert await balance(database, ALICE) == 1000 + moved
    assert await balance(database, BOB) == 1000 - moved
    async with database.connect() as conn:
        await assert_chains_unbroken(conn)


async def assert_chains_unbroken(conn: AsyncConnection) -> None:
    """Assert that positions are dense and each journal follows the hash before it."""
    heads: dict[str, tuple[int, bytes]] = {}
    for row in await conn.execute(sa.select(tables.journal).order_by("stream", "position")):
        position, last = heads.get(row.stream, (0, GENESIS))
        assert (row.position, row.previous_hash) == (position + 1, last)
        heads[row.stream] = (row.position, row.hash)


async def test_key_used_in_two_streams_at_once_is_posted_once(database: AsyncEngine) -> None:
    """A race for one key between two streams leaves one journal."""
    results = await asyncio.gather(
        post(database, deposit("same", 5, stream="a")),
        post(database, deposit("same", 5, stream="b")),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Posted) for result in results) == 1
    assert await balance(database, ALICE) == 5


async def test_detail_is_kept_and_floats_are_refused(database: AsyncEngine) -> None:
    """The detail is stored with the postings; what would not hash the same again is refused."""
    request = JournalRequest(
        "wallet", "d-1", "deposit", (Posting(COINS, ALICE, "USDT", 5),), {"tx": "0xab", "log": 3}
    )
    await post(database, request)
    async with database.connect() as conn:
        stored = (await conn.execute(sa.select(tables.journal.c.detail))).scalar_one()
    assert stored == {"tx": "0xab", "log": 3, "postings": [[COINS, ALICE, "USDT", "5"]]}
    bad = JournalRequest("wallet", "d-2", "deposit", request.postings, {"price": 1.5})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="not canonical"):
        await post(database, bad)
