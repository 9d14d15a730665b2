"""The process risk-monitor beside a real engine: it follows, beats, remembers, without servers."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pytest

from domain import risk_commands as r
from domain.commands import Credit, PlaceOrder
from domain.order import OrderType, Side, TimeInForce
from domain.order_id import client_key
from infra.settings import Settings
from tests.chaos.engine_process import EngineProcess
from tests.matching.desk import LISTING, USDT
from tests.matching.perpetual_desk import PERP, PRICE, RULES, TERMS
from workers import engine_admin, risk_monitor

pytestmark = pytest.mark.servers


@pytest.fixture
async def engine() -> AsyncIterator[EngineProcess]:
    """Give a running engine with a perpetual, in which 1 is long and 2 short."""
    process = EngineProcess("os")
    await process.start()
    settings = _settings(process)
    doors = {role: engine_admin.connect(settings, role) for role in ("admin", "treasury", "risk")}
    now_us = time.time_ns() // 1_000
    await doors["admin"].submit(LISTING)
    await doors["admin"].submit(r.ListPerpetual(RULES, TERMS))
    for account in (1, 2):
        await doors["treasury"].submit(Credit(uuid4().int, account, USDT, 10**9, now_us))
    prices = (PRICE,) * 3 + (0,) * 5
    times = (now_us,) * 3 + (0,) * 5
    await doors["risk"].submit(r.SetIndex(PERP, prices, times))
    for door in doors.values():
        await door.close()
    gateway = await process.client()
    for number, (account, side) in enumerate(((2, Side.SELL), (1, Side.BUY)), 1):
        await gateway.submit(_order(account, side, number))
    await gateway.close()
    yield process
    process.kill()
    shutil.rmtree(process.folder)


def _order(account: int, side: Side, number: int) -> PlaceOrder:
    name = f"o{number}"
    limit = (OrderType.LIMIT, TimeInForce.GTC, PRICE, 10)
    return PlaceOrder(account, client_key(name), PERP, side, *limit, client_text=name)


def _settings(process: EngineProcess) -> Settings:
    return Settings(
        data_dir=process.folder,
        database_url="postgresql+asyncpg://nobody@127.0.0.1:1/nothing",
        redis_url="redis://127.0.0.1:1",
        temporal_address="127.0.0.1:1",
        chain_url="http://127.0.0.1:1",
    )


async def _until(process: EngineProcess, wanted: Callable[[dict[str, Any]], bool]) -> Any:
    """Wait for a heartbeat that is as wanted."""
    path = process.folder / "run" / "risk-monitor-0.json"
    async with asyncio.timeout(30):
        while True:
            if path.exists() and wanted(found := json.loads(path.read_text())):
                return found
            await asyncio.sleep(0.1)


def _misses_temporal(beat: dict[str, Any]) -> bool:
    """Tell whether a heartbeat says that Temporal cannot be reached."""
    return "Temporal" in beat["detail"]["attention"].get("risk", "")


async def test_it_follows_beats_and_remembers(
    engine: EngineProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Redis, PostgreSQL and Temporal: it knows the positions, says what is away."""
    stop = asyncio.Event()
    monkeypatch.setattr(risk_monitor, "stop_on_signals", lambda: stop)
    running = asyncio.create_task(risk_monitor.run(_settings(engine)))
    beat = await _until(engine, lambda found: found["detail"]["positions"] == 2)
    assert beat["lag"] is not None
    assert beat["detail"]["unjudged"] == 2  # no mark is fresh so soon after a start
    assert beat["detail"]["frozen"] == 0
    # The first words are that nothing is connected yet: what failed comes with the first refusal.
    beat = await _until(engine, _misses_temporal)
    stop.set()
    await asyncio.wait_for(running, 30)
    stored = json.loads((engine.folder / "risk" / "shard-0.json").read_text())
    assert stored["picture"]["sequence"] >= beat["sequence"]
    stop.clear()
    again = time.time()
    running = asyncio.create_task(risk_monitor.run(_settings(engine)))
    after = await _until(engine, lambda found: found["started_at"] > again)
    assert after["detail"]["positions"] == 2
    stop.set()
    await asyncio.wait_for(running, 30)
