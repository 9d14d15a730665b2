"""Reads one command from a shard's journal, beside the engine that writes it."""

from __future__ import annotations

from pathlib import Path

from matching.codec import CommandRecord, decode_commands
from matching.journal_scan import JournalScan
from matching.segments import JournalError
from matching.storage import FileStorage


def read_command(folder: Path, shard: int, sequence: int) -> CommandRecord | None:
    """Return the command `sequence`; None where the journal does not hold it (any more)."""
    storage = FileStorage(folder, read_only=True)
    try:
        for block in JournalScan(storage, shard).runs(sequence, 1):
            if block.last_sequence >= sequence:
                commands = decode_commands(block.payload)
                return next((c for c in commands if c.sequence == sequence), None)
    except (JournalError, OSError):
        return None
    finally:
        storage.close()
    return None
