"""Settlement on the real server: a worker dies in the middle, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio.client import Client

from domain import ledger
from domain.event_postings import MONEY_EVENTS, Pair, postings_for
from domain.events import Event
from domain.instrument import Asset
from domain.ledger import JournalRequest, Posting
from infra.postgres import tables
from infra.postgres.engine import create
from infra.postgres.ledger_store import LedgerStore
from infra.postgres.settlement_store import SettlementStore
from infra.temporal.entities import ensure_entity
from infra.temporal.runs import find_run
from matching.event_codec import encode_events
from tests.forks import fork_main
from tests.infra.postgres.conftest import seed_listings
from tests.infra.postgres.flows import trading_day
from tests.workflows.operations import OPERATIONS, operate
from tests.workflows.settlement_process import STEPS, worker
from workers.temporal_worker import settlement_entity
from workflows.search_attributes import STAGE
from workflows.settlement import SettlementWorkflow, settlement_workflow_id

pytestmark = pytest.mark.servers

ACCOUNTS = 6
_ALWAYS = ("statement 4", "committed")  # the other steps: only with the long ones
NAMESPACE = "rialto"
PROCESS = "tests.workflows.settlement_process"
ASSETS = {1: Asset(1, "USDT", 6, 6), 2: Asset(2, "ETH", 18, 9)}
PAIRS = {1: Pair(ASSETS[2], ASSETS[1])}


@pytest.fixture
async def database(fresh_database: str) -> AsyncIterator[AsyncEngine]:
    """Give a ledger whose traders are rich."""
    engine = create(fresh_database)
    async with engine.begin() as conn:
        await seed_listings(conn)
        await _enrich(conn)
    yield engine
    await engine.dispose()


async def _enrich(conn: AsyncConnection) -> None:
    postings = tuple(
        Posting(ledger.capital(asset), ledger.trading(account, 0, asset), asset, 10**30)
        for account in range(1, ACCOUNTS + 1)
        for asset in ("USDT", "ETH")
    )
    await LedgerStore().post(conn, JournalRequest("wallet", "rich", "seed", postings))


async def _wait_for(store: SettlementStore, sequence: int, seconds: float) -> float:
    """Wait until the cursor reaches `sequence`; return how long that took."""
    started = time.monotonic()
    while await store.cursor(0) < sequence:
        assert time.monotonic() - started < seconds, f"still at {await store.cursor(0)}"
        await asyncio.sleep(0.02)
    return time.monotonic() - started


def _expected(events: list[Event]) -> dict[str, int]:
    net = ledger.net_of(
        posting
        for event in events
        if isinstance(event, MONEY_EVENTS)
        for posting in postings_for(event, shard=0, assets=ASSETS, pairs=PAIRS)
    )
    rich = {
        ledger.trading(account, 0, asset): 10**30
        for account in range(1, ACCOUNTS + 1)
        for asset in ("USDT", "ETH")
    }
    return {code: net.get(code, 0) + rich.get(code, 0) for code in net.keys() | rich.keys()}


async def test_killed_worker(
    database: AsyncEngine, fresh_database: str, temporal: str, tmp_path: Path
) -> None:
    """Another worker goes on when a heartbeat is missed, and each trade is in the ledger once."""
    events = trading_day(7, 1, 500, ACCOUNTS)
    path = tmp_path / "events"
    path.write_bytes(encode_events(events))
    client = await Client.connect(temporal, namespace=NAMESPACE)
    store = SettlementStore(database)
    arguments = [temporal, NAMESPACE, fresh_database, str(path)]
    process = fork_main(PROCESS, tmp_path / "log", os.environ, arguments)
    handle = client.get_workflow_handle(settlement_workflow_id(0))
    try:
        await ensure_entity(client, settlement_entity(0))
        await _wait_for(store, 60, 30)
        process.kill()
        process.wait()
        reached = await store.cursor(0)
        async with worker(client, fresh_database, path):
            took = await _wait_for(store, reached + 1, 30)
            print(f"taken over after {took:.1f} s")
            await _wait_for(store, 500, 30)
            await ensure_entity(client, settlement_entity(0))  # as the worker: no second one
            shown = (await handle.describe()).typed_search_attributes
            assert shown[STAGE] == "settling"
            state = await handle.query(SettlementWorkflow.state)
            assert state.failure == ""
            run_id = (await handle.describe()).run_id
            await handle.terminate("by mistake")
            await ensure_entity(client, settlement_entity(0))  # it makes good what was ended
            assert (await handle.describe()).run_id != run_id
            await handle.terminate("the test is over")
    finally:
        process.kill()
        process.wait()
    await _assert_settled_once(database, events)


async def _assert_settled_once(database: AsyncEngine, events: list[Event]) -> None:
    """Assert that each trade is in the ledger once, and each balance is what the events give."""
    trades = sum(type(event).__name__ == "Trade" for event in events)
    async with database.connect() as conn:
        found = await conn.execute(
            sa.text("SELECT count(*), count(DISTINCT trade_id) FROM trade_event")
        )
        assert tuple(found.one()) == (trades, trades)
        account = tables.ledger_account.c
        rows = await conn.execute(sa.select(account.code, account.balance))
        balances = {row.code: int(row.balance) for row in rows}
    expected = _expected(events)
    assert {code: balances[code] for code in expected} == expected


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_what_operators_do_to_settlement(
    database: AsyncEngine, fresh_database: str, temporal: str, tmp_path: Path, operation: str
) -> None:
    """Ended or reset in the middle and again at the end: it goes on, and nothing is settled twice.

    The reset goes back to the beginning of the run, whose steps have long been done.
    """
    events = trading_day(7, 1, 600, ACCOUNTS)
    path = tmp_path / "events"
    path.write_bytes(encode_events(events))
    client = await Client.connect(temporal, namespace=NAMESPACE)
    store = SettlementStore(database)
    async with worker(client, fresh_database, path):
        await ensure_entity(client, settlement_entity(0))
        for reached in (100, 600):
            await _wait_for(store, reached, 30)
            await operate(client, settlement_workflow_id(0), operation)
            await _until_it_runs(client)
        await _wait_for(store, 600, 30)
        state = await client.get_workflow_handle(settlement_workflow_id(0)).query(
            SettlementWorkflow.state
        )
        assert state.failure == ""
        await client.get_workflow_handle(settlement_workflow_id(0)).terminate("the test is over")
    await _assert_settled_once(database, events)


async def _until_it_runs(client: Client) -> None:
    """Do what the worker's care does every few seconds, until a run is open."""
    async with asyncio.timeout(30):
        while True:
            await ensure_entity(client, settlement_entity(0))
            run = await find_run(client, settlement_workflow_id(0))
            if run is not None and run.is_open:
                return
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    "step",
    [pytest.param(step, marks=() if step in _ALWAYS else (pytest.mark.long,)) for step in STEPS],
)
async def test_killed_at_every_step(
    database: AsyncEngine, fresh_database: str, temporal: str, tmp_path: Path, step: str
) -> None:
    """Kill -9 between any two steps of a batch: the next worker settles the rest, once."""
    events = trading_day(7, 1, 200, ACCOUNTS)
    path = tmp_path / "events"
    path.write_bytes(encode_events(events))
    client = await Client.connect(temporal, namespace=NAMESPACE)
    store = SettlementStore(database)
    arguments = [temporal, NAMESPACE, fresh_database, str(path), step]
    process = fork_main(PROCESS, tmp_path / "log", os.environ, arguments)
    try:
        await ensure_entity(client, settlement_entity(0))
        assert await asyncio.to_thread(process.wait, 60) == -signal.SIGKILL
        assert await store.cursor(0) < 200 or step == "registered"  # that is once a second
        async with worker(client, fresh_database, path):
            await _wait_for(store, 200, 30)
            await client.get_workflow_handle(settlement_workflow_id(0)).terminate("it is over")
    finally:
        process.kill()
        process.wait()
    await _assert_settled_once(database, events)
