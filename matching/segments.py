"""Layout of the journal's files: segments of blocks, checksummed and hash-chained.

A segment is preallocated; its first 4096 bytes are the header, blocks follow without gaps.
A block is a 64-byte header and a payload of sequenced command stripes:

    magic u32 | payload bytes u32 | first sequence u64 | commands u32 | 0 u32 | epoch u64 |
    durable sequence u64 | chain 16 bytes | crc32 u32 | 0 u32

`chain` = BLAKE2b-16(chain of the block before | first 40 bytes | payload). `durable sequence` is
what the writer knew to be synced when it wrote the block: a damaged block at or below the mark
of a later one was durable once, which tells corruption from a torn tail.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

FORMAT = 1
SEGMENT_BYTES = 16 << 20
HEADER_BYTES = 4096
BLOCK_HEAD_BYTES = 64
MAX_PAYLOAD = 4 << 20
GENESIS_CHAIN = bytes(16)

_MAGIC = b"RLTJRNL\0"
_SEGMENT = struct.Struct("<8sII16sQQ16s")
_BLOCK_MAGIC = 0x4B4C4252
BLOCK_MAGIC_BYTES = _BLOCK_MAGIC.to_bytes(4, "little")
_BLOCK = struct.Struct("<IIQIIQQ16sII")
_HASHED = 40
_CHECKED = 56


class JournalFault(IntEnum):
    """Why a journal cannot be used; each is a named end of the process."""

    CORRUPT_BLOCK = 1
    CORRUPT_SEGMENT = 2
    UNKNOWN_FORMAT = 3
    WRONG_SHARD = 4
    BROKEN_CHAIN = 5
    MISSING_SEGMENT = 6
    EPOCH_WENT_BACK = 7
    WRITE_FAILED = 8
    SYNC_FAILED = 9
    JOURNAL_BEHIND_LEDGER = 10
    DIGEST_MISMATCH = 11
    LOCKED = 12
    NOT_IN_JOURNAL = 13


class JournalError(RuntimeError):
    """The journal stops; `fault` names the reason, the text says where and what to do."""

    def __init__(self, fault: JournalFault, text: str) -> None:
        super().__init__(f"{fault.name}: {text}")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """What a segment begins with."""

    shard: int
    journal_id: bytes
    first_sequence: int
    epoch: int
    previous_chain: bytes

    def encode(self) -> bytes:
        """Return the header's bytes, checksum at the end."""
        body = _SEGMENT.pack(
            _MAGIC,
            FORMAT,
            self.shard,
            self.journal_id,
            self.first_sequence,
            self.epoch,
            self.previous_chain,
        )
        return body + zlib.crc32(body).to_bytes(4, "little")

    @staticmethod
    def decode(data: bytes, name: str) -> SegmentHeader:
        """Return the header in `data`; else `JournalError`."""
        body = data[: _SEGMENT.size]
        if len(body) < _SEGMENT.size or body[:8] != _MAGIC:
            raise JournalError(JournalFault.CORRUPT_SEGMENT, f"{name} has no journal header")
        _, version, shard, journal_id, first, epoch, chain = _SEGMENT.unpack(body)
        if version != FORMAT:
            raise JournalError(
                JournalFault.UNKNOWN_FORMAT,
                f"{name} has journal format {version}, this build reads format {FORMAT}",
            )
        if zlib.crc32(body) != int.from_bytes(data[_SEGMENT.size : _SEGMENT.size + 4], "little"):
            raise JournalError(JournalFault.CORRUPT_SEGMENT, f"{name}: header checksum")
        return SegmentHeader(shard, journal_id, first, epoch, chain)


@dataclass(frozen=True, slots=True)
class Block:
    """One group of commands, as written at once."""

    first_sequence: int
    count: int
    epoch: int
    durable_sequence: int
    chain: bytes
    payload: bytes

    @property
    def last_sequence(self) -> int:
        """Return the number of the block's last command."""
        return self.first_sequence + self.count - 1

    @property
    def size(self) -> int:
        """Return the bytes that the block takes in its segment."""
        return BLOCK_HEAD_BYTES + len(self.payload)


def encode_block(
    first_sequence: int, count: int, epoch: int, durable: int, previous: bytes, payload: bytes
) -> tuple[bytes, bytes]:
    """Return (block bytes, its chain)."""
    head = _BLOCK.pack(
        _BLOCK_MAGIC, len(payload), first_sequence, count, 0, epoch, durable, b"", 0, 0
    )
    chain = _chain(previous, head[:_HASHED], payload)
    checked = head[:_HASHED] + chain
    crc = zlib.crc32(payload, zlib.crc32(checked))
    return checked + crc.to_bytes(4, "little") + bytes(4) + payload, chain


def decode_block(data: bytes | memoryview, offset: int) -> Block | None:
    """Return the block at `offset`, or None where no whole block with a right checksum lies."""
    if offset + BLOCK_HEAD_BYTES > len(data):
        return None
    magic, size, first, count, _, epoch, durable, chain, crc, rest = _BLOCK.unpack_from(
        data, offset
    )
    start = offset + BLOCK_HEAD_BYTES
    if magic != _BLOCK_MAGIC or size > MAX_PAYLOAD or start + size > len(data) or not count or rest:
        return None
    payload = bytes(data[start : start + size])
    if zlib.crc32(payload, zlib.crc32(data[offset : offset + _CHECKED])) != crc:
        return None
    return Block(first, count, epoch, durable, chain, payload)


def chain_holds(block: Block, previous: bytes) -> bool:
    """Return whether `block` follows the block whose chain is `previous`."""
    head = _BLOCK.pack(
        _BLOCK_MAGIC,
        len(block.payload),
        block.first_sequence,
        block.count,
        0,
        block.epoch,
        block.durable_sequence,
        b"",
        0,
        0,
    )
    return _chain(previous, head[:_HASHED], block.payload) == block.chain


def _chain(previous: bytes, head: bytes, payload: bytes) -> bytes:
    digest = hashlib.blake2b(previous, digest_size=16)
    digest.update(head)
    digest.update(payload)
    return digest.digest()


def segment_name(first_sequence: int) -> str:
    """Return the file name of the segment that begins with `first_sequence`."""
    return f"journal/{first_sequence:020d}.seg"


def segment_start(name: str) -> int:
    """Return the first sequence of the segment `name`."""
    return int(name.rsplit("/", 1)[1].split(".")[0])


def segments_before(names: list[str], sequence: int) -> list[str]:
    """Return those of the segments, oldest first, that hold only commands below `sequence`."""
    return [name for name, following in pairwise(names) if segment_start(following) <= sequence]
