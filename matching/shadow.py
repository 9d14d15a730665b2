"""The shadow: a process of its own that replays the journal and writes a snapshot.

The engine never pauses for it. `python -m matching.shadow FOLDER SEQUENCE`, where SEQUENCE is
durable; it starts from the newest snapshot, so it costs what the engine did since then.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from matching import snapshot
from matching.journal_scan import JournalScan
from matching.replay import replay_to, shard_of
from matching.segments import HEADER_BYTES, SegmentHeader
from matching.storage import FileStorage


def take_snapshot(directory: Path, sequence: int) -> snapshot.SnapshotFile:
    """Replay the shard folder to `sequence` and write the snapshot there."""
    storage = FileStorage(directory)
    try:
        shard = shard_of(storage)
        name = JournalScan(storage, shard).segments[-1]
        header = SegmentHeader.decode(storage.read(name, 0, HEADER_BYTES), name)
        engine = replay_to(storage, shard, sequence)
        return snapshot.write(storage, engine, header.journal_id)
    finally:
        storage.close()


if __name__ == "__main__":
    os.nice(10)
    take_snapshot(Path(sys.argv[1]), int(sys.argv[2]))
