"""What a command under a key was answered with: the first outcome, a refusal included."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from domain.errors import RejectReason
from matching.windows import KeyRecord
from matching.wire import STRIPE

if TYPE_CHECKING:
    from matching.administration import Head
    from matching.engine_state import EngineState
    from matching.event_writer import EventWriter

NO_KEY = bytes(16)
_FLAGS_AND_WORDS = struct.Struct("<8Q")
_ODD, _WORD = 0x9E3779B97F4A7C15, 2**64 - 1


def content_of(head: Head, batch: bytes, offset: int) -> int:
    """Return what tells a command's body from another's in the record of its key: an int64.

    Mixed from its flags, `a`, `b` and the words of its extension stripes.
    """
    mixed = 0
    words = [head[7], head[10], head[11]]
    for stripe in range(1, head[4]):
        words += _FLAGS_AND_WORDS.unpack_from(batch, offset + stripe * STRIPE)
    for word in words:
        mixed = (mixed ^ word & _WORD) * _ODD & _WORD
        mixed ^= mixed >> 29
    return mixed - 2**64 if mixed >> 63 else mixed


def answered(state: EngineState, events: EventWriter, head: Head, content: int) -> bool:
    """Answer a command whose key was used with the first outcome."""
    opcode, symbol_id, account_id, key = head[2], head[6], head[8], head[9]
    first = state.keys.records.get(key) if key != NO_KEY else None
    if first is None:
        return False
    same = first.same_body((opcode, account_id, symbol_id, content, 0))
    events.key_duplicate(first, opcode, account_id, same)
    return True


def remember(state: EngineState, reason: RejectReason, head: Head, content: int) -> None:
    """File the first outcome of a command's key, if it has one."""
    opcode, symbol_id, account_id, key = head[2], head[6], head[8], head[9]
    if key != NO_KEY:
        now = (state.sequence, state.time_us)
        record = KeyRecord(key, *now, opcode, int(reason), account_id, symbol_id, content, 0)
        state.keys.remember(record)
