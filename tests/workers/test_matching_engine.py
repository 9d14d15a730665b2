"""The engine process: it starts, refuses, drains and ends as it should."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest

from infra.engine_grpc import EngineGrpc
from matching import snapshot
from matching.storage import FileStorage
from tests.chaos.engine_process import EngineProcess, order
from tests.forks import ROOT


@pytest.fixture
async def engine() -> AsyncIterator[EngineProcess]:
    """Give a running engine process with an open market."""
    engine = EngineProcess("os")
    await engine.start()
    await engine.open_market(time.time_ns() // 1000)
    yield engine
    engine.kill()
    shutil.rmtree(engine.folder)


async def test_it_drains_on_sigterm(engine: EngineProcess) -> None:
    """What was answered is durable, the exit code is 0, and ticks went on meanwhile."""
    client = await engine.client()
    answers = await asyncio.gather(*(client.submit(order(0, n)) for n in range(50)))
    reader = EngineGrpc(engine.target, "reader", engine.tokens.of("reader"))
    before = await reader.status()
    async with asyncio.timeout(30):
        while (after := await reader.status()).sequence <= before.sequence:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert after.time_us > before.time_us
    await client.close()
    await reader.close()
    assert engine.terminate() == 0
    await engine.start()
    reader = EngineGrpc(engine.target, "reader", engine.tokens.of("reader"))
    _, orders = await reader.open_orders(1)
    assert len(orders) + len(answers) > 50
    assert (await reader.status()).epoch == 2
    await reader.close()


async def test_a_second_process_is_refused(engine: EngineProcess) -> None:
    """Two engines never write one journal."""
    other = EngineProcess()
    shutil.rmtree(other.folder)
    other.folder = engine.folder
    process = other.spawn()
    assert process.wait(30) == 1
    assert "LOCKED" in other.errors()


async def test_the_core_runs_and_the_reference_may_follow(engine: EngineProcess) -> None:
    """The C++ core runs by itself; the plain Python engine takes over its files when asked for."""
    client = await engine.client()
    await asyncio.gather(*(client.submit(order(n % 4, n)) for n in range(50)))
    status = await EngineGrpc(engine.target, "reader", engine.tokens.of("reader")).status()
    assert status.engine == "core"
    assert engine.terminate() == 0
    await engine.start(RIALTO_ENGINE_KIND="reference")
    later = await EngineGrpc(engine.target, "reader", engine.tokens.of("reader")).status()
    assert later.engine == "reference"
    assert later.sequence > status.sequence


async def test_the_shadow_writes_snapshots(engine: EngineProcess) -> None:
    """A snapshot of the running engine, taken beside it, is where the next start begins."""
    client = await engine.client()
    await asyncio.gather(*(client.submit(order(n % 4, n)) for n in range(200)))
    reader = EngineGrpc(engine.target, "reader", engine.tokens.of("reader"))
    sequence = (await reader.status()).durable_sequence
    command = [sys.executable, "-m", "matching.shadow", str(engine.shard), str(sequence)]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, check=False)
    assert done.returncode == 0
    storage = FileStorage(engine.shard, read_only=True)
    assert [file.sequence for file in snapshot.snapshots(storage)] == [sequence]
    storage.close()
    digest = (await reader.status(with_digest=True)).sequence
    assert digest >= sequence
    await client.close()
    await reader.close()
    assert engine.terminate() == 0
    await engine.start()
