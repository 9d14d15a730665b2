"""Snapshot files: the canonical state bytes with their digest, written whole or not at all."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from matching.engine import Engine, restore_engine
from matching.failpoint import hit
from matching.state_codec import SnapshotError
from matching.storage import Storage, write_whole

KEPT = 3
_MAGIC = b"RLTSNAP\0"
_FORMAT = 1
_HEAD = struct.Struct("<8sII16sQ16sQ")


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """A snapshot on the disk."""

    name: str
    sequence: int


def snapshots(storage: Storage) -> list[SnapshotFile]:
    """Return the snapshot files, newest first; whether they are good shows when they are read."""
    names = [name for name in storage.names("snapshots") if name.endswith(".snap")]
    found = [SnapshotFile(name, int(name.rsplit("/", 1)[1].split(".")[0])) for name in names]
    return sorted(found, key=lambda file: file.sequence, reverse=True)


def write(storage: Storage, engine: Engine, journal_id: bytes) -> SnapshotFile:
    """Write the state of `engine` and remove what is older than the newest three."""
    data = engine.snapshot()
    digest = hashlib.blake2b(data, digest_size=16).digest()
    head = _HEAD.pack(_MAGIC, _FORMAT, engine.shard, journal_id, engine.sequence, digest, len(data))
    name = f"snapshots/{engine.sequence:020d}.snap"
    hit("mid_snapshot")
    write_whole(storage, name, head + data)
    for old in snapshots(storage)[KEPT:]:
        storage.remove(old.name)
    return SnapshotFile(name, engine.sequence)


def read(
    storage: Storage, file: SnapshotFile, shard: int, journal_id: bytes, kind: str = "auto"
) -> Engine:
    """Return the engine of a snapshot file; anything wrong with it is a `SnapshotError`."""
    data = storage.read(file.name, 0, storage.size(file.name))
    if len(data) < _HEAD.size:
        raise SnapshotError(f"{file.name} is cut off")
    magic, version, of_shard, of_journal, sequence, digest, size = _HEAD.unpack_from(data)
    body = data[_HEAD.size :]
    if magic != _MAGIC or version != _FORMAT or of_shard != shard:
        raise SnapshotError(f"{file.name} is not a snapshot of shard {shard} in format {_FORMAT}")
    if of_journal != journal_id:
        raise SnapshotError(f"{file.name} is of another journal")
    if len(body) != size or hashlib.blake2b(body, digest_size=16).digest() != digest:
        raise SnapshotError(f"{file.name}: digest does not match")
    engine = restore_engine(body, kind)
    if engine.sequence != sequence or sequence != file.sequence:
        raise SnapshotError(f"{file.name}: sequence does not match")
    return engine


def good_engines(
    storage: Storage,
    shard: int,
    journal_id: bytes,
    at_most: int | None = None,
    kind: str = "auto",
) -> Iterator[Engine]:
    """Yield the engines of a journal's good snapshots, newest first, up to a sequence.

    Bad files, and those of another journal, are passed over.
    """
    for file in snapshots(storage):
        if at_most is not None and file.sequence > at_most:
            continue
        try:
            yield read(storage, file, shard, journal_id, kind)
        except (SnapshotError, OSError):
            continue
