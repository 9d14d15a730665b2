"""What a shard's host does beside orders, whichever loop it runs: cursors, snapshots, retention."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import structlog

from matching import shadow, snapshot
from matching.readers import Readers
from matching.storage import FileStorage

KEEP_SEGMENTS = 64
SNAPSHOT_COMMANDS = 1_000_000  # replaying them takes less than a second
_SAVE_SECONDS = 1.0


class EngineHouse:
    """Save cursors every second; take snapshots and drop what everyone has passed."""

    def __init__(
        self,
        readers: Readers,
        directory: Path,
        *,
        snapshot_every_commands: int = SNAPSHOT_COMMANDS,
        snapshot_every_seconds: float = 600.0,
    ) -> None:
        self._readers = readers
        self._directory = directory
        self._snapshot_every = snapshot_every_commands
        self._snapshot_seconds = snapshot_every_seconds

    async def keep(self) -> None:
        """Keep house for ever."""
        storage = FileStorage(self._directory, read_only=True)
        newest = snapshot.snapshots(storage)[:1]
        last = newest[0].sequence if newest else 0
        taken_at = time.monotonic()
        while True:
            await asyncio.sleep(_SAVE_SECONDS)
            await asyncio.to_thread(self._readers.cursors.save)
            done = self._readers.durable_sequence - last
            late = time.monotonic() - taken_at > self._snapshot_seconds
            if done >= self._snapshot_every or (late and done > 0):
                last, taken_at = self._readers.durable_sequence, time.monotonic()
                if await self.take_snapshot(last):
                    self._readers.retain(KEEP_SEGMENTS)

    async def take_snapshot(self, sequence: int) -> bool:
        """Let the shadow process write the snapshot at `sequence`; return whether it did."""
        log = structlog.get_logger()
        process = await asyncio.to_thread(self._start_shadow, sequence)
        try:
            _, text = await asyncio.to_thread(process.communicate)
        except asyncio.CancelledError:
            process.kill()
            raise
        if process.returncode:
            log.error("snapshot failed", sequence=sequence, error=text.decode()[-500:])
            return False
        log.info("snapshot taken", sequence=sequence)
        return True

    def _start_shadow(self, sequence: int) -> subprocess.Popen[bytes]:
        """Start the shadow, not the loop's way: uvloop forks, subprocess uses vfork.

        After a fork each page that the engine writes is copied: 10,000 page faults of its loop.
        """
        command = (sys.executable, "-m", shadow.__name__, str(self._directory), str(sequence))
        home = Path(__file__).parent.parent
        return subprocess.Popen(command, cwd=home, stderr=subprocess.PIPE)  # noqa: S603


def report_failure(failed: asyncio.Future[None], error: BaseException, kind: str) -> None:
    """Say why the engine stops, once; the process ends and recovery starts over."""
    if not failed.done():
        structlog.get_logger().critical("engine stops", kind=kind, error=str(error))
        failed.set_exception(error)
