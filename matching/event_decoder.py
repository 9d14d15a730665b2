"""Events from stripes; the byte table is `matching/wire.py`.

Who answers an order reads its events, and every process that follows the log reads all of them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from domain import events as e
from domain.commands import Opcode
from domain.errors import RejectReason
from domain.events import Event, EventType
from domain.order import (
    CloseReason,
    OrderStatus,
    SelfTrade,
    ShardMode,
    Side,
    StateCause,
    SymbolState,
    TriggerSource,
)
from matching import risk_codec
from matching.market_codec import unpack_fees
from matching.wire import (
    EVENT_FIELDS,
    EVENT_HEAD_STRUCT,
    EVENT_STRUCTS,
    MAX_TEXT,
    OPTIONAL_PARTS,
    STRIPE,
    WireError,
    WireFault,
    order_words,
)

PARTS = {
    int(kind): 1 + max(part for other, part in EVENT_FIELDS if other is kind) for kind in EventType
}
"""How many stripes an event of a type has at most."""
MOST_PARTS = max(PARTS.values())
_TYPE = 10  # where a stripe says of which type it is
_PART = 11  # where a stripe says which part it is; what is before it, all parts of an event share
_BODY = EVENT_HEAD_STRUCT.size
_ACCEPTED = EVENT_STRUCTS[EventType.ORDER_ACCEPTED, 0]
_ACCEPTED_PLACE, _ACCEPTED_TERMS = (
    struct.Struct("<" + "".join(code for _, code in EVENT_FIELDS[EventType.ORDER_ACCEPTED, part]))
    for part in (1, 3)
)
_NO_TERMS = (0,) * len(EVENT_FIELDS[EventType.ORDER_ACCEPTED, 3])
_TEXT_END = _BODY + MAX_TEXT
_RESTED = EVENT_STRUCTS[EventType.ORDER_RESTED, 0]
Fields = dict[str, Any]
_side = lru_cache(maxsize=2)(Side)  # an enumeration's call costs as much as reading an event


def decode_events(data: bytes | memoryview) -> list[Event]:
    """Return the events of a batch; malformed bytes are refused with `WireError`."""
    data = bytes(data)
    if len(data) % STRIPE:
        raise WireError(WireFault.BAD_LENGTH, f"{len(data)} bytes are not whole stripes")
    events: list[Event] = []
    offset = 0
    while offset < len(data):
        event, offset = _decode_one(data, offset)
        events.append(event)
    return events


def _decode_one(data: bytes, offset: int) -> tuple[Event, int]:
    read = _READ.get(data[offset + _TYPE], _read)
    try:
        return read(data, offset)
    except WireError:
        raise
    except ValueError as error:
        name = EventType(data[offset + _TYPE]).name
        raise WireError(WireFault.BAD_FIELD, f"{name}: {error}") from error


def _read(data: bytes, offset: int) -> tuple[Event, int]:
    """Return an event and where it ends, by the table; `ValueError` for an unknown word."""
    sequence, index, kind, part, symbol, flags = EVENT_HEAD_STRUCT.unpack_from(data, offset)
    shape = _SHAPES.get(kind)
    if shape is None:
        raise WireError(WireFault.UNKNOWN_EVENT, f"event type {kind} at {offset}")
    if part != 0:
        raise WireError(WireFault.BAD_PART, f"{shape.name} begins with part {part}")
    names, unpack, _ = shape.first
    fields: Fields = dict(zip(names, unpack(data, offset + _BODY), strict=True))
    start = offset + STRIPE
    if shape.more:
        head = data[offset : offset + _PART]
        for count, (names, unpack, optional) in shape.more:
            if data[start : start + _PART] != head or data[start + _PART] != count:
                if optional:
                    continue
                raise WireError(WireFault.BAD_PART, f"{shape.name} lacks part {count}")
            fields.update(zip(names, unpack(data, start + _BODY), strict=True))
            start += STRIPE
    return shape.build(sequence, index, symbol, flags, fields), start


def _key(fields: Fields) -> int:
    low: int = fields["key_low"]
    high: int = fields["key_high"]
    return low | high << 64


def _read_accepted(data: bytes, offset: int) -> tuple[Event, int]:
    """Read an accepted order as `_read` would: every answer to an order has one."""
    sequence, index, _, part, symbol, flags, *first = _ACCEPTED.unpack_from(data, offset)
    time_us, account_id, order_id, key_low, key_high, price_ticks = first
    head = data[offset : offset + _PART]
    start = offset + STRIPE
    if part or data[start : start + _PART] != head or data[start + _PART] != 1:
        raise WireError(WireFault.BAD_PART, f"ORDER_ACCEPTED lacks a part at {offset}")
    quantity_lots, hold_units, entry_order_id = _ACCEPTED_PLACE.unpack_from(data, start + _BODY)
    start += STRIPE
    text, terms = "", _NO_TERMS
    if data[start : start + _PART] == head and data[start + _PART] == 2:
        text = data[start + _BODY : start + _TEXT_END].rstrip(b"\0").decode("ascii")
        start += STRIPE
    if data[start : start + _PART] == head and data[start + _PART] == 3:
        terms = _ACCEPTED_TERMS.unpack_from(data, start + _BODY)
        start += STRIPE
    side, order_type, time_in_force, post_only, self_trade, *more = _order_options(flags)
    trigger_source, reduce_only, close_position = more
    budget_units, expires_at_us, display_lots, trigger_ticks, offset_ticks, list_id = terms
    event = e.OrderAccepted(  # by place: names cost as much as reading
        sequence,
        index,
        time_us,
        account_id,
        order_id,
        key_low | key_high << 64,
        symbol,
        side,
        order_type,
        time_in_force,
        post_only,
        self_trade,
        price_ticks,
        quantity_lots,
        hold_units,
        text,
        budget_units,
        expires_at_us,
        display_lots,
        trigger_ticks,
        offset_ticks,
        list_id,
        entry_order_id,
        trigger_source,
        reduce_only,
        close_position,
    )
    return event, start


def _read_rested(data: bytes, offset: int) -> tuple[Event, int]:
    """Read an order's rest as `_read` would."""
    found = _RESTED.unpack_from(data, offset)
    sequence, index, _, part, symbol, side, account_id, order_id, *stands = found
    if part:
        raise WireError(WireFault.BAD_PART, f"ORDER_RESTED begins with part {part}")
    return e.OrderRested(
        sequence, index, symbol, account_id, order_id, _side(side), *stands
    ), offset + STRIPE


