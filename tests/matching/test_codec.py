"""Commands survive the wire, and no bytes break the decoder."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.commands import CancelOrder, Command, Opcode, PlaceOrder, Tick
from domain.order import OrderType, Side, TimeInForce
from matching.codec import CommandRecord, decode_commands, encode_command, split_commands, stamp
from matching.engine import create_engine
from matching.wire import STRIPE, SequenceError, WireError, WireFault
from tests.matching.strategies import any_command


@given(st.lists(any_command, max_size=5), st.integers(0, 2**60), st.integers(0, 2**60))
def test_decode_undoes_encode(commands: list[Command], sequence: int, time_us: int) -> None:
    """A batch is a plain concatenation, and every field comes back."""
    records = [CommandRecord(sequence + i, time_us, c) for i, c in enumerate(commands)]
    batch = b"".join(
        encode_command(r.command, sequence=r.sequence, time_us=r.time_us) for r in records
    )
    assert decode_commands(batch) == records


@given(any_command, st.integers(0, 2**63), st.integers(0, 2**62))
def test_stamp_changes_number_and_time_only(command: Command, sequence: int, time_us: int) -> None:
    """The sequencer's stamp is what encoding with number and time gives."""
    batch = bytearray(encode_command(command))
    stamp(batch, 0, sequence, time_us)
    assert bytes(batch) == encode_command(command, sequence=sequence, time_us=time_us)


@given(st.binary(max_size=400))
def test_any_bytes_decode_or_are_refused_by_name(data: bytes) -> None:
    """Random bytes end in a list or in `WireError`, never in another exception."""
    with suppress(WireError):
        decode_commands(data)


@given(st.lists(any_command, min_size=1, max_size=3), st.data())
def test_flipped_bits_decode_or_are_refused_by_name(
    commands: list[Command], data: st.DataObject
) -> None:
    """Damage anywhere in a good batch never crashes the decoder nor the engine."""
    batch = bytearray(b"".join(map(encode_command, commands)))
    for _ in range(data.draw(st.integers(1, 4))):
        batch[data.draw(st.integers(0, len(batch) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(WireError):
        decode_commands(bytes(batch))
    try:
        places = split_commands(batch)
    except WireError:
        return
    for number, place in enumerate(places, 1):
        stamp(batch, place.offset, number, number)
    create_engine().apply(bytes(batch))


@pytest.mark.parametrize(
    ("offset", "value", "fault"),
    [
        (17, 9, WireFault.BAD_VERSION),
        (16, 200, WireFault.UNKNOWN_OPCODE),
        (18, 2, WireFault.BAD_LENGTH),
        (18, 0, WireFault.BAD_LENGTH),
        (19, 3, WireFault.BAD_LENGTH),
    ],
)
def test_faults_are_named(offset: int, value: int, fault: WireFault) -> None:
    """Each kind of damage to the framing has its own name."""
    batch = bytearray(encode_command(CancelOrder(1, 1, 1)))
    batch[offset] = value
    with pytest.raises(WireError) as caught:
        split_commands(batch)
    assert caught.value.fault is fault


def test_cut_off_batches_are_refused() -> None:
    """A record that lacks its second stripe, or a broken stripe, is refused."""
    order = PlaceOrder(1, 1, 1, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, 1, 1, client_text="a")
    record = encode_command(order)
    assert len(record) == 2 * STRIPE
    for length in (STRIPE, STRIPE + 1, 2 * STRIPE - 1):
        with pytest.raises(WireError):
            split_commands(record[:length])


@pytest.mark.parametrize(
    "command",
    [
        CancelOrder(-1, 1),
        CancelOrder(1, 2**16),
        CancelOrder(1, 1, 2**63),
        CancelOrder(1, 1, 0, 2**128),
        PlaceOrder(1, 1, 1, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, 2**63, 1, client_text="a"),
        PlaceOrder(1, 1, 1, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, 1, 1, client_text="a" * 37),
        PlaceOrder(1, 1, 1, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, 1, 1, client_text="ü"),
    ],
)
def test_too_wide_fields_are_refused(command: Command) -> None:
    """What does not fit its field is refused, never cut."""
    with pytest.raises(WireError) as caught:
        encode_command(command)
    assert caught.value.fault is WireFault.BAD_FIELD


def test_opcodes_fit_their_byte() -> None:
    """An opcode is one byte on the wire."""
    assert all(0 < opcode < 256 for opcode in Opcode)


def test_engine_refuses_unsequenced_commands() -> None:
    """A record without its stamp never reaches the state."""
    with pytest.raises(SequenceError):
        create_engine().apply(encode_command(Tick()))
