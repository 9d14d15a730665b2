"""What a shard's host does beside orders: its snapshots leave the engine's memory alone."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

import uvloop

from infra.engine_house import EngineHouse
from matching import snapshot
from matching.cursors import Cursors
from matching.readers import Readers
from matching.storage import FileStorage
from tests.matching.shard import Shard

_FORKS: list[None] = []
os.register_at_fork(before=lambda: _FORKS.append(None))


async def _fork() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await process.wait()


def test_a_snapshot_does_not_fork(tmp_path: Path) -> None:
    """A forked engine copies each page that it writes; the snapshot's process is not made so."""
    storage = FileStorage(tmp_path)
    shard = Shard(storage)
    shard.open_market()
    shard.flow(random.Random(3), 4)
    shard.sequencer.sync()
    at = shard.sequencer.durable_sequence
    house = EngineHouse(Readers(storage, Cursors(storage)), tmp_path)
    _FORKS.clear()
    assert uvloop.run(house.take_snapshot(at))
    assert [file.sequence for file in snapshot.snapshots(storage)] == [at]
    assert not _FORKS
    uvloop.run(_fork())
    assert _FORKS  # the control: a loop's own subprocess is seen
    storage.close()


def test_a_failed_snapshot_is_told(tmp_path: Path) -> None:
    """A folder without a journal gives no snapshot, and no exception."""
    storage = FileStorage(tmp_path)
    house = EngineHouse(Readers(storage, Cursors(storage)), tmp_path)
    assert not asyncio.run(house.take_snapshot(1))
    assert snapshot.snapshots(storage) == []
    storage.close()
