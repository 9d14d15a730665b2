"""Reading the journal: block after block, each checked; and judging what lies at its end.

The C++ module, where it is built, takes many blocks in one call and stops before the first that
breaks a rule. Here are the rules and the names of what breaks them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from matching.core_engine import load_core
from matching.segments import (
    BLOCK_MAGIC_BYTES,
    GENESIS_CHAIN,
    HEADER_BYTES,
    JournalError,
    JournalFault,
    SegmentHeader,
    chain_holds,
    decode_block,
    segment_start,
)
from matching.storage import Storage
from matching.wire import STRIPE

RUN_BYTES = 64 << 10  # about a thousand commands: their events stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Run:
    """Commands of some whole blocks that follow one another."""

    first_sequence: int
    last_sequence: int
    blocks: int
    durable_sequence: int  # the highest that one of them claims
    payload: bytes


@dataclass(frozen=True, slots=True)
class _Unsure:
    """Blocks of which no later one says that they are durable."""

    segment: str
    offset: int
    size: int
    last_sequence: int


@dataclass(frozen=True, slots=True)
class JournalEnd:
    """Where the last good block ends and the next one goes."""

    segment: str
    offset: int
    last_sequence: int
    chain: bytes
    epoch: int
    journal_id: bytes


class JournalScan:
    """Iterate over the blocks from some sequence; safe while another process appends."""

    def __init__(self, storage: Storage, shard: int) -> None:
        self._storage = storage
        self._native = load_core()
        self._shard = shard
        self.segments = [name for name in storage.names("journal") if name.endswith(".seg")]
        self._chain = GENESIS_CHAIN
        self._epoch = 0
        self._segment = 0
        self._offset = HEADER_BYTES
        self.journal_id = b""
        self.durable_mark = 0
        self._unsure: deque[_Unsure] = deque()
        self.next_sequence = 1

    @property
    def oldest_sequence(self) -> int:
        """Return the first sequence still kept."""
        return segment_start(self.segments[0]) if self.segments else 1

    def runs(self, from_sequence: int, most_bytes: int = RUN_BYTES) -> Iterator[Run]:
        """Yield the blocks that hold `from_sequence` and later; stop at the first that is not one.

        A run has about `most_bytes`, and one block at least. Checks format, shard, checksum, hash
        chain, epoch and dense numbering from the start of the segment that holds `from_sequence`;
        a broken rule is a `JournalError`.
        """
        if not self.segments:
            return
        if from_sequence < self.oldest_sequence:
            raise JournalError(
                JournalFault.MISSING_SEGMENT,
                f"sequence {from_sequence} is wanted, the journal begins at {self.oldest_sequence}",
            )
        starts = [segment_start(name) for name in self.segments]
        first = max(i for i, start in enumerate(starts) if start <= from_sequence)
        for index in range(first, len(self.segments)):
            if index > first and self._never_synced(index):
                return
            header = self._header(index)
            if index == first:
                self._chain = header.previous_chain
                self.next_sequence = header.first_sequence
            elif (header.first_sequence, header.previous_chain) != (
                self.next_sequence,
                self._chain,
            ):
                return
            self._segment, self._offset = index, HEADER_BYTES
            for run in self._segment_runs(self.segments[index], most_bytes):
                if run.last_sequence >= from_sequence:
                    yield run

    def _never_synced(self, index: int) -> bool:
        """Return whether a power loss left a segment its name and not yet its header."""
        return not any(self._storage.read(self.segments[index], 0, HEADER_BYTES))

    def _header(self, index: int) -> SegmentHeader:
        name = self.segments[index]
        header = SegmentHeader.decode(self._storage.read(name, 0, HEADER_BYTES), name)
        if header.shard != self._shard:
            raise JournalError(
                JournalFault.WRONG_SHARD, f"{name} is of shard {header.shard}, not {self._shard}"
            )
        if header.first_sequence != segment_start(name):
            raise JournalError(JournalFault.CORRUPT_SEGMENT, f"{name} begins elsewhere")
        if self.journal_id not in (b"", header.journal_id):
            raise JournalError(JournalFault.CORRUPT_SEGMENT, f"{name} is of another journal")
        self.journal_id = header.journal_id
        self._epoch = max(self._epoch, header.epoch)
        return header

    def _segment_runs(self, name: str, most_bytes: int) -> Iterator[Run]:
        data = self._storage.read(name, 0, self._storage.size(name))
        while True:
            start = self._offset
            run = self._good_run(data, most_bytes) or self._one_block(name, data)
            if run is None:
                return
            size = self._offset - start
            self._unsure.append(_Unsure(name, start, size, run.last_sequence))
            while self._unsure and self._unsure[0].last_sequence <= self.durable_mark:
                self._unsure.popleft()
            yield run

    def _good_run(self, data: bytes, most_bytes: int) -> Run | None:
        """Take the blocks that break no rule, in C++; None: there is none, or no C++ here."""
        if self._native is None:
            return None
        first = self.next_sequence
        end, following, blocks, epoch, durable, chain, payload = self._native.read_blocks(
            data, self._offset, first, self._epoch, self._chain, most_bytes
        )
        if not blocks:
            return None
        self._offset, self.next_sequence, self._epoch, self._chain = end, following, epoch, chain
        self.durable_mark = max(self.durable_mark, durable)
        return Run(first, following - 1, blocks, durable, payload)

    def _one_block(self, name: str, data: bytes) -> Run | None:
        """Take the next block, None where none lies; a broken rule is a `JournalError`."""
        block = decode_block(data, self._offset)
        if block is None:
            return None
        if block.first_sequence != self.next_sequence or not chain_holds(block, self._chain):
            raise JournalError(
                JournalFault.BROKEN_CHAIN,
                f"{name} at {self._offset}: block {block.first_sequence} does not follow "
                f"{self.next_sequence - 1}",
            )
        if block.epoch < self._epoch:
            raise JournalError(
                JournalFault.EPOCH_WENT_BACK,
                f"{name} at {self._offset}: epoch {block.epoch} after {self._epoch}",
            )
        self._chain, self._epoch = block.chain, block.epoch
        self._offset += block.size
        self.next_sequence = block.last_sequence + 1
        self.durable_mark = max(self.durable_mark, block.durable_sequence)
        return Run(
            block.first_sequence, block.last_sequence, 1, block.durable_sequence, block.payload
        )

    def end(self) -> JournalEnd:
        """Return the end reached; call it after `runs` is exhausted."""
        return JournalEnd(
            self.segments[self._segment],
            self._offset,
            self.next_sequence - 1,
            self._chain,
            self._epoch,
            self.journal_id,
        )

    def judge_tail(self) -> None:
        """Stop where what follows the end proves that it was durable once.

        CORRUPT_BLOCK for damage, MISSING_SEGMENT for a file that is gone.
        """
        if not self.segments:
            return
        claimed = 0
        for index in range(self._segment, len(self.segments)):
            name = self.segments[index]
            offset = self._offset if index == self._segment else HEADER_BYTES
            data = self._storage.read(name, offset, self._storage.size(name) - offset)
            if index == self._segment and decode_block(data, 0) is not None:
                return  # a running engine has appended since
            claimed = max(claimed, _highest_mark(data))
        if claimed >= self.next_sequence:
            self._refuse_gap()
            raise JournalError(
                JournalFault.CORRUPT_BLOCK,
                f"{self.segments[self._segment]} at {self._offset}: sequence "
                f"{self.next_sequence} is damaged, though {claimed} was durable; restore the file "
                "from a copy, nothing was changed",
            )

    def _refuse_gap(self) -> None:
        """Stop with MISSING_SEGMENT where a whole segment ends before the next one begins."""
        name, following = self.segments[self._segment], self.segments[self._segment + 1 :]
        rest = self._storage.read(name, self._offset, self._storage.size(name) - self._offset)
        if following and segment_start(following[0]) > self.next_sequence and not rest.strip(b"\0"):
            raise JournalError(
                JournalFault.MISSING_SEGMENT,
                f"sequence {self.next_sequence} is missing: {name} ends before it, {following[0]} "
                "begins after it; restore the file between them from a copy, nothing was changed",
            )

    def harden_tail(self) -> None:
        """Write the blocks again that were perhaps never synced, and sync them.

        After a failed sync the kernel may hold pages as clean that the disk does not have: a sync
        alone would say yes to them.
        """
        for name in {unsure.segment: None for unsure in self._unsure}:
            for unsure in self._unsure:
                if unsure.segment == name:
                    data = self._storage.read(name, unsure.offset, unsure.size)
                    self._storage.write(name, unsure.offset, data)
            self._storage.sync(name)
        self._unsure.clear()

    def cut_tail(self) -> int:
        """Erase what lies behind the end, so that it can never come back; return bytes erased.

        Only after `judge_tail`. Later segments hold nothing that was ever durable and go too.
        """
        if not self.segments:
            return 0
        erased = 0
        for name in self.segments[self._segment + 1 :]:
            self._storage.remove(name)
        name = self.segments[self._segment]
        rest = self._storage.read(name, self._offset, self._storage.size(name) - self._offset)
        erased = len(rest.rstrip(b"\0"))
        if erased:
            self._storage.write(name, self._offset, bytes(erased))
            self._storage.sync(name)
        del self.segments[self._segment + 1 :]
        return erased


def _highest_mark(data: bytes) -> int:
    """Return the highest durable sequence that any whole block in `data` claims."""
    highest = 0
    place = data.find(BLOCK_MAGIC_BYTES)
    while place >= 0:
        block = decode_block(data, place) if place % STRIPE == 0 else None
        if block is not None:
            highest = max(highest, block.durable_sequence)
        place = data.find(BLOCK_MAGIC_BYTES, place + 1)
    return highest
