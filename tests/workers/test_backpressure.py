"""Settlement stops, the engine goes on up to its bound, then takes cancels only, and recovers.

The real engine process, the real ledger, the settlement workflow on a real Temporal server.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.client import Client

from activities.settlement import SettlementActivities
from domain.commands import CancelAll, SetShardMode
from domain.errors import RejectReason
from domain.events import CancelAccepted, CommandRejected, Event
from domain.ledger import JournalRequest, Posting, capital, transit
from domain.order import ShardMode, StateCause
from domain.settlement import OperatorRequest
from domain.transfer import TO_TRADING, NewTransfer
from infra.engine_backpressure import BEHIND
from infra.engine_errors import EngineUnavailable
from infra.engine_grpc import EngineGrpc, EngineStatus
from infra.postgres import tables
from infra.postgres.engine import create
from infra.postgres.ledger_store import LedgerStore
from infra.postgres.settlement_store import SettlementStore
from infra.redis.event_stream import EventReader
from infra.temporal.entities import ensure_entity
from tests.chaos.engine_process import EngineProcess, order
from tests.infra.postgres.conftest import seed_listings
from workers.shard_engine import ShardEngine
from workers.temporal_worker import settlement_entity, worker_of
from workers.wiring import Wiring
from workflows import task_queues
from workflows.settlement import SettlementWorkflow, settlement_workflow_id

pytestmark = pytest.mark.servers

BOUND = 150
WAIT_SECONDS = 30.0


@pytest.fixture
async def engine() -> AsyncIterator[EngineProcess]:
    """Give a running engine process with a small bound."""
    engine = EngineProcess("os")
    await engine.start(RIALTO_SETTLEMENT_LAG_BOUND=str(BOUND))
    yield engine
    engine.kill()
    shutil.rmtree(engine.folder)


def _wiring(engine: EngineProcess, database_url: str) -> Wiring:
    reader = EngineGrpc(engine.target, "reader", engine.tokens.of("reader"))
    admin = EngineGrpc(engine.target, "admin", engine.tokens.of("admin"))
    activities = SettlementActivities(
        SettlementStore(create(database_url)),
        {0: EventReader(None, reader)},
        {0: ShardEngine(reader, admin)},
    )
    return Wiring(
        task_queue=task_queues.SETTLEMENT,
        workflows=(SettlementWorkflow,),
        activities=(activities.settle, activities.halt_shard),
    )


async def _until(
    status: Callable[[], Awaitable[EngineStatus]], wanted: Callable[[EngineStatus], bool]
) -> EngineStatus:
    found = None
    async with asyncio.timeout(WAIT_SECONDS):
        while found is None or not wanted(found):
            with suppress(EngineUnavailable):  # it was just started again
                found = await status()
            await asyncio.sleep(0.05)
    return found


async def _expect_funds(conn: AsyncConnection) -> None:
    """Write the transfers that `EngineProcess.open_market` credits, and what is in transit."""
    chain_units = {1: ("USDT", 10**15), 2: ("ETH", 10**24)}
    transfers = [
        NewTransfer(UUID(int=account * 9 + asset), account, asset, 0, TO_TRADING, amount, "a test")
        for account in range(1, 5)
        for asset, (_, amount) in chain_units.items()
    ]
    await conn.execute(sa.insert(tables.transfer), [transfer.row() for transfer in transfers])
    postings = tuple(
        Posting(capital(code), transit(0, code), code, 4 * amount)
        for code, amount in chain_units.values()
    )
    await LedgerStore().post(conn, JournalRequest("wallet", "funds", "seed", postings))


def _reason(events: tuple[Event, ...]) -> RejectReason:
    return events[0].reason if isinstance(events[0], CommandRejected) else RejectReason.NONE


async def test_paused_settlement_ends_in_cancel_only_and_comes_back(
    engine: EngineProcess, fresh_database: str, temporal: str
) -> None:
    """Paused: orders up to the bound, then cancels only, over a restart too. Resumed: normal."""
    database = create(fresh_database)
    async with database.begin() as conn:
        await seed_listings(conn)
        await _expect_funds(conn)
    await database.dispose()
    temporal_client = await Client.connect(temporal, namespace="rialto")
    handle = temporal_client.get_workflow_handle(settlement_workflow_id(0))
    reader = EngineGrpc(engine.target, "reader", engine.tokens.of("reader"))
    async with worker_of(temporal_client, _wiring(engine, fresh_database)):
        await ensure_entity(temporal_client, settlement_entity(0))
        await _until(reader.status, lambda s: s.cursors.get("settlement.0", 0) > 0)
        await engine.open_market(time.time_ns() // 1000)
        await handle.execute_update(SettlementWorkflow.pause, OperatorRequest("a test"))
        client = await engine.client()
        accepted = [_reason(await client.submit(order(n % 4, n))) for n in range(BOUND // 2)]
        assert set(accepted) == {RejectReason.NONE}
        number = BOUND
        while _reason(await client.submit(order(0, number))) is RejectReason.NONE:
            number += 1
            assert number < 100 * BOUND
        status = await reader.status()
        assert (status.mode, status.status.cause) == (
            ShardMode.CANCEL_ONLY,
            StateCause.SETTLEMENT_BEHIND,
        )
        assert status.status.reason == BEHIND
        assert isinstance((await client.submit(CancelAll(1)))[0], CancelAccepted)
        await client.close()

        assert engine.terminate() == 0  # the mode is state: a restart neither loses nor lifts it
        await engine.start(RIALTO_SETTLEMENT_LAG_BOUND=str(BOUND))
        assert (await _until(reader.status, bool)).mode is ShardMode.CANCEL_ONLY

        await handle.execute_update(SettlementWorkflow.resume, OperatorRequest("a test"))
        await _until(reader.status, lambda s: s.mode is ShardMode.NORMAL)
        client = await engine.client()
        assert _reason(await client.submit(order(0, number + 1))) is RejectReason.NONE

        admin = EngineGrpc(engine.target, "admin", engine.tokens.of("admin"))
        await admin.submit(SetShardMode(ShardMode.CANCEL_ONLY, reason="a drill"))
        await asyncio.sleep(1)  # settled to the end all the while, and yet it stays
        assert (await reader.status()).mode is ShardMode.CANCEL_ONLY
        for opened in (client, admin, reader):
            await opened.close()
        await handle.terminate("the test is over")
