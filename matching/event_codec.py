"""Events between dataclasses and stripes; the byte table is `matching/wire.py`."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

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
from matching.market_codec import pack_fees, unpack_fees
from matching.wire import (
    EVENT_DTYPE,
    EVENT_FIELDS,
    EVENT_HEAD_STRUCT,
    EVENT_STRUCTS,
    OPTIONAL_PARTS,
    REASON_PART,
    STRIPE,
    WireError,
    WireFault,
    order_flags,
    order_words,
)

_PARTS = {
    int(kind): 1 + max(part for other, part in EVENT_FIELDS if other is kind) for kind in EventType
}
MOST_PARTS = max(_PARTS.values())
"""How many stripes an event has at most."""
_HEAD = 6
_WITH_REASON = (e.SymbolStateSet, e.ShardModeSet, e.SymbolDelisted, e.PerpetualStateSet)
Fields = dict[str, Any]
_LOW = 2**64 - 1


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


def by_command(events: Iterable[Event]) -> Iterator[tuple[Event, ...]]:
    """Yield the events of each command together, in the order in which they come."""
    for _, found in groupby(events, key=attrgetter("sequence")):
        yield tuple(found)


def _decode_one(data: bytes, offset: int) -> tuple[Event, int]:
    sequence, index, kind, part, symbol, flags = EVENT_HEAD_STRUCT.unpack_from(data, offset)
    if kind not in _PARTS:
        raise WireError(WireFault.UNKNOWN_EVENT, f"event type {kind} at {offset}")
    event_type = EventType(kind)
    if part != 0:
        raise WireError(WireFault.BAD_PART, f"{event_type.name} begins with part {part}")
    fields: Fields = {}
    head = (sequence, index, kind)
    start = offset
    for count in range(_PARTS[kind]):
        place = (event_type, count)
        if count and (
            start >= len(data) or EVENT_HEAD_STRUCT.unpack_from(data, start)[:4] != (*head, count)
        ):
            if place in OPTIONAL_PARTS:
                continue
            raise WireError(WireFault.BAD_PART, f"{event_type.name} lacks part {count}")
        values = EVENT_STRUCTS[place].unpack_from(data, start)[_HEAD:]
        start += STRIPE
        fields.update(zip((name for name, _ in EVENT_FIELDS[place]), values, strict=True))
    try:
        event = _BUILD[event_type](sequence, index, symbol, flags, fields)
    except ValueError as error:
        raise WireError(WireFault.BAD_FIELD, f"{event_type.name}: {error}") from error
    return event, start


def _key(fields: Fields) -> int:
    low: int = fields["key_low"]
    high: int = fields["key_high"]
    return low | high << 64


def _accepted(sequence: int, index: int, symbol: int, flags: int, f: Fields) -> Event:
    side, order_type, time_in_force = order_words(flags)
    return e.OrderAccepted(
        sequence=sequence,
        index=index,
        time_us=f["time_us"],
        account_id=f["account_id"],
        order_id=f["order_id"],
        client_key=_key(f),
        symbol_id=symbol,
        side=side,
        order_type=order_type,
        time_in_force=time_in_force,
        post_only=bool(flags >> 8 & 1),
        self_trade=SelfTrade(flags >> 9 & 7),
        price_ticks=f["price_ticks"],
        quantity_lots=f["quantity_lots"],
        hold_units=f["hold_units"],
        client_text=f.get("client_text", b"").rstrip(b"\0").decode("ascii"),
        quote_budget_units=f.get("quote_budget_units", 0),
        expires_at_us=f.get("expires_at_us", 0),
        display_lots=f.get("display_lots", 0),
        trigger_price_ticks=f.get("trigger_price_ticks", 0),
        trailing_offset_ticks=f.get("trailing_offset_ticks", 0),
        list_id=f.get("list_id", 0),
        entry_order_id=f["entry_order_id"],
        trigger_source=TriggerSource(flags >> 12 & 3),
        reduce_only=bool(flags >> 14 & 1),
        close_position=bool(flags >> 15),
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
        side=Side(flags & 1),
        kept_place=bool(flags >> 1 & 1),
        is_waiting=bool(flags >> 2 & 1),
        **f,
    )


def _triggered(sequence: int, index: int, symbol: int, flags: int, f: Fields) -> Event:
    refusal = RejectReason(f.pop("refusal"))
    return e.OrderTriggered(sequence, index, symbol, side=Side(flags), refusal=refusal, **f)


def _armed(sequence: int, index: int, symbol: int, flags: int, f: Fields) -> Event:
    refusal = RejectReason(f.pop("refusal"))
    return e.OrderArmed(sequence, index, symbol, side=Side(flags), refusal=refusal, **f)


def _closed(sequence: int, index: int, symbol: int, flags: int, f: Fields) -> Event:
    return e.OrderClosed(
        sequence=sequence,
        index=index,
        symbol_id=symbol,
        side=Side(flags & 1),
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
    EventType.ORDER_ACCEPTED: _accepted,
    EventType.ORDER_DUPLICATE: _duplicate,
    EventType.CANCEL_ACCEPTED: lambda n, i, s, _, f: e.CancelAccepted(n, i, symbol_id=s, **f),
    EventType.ORDER_AMENDED: _amended,
    EventType.DEAD_MANS_SWITCH_SET: lambda n, i, _s, _, f: e.DeadMansSwitchSet(n, i, **f),
    EventType.DEAD_MANS_SWITCH_FIRED: lambda n, i, _s, _, f: e.DeadMansSwitchFired(n, i, **f),
    EventType.COMMAND_REJECTED: _rejected,
    EventType.KEY_DUPLICATE: _key_duplicate,
    EventType.TRADE: lambda n, i, s, g, f: e.Trade(n, i, s, taker_side=Side(g), **f),
    EventType.SELF_TRADE_PREVENTED: lambda n, i, s, g, f: e.SelfTradePrevented(
        n, i, s, taker_side=Side(g), **f
    ),
    EventType.ORDER_RESTED: lambda n, i, s, g, f: e.OrderRested(n, i, s, side=Side(g), **f),
    EventType.ORDER_REFILLED: lambda n, i, s, g, f: e.OrderRefilled(n, i, s, side=Side(g), **f),
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


def encode_event(event: Event) -> bytes:
    """Return the stripes of `event`; a field beyond its width is refused with `WireError`."""
    kind = event.event_type
    symbol = getattr(event, "symbol_id", 0) or getattr(event, "asset_id", 0)
    stripes = []
    try:
        for part in range(_PARTS[kind]):
            values = [_value(event, name) for name, _ in EVENT_FIELDS[kind, part]]
            if (kind, part) in OPTIONAL_PARTS and not any(values):
                continue
            head = (event.sequence, event.index, kind, part, symbol, _flags(event))
            stripes.append(EVENT_STRUCTS[kind, part].pack(*head, *values))
    except (struct.error, ValueError) as error:
        raise WireError(WireFault.BAD_FIELD, f"{kind.name}: {error}") from error
    return b"".join(stripes)


def encode_events(events: Iterable[Event]) -> bytes:
    """Return the stripes of `events`, one after the other."""
    return b"".join(map(encode_event, events))


def _value(event: Event, name: str) -> int | bytes:
    if name in ("key_low", "key_high"):
        key = int(getattr(event, "key", 0) or getattr(event, "client_key", 0))
        return key & _LOW if name == "key_low" else key >> 64
    if name in ("client_text", "actor"):
        return str(getattr(event, name)).encode("ascii")
    if name in ("reason", "reason_more") and isinstance(event, _WITH_REASON):
        text = event.reason.encode("ascii")
        return text[:REASON_PART] if name == "reason" else text[REASON_PART:]
    if name.endswith("fees_low"):
        return pack_fees(getattr(event, name.removesuffix("_low")))[:32]
    if name.endswith("fees_high"):
        return pack_fees(getattr(event, name.removesuffix("_high")))[32:]
    of_risk = risk_codec.value_of(event, name)
    if of_risk is not None:
        return of_risk
    return int(getattr(event, name))


def _flags(event: Event) -> int:
    match event:
        case e.OrderAccepted():
            return order_flags(
                event.side,
                event.order_type,
                event.time_in_force,
                event.post_only,
                event.self_trade,
                event.trigger_source,
                event.reduce_only,
                event.close_position,
            )
        case e.OrderDuplicate():
            how = int(event.is_waiting) << 4 | int(event.is_pending) << 5
            return int(event.same_body) | event.status << 1 | how
        case e.CommandRejected():
            return event.reason
        case e.KeyDuplicate():
            return int(event.same_body)
        case e.Trade() | e.SelfTradePrevented():
            return event.taker_side
        case e.OrderRested() | e.OrderRefilled() | e.OrderTriggered() | e.OrderArmed():
            return event.side
        case e.OrderAmended():
            return event.side | int(event.kept_place) << 1 | int(event.is_waiting) << 2
        case e.OrderClosed():
            return event.side | int(event.resting) << 1 | event.reason << 8
        case _:
            return risk_codec.flags_of(event)


def view_events(data: bytes | bytearray | memoryview) -> npt.NDArray[np.void]:
    """Return a zero-copy view of event stripes as an array of `EVENT_DTYPE`."""
    if len(data) % STRIPE:
        raise WireError(WireFault.BAD_LENGTH, f"{len(data)} bytes are not whole stripes")
    return np.frombuffer(data, dtype=EVENT_DTYPE)


def decode_only(data: bytes | memoryview, kinds: npt.ArrayLike) -> list[Event]:
    """Return the events of some types, which are found without decoding the others."""
    stripes = view_events(data)
    return decode_events(stripes[np.isin(stripes["type"], kinds)].tobytes())


def events_between(data: bytes, after: int, up_to: int) -> bytes:
    """Return the stripes of sequences `after` < n <= `up_to`, of events in order."""
    sequences = view_events(data)["sequence"]  # bisect looks at a few, numpy would copy all
    start, end = bisect_right(sequences, after), bisect_right(sequences, up_to)
    return data[start * STRIPE : end * STRIPE]
