"""Events to stripes, and looking at stripes; the byte table is `matching/wire.py`."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from domain import events as e
from domain.events import Event
from matching import risk_codec
from matching.event_decoder import PARTS, decode_events
from matching.market_codec import pack_fees
from matching.wire import (
    EVENT_DTYPE,
    EVENT_FIELDS,
    EVENT_STRUCTS,
    OPTIONAL_PARTS,
    REASON_PART,
    STRIPE,
    WireError,
    WireFault,
    order_flags,
)

_WITH_REASON = (e.SymbolStateSet, e.ShardModeSet, e.SymbolDelisted, e.PerpetualStateSet)
_LOW = 2**64 - 1


def by_command(events: Iterable[Event]) -> Iterator[tuple[Event, ...]]:
    """Yield the events of each command together, in the order in which they come."""
    for _, found in groupby(events, key=attrgetter("sequence")):
        yield tuple(found)


def encode_event(event: Event) -> bytes:
    """Return the stripes of `event`; a field beyond its width is refused with `WireError`."""
    kind = event.event_type
    symbol = getattr(event, "symbol_id", 0) or getattr(event, "asset_id", 0)
    stripes = []
    try:
        for part in range(PARTS[kind]):
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
