"""An exchange small enough for tests of markets: engine process, database, worker, follower."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.worker import Worker

from activities.market_change import MarketChangeActivities
from domain.approval import Officer
from infra.engine_grpc import EngineGrpc
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.engine import create
from infra.postgres.market_change_store import MarketChangeStore
from infra.postgres.order_history_store import OrderHistoryStore
from infra.redis.event_stream import EventReader
from infra.settings import Settings
from infra.temporal.client import connect
from infra.wallet.officers import create_officers, verify_ed25519
from tests.chaos.engine_process import EngineProcess
from tests.infra.postgres.conftest import seed_listings
from tests.offline import write_environment
from workers import engine_admin
from workers import market_desk as desk
from workers.order_history import Follower
from workers.temporal_worker import worker_of
from workers.wiring import Wiring
from workflows import task_queues
from workflows.market_change import MarketChangeWorkflow

TERMS: dict[str, Any] = {
    "tick_size": "0.01",
    "lot_size": "0.001",
    "listing_price": "0.04",
    "max_taker_fee_ppm": 2_000,
    "band_ppm": 100_000,
    "max_order": "1000",
    "max_open_orders": 200,
    "max_position": "0",
    "fees": [[1_000, 2_000], [500, 1_500]],
}
SOL: dict[str, Any] = {
    "code": "SOL",
    "chain": "ETH",
    "contract": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "chain_decimals": 18,
    "engine_decimals": 9,
    "confirmations": 2,
    "deposit_minimum": "0.1",
    "withdrawal_minimum": "0.1",
    "withdrawal_fee": "0.01",
    "approval_above": "1000",
}


@dataclass
class MarketRig:
    """What a test of markets works with."""

    engine: EngineProcess
    database: AsyncEngine
    settings: Settings
    client: Client
    officers: dict[str, Officer]
    follower: Follower
    wiring: Wiring
    following: asyncio.Event = field(default_factory=asyncio.Event)
    resting: asyncio.Event = field(default_factory=asyncio.Event)

    def worker(self) -> Worker:
        """Return the worker of the changes' workflow."""
        return worker_of(self.client, self.wiring)

    def door(self, role: str = "reader") -> EngineGrpc:
        """Return a gRPC client of the engine."""
        return engine_admin.connect(self.settings, role)

    async def list_sol(self, reason: str = "a new market", **terms: Any) -> Any:
        """Propose SOL/USDT with its asset."""
        return await desk.propose_listing(
            self.database,
            self.settings,
            "SOL/USDT",
            0,
            {**TERMS, "listing_price": "150", **terms},
            SOL,
            desk.Wanted(reason),
        )

    async def sign_both(self, change: Any) -> Any:
        """Sign as both officers; return the change as it stands afterwards."""
        for officer in ("marta", "piero"):
            _, change = await desk.sign(self.database, self.settings, officer, change)
        return change

    async def until(self, change: Any, wanted: Callable[[Any], bool], seconds: float = 30) -> Any:
        """Wait until the change's row is as wanted."""
        deadline = time.monotonic() + seconds
        while True:
            now, _ = await desk.load(self.database, change.change_id)
            if wanted(now):
                return now
            assert time.monotonic() < deadline, now
            await asyncio.sleep(0.05)

    async def stage(self, change: Any, wanted: str, seconds: float = 30) -> None:
        """Wait until the workflow's search attribute Stage is as wanted."""
        handle = self.client.get_workflow_handle(f"market-change-{change.change_id}")
        deadline = time.monotonic() + seconds
        while True:
            found = (await handle.describe()).search_attributes.get("Stage")
            if found == [wanted]:
                return
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.1)

    async def hold_rows(self) -> None:
        """Let no row be written from events until `following` is set again."""
        self.following.clear()
        await self.resting.wait()  # the follower ends the step that it is in

    async def follow(self) -> None:
        """Write rows from events, as the process order-history does."""
        started = False
        while True:
            if not self.following.is_set():
                self.resting.set()
                await self.following.wait()
                self.resting.clear()
            try:
                if not started:
                    await self.follower.start()
                started = True
                await self.follower.step()
            except Exception:  # noqa: BLE001 - the engine is away: the process goes on, too
                started = False
                await asyncio.sleep(0.1)


@asynccontextmanager
async def market_rig(database_url: str, temporal: str) -> AsyncIterator[MarketRig]:
    """Run an exchange in which ETH/USDT is listed."""
    engine = EngineProcess("os")
    await engine.start()
    database = create(database_url)
    async with database.begin() as conn:
        await seed_listings(conn)
    environment = write_environment(
        engine.folder, database_url=database_url, temporal_address=temporal
    )
    settings = Settings.of(environment)
    officers = create_officers(engine.folder)
    reader, admin, treasury = (
        engine_admin.connect(settings, role) for role in ("reader", "admin", "treasury")
    )
    steps = MarketChangeActivities(
        MarketChangeStore(database, AuditStore()),
        {0: admin},
        {0: treasury},
        officers,
        verify_ed25519,
        lambda: int(time.time()),
    )
    rig = MarketRig(
        engine,
        database,
        settings,
        await connect(settings),
        officers,
        Follower(0, EventReader(None, reader), OrderHistoryStore(database)),
        Wiring(
            task_queue=task_queues.SETTLEMENT,
            workflows=(MarketChangeWorkflow,),
            activities=(
                steps.load,
                steps.sign,
                steps.apply,
                steps.confirm,
                steps.expire,
                steps.abandon,
            ),
        ),
    )
    await _list_first(rig, admin)
    rig.following.set()
    following = asyncio.create_task(rig.follow())
    try:
        yield rig
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        for door in (admin, reader, treasury):
            await door.close()
        await database.dispose()
        engine.kill()
        shutil.rmtree(engine.folder)


async def _list_first(rig: MarketRig, admin: EngineGrpc) -> None:
    """List the market whose row `seed_listings` has written."""
    from infra.postgres.markets import MarketStore

    (market,) = (await MarketStore(rig.database).listings()).markets
    await admin.submit(market.instrument.listing())
    await rig.follower.start()
    listed = sa.select(tables.instrument.c.listed_sequence)
    for _ in range(100):
        await rig.follower.step()
        async with rig.database.connect() as conn:
            if await conn.scalar(listed) is not None:
                return
    raise AssertionError("the listing did not reach the rows")