@lru_cache(maxsize=1_024)  # a few dozen are in use; an unknown number is refused each time
def _order_options(flags: int) -> tuple[Any, ...]:
    """Return what an order's flags say, in the order of `order_flags`; else `ValueError`."""
    return (
        *order_words(flags),
        bool(flags >> 8 & 1),
        SelfTrade(flags >> 9 & 7),
        TriggerSource(flags >> 12 & 3),
        bool(flags >> 14 & 1),
        bool(flags >> 15),
    )


def _duplicate(sequence: int, index: int, symbol: int, flags: int, f: Fields) -> Event:
    return e.OrderDuplicate(
        sequence=sequence,
        index=index,
        time_us=f["time_us"],
        account_id=f["account_id"],
        client_key=_key(f),
        symbol_id=symbol,
        order_id=f["order_id"],
        accepted_sequence=f["accepted_sequence"],
        accepted_at_us=f["accepted_at_us"],
        same_body=bool(flags & 1),
        status=OrderStatus(flags >> 1 & 7),
        is_waiting=bool(flags >> 4 & 1),
        is_pending=bool(flags >> 5),
        price_ticks=f["price_ticks"],
        quantity_lots=f["quantity_lots"],
        filled_lots=f["filled_lots"],
        trigger_price_ticks=f["trigger_price_ticks"],
    )


def _rejected(sequence: int, index: int, symbol: int, flags: int, f: Fields) -> Event:
    return e.CommandRejected(
        sequence=sequence,
        index=index,
        time_us=f["time_us"],
        opcode=Opcode(f["opcode"]),
        reason=RejectReason(flags),
        account_id=f["account_id"],
        key=_key(f),
        symbol_id=symbol,
        list_position=f["list_position"],
    )


def _key_duplicate(sequence: int, index: int, symbol: int, flags: int, f: Fields) -> Event:
    return e.KeyDuplicate(
        sequence=sequence,
        index=index,
        time_us=f["time_us"],
        opcode=Opcode(f["opcode"]),
        key=_key(f),
        account_id=f["account_id"],
        first_sequence=f["first_sequence"],
        first_reason=RejectReason(f["first_reason"]),
        same_body=bool(flags & 1),
    )


def _amended(sequence: int, index: int, symbol: int, flags: int, f: Fields) -> Event:
    key = _key(f)
    del f["key_low"], f["key_high"]
    return e.OrderAmended(
        sequence=sequence,
        index=index,
        symbol_id=symbol,
        client_key=key,
        side=_side(flags & 1),
        kept_place=bool(flags >> 1 & 1),
        is_waiting=bool(flags >> 2 & 1),
        **f,
    )


def _triggered(sequence: int, index: int, symbol: int, flags: int, f: Fields) -> Event:
    refusal = RejectReason(f.pop("refusal"))
    return e.OrderTriggered(sequence, index, symbol, side=_side(flags), refusal=refusal, **f)


def _armed(sequence: int, index: int, symbol: int, flags: int, f: Fields) -> Event:
    refusal = RejectReason(f.pop("refusal"))
    return e.OrderArmed(sequence, index, symbol, side=_side(flags), refusal=refusal, **f)


def _closed(sequence: int, index: int, symbol: int, flags: int, f: Fields) -> Event:
    return e.OrderClosed(
        sequence=sequence,
        index=index,
        symbol_id=symbol,
        side=_side(flags & 1),
        reason=CloseReason(flags >> 8),
        resting=bool(flags >> 1 & 1),
        **f,
    )


def _status(fields: Fields) -> tuple[StateCause, str, str]:
    """Return cause, actor and reason of a state that was set."""
    return StateCause(fields["cause"]), *_said(fields)


