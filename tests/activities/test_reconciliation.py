"""A real engine's journal and a real ledger agree at every sequence, and damage is named."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.testing import ActivityEnvironment

from activities.reconciliation import ReconciliationActivities, check_exchange
from domain import ledger
from domain.checker_records import ChainRecord, WalletFacts
from domain.ledger import JournalRequest, Posting
from domain.reconciliation import Policy, ReconcileRequest, ReconcileResult
from domain.transfer import TO_TRADING, NewTransfer
from infra.postgres import tables
from infra.postgres.engine import create
from infra.postgres.ledger_store import LedgerStore
from infra.postgres.reconciliation_log import ReconciliationLog
from infra.postgres.record_reader import RecordReader
from infra.postgres.settlement_store import SettlementStore
from infra.second_engine import SecondEngines
from matching.storage import FileStorage
from tests.infra.postgres.conftest import seed_listings
from tests.matching.shard import Shard

pytestmark = pytest.mark.servers

UNITS = 10**12  # what `Shard.open_market` credits to accounts 1 to 5, of assets 1 and 2
SCALE = {1: ("USDT", 1), 2: ("ETH", 10**9)}


class NoChain:
    """No chain is watched here."""

    async def at(self, facts: WalletFacts) -> list[ChainRecord]:
        return []


class Halts:
    """Remembers which shards were stopped."""

    def __init__(self) -> None:
        self.reasons: list[tuple[int, str]] = []

    async def stop(self, shard: int, reason: str) -> None:
        self.reasons.append((shard, reason))


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Shard]:
    """Give a shard with an open market, on disk."""
    storage = FileStorage(tmp_path)
    found = Shard(storage)
    found.open_market()
    found.sequencer.sync()
    yield found
    storage.close()


@pytest.fixture
async def database(fresh_database: str) -> AsyncIterator[AsyncEngine]:
    """Give a ledger in which the shard's credits are on their way."""
    engine = create(fresh_database)
    async with engine.begin() as conn:
        await seed_listings(conn)
        for account in range(1, 6):
            for asset_id, (asset, scale) in SCALE.items():
                transfer = NewTransfer(
                    UUID(int=account * 10 + asset_id),
                    account,
                    asset_id,
                    0,
                    TO_TRADING,
                    UNITS * scale,
                    "test",
                )
                await conn.execute(sa.insert(tables.transfer).values(**transfer.row()))
                way = (ledger.capital(asset), ledger.main(account, asset), ledger.transit(0, asset))
                postings = tuple(
                    Posting(source, to, asset, UNITS * scale)
                    for source, to in itertools.pairwise(way)
                )
                key = ledger.transfer_key(transfer.transfer_id)
                await LedgerStore().post(conn, JournalRequest("wallet", key, "test", postings))
    yield engine
    await engine.dispose()


async def settle(shard: Shard, store: SettlementStore, limit_bytes: int = 1 << 20) -> None:
    """Settle what is durable, whole commands, in one batch."""
    found = shard.sequencer.read_events(await store.cursor(0), limit_bytes)
    if found is not None:
        await store.settle(0, found.first_sequence, found.last_sequence, found.data)


async def test_engine_and_ledger_agree_while_both_move(
    shard: Shard, database: AsyncEngine, tmp_path: Path
) -> None:
    """At each cursor, with the engine ahead, every balance, fee and trade count is equal."""
    store, chance, halts = SettlementStore(database), random.Random(11), Halts()
    log = ReconciliationLog(database)
    activities = ReconciliationActivities(
        RecordReader(database),
        SecondEngines(lambda _: tmp_path),
        NoChain(),
        log,
        halts.stop,
        Policy.HALT,
    )
    for _ in range(6):
        await settle(shard, store)
        shard.flow(chance, 40)
        shard.sequencer.sync()
        result: ReconcileResult = await ActivityEnvironment().run(
            activities.reconcile, ReconcileRequest(0)
        )
        assert (result.violations, result.broken) == (0, [])
        assert 0 < result.sequence < shard.sequencer.sequence
    assert shard.sequencer.engine.trades() > 20
    assert (await log.last_clean(0)).last_trade_ids[0] > 0


