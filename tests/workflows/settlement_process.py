"""A settlement worker as a process of its own, so that a test can kill it.

Its events come from a file, a few commands at a time, as an engine in use would give them.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from temporalio.client import Client
from temporalio.worker import Worker

from activities.settlement import SettlementActivities
from infra.postgres.engine import create
from infra.postgres.settlement_store import SettlementStore
from infra.temporal.data_converter import data_converter
from matching.codec import view_events
from matching.wire import STRIPE
from workers.temporal_worker import worker_of
from workers.wiring import Wiring
from workflows import task_queues
from workflows.settlement import SettlementWorkflow


@dataclass(frozen=True)
class FileBatch:
    """A slice of the file, whole commands."""

    first_sequence: int
    last_sequence: int
    raw: bytes


class FileSource:
    """Gives `commands` at a time, each after `pause_seconds`."""

    def __init__(self, path: Path, commands: int = 20, pause_seconds: float = 0.05) -> None:
        self._raw = path.read_bytes()
        self._sequences = view_events(self._raw)["sequence"]
        self._commands = commands
        self._pause = pause_seconds

    @property
    def last(self) -> int:
        """Return the last command in the file."""
        return int(self._sequences[-1])

    async def read(self, after: int, max_wait_seconds: float) -> FileBatch | None:
        """Return the next commands, or None at the end of the file."""
        if after >= self.last:
            await asyncio.sleep(max_wait_seconds)
            return None
        await asyncio.sleep(self._pause)
        last = min(after + self._commands, self.last)
        start, end = np.searchsorted(self._sequences, [after + 1, last + 1])
        return FileBatch(after + 1, last, self._raw[start * STRIPE : end * STRIPE])


class QuietEngine:
    """An engine that only knows where its events end."""

    def __init__(self, source: FileSource) -> None:
        self._source = source

    async def durable_sequence(self) -> int:
        """Return the end of the file."""
        return self._source.last

    async def register_cursor(self, name: str, sequence: int) -> None:
        """Keep everything."""

    async def halt(self, reason: str) -> None:
        """Nothing trades here."""


def worker(client: Client, database_url: str, path: Path) -> Worker:
    """Return a worker of settlement, with the limits of the real one."""
    source = FileSource(path)
    activities = SettlementActivities(
        SettlementStore(create(database_url)), {0: source}, {0: QuietEngine(source)}
    )
    return worker_of(
        client,
        Wiring(
            task_queue=task_queues.SETTLEMENT,
            workflows=(SettlementWorkflow,),
            activities=(activities.settle, activities.halt_shard),
        ),
    )


async def _run(address: str, namespace: str, database_url: str, path: str) -> None:
    client = await Client.connect(address, namespace=namespace, data_converter=data_converter())
    await worker(client, database_url, Path(path)).run()


if __name__ == "__main__":
    asyncio.run(_run(*sys.argv[1:]))
