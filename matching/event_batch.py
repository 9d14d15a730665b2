"""Where the reference engine's event stripes are collected, numbered and chained."""

from __future__ import annotations

import struct

from domain.event_type import EventType
from matching.event_chain import CHAIN_SEED, mixed
from matching.wire import EVENT_FIELDS, EVENT_HEAD, STRIPE

_WORDS = struct.Struct("<8Q")


def packer(kind: EventType, part: int) -> struct.Struct:
    """Return the stripe's struct with a key as one 16-byte string, which is faster to pack."""
    codes = "".join(code for _, code in (*EVENT_HEAD, *EVENT_FIELDS[kind, part]))
    names = [name for name, _ in (*EVENT_HEAD, *EVENT_FIELDS[kind, part])]
    if "key_low" in names:
        place = names.index("key_low")
        codes = codes[:place] + "k" + codes[place + 2 :]
    text = "<" + codes.replace("k", "16s")
    return struct.Struct(f"{text}{STRIPE - struct.calcsize(text)}x")


class EventBatch:
    """Collect the stripes of a batch; number the events of each command from 0."""

    __slots__ = ("index", "lanes", "out", "sequence", "time_us")

    def __init__(self, lanes: tuple[int, ...] = CHAIN_SEED) -> None:
        self.out: list[bytes] = []
        self.lanes = lanes
        self.sequence = 0
        self.time_us = 0
        self.index = 0

    def begin(self, sequence: int, time_us: int) -> None:
        """Start the events of the next command."""
        self.sequence = sequence
        self.time_us = time_us
        self.index = 0

    def take(self) -> bytes:
        """Return the collected stripes, mixed into the chain, and start anew."""
        data = b"".join(self.out)
        self.out.clear()
        lanes = self.lanes
        for words in _WORDS.iter_unpack(data):
            lanes = mixed(lanes, words)
        self.lanes = lanes
        return data

    def mark(self) -> int:
        """Return where the next stripe goes; the next event leaves index 0 to the outcome."""
        self.index = 1
        return len(self.out)

    def await_outcome(self) -> None:
        """Say that the next event is the outcome."""
        self.index = 0

    def outcome_first(self, mark: int, count: int) -> None:
        """Move the outcome before the `count` stripes at `mark`, which happened before it."""
        before, after = self.out[mark : mark + count], self.out[mark + count :]
        outcome = [stripe for stripe in after if stripe[8:10] == b"\0\0"]
        rest = [
            stripe[:8] + struct.pack("<H", stripe[8] + (stripe[9] << 8) + count) + stripe[10:]
            for stripe in after[len(outcome) :]
        ]
        self.out[mark:] = outcome + before + rest
        self.index += count

    def next_index(self) -> int:
        """Return the number of the event that comes now."""
        index = self.index
        self.index = index + 1
        return index