async def test_ledger_that_is_ahead_of_the_journal_is_named(
    shard: Shard, database: AsyncEngine, tmp_path: Path
) -> None:
    """A journal that lost its end is not compared with something else, it is named."""
    store = SettlementStore(database)
    await settle(shard, store)
    async with database.begin() as conn:
        await conn.execute(sa.text("UPDATE cursor SET last_sequence = last_sequence + 5"))
    engines = SecondEngines(lambda _: tmp_path)
    checked = await check_exchange(RecordReader(database), engines, None, [0])
    assert {v.invariant for v in checked.report.violations} == {"cursor_follows_journal"}


async def test_event_that_settlement_missed_is_named(
    shard: Shard, database: AsyncEngine, tmp_path: Path
) -> None:
    """Trades that were jumped over leave the ledger behind the engine, and are counted."""
    store, chance = SettlementStore(database), random.Random(5)
    await settle(shard, store)
    while not shard.sequencer.engine.trades():
        shard.flow(chance, 20)
    shard.sequencer.sync()
    async with database.begin() as conn:
        await conn.execute(
            sa.text("UPDATE cursor SET last_sequence = :n"), {"n": shard.sequencer.sequence}
        )
    checked = await check_exchange(
        RecordReader(database), SecondEngines(lambda _: tmp_path), None, [0]
    )
    broken = {violation.invariant for violation in checked.report.violations}
    assert broken == {"engine_equals_ledger", "trades_settled_once"}


async def test_violation_is_reported_and_kept_until_it_is_gone(
    shard: Shard, database: AsyncEngine, tmp_path: Path
) -> None:
    """A run with violations is stored, and the next one begins at the last clean one again."""
    store = SettlementStore(database)
    await settle(shard, store)
    log, halts = ReconciliationLog(database), Halts()
    activities = ReconciliationActivities(
        RecordReader(database),
        SecondEngines(lambda _: tmp_path),
        NoChain(),
        log,
        halts.stop,
        Policy.HALT,
    )
    damage = sa.text("UPDATE ledger_account SET balance = balance + :n WHERE code = 'capital:ETH'")
    for amount, violations in ((1, 2), (0, 2), (-1, 0)):
        async with database.begin() as conn:
            await conn.execute(damage, {"n": amount})
        result: ReconcileResult = await ActivityEnvironment().run(
            activities.reconcile, ReconcileRequest(0)
        )
        assert result.violations == activities.violations[0] == violations
        assert (result.halted, result.gated) == (violations > 0, violations > 0)
    async with database.connect() as conn:
        count = await conn.scalar(sa.select(sa.func.count()).select_from(tables.reconciliation_run))
    assert count == 3
    assert len(halts.reasons) == 2
    assert "capital:ETH" in halts.reasons[0][1]


async def test_damage_to_what_is_old_is_found_by_a_full_run_and_stays_named(
    shard: Shard, database: AsyncEngine, tmp_path: Path
) -> None:
    """A run of what is new passes over an old account; a full one does not, nor any after it."""
    store, log, halts = SettlementStore(database), ReconciliationLog(database), Halts()
    await settle(shard, store)
    activities = ReconciliationActivities(
        RecordReader(database),
        SecondEngines(lambda _: tmp_path),
        NoChain(),
        log,
        halts.stop,
        Policy.GATE,
    )

    async def run(*, full: bool = False) -> ReconcileResult:
        request = ReconcileRequest(0, full=full)
        result: ReconcileResult = await ActivityEnvironment().run(activities.reconcile, request)
        return result

    everything = await run()
    assert everything.violations == 0
    idle = await run()
    assert idle.violations == 0
    assert idle.rows < everything.rows
    damage = sa.text("UPDATE ledger_account SET balance = balance + :n WHERE code = 'capital:ETH'")
    async with database.begin() as conn:
        await conn.execute(damage, {"n": 1})
    assert (await run()).violations == 0
    found = await run(full=True)
    assert (found.violations, found.halted, found.gated) == (2, False, True)
    assert (await run()).violations == 2
    assert await log.failing() == [f"shard 0: {found.first}"]
    async with database.begin() as conn:
        await conn.execute(damage, {"n": -1})
    assert (await run()).violations == 0
    assert await log.failing() == []
    assert halts.reasons == []
