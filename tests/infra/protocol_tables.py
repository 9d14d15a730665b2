"""The tables of docs/engine-protocol.md, made from the code.

`python -m tests.infra.protocol_tables` writes them anew, below the line that says so.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from pathlib import Path

from domain.commands import Opcode, PlaceOrder
from domain.errors import RejectReason
from domain.events import EventType, OrderAccepted, OrderRested
from domain.money import ceil_ppm
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
    TriggerSource,
)
from domain.order_id import client_key
from domain.perpetual_state import PerpetualState
from domain.perpetual_terms import MAX_BRACKETS, MAX_SOURCES, TERM_NAMES
from domain.risk_commands import MarginMode, Trigger
from infra.engine_frames import (
    HEADER,
    HELLO,
    WELCOME,
    FrameFault,
    FrameKind,
    encode_frame,
    encode_hello,
    encode_welcome,
)
from infra.engine_roles import ROLE_OPCODES, Role
from matching.codec import encode_command, encode_events
from matching.risk_wire import (
    BRACKET_FIELDS,
    BRACKET_ROW,
    INDEX_STRIPES,
    STEP_FIELDS,
    STEP_STRIPE,
    TERMS_WORDS,
)
from matching.wire import (
    AMEND_STRIPE,
    COMMAND_FIELDS,
    COMMAND_HEAD,
    EVENT_FIELDS,
    EVENT_HEAD,
    EVENT_HEAD_STRUCT,
    FEES_STRIPE,
    MARKET_FIELDS,
    MARKET_STRIPE,
    ORDER_TERMS_FIELDS,
    STATUS_STRIPES,
    STRIPE,
    TERMS_STRIPE,
    TEXT_STRIPE,
)
from tests.matching.desk import LISTING

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "engine-protocol.md"
MARK = "<!-- What follows is made from the code: python -m tests.infra.protocol_tables -->\n"
Fields = Iterable[tuple[str, str]]

_FRAME = (
    ("payload_bytes", "I"),
    ("kind", "B"),
    ("protocol", "B"),
    ("code", "H"),
    ("correlation", "Q"),
)
_HELLO = (("protocol", "H"), ("schema", "H"), ("role", "B"), ("zero", "3s"), ("build_id", "Q"))
_WELCOME = (
    ("protocol", "H"),
    ("schema", "H"),
    ("shard", "I"),
    ("epoch", "Q"),
    ("sequence", "Q"),
    ("build_id", "Q"),
)
_COMMAND = (
    ("sequence", "Q"),
    ("time_us", "q"),
    ("opcode", "B"),
    ("version", "B"),
    ("stripes", "B"),
    ("text_length", "B"),
    ("symbol_id", "H"),
    ("flags", "H"),
    ("account_id", "Q"),
    ("key", "16s"),
    ("a", "q"),
    ("b", "q"),
)
_AMEND = (("order_id", "Q"),)
_TEXT = (("client_text", "36s"),)
_FEES = tuple((f"{who}_ppm of tier {tier}", "i") for tier in range(8) for who in ("maker", "taker"))
_STATUS = (("actor", "32s"), ("reason", "96s"))
_TYPES = {"Q": "u64", "q": "i64", "I": "u32", "i": "i32", "H": "u16", "B": "u8"}
_TERMS = tuple((name, "q") for name in TERM_NAMES)
_BRACKETS = tuple(
    (f"{name} of bracket {row}", code)
    for row in range(1, MAX_BRACKETS + 1)
    for name, code in BRACKET_FIELDS
)
_INDEX = tuple(
    (f"{name} of source {place}", "q")
    for name in ("price_ticks", "time_us")
    for place in range(MAX_SOURCES)
)
_ENUMS: tuple[type[IntEnum], ...] = (
    Side,
    OrderType,
    ListKind,
    TriggerSource,
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
    RejectReason,
)


def _check_layouts() -> None:
    """Stop where a name above does not stand for what the code packs."""

    def same(fields: Fields, packed: struct.Struct | int) -> None:
        size = struct.calcsize("<" + "".join(code for _, code in fields))
        if isinstance(packed, int):
            assert size == packed, (fields, packed)
            return
        codes = "".join(code for _, code in fields)
        assert packed.format.replace("32q", "q" * 32).startswith(f"<{codes}"), (
            packed.format,
            codes,
        )

    same(_FRAME, HEADER)
    same(_HELLO, HELLO.size)
    same(_WELCOME, WELCOME.size)
    same(_COMMAND, COMMAND_HEAD)
    same(EVENT_HEAD, EVENT_HEAD_STRUCT)
    same(_AMEND, AMEND_STRIPE)
    same(_TEXT, TEXT_STRIPE)
    same(ORDER_TERMS_FIELDS, TERMS_STRIPE)
    same(MARKET_FIELDS, MARKET_STRIPE)
    assert FEES_STRIPE.format == f"<{len(_FEES)}i"
    same(_STATUS, STATUS_STRIPES)
    same(_TERMS, TERMS_WORDS)
    same(_BRACKETS, MAX_BRACKETS * BRACKET_ROW.size)
    same(_INDEX, INDEX_STRIPES.size)
    same(STEP_FIELDS, STEP_STRIPE)


def tables() -> str:
    """Return the generated half of the document."""
    _check_layouts()
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from _example_lines()
    yield from ("", "## Tables", "")
    yield "All numbers are little endian; `bytes` are zero padded."
    yield from _layout("Frame header", _FRAME)
    yield from _numbers("Frame kinds", FrameKind)
    yield from _layout("HELLO, payload; the token follows (UTF-8)", _HELLO)
    yield from _layout("WELCOME, payload", _WELCOME)
    yield from _numbers("Faults: `code` of an ERROR frame, whose payload is a text", FrameFault)
    yield from _roles()
    yield from _layout("Command, first stripe", _COMMAND)
    yield from _opcodes()
    yield from _layout("Extension stripe: client text of a PLACE_ORDER", _TEXT)
    yield from _layout("Extension stripe: rarer terms of a PLACE_ORDER", ORDER_TERMS_FIELDS)
    yield from _layout("Extension stripe of an AMEND_ORDER", _AMEND)
    listings = "LIST_SYMBOL, LIST_PERPETUAL and SET_PARAMETERS"
    yield from _layout(f"First extension stripe of {listings}", MARKET_FIELDS)
    yield from _layout(f"Second extension stripe of {listings}", _FEES)
    yield from _layout(
        "Two extension stripes of SET_SYMBOL_STATE, SET_SHARD_MODE, SET_PERPETUAL_STATE", _STATUS
    )
    title = "First four stripes of the terms in LIST_PERPETUAL and SET_RISK_PARAMETERS"
    yield from _layout(title, _TERMS)
    yield from _layout("Last two stripes of the terms", _BRACKETS)
    yield from _layout("Two extension stripes of SET_INDEX", _INDEX)
    yield from _layout("Extension stripe of LIQUIDATE, TAKE_OVER and DELEVERAGE", STEP_FIELDS)
    yield from _layout("Event, head of every stripe", EVENT_HEAD)
    yield from _events()
    for kind in _ENUMS:
        yield from _numbers(f"`{kind.__name__}`", kind)


# ---- the worked example ------------------------------------------------------------------------

TOKEN = "token of gateway"
_NAME = "example-1"
ORDER = PlaceOrder(
    account_id=1,
    client_key=client_key(_NAME),
    symbol_id=1,
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.GTC,
    price_ticks=950,
    quantity_lots=5,
    client_text=_NAME,
)


def example() -> list[tuple[str, bytes, set[int]]]:
    """Return (who, bytes, places that differ from run to run) of each frame of the example.

    `>` is the client, `<` the engine. The market and the money are those of the tests' engine.
    """
    quote = ORDER.price_ticks * ORDER.quantity_lots
    accepted = OrderAccepted(
        sequence=0,
        index=0,
        time_us=0,
        account_id=ORDER.account_id,
        order_id=1,
        client_key=ORDER.client_key,
        symbol_id=1,
        side=ORDER.side,
        order_type=ORDER.order_type,
        time_in_force=ORDER.time_in_force,
        post_only=False,
        self_trade=ORDER.self_trade,
        price_ticks=ORDER.price_ticks,
        quantity_lots=ORDER.quantity_lots,
        hold_units=quote + ceil_ppm(quote, LISTING.max_taker_fee_ppm),
        client_text=_NAME,
    )
    rested = OrderRested(
        sequence=0,
        index=1,
        account_id=1,
        order_id=1,
        symbol_id=1,
        side=ORDER.side,
        price_ticks=ORDER.price_ticks,
        remaining_lots=ORDER.quantity_lots,
    )
    events = encode_frame(FrameKind.EVENTS, 7, encode_events([accepted, rested]))
    stamped = {HEADER.size + at for at in range(16, 24)}
    for stripe in range(HEADER.size, len(events), STRIPE):
        stamped |= set(range(stripe, stripe + 8))
    return [
        (">", encode_hello(Role.GATEWAY, TOKEN, build_id=1), set()),
        ("<", encode_welcome(0, 1, 0, 0), set(range(HEADER.size + 16, HEADER.size + 32))),
        (">", encode_frame(FrameKind.COMMANDS, 7, encode_command(ORDER)), set()),
        ("<", events, stamped),
    ]


_NOTES = """\
32 bytes follow: HELLO
protocol, schema, role 1 (gateway), build 1
the token
32 bytes follow: WELCOME
protocol, schema, shard 0, epoch 1
sequence and build of the engine
128 bytes follow: COMMANDS, correlation 7
number and time are the engine's to set
opcode 1, two stripes, 9 characters; symbol 1, flags 0 (buy, limit, gtc); account 1
the client's key
price 950, quantity 5
second stripe: the client's text
-
-
-
256 bytes follow: EVENTS, correlation 7
sequence N; index 0, type 1 (ORDER_ACCEPTED), part 0, symbol 1
time; account 1
order 1; the key
its other half; price 950
sequence N; index 0, type 1, part 1
quantity 5; what the order holds, the highest fee included
-
-
sequence N; index 0, type 1, part 2: the text
-
-
-
sequence N; index 1, type 6 (ORDER_RESTED), part 0
account 1, order 1
price 950, remaining 5
-"""


def _example_lines() -> Iterator[str]:
    yield from (
        "## A worked example",
        "",
        "What the client sends (`>`) and what the engine answers",
    )
    yield from ("(`<`); `..` are bytes that differ from run to run.", "")
    notes = iter(_NOTES.splitlines())
    for who, data, differing in example():
        for start in range(0, len(data), 16):
            line = " ".join(
                ".." if at in differing else f"{data[at]:02x}"
                for at in range(start, min(start + 16, len(data)))
            )
            yield f"    {who} {line:47}  {next(notes)}".removesuffix("  -")


def _layout(title: str, fields: Fields, start: int = 0) -> Iterator[str]:
    yield from ("", f"### {title}", "", "| offset | type | field |", "| --- | --- | --- |")
    yield from _rows(fields, start)


def _rows(fields: Fields, start: int = 0, prefix: str = "") -> Iterator[str]:
    offset = start
    for name, code in fields:
        kind = _TYPES.get(code) or f"bytes {code[:-1]}"
        yield f"| {prefix}{offset} | {kind} | {name} |"
        offset += struct.calcsize("<" + code)


def _numbers(title: str, kind: type[IntEnum]) -> Iterator[str]:
    yield from ("", f"### {title}", "", "| number | name |", "| --- | --- |")
    yield from (f"| {member.value} | {member.name} |" for member in sorted(kind))


def _roles() -> Iterator[str]:
    yield from ("", "### Roles, and the opcodes they may send", "")
    yield from ("| number | role | opcodes |", "| --- | --- | --- |")
    for role in Role:
        opcodes = ", ".join(opcode.name for opcode in sorted(ROLE_OPCODES[role]))
        yield f"| {role.value} | {role.name.lower()} | {opcodes or 'none: it asks over gRPC'} |"


def _opcodes() -> Iterator[str]:
    yield from ("", "### Opcodes, and what `symbol_id`, `a` and `b` mean", "")
    yield from ("| number | name | symbol_id | a | b |", "| --- | --- | --- | --- | --- |")
    for opcode, (symbol, a, b) in COMMAND_FIELDS.items():
        yield f"| {opcode.value} | {opcode.name} | {symbol} | {a} | {b} |"
    assert set(COMMAND_FIELDS) == set(Opcode)


def _events() -> Iterator[str]:
    yield from ("", "### Events, by type and part", "")
    yield from ("| number | name | part | body: offset type field |", "| --- | --- | --- | --- |")
    head = EVENT_HEAD_STRUCT.size
    for (kind, part), fields in sorted(EVENT_FIELDS.items(), key=lambda item: item[0]):
        offset, body = head, []
        for name, code in fields:
            body.append(f"{offset} {_TYPES.get(code) or f'bytes {code[:-1]}'} {name}")
            offset += struct.calcsize("<" + code)
        assert offset <= STRIPE
        yield f"| {kind.value} | {kind.name} | {part} | {'; '.join(body)} |"
    assert {kind for kind, _ in EVENT_FIELDS} == set(EventType)


def main() -> None:
    """Write the tables into the document."""
    written = DOCUMENT.read_text().partition(MARK)[0]
    DOCUMENT.write_text(written + MARK + "\n" + tables())


if __name__ == "__main__":
    main()
