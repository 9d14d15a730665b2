"""The journal's writer: group commit into preallocated segments.

`append` writes (survives the death of the process); `sync`, meant for a thread, makes durable
(survives a power loss). A failed write or sync ends the journal for good: after an error the
kernel may call lost pages clean, so a second sync would be a lie.
"""

from __future__ import annotations

import threading

from matching.failpoint import hit
from matching.journal_scan import JournalEnd
from matching.segments import (
    GENESIS_CHAIN,
    HEADER_BYTES,
    SEGMENT_BYTES,
    JournalError,
    JournalFault,
    SegmentHeader,
    encode_block,
    segment_name,
)
from matching.storage import Storage

_SPARE = "journal/spare.new"


class Journal:
    """Append blocks of sequenced commands. One writer thread, one sync at a time beside it."""

    def __init__(
        self, storage: Storage, shard: int, end: JournalEnd, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        """Go on at `end`, which is taken as durable: the caller has synced or scanned it."""
        self._storage = storage
        self._shard = shard
        self.segment_bytes = segment_bytes
        self._name = end.segment
        self._offset = end.offset
        self._chain = end.chain
        self._dirty: list[str] = []
        self._lock = threading.Lock()
        self._spare_lock = threading.Lock()
        self._failed: JournalError | None = None
        self._has_spare = False
        self.journal_id = end.journal_id
        self.epoch = end.epoch
        self.last_sequence = end.last_sequence
        self.durable_sequence = end.last_sequence

    @staticmethod
    def begin(
        storage: Storage, shard: int, journal_id: bytes, segment_bytes: int = SEGMENT_BYTES
    ) -> Journal:
        """Make the first segment of a new journal."""
        name = segment_name(1)
        header = SegmentHeader(shard, journal_id, 1, 0, GENESIS_CHAIN)
        _make_spare(storage, segment_bytes)
        _publish(storage, name, header)
        end = JournalEnd(name, HEADER_BYTES, 0, GENESIS_CHAIN, 0, journal_id)
        return Journal(storage, shard, end, segment_bytes)

    def append(self, payload: bytes, first_sequence: int, count: int) -> None:
        """Write one block; `JournalError` WRITE_FAILED when the disk does not take it."""
        self._check()
        assert first_sequence == self.last_sequence + 1
        block, chain = encode_block(
            first_sequence, count, self.epoch, self.durable_sequence, self._chain, payload
        )
        hit("before_write")
        try:
            if self._offset + len(block) > self.segment_bytes:
                self._rotate(first_sequence)
            self._storage.write(self._name, self._offset, block)
        except OSError as error:
            raise self._fail(JournalFault.WRITE_FAILED, error) from error
        hit("after_write")
        self._chain = chain
        self._offset += len(block)
        with self._lock:
            self.last_sequence = first_sequence + count - 1
            if self._name not in self._dirty:
                self._dirty.append(self._name)

    def sync(self) -> int:
        """Make durable what is written; return the durable sequence. Blocks: call in a thread."""
        self._check()
        with self._lock:
            names, self._dirty = self._dirty, []
            target = self.last_sequence
        try:
            for name in names:
                self._storage.sync(name)
            hit("after_sync")
        except OSError as error:
            raise self._fail(JournalFault.SYNC_FAILED, error) from error
        self.durable_sequence = max(self.durable_sequence, target)
        return self.durable_sequence

    def prepare_segment(self) -> None:
        """Preallocate the next segment when this one is half full; slow: call it in a thread."""
        with self._spare_lock:
            if self._has_spare or self._offset < self.segment_bytes // 2:
                return
            try:
                _make_spare(self._storage, self.segment_bytes)
            except OSError as error:
                raise self._fail(JournalFault.WRITE_FAILED, error) from error
            self._has_spare = True

    def hand_over(self) -> JournalEnd:
        """Return where another writer goes on; this one writes no more."""
        self._check()
        assert self.durable_sequence == self.last_sequence
        self._failed = JournalError(JournalFault.LOCKED, "another writer has this journal")
        return JournalEnd(
            self._name, self._offset, self.last_sequence, self._chain, self.epoch, self.journal_id
        )

    def _rotate(self, first_sequence: int) -> None:
        name = segment_name(first_sequence)
        header = SegmentHeader(
            self._shard, self.journal_id, first_sequence, self.epoch, self._chain
        )
        with self._spare_lock:
            if not self._has_spare:
                _make_spare(self._storage, self.segment_bytes)
            self._has_spare = False
            _publish(self._storage, name, header)
        self._name, self._offset = name, HEADER_BYTES

    def _check(self) -> None:
        if self._failed is not None:
            raise self._failed

    def _fail(self, fault: JournalFault, error: OSError) -> JournalError:
        self._failed = JournalError(fault, f"{self._name}: {error}; the engine stops here")
        return self._failed


def _make_spare(storage: Storage, segment_bytes: int) -> None:
    storage.create(_SPARE, segment_bytes)


def _publish(storage: Storage, name: str, header: SegmentHeader) -> None:
    """Turn the spare into a segment: header first and synced, so that a name has a header."""
    storage.write(_SPARE, 0, header.encode())
    storage.sync(_SPARE)
    storage.rename(_SPARE, name)
