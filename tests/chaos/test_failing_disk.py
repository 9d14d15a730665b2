"""A disk that refuses ends the engine by name: nothing is acknowledged after it."""

from __future__ import annotations

import asyncio
import errno
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from domain.events import OrderAccepted, OrderDuplicate
from infra.engine_errors import EngineError
from infra.engine_hosts import LoopKind
from matching.replay import replay_to
from matching.storage import FileStorage
from tests.chaos.engine_process import EngineProcess, order


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile what stands between the engine and its disk."""
    library = tmp_path_factory.mktemp("shim") / "failing_disk.so"
    source = Path(__file__).with_name("failing_disk.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.mark.parametrize("loop", ["native", "python"])
@pytest.mark.parametrize(
    ("call", "error", "fault", "policy"),
    [
        ("sync", errno.EIO, "SYNC_FAILED", "fsync"),
        ("write", errno.ENOSPC, "WRITE_FAILED", "os"),
        pytest.param("sync", errno.EIO, "SYNC_FAILED", "os", marks=pytest.mark.long),
        pytest.param("write", errno.ENOSPC, "WRITE_FAILED", "fsync", marks=pytest.mark.long),
    ],
)
async def test_a_refusing_disk_ends_the_engine(
    shim: Path, tmp_path: Path, loop: LoopKind, call: str, error: int, fault: str, policy: str
) -> None:
    """The process ends with 1 and the fault's name; a start finds all that was acknowledged."""
    wish = tmp_path / "wish"
    engine = EngineProcess(policy, loop)
    await engine.start(LD_PRELOAD=str(shim), FAILING_DISK=str(wish))
    await engine.open_market(time.time_ns() // 1000)
    client = await engine.client()
    acknowledged = [(await client.submit(order(0, number)))[0] for number in range(20)]
    assert all(isinstance(outcome, OrderAccepted) for outcome in acknowledged)
    wish.with_suffix(".new").write_text(f"{call} {error}")
    wish.with_suffix(".new").rename(wish)
    late = []
    for number in range(20, 40):
        try:
            late.append((await client.submit(order(0, number)))[0])
        except EngineError:
            break
    await client.close()
    assert len(late) < 20
    assert policy == "os" or not late
    assert await asyncio.to_thread(engine.wait) == 1
    assert fault in engine.errors()
    await engine.start()
    client = await engine.client()
    for number in range(20 + len(late)):
        outcome = (await client.submit(order(0, number)))[0]
        assert isinstance(outcome, OrderDuplicate)
        assert outcome.same_body
    await client.close()
    assert engine.terminate() == 0
    replay_to(FileStorage(engine.shard, read_only=True), 0, None, from_genesis=True)
    shutil.rmtree(engine.folder)