def _said(fields: Fields) -> tuple[str, str]:
    """Return actor and reason."""
    reason = fields["reason"] + fields["reason_more"]
    actor = fields["actor"].rstrip(b"\0").decode("ascii")
    return actor, reason.rstrip(b"\0").decode("ascii")


def _with_fees(kind: type[e.SymbolListed | e.ParametersSet]) -> Callable[..., Event]:
    def build(sequence: int, index: int, symbol: int, _flags: int, f: Fields) -> Event:
        for name in [name for name in f if name.endswith("fees_low")]:
            table = name.removesuffix("_low")
            f[table] = unpack_fees(f.pop(name) + f.pop(f"{table}_high"))
        return kind(sequence=sequence, index=index, symbol_id=symbol, **f)

    return build


def _money(kind: type[e.Credited | e.Debited]) -> Callable[..., Event]:
    def build(sequence: int, index: int, symbol: int, flags: int, f: Fields) -> Event:
        return kind(
            sequence=sequence,
            index=index,
            time_us=f["time_us"],
            key=_key(f),
            account_id=f["account_id"],
            asset_id=symbol,
            amount_units=f["amount_units"],
        )

    return build


_BUILD: dict[EventType, Callable[[int, int, int, int, Fields], Event]] = {
    EventType.ORDER_DUPLICATE: _duplicate,
    EventType.CANCEL_ACCEPTED: lambda n, i, s, _, f: e.CancelAccepted(n, i, symbol_id=s, **f),
    EventType.ORDER_AMENDED: _amended,
    EventType.DEAD_MANS_SWITCH_SET: lambda n, i, _s, _, f: e.DeadMansSwitchSet(n, i, **f),
    EventType.DEAD_MANS_SWITCH_FIRED: lambda n, i, _s, _, f: e.DeadMansSwitchFired(n, i, **f),
    EventType.COMMAND_REJECTED: _rejected,
    EventType.KEY_DUPLICATE: _key_duplicate,
    EventType.TRADE: lambda n, i, s, g, f: e.Trade(n, i, s, taker_side=_side(g), **f),
    EventType.SELF_TRADE_PREVENTED: lambda n, i, s, g, f: e.SelfTradePrevented(
        n, i, s, taker_side=_side(g), **f
    ),
    EventType.ORDER_REFILLED: lambda n, i, s, g, f: e.OrderRefilled(n, i, s, side=_side(g), **f),
    EventType.ORDER_TRIGGERED: _triggered,
    EventType.ORDER_ARMED: _armed,
    EventType.ORDER_CLOSED: _closed,
    EventType.CREDITED: _money(e.Credited),
    EventType.DEBITED: _money(e.Debited),
    EventType.SYMBOL_LISTED: _with_fees(e.SymbolListed),
    EventType.SYMBOL_STATE_SET: lambda n, i, s, _, f: e.SymbolStateSet(
        n, i, f["time_us"], s, SymbolState(f["state"]), *_status(f)
    ),
    EventType.SYMBOL_DELISTED: lambda n, i, s, _, f: e.SymbolDelisted(
        n, i, f["time_us"], s, f["closed_count"], f["open_orders"], *_said(f)
    ),
    EventType.SHARD_MODE_SET: lambda n, i, _s, _, f: e.ShardModeSet(
        n, i, f["time_us"], ShardMode(f["mode"]), *_status(f)
    ),
    EventType.PARAMETERS_SET: _with_fees(e.ParametersSet),
    EventType.ACCOUNT_TIER_SET: lambda n, i, _s, _, f: e.AccountTierSet(n, i, **f),
    EventType.STARTED: lambda n, i, _s, _, f: e.EngineStarted(n, i, **f),
    EventType.TICKED: lambda n, i, _s, _, f: e.Ticked(n, i, **f),
    **risk_codec.RISK_BUILD,
}


class _Part(NamedTuple):
    """A stripe of an event: the names of its fields, and what reads them behind the head."""

    names: tuple[str, ...]
    unpack: Callable[[bytes, int], tuple[Any, ...]]
    optional: bool


class _Shape(NamedTuple):
    """How a type of event is read; by its number, as hashing an enumeration's member costs more."""

    name: str
    first: _Part
    more: tuple[tuple[int, _Part], ...]  # by their numbers
    build: Callable[[int, int, int, int, Fields], Event]


def _shape(kind: EventType) -> _Shape:
    first, *more = (_part(kind, number) for number in range(PARTS[kind]))
    return _Shape(kind.name, first, tuple(enumerate(more, 1)), _BUILD[kind])


def _part(kind: EventType, number: int) -> _Part:
    fields = EVENT_FIELDS[kind, number]
    body = struct.Struct("<" + "".join(code for _, code in fields))
    names = tuple(name for name, _ in fields)
    return _Part(names, body.unpack_from, (kind, number) in OPTIONAL_PARTS)


_SHAPES = {int(kind): _shape(kind) for kind in _BUILD}
_READ: dict[int, Callable[[bytes, int], tuple[Event, int]]] = {
    int(EventType.ORDER_ACCEPTED): _read_accepted,
    int(EventType.ORDER_RESTED): _read_rested,
}
"""What reads the events of every order: in place, without names, in a third of the time."""
