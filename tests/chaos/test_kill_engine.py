"""What was acknowledged survives `kill -9` of the engine, wherever it strikes."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from itertools import count

import pytest

from domain.commands import CancelOrder
from domain.events import CommandRejected, OrderAccepted, OrderDuplicate
from infra.engine_errors import EngineError
from infra.engine_grpc import EngineGrpc
from matching import snapshot
from matching.codec import decode_events
from matching.event_log import EventLog
from matching.replay import replay_to
from matching.storage import FileStorage
from tests.chaos.engine_process import EngineProcess, order
from tests.forks import ROOT
from tests.matching.mirror import Mirror

FAILPOINTS = ("before_write", "after_write", "after_sync", "after_apply", "before_ack")
# The Python loop is killed at these places in tests/simulation, too; the policy at random moments.
LATER = ("fsync-python", "os-native")
Acknowledged = dict[int, tuple[int, int]]  # sequence -> (worker, number)


@pytest.fixture(
    params=["fsync-native", "os-native", pytest.param("fsync-python", marks=pytest.mark.long)]
)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[EngineProcess]:
    """Give a running engine process with an open market, by ack policy and loop."""
    policy, loop = request.param.split("-")
    engine = EngineProcess(policy, loop)
    await engine.start()
    await engine.open_market(time.time_ns() // 1000)
    yield engine
    engine.kill()
    shutil.rmtree(engine.folder)


async def _load(engine: EngineProcess, worker: int, first: int, found: Acknowledged) -> int:
    """Place orders one after the other until the engine is gone; return the next number."""
    client = await engine.client()
    number = first
    try:
        for number in count(first):
            outcome = (await client.submit(order(worker, number)))[0]
            assert isinstance(outcome, OrderAccepted | OrderDuplicate), outcome
            sequence = outcome.sequence
            if isinstance(outcome, OrderDuplicate):  # the order whose outcome was unknown
                assert outcome.same_body
                sequence = outcome.accepted_sequence
            found[sequence] = (worker, number)
    except EngineError:
        pass
    finally:
        await client.close()
    return number


def _check(engine: EngineProcess, acknowledged: Acknowledged) -> None:
    """Every acknowledged order is in the journal under its sequence, once; books agree.

    Events follow the acknowledgement: a kill between them leaves the last ones to the next start.
    """
    storage = FileStorage(engine.shard)
    second = replay_to(storage, 0, None, from_genesis=True)
    events = EventLog(storage, 0, _journal_id(storage))
    found = events.read(0, 1 << 30, events.last_sequence)
    assert found is not None
    accepted = {
        event.sequence: event.client_text
        for event in decode_events(found.data)
        if isinstance(event, OrderAccepted)
    }
    for sequence, (worker, number) in acknowledged.items():
        assert sequence <= second.sequence
        if sequence <= events.last_sequence:
            assert accepted[sequence] == f"w{worker}-{number}"
    assert len(set(accepted.values())) == len(accepted)
    mirror = Mirror()
    mirror.read(decode_events(found.data))
    if events.last_sequence == second.sequence:
        assert mirror.balances() == second.balances()
    storage.close()


def _journal_id(storage: FileStorage) -> bytes:
    return storage.read(storage.names("journal")[0], 16, 16)


async def test_kill_at_random_moments(engine: EngineProcess) -> None:
    """Four clients under load, several kills: nothing acknowledged is lost or doubled."""
    seed = time.time_ns()
    print(f"seed {seed}")
    chance = random.Random(seed)
    acknowledged: Acknowledged = {}
    numbers = [0] * 4
    for _ in range(3):
        workers = [
            asyncio.create_task(_load(engine, worker, numbers[worker], acknowledged))
            for worker in range(4)
        ]
        await asyncio.sleep(chance.uniform(0.05, 0.5))
        engine.kill()
        numbers = list(await asyncio.gather(*workers))
        _check(engine, acknowledged)
        await engine.start()
    assert len(acknowledged) > 20
    client = await engine.client()
    assert isinstance((await client.submit(CancelOrder(1, 1, 1 << 40)))[0], CommandRejected)
    await client.close()
    assert engine.terminate() == 0
    _check(engine, acknowledged)


@pytest.mark.parametrize(
    "engine",
    ["fsync-native", *(pytest.param(one, marks=pytest.mark.long) for one in LATER)],
    indirect=True,
)
async def test_kill_at_named_places(engine: EngineProcess) -> None:
    """Before and after write, sync, apply and answer: the same promise."""
    acknowledged: Acknowledged = {}
    numbers = [0] * 2
    chance = random.Random(7)
    for failpoint in FAILPOINTS:
        engine.kill()
        await engine.start(RIALTO_FAILPOINT=f"{failpoint}:{chance.randint(20, 90)}")
        workers = [
            asyncio.create_task(_load(engine, worker, numbers[worker], acknowledged))
            for worker in range(2)
        ]
        assert await asyncio.to_thread(engine.wait) == -9
        numbers = list(await asyncio.gather(*workers))
        _check(engine, acknowledged)
    assert acknowledged


@pytest.mark.parametrize("engine", ["fsync-native"], indirect=True)
async def test_kill_of_what_writes_whole_files(engine: EngineProcess) -> None:
    """The shadow dies in the middle of a snapshot, the engine while it saves cursors: no harm."""
    client = await engine.client()
    outcomes = [group[0] for group in await client.submit_many([order(0, n) for n in range(100)])]
    acknowledged: Acknowledged = {o.sequence: (0, n) for n, o in enumerate(outcomes)}
    await client.close()
    sequence = max(acknowledged)
    for failpoint, code in (("mid_snapshot", -9), ("before_rename", -9), ("", 0)):
        assert await asyncio.to_thread(_shadow, engine, sequence, failpoint) == code
        storage = FileStorage(engine.shard, read_only=True)
        taken = [file.sequence for file in snapshot.snapshots(storage)]
        assert taken == ([] if code else [sequence])
        storage.close()
    engine.kill()
    await engine.start(RIALTO_FAILPOINT="before_rename")
    worker = asyncio.create_task(_load(engine, 0, 100, acknowledged))
    reader = EngineGrpc(engine.target, "reader", engine.tokens.of("reader"))
    await reader.register_cursor("reader", sequence)
    assert await asyncio.to_thread(engine.wait) == -9
    await reader.close()
    await worker
    _check(engine, acknowledged)
    await engine.start()


def _shadow(engine: EngineProcess, sequence: int, failpoint: str) -> int:
    """Let the shadow write a snapshot, dying at `failpoint`; return its exit code."""
    command = [sys.executable, "-m", "matching.shadow", str(engine.shard), str(sequence)]
    env = {**os.environ, **({"RIALTO_FAILPOINT": failpoint} if failpoint else {})}
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
