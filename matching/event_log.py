"""The events family: what the commands did, kept in files for range reads by sequence.

Derived from the journal and rebuilt from it, so it is never synced. A file is a 64-byte header
and blobs: magic u32 | bytes u32 | first u64 | last u64 | chain 16 bytes | crc32 u32 | zeros,
then event stripes of whole commands. `chain` names the engine's chain after the blob.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

from matching.codec import events_between
from matching.segments import JournalError, JournalFault
from matching.storage import Storage
from matching.wire import SCHEMA_VERSION

FILE_BYTES = 16 << 20
_INDEX_EVERY = 64 << 10
_FILE_MAGIC = b"RLTEVNT\0"
_FILE = struct.Struct("<8sII16s32x")
_BLOB_MAGIC = 0x42564552
_BLOB = struct.Struct("<IIQQ16sI20x")
_BLOB_USED = 44


@dataclass(frozen=True, slots=True)
class EventRange:
    """Event stripes of the whole commands `first_sequence` to `last_sequence`."""

    first_sequence: int
    last_sequence: int
    data: bytes


class NotRetainedError(LookupError):
    """The wanted events are older than what is kept."""


@dataclass(frozen=True, slots=True)
class EventLogEnd:
    """What another writer needs to go on."""

    head: bytes  # that begins each file
    file_bytes: int
    last_sequence: int
    files: list[tuple[str, int, list[tuple[int, int]]]]  # name, end, [(first sequence, offset)]


@dataclass(slots=True)
class _Mark:
    """A place to start reading: the blob that begins with `first`."""

    first: int
    name: str
    offset: int


class EventLog:
    """Append blobs, read ranges. Reading is safe while appending."""

    def __init__(
        self, storage: Storage, shard: int, journal_id: bytes, file_bytes: int = FILE_BYTES
    ) -> None:
        """Open what is there, verify it, and cut the first damage off with all that follows."""
        self._storage = storage
        self._head = _FILE.pack(_FILE_MAGIC, SCHEMA_VERSION, shard, journal_id)
        self.file_bytes = file_bytes
        self._marks: list[_Mark] = []
        self._ends: dict[str, int] = {}
        self._name = ""
        self.last_sequence = 0
        self.chain_name = b""
        self._open_files(None)

    def _open_files(self, up_to: int | None) -> None:
        self._marks.clear()
        self._ends.clear()
        self._name, self.last_sequence, self.chain_name = "", 0, b""
        whole = True
        for name in self._storage.names("events"):
            whole = whole and self._load(name, up_to)
            if name not in self._ends:
                self._storage.remove(name)

    def _load(self, name: str, up_to: int | None) -> bool:
        """Take the good blobs of a file that goes on; return whether all of it was good."""
        data = self._storage.read(name, 0, self._storage.size(name))
        offset = _FILE.size
        begun = bool(self._marks)
        if data[:offset] != self._head:
            return False
        while (blob := _blob(data, offset)) is not None:
            first, last, size, chain = blob
            if (begun or offset > _FILE.size) and first != self.last_sequence + 1:
                break
            if up_to is not None and last > up_to:
                break
            self._mark(first, name, offset)
            self.last_sequence, self.chain_name = last, chain
            offset += size
        if offset == _FILE.size:
            return False
        self._name = name
        self._ends[name] = offset
        if offset < len(data):
            self._cut(name, offset)
        return offset == len(data)

    def _cut(self, name: str, offset: int) -> None:
        self._storage.truncate(name, offset)
        self._storage.sync(name)

    @property
    def first_sequence(self) -> int:
        """Return the oldest sequence that can be read; one past the last when there is none."""
        return self._marks[0].first if self._marks else self.last_sequence + 1

    def cut_after(self, sequence: int) -> None:
        """Forget the blobs with anything later than `sequence`: the journal lost it unsynced."""
        if self.last_sequence > sequence:
            self._open_files(sequence)

    def reset(self, last_sequence: int) -> None:
        """Forget everything; the next blob begins after `last_sequence`."""
        for name in list(self._ends):
            self._storage.remove(name)
        self._marks.clear()
        self._ends.clear()
        self._name = ""
        self.last_sequence, self.chain_name = last_sequence, b""

    def append(self, first: int, last: int, data: bytes, chain: bytes) -> None:
        """Add the events of the commands `first` to `last`."""
        assert first == self.last_sequence + 1
        if not self._name or self._ends[self._name] >= self.file_bytes:
            self._name = f"events/{first:020d}.events"
            self._storage.create(self._name, 0)
            self._storage.write(self._name, 0, self._head)
            self._ends[self._name] = _FILE.size
        offset = self._ends[self._name]
        name = chain_name(chain)
        head = _BLOB.pack(_BLOB_MAGIC, len(data), first, last, name, _crc(first, last, name, data))
        self._storage.write(self._name, offset, head + data)
        self._mark(first, self._name, offset)
        self._ends[self._name] = offset + len(head) + len(data)
        self.last_sequence, self.chain_name = last, name

    def hand_over(self) -> EventLogEnd:
        """Return where another writer goes on; this one appends no more."""
        marks: dict[str, list[tuple[int, int]]] = {name: [] for name in self._ends}
        for mark in self._marks:
            marks[mark.name].append((mark.first, mark.offset))
        files = [(name, end, marks[name]) for name, end in self._ends.items()]
        return EventLogEnd(self._head, self.file_bytes, self.last_sequence, files)

    def _mark(self, first: int, name: str, offset: int) -> None:
        previous = self._marks[-1] if self._marks else None
        if previous is None or previous.name != name or offset - previous.offset >= _INDEX_EVERY:
            self._marks.append(_Mark(first, name, offset))

    def read(self, after: int, limit_bytes: int, up_to: int) -> EventRange | None:
        """Return events of `after` + 1 and on, whole commands, at most `up_to`; None if none yet.

        About `limit_bytes` (one command is never split). Older than kept: `NotRetainedError`.
        """
        up_to = min(up_to, self.last_sequence)
        if after >= up_to:
            return None
        if after + 1 < self.first_sequence:
            raise NotRetainedError(
                f"events after {after} are wanted, the oldest kept is {self.first_sequence}"
            )
        index = bisect_right(self._marks, after + 1, key=lambda mark: mark.first) - 1
        name, offset = self._marks[index].name, self._marks[index].offset
        parts: list[bytes] = []
        size, last = 0, after
        while size < limit_bytes and last < up_to:
            if offset >= self._ends[name]:
                index = next(i for i, m in enumerate(self._marks) if m.first > last)
                name, offset = self._marks[index].name, self._marks[index].offset
            first_of, last_of, length, body = self._blob_at(name, offset)
            offset += length
            if last_of <= after:
                continue
            if first_of <= after or last_of > up_to:
                body = events_between(body, after, up_to)
            parts.append(body)
            size += len(body)
            last = min(last_of, up_to)
        return EventRange(after + 1, last, b"".join(parts))

    def _blob_at(self, name: str, offset: int) -> tuple[int, int, int, bytes]:
        head = self._storage.read(name, offset, _BLOB.size)
        magic, size, first, last, chain, crc = _BLOB.unpack(head)
        body = self._storage.read(name, offset + _BLOB.size, size)
        if magic != _BLOB_MAGIC or _crc(first, last, chain, body) != crc:
            raise JournalError(
                JournalFault.CORRUPT_SEGMENT, f"{name} at {offset}: remove it, it is rebuilt"
            )
        return first, last, _BLOB.size + size, body

    def drop_before(self, sequence: int) -> int:
        """Remove the files that hold only sequences below `sequence`; return how many."""
        dropped = 0
        names = list(self._ends)
        for name, following in pairwise(names):
            if next(m.first for m in self._marks if m.name == following) > sequence:
                break
            self._storage.remove(name)
            del self._ends[name]
            self._marks = [mark for mark in self._marks if mark.name != name]
            dropped += 1
        return dropped


def chain_name(chain: bytes) -> bytes:
    """Return 16 bytes that name a chain of 64."""
    return hashlib.blake2b(chain, digest_size=16).digest()


def _crc(first: int, last: int, chain: bytes, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(_BLOB.pack(0, len(data), first, last, chain, 0)))


def _blob(data: bytes, offset: int) -> tuple[int, int, int, bytes] | None:
    """Return (first, last, size, chain name) of the good blob at `offset`, or None."""
    if offset + _BLOB.size > len(data):
        return None
    magic, size, first, last, chain, crc = _BLOB.unpack_from(data, offset)
    body = data[offset + _BLOB.size : offset + _BLOB.size + size]
    if magic != _BLOB_MAGIC or len(body) != size or _crc(first, last, chain, body) != crc:
        return None
    if any(data[offset + _BLOB_USED : offset + _BLOB.size]):
        return None
    return first, last, _BLOB.size + size, chain
