"""Settlement with what goes wrong around it: other workers, other writers, a killed database."""

from __future__ import annotations

import asyncio
import itertools
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain import ledger
from domain.event_postings import MONEY_EVENTS, Pair, postings_for
from domain.events import Event
from domain.instrument import Asset
from domain.ledger import JournalRequest, Posting
from infra.embedded.ports import own_port
from infra.embedded.postgres import PostgresServer
from infra.postgres import tables
from infra.postgres.engine import create
from infra.postgres.ledger_store import LedgerStore, Posted
from infra.postgres.migrate import upgrade
from infra.postgres.settlement_store import SettlementStore
from matching.event_codec import encode_events
from tests.infra.postgres.conftest import seed_listings
from tests.infra.postgres.flows import trading_day

pytestmark = pytest.mark.servers

ACCOUNTS, RICH = 5, 10**30
ASSETS = {1: Asset(1, "USDT", 6, 6), 2: Asset(2, "ETH", 18, 9)}
PAIRS = {1: Pair(ASSETS[2], ASSETS[1])}


def batches(commands: int, size: int) -> list[tuple[int, int, bytes, list[Event]]]:
    """Return a trading day in batches of `size` commands: (first, last, raw, events)."""
    events = trading_day(11, 1, commands, ACCOUNTS)
    found = []
    for first in range(1, commands + 1, size):
        part = [e for e in events if first <= e.sequence < first + size]
        found.append((first, min(first + size - 1, commands), encode_events(part), part))
    return found


async def enrich(database: AsyncEngine) -> None:
    """Give all traders more than they can lose."""
    postings = tuple(
        Posting(ledger.capital(asset), ledger.trading(account, 0, asset), asset, RICH)
        for account in range(1, ACCOUNTS + 1)
        for asset in ("USDT", "ETH")
    )
    async with database.begin() as conn:
        await LedgerStore().post(conn, JournalRequest("wallet", "rich", "seed", postings))


async def assert_books(database: AsyncEngine, events: list[Event]) -> None:
    """Assert that each balance is what the events give, and each trade is there once."""
    net = ledger.net_of(
        posting
        for event in events
        if isinstance(event, MONEY_EVENTS)
        for posting in postings_for(event, shard=0, assets=ASSETS, pairs=PAIRS)
    )
    account = tables.ledger_account.c
    async with database.connect() as conn:
        rows = await conn.execute(
            sa.select(account.code, account.balance).where(account.code.like("%trading.0%"))
        )
        balances = {row.code: int(row.balance) - RICH for row in rows}
        trades = await conn.scalar(sa.select(sa.func.count()).select_from(tables.trade_event))
    assert balances == {code: net.get(code, 0) for code in balances}
    assert trades == sum(type(event).__name__ == "Trade" for event in events)


async def test_workers_that_take_turns_trust_no_memory_of_theirs(database: AsyncEngine) -> None:
    """Each settler finds that the other has changed what it remembers, and reads again."""
    await enrich(database)
    stores = itertools.cycle([SettlementStore(database), SettlementStore(database)])
    day = batches(120, 10)
    for (first, last, raw, _), store in zip(day, stores, strict=False):
        assert (await store.settle(0, first, last, raw)).last_sequence == last
    await assert_books(database, [event for _, _, _, part in day for event in part])


async def test_correction_between_two_batches_is_not_overwritten(database: AsyncEngine) -> None:
    """Money that somebody else posts to a trading account stays on it."""
    await enrich(database)
    store, day = SettlementStore(database), batches(40, 20)
    code = ledger.trading(1, 0, "USDT")
    for number, (first, last, raw, _) in enumerate(day):
        await store.settle(0, first, last, raw)
        async with database.begin() as conn:
            posting = Posting(ledger.capital("USDT"), code, "USDT", 7)
            request = JournalRequest("adjustment", f"fix-{number}", "correction", (posting,))
            assert isinstance(await LedgerStore().post(conn, request), Posted)
    async with database.begin() as conn:
        back = Posting(code, ledger.capital("USDT"), "USDT", 14)
        await LedgerStore().post(conn, JournalRequest("adjustment", "back", "test", (back,)))
    await assert_books(database, [event for _, _, _, part in day for event in part])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostgresServer]:
    """Give a PostgreSQL of the test's own, which syncs as the product's does."""
    found = PostgresServer(
        tmp_path / "postgres",
        tmp_path / "postgres.log",
        own_port(),
        password_path=tmp_path / "password",
    )
    found.start()
    upgrade(found.url)
    yield found
    found.kill()


