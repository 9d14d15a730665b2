"""Events survive the wire, as objects and as numpy rows."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.events import Event, EventType, Trade
from matching.codec import decode_events, encode_event, encode_events, view_events
from matching.wire import EVENT_DTYPE, EVENT_PART_DTYPES, STRIPE, WireError, WireFault
from tests.matching.desk import Desk
from tests.matching.strategies import any_event


@given(st.lists(any_event, max_size=6))
def test_decode_undoes_encode(events: list[Event]) -> None:
    """Every event type comes back with every field."""
    assert decode_events(encode_events(events)) == events


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_are_refused_by_name(data: bytes) -> None:
    """Random bytes never end in another exception than `WireError`."""
    with suppress(WireError):
        decode_events(data)


@given(any_event, st.data())
def test_flipped_bits_decode_or_are_refused_by_name(event: Event, data: st.DataObject) -> None:
    """Damage to a good event is decoded as something or refused by name."""
    raw = bytearray(encode_event(event))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(WireError):
        decode_events(bytes(raw))


@given(st.lists(any_event, min_size=1, max_size=6))
def test_one_dtype_views_a_whole_batch(events: list[Event]) -> None:
    """Every stripe of every event begins with the same header."""
    view = view_events(encode_events(events))
    heads = view[view["part"] == 0]
    assert [int(n) for n in heads["sequence"]] == [event.sequence for event in events]
    assert [int(n) for n in heads["index"]] == [event.index for event in events]
    assert [int(n) for n in heads["type"]] == [event.event_type for event in events]


def test_a_missing_part_is_named() -> None:
    """A trade without its second stripe is refused, and so is a second stripe alone."""
    desk = Desk()
    desk.fund(1, 2)
    desk.sell(1, 1_000, 1)
    (trade,) = [event for event in desk.buy(2, 1_000, 1) if isinstance(event, Trade)]
    raw = encode_event(trade)
    for part in (raw[:STRIPE], raw[STRIPE:], raw[:STRIPE] * 2):
        with pytest.raises(WireError) as caught:
            decode_events(part)
        assert caught.value.fault is WireFault.BAD_PART


def test_the_engine_writes_what_the_codec_writes() -> None:
    """The engine packs for speed; decoding and encoding its events gives its bytes."""
    desk = Desk()
    desk.fund(1, 2, 3)
    desk.credit(1, 1, 5, key=2**127 + 1)
    desk.credit(1, 1, 5, key=2**127 + 1)
    desk.credit(1, 77, 5)
    desk.sell(1, 1_000, 5, client_text="first")
    desk.sell(1, 1_000, 5, client_key=2**100)
    desk.sell(1, 1_000, 5, client_key=2**100)
    desk.buy(2, 1_000, 7)
    desk.cancel_all(1)
    desk.debit(2, 1, 5)
    desk.wait(1)
    assert encode_events(desk.events) == bytes(desk.raw)


def test_named_rows_of_one_type() -> None:
    """A reader in numpy takes the trades of a batch by name, without objects."""
    desk = Desk()
    desk.fund(1, 2)
    desk.sell(1, 1_000, 5)
    events = desk.buy(2, 1_000, 3)
    view = view_events(encode_events(events))
    (row,) = np.flatnonzero((view["type"] == EventType.TRADE) & (view["part"] == 0))
    first = view[row : row + 1].view(EVENT_PART_DTYPES[EventType.TRADE, 0])[0]
    second = view[row + 1 : row + 2].view(EVENT_PART_DTYPES[EventType.TRADE, 1])[0]
    assert (first["price_ticks"], second["quantity_lots"], second["taker_fee_units"]) == (
        1_000,
        3,
        6,
    )
    assert all(dtype.itemsize == EVENT_DTYPE.itemsize for dtype in EVENT_PART_DTYPES.values())
