"""The byte table: no hole, no overlap, and never a change to what was published."""

from __future__ import annotations

import json
import struct
from enum import IntEnum
from pathlib import Path

import pytest

from domain.commands import Opcode
from domain.errors import RejectReason
from domain.events import EventType
from domain.order import (
    CloseReason,
    ListKind,
    OrderStatus,
    OrderType,
    SelfTrade,
    ShardMode,
    Side,
    StateCause,
    SymbolState,
    TimeInForce,
)
from domain.perpetual_state import PerpetualState
from domain.risk_commands import MarginMode, Trigger
from infra.engine_frames import FrameFault, FrameKind
from infra.engine_roles import Role
from matching.codec import encode_command
from matching.engine import create_engine
from matching.risk_wire import BRACKET_ROW, INDEX_STRIPES, STEP_STRIPE, TERMS_WORDS
from matching.wire import (
    AMEND_STRIPE,
    COMMAND_FIELDS,
    COMMAND_HEAD,
    EVENT_DTYPE,
    EVENT_FIELDS,
    EVENT_HEAD_STRUCT,
    EVENT_PART_DTYPES,
    EVENT_STRUCTS,
    FEES_STRIPE,
    MARKET_STRIPE,
    STRIPE,
    TERMS_STRIPE,
    TEXT_STRIPE,
    WireFault,
)
from tests.matching.perpetual_samples import PAUSES
from tests.matching.samples import session

GOLDEN = Path(__file__).parent.parent / "golden" / "wire.json"
NUMBERS: tuple[type[IntEnum], ...] = (
    Opcode,
    EventType,
    RejectReason,
    Side,
    OrderType,
    ListKind,
    TimeInForce,
    SelfTrade,
    OrderStatus,
    CloseReason,
    SymbolState,
    ShardMode,
    StateCause,
    PerpetualState,
    Trigger,
    MarginMode,
    WireFault,
    FrameKind,
    FrameFault,
    Role,
)


def current() -> dict[str, object]:
    """Return what the golden file holds, from the code as it is."""
    engine = create_engine()
    records, time_us = {}, 1_000
    for sequence, (name, command) in enumerate(session(), 1):
        time_us += 1 + PAUSES.get(name, 0)
        raw = encode_command(command, sequence=sequence, time_us=time_us)
        records[name] = {
            "command": _lines(raw),
            "events": _lines(engine.apply(raw)),
        }
    return {
        "numbers": {kind.__name__: {m.name: m.value for m in kind} for kind in NUMBERS},
        "event_fields": {
            f"{kind.name}.{part}": [list(field) for field in fields]
            for (kind, part), fields in EVENT_FIELDS.items()
        },
        "records": records,
        "digest": engine.digest().hex(),
    }


def _lines(raw: bytes) -> list[str]:
    return [raw[i : i + STRIPE].hex() for i in range(0, len(raw), STRIPE)]


def test_wire_is_the_golden_wire() -> None:
    """Bytes and digest of every command and event are what they were when published."""
    assert current() == json.loads(GOLDEN.read_text())


def test_the_golden_day_has_everything() -> None:
    """Every opcode and every event is among its bytes, but for what a day without stops lacks."""
    records = json.loads(GOLDEN.read_text())["records"].values()
    commands = {bytes.fromhex(record["command"][0])[16] for record in records}
    events = {bytes.fromhex(line)[10] for record in records for line in record["events"]}
    assert commands == set(Opcode)
    assert events == set(EventType) - {EventType.ORDER_TRIGGERED}


def test_numbers_only_grow() -> None:
    """A number in the golden file keeps its name; new names take new numbers."""
    golden = json.loads(GOLDEN.read_text())["numbers"]
    now = {kind.__name__: {m.name: m.value for m in kind} for kind in NUMBERS}
    for kind, members in golden.items():
        assert members.items() <= now[kind].items(), kind
        assert len(set(now[kind].values())) == len(now[kind])


def test_every_record_is_whole_stripes() -> None:
    """Command heads, extensions and event parts are 64 bytes each."""
    extensions = [TERMS_STRIPE, TEXT_STRIPE, AMEND_STRIPE, MARKET_STRIPE, FEES_STRIPE, STEP_STRIPE]
    structs = [COMMAND_HEAD, *extensions, *EVENT_STRUCTS.values()]
    assert {s.size for s in structs} == {STRIPE}
    assert TERMS_WORDS.size == 4 * STRIPE
    assert (8 * BRACKET_ROW.size, INDEX_STRIPES.size) == (2 * STRIPE, 2 * STRIPE)
    assert EVENT_HEAD_STRUCT.size == 16
    assert set(COMMAND_FIELDS) == set(Opcode)
    assert {kind for kind, _ in EVENT_FIELDS} == set(EventType)


@pytest.mark.parametrize("place", EVENT_FIELDS, ids=lambda place: f"{place[0].name}.{place[1]}")
def test_numpy_and_struct_agree(place: tuple[EventType, int]) -> None:
    """The dtype of a part lays its fields where the struct packs them, after the header."""
    dtype = EVENT_PART_DTYPES[place]
    offset = EVENT_HEAD_STRUCT.size
    for name, code in EVENT_FIELDS[place]:
        assert dtype.fields is not None
        assert dtype.fields[name][1] == offset
        assert dtype.fields[name][0].itemsize == struct.calcsize(f"<{code}")
        offset += struct.calcsize(f"<{code}")
    assert offset <= STRIPE
    assert dtype.itemsize == EVENT_DTYPE.itemsize == STRIPE


if __name__ == "__main__":  # python -m tests.matching.test_wire writes the golden file
    GOLDEN.write_text(json.dumps(current(), indent=1) + "\n")
