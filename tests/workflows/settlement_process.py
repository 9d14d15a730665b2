"""A settlement worker as a process of its own, so that a test can kill it.

Its events come from a file, a few commands at a time, as an engine in use would give them. With the
name of a step it kills itself there (-9), in the third batch that moves money.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy.event import listen
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.worker import Worker

from activities.settlement import SettlementActivities
from domain.settlement import Origin, Settled
from infra.postgres.engine import create
from infra.postgres.settlement_store import SettlementBatch, SettlementStore
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


STEPS = (
    "read",  # events are read, nothing is written
    *(f"statement {number}" for number in range(1, 7)),  # of the batch's transaction, before it
    "commit",  # everything is written, nothing is in
    "committed",  # all of it is in, and nobody has been told
    "registered",  # the engine has been told, Temporal has not
)
_BATCH = 3


class DyingStore(SettlementStore):
    """A ledger that ends the whole process at one step."""

    def __init__(self, engine: AsyncEngine, step: str) -> None:
        super().__init__(engine)
        self._step = step
        self._batches = 0
        self._statements = 0
        listen(engine.sync_engine, "before_cursor_execute", self._statement)
        listen(engine.sync_engine, "commit", lambda _: self.reach("commit"))

    def reach(self, step: str) -> None:
        """Die here, if this is the step."""
        if step == self._step and self._batches >= _BATCH:
            os.kill(os.getpid(), signal.SIGKILL)

    def _statement(self, *_: object) -> None:
        self._statements += 1
        self.reach(f"statement {self._statements}")

    async def settle_batch(self, batch: SettlementBatch, origin: Origin | None = None) -> Settled:
        """Settle, with the steps counted."""
        self._batches += 1
        self._statements = 0
        self.reach("read")
        settled = await super().settle_batch(batch, origin)
        self.reach("committed")
        return settled


class QuietEngine:
    """An engine that only knows where its events end."""

    def __init__(self, source: FileSource, store: SettlementStore) -> None:
        self._source = source
        self._store = store

    async def durable_sequence(self) -> int:
        """Return the end of the file."""
        return self._source.last

    async def register_cursor(self, name: str, sequence: int) -> None:
        """Keep everything."""
        if isinstance(self._store, DyingStore):
            self._store.reach("registered")

    async def halt(self, reason: str) -> None:
        """Nothing trades here."""


def worker(client: Client, database_url: str, path: Path, step: str = "") -> Worker:
    """Return a worker of settlement, with the limits of the real one; `step` is where it dies."""
    source = FileSource(path)
    engine = create(database_url)
    store = DyingStore(engine, step) if step else SettlementStore(engine)
    activities = SettlementActivities(store, {0: source}, {0: QuietEngine(source, store)})
    return worker_of(
        client,
        Wiring(
            task_queue=task_queues.SETTLEMENT,
            workflows=(SettlementWorkflow,),
            activities=(activities.settle, activities.halt_shard),
        ),
    )


async def _run(address: str, namespace: str, database_url: str, path: str, step: str = "") -> None:
    client = await Client.connect(address, namespace=namespace)
    await worker(client, database_url, Path(path), step).run()


def main() -> None:
    """Work until somebody ends this process, or until it ends itself."""
    asyncio.run(_run(*sys.argv[1:]))