async def test_killed_database_loses_and_doubles_nothing(server: PostgresServer) -> None:
    """Killed twice while batches are written; each batch is tried until it is in, once."""
    database = create(server.url)
    async with database.begin() as conn:
        await seed_listings(conn)
    await enrich(database)
    store, day = SettlementStore(database), batches(600, 5)
    places = [(len(day) // 4, asyncio.Event()), (len(day) // 2, asyncio.Event())]

    async def settle() -> None:
        for number, (first, last, raw, _) in enumerate(day):
            for place, reached in places:
                if number == place:
                    reached.set()
            while True:
                try:
                    settled = await store.settle(0, first, last, raw)
                except (DBAPIError, OSError):
                    await asyncio.sleep(0.05)
                    continue
                assert settled.last_sequence >= last
                break

    settling = asyncio.create_task(settle())
    for _, reached in places:
        await reached.wait()
        assert not settling.done()
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
    await settling
    await assert_books(database, [event for _, _, _, part in day for event in part])
    await database.dispose()


class SmallDisk(PostgresServer):
    """Refuses to write beyond so many bytes of any file, as a full disk would."""

    room_bytes = 0

    def become(self) -> Callable[[], None]:
        """Return what limits the server before it starts."""
        inherited = super().become()

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.room_bytes, self.room_bytes))
            if inherited is not None:
                inherited()

        return limited


def _with_room(server: PostgresServer, room_bytes: int) -> SmallDisk:
    small = SmallDisk(
        server.data_dir,
        server.log_path,
        server.port,
        password_path=server.data_dir.parent / "password",
    )
    small.room_bytes = room_bytes
    return small


# A segment of the log has 16 MB: with less room the log is refused and the server dies, with more
# only its tables are.
@pytest.mark.parametrize("room_bytes", [6 << 20, 17 << 20])
async def test_full_disk_under_the_database_loses_and_doubles_nothing(
    server: PostgresServer, room_bytes: int
) -> None:
    """What is refused is refused whole; with room again settlement goes on where it stood."""
    database = create(server.url)
    async with database.begin() as conn:
        await seed_listings(conn)
    await enrich(database)
    store, day = SettlementStore(database), batches(400, 20)
    half = len(day) // 2
    for first, last, raw, _ in day[:half]:
        await store.settle(0, first, last, raw)
    await database.dispose()
    await asyncio.to_thread(server.stop)

    small = _with_room(server, room_bytes)
    await asyncio.to_thread(small.start)
    with pytest.raises((DBAPIError, OSError)):
        await asyncio.wait_for(_fill(database, store, day[half:]), 120)
    await database.dispose()
    await asyncio.to_thread(small.kill)
    await asyncio.to_thread(server.start)
    for first, last, raw, _ in day:  # all of them: what is in stays as it is
        await store.settle(0, first, last, raw)
    await assert_books(database, [event for _, _, _, part in day for event in part])
    await database.dispose()


async def _fill(
    database: AsyncEngine, store: SettlementStore, day: list[tuple[int, int, bytes, list[Event]]]
) -> None:
    """Settle, with much else written in between, until something is refused."""
    async with database.begin() as conn:
        await conn.execute(sa.text("CREATE TABLE ballast (text text)"))
    for first, last, raw, _ in itertools.cycle(day):
        await store.settle(0, first, last, raw)
        async with database.begin() as conn:
            await conn.execute(
                sa.text("INSERT INTO ballast SELECT repeat('x', 900) FROM generate_series(1, 1000)")
            )
