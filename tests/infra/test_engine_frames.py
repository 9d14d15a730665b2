"""Frames are cut the same however the bytes arrive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.engine_frames import (
    HEADER,
    MAX_FRAME,
    FrameError,
    FrameFault,
    FrameKind,
    FrameReader,
    decode_hello,
    decode_welcome,
    encode_frame,
    encode_hello,
    encode_welcome,
    split_groups,
)
from tests.matching.desk import Desk


@given(
    st.lists(st.tuples(st.integers(0, 2**64 - 1), st.binary(max_size=60)), max_size=5),
    st.lists(st.integers(1, 40), min_size=1, max_size=20),
)
def test_frames_survive_any_cut(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    """Byte by byte or all at once: the same frames come out."""
    stream = b"".join(encode_frame(FrameKind.EVENTS, c, body, code=3) for c, body in frames)
    reader, found, start, turn = FrameReader(), [], 0, 0
    while start < len(stream):
        step = cuts[turn % len(cuts)]
        found += reader.feed(stream[start : start + step])
        start, turn = start + step, turn + 1
    assert [(frame.correlation, frame.payload) for frame in found] == frames
    assert all((frame.kind, frame.code) == (FrameKind.EVENTS, 3) for frame in found)


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_refused_by_name(data: bytes) -> None:
    """No input ends in another exception than `FrameError`."""
    try:
        frames = FrameReader().feed(data)
    except FrameError:
        return
    for frame in frames:
        for decode in (decode_hello, decode_welcome):
            try:
                decode(frame.payload)
            except FrameError:
                continue


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        (HEADER.pack(MAX_FRAME + 1, 3, 1, 0, 0), FrameFault.FRAME_TOO_LARGE),
        (HEADER.pack(10, 3, 2, 0, 0), FrameFault.VERSION_MISMATCH),
    ],
)
def test_bad_headers_are_refused_at_once(header: bytes, fault: FrameFault) -> None:
    """An oversized or foreign frame is refused before its payload is awaited."""
    with pytest.raises(FrameError) as caught:
        FrameReader().feed(header)
    assert caught.value.fault is fault


def test_greetings_come_back() -> None:
    """HELLO and WELCOME carry versions, role, token, shard and sequence."""
    (hello,) = FrameReader().feed(encode_hello(2, "secret", 9))
    assert decode_hello(hello.payload).token == "secret"
    assert (decode_hello(hello.payload).role, decode_hello(hello.payload).build_id) == (2, 9)
    (welcome,) = FrameReader().feed(encode_welcome(1, 2, 3, 4))
    found = decode_welcome(welcome.payload)
    assert (found.shard, found.epoch, found.sequence, found.build_id) == (1, 2, 3, 4)


@pytest.mark.parametrize("orders", [1, 3, 40])
def test_groups_begin_with_their_outcome(orders: int) -> None:
    """A reply is cut into one group a command, for small and for large replies."""
    desk = Desk()
    desk.fund(1, 2)
    start = len(desk.raw)
    expected = []
    for number in range(orders):
        expected.append(len(desk.raw) - start)
        desk.order(1 + number % 2, number % 2, 1_000, 5, client_text="text")  # type: ignore[arg-type]
    assert split_groups(bytes(desk.raw[start:])) == expected
