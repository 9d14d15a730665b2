"""Frames of the engine's binary door: 16 bytes of header, then the payload; little endian.

    payload bytes u32 | kind u8 | protocol u8 | code u16 | correlation u64

A client says HELLO (versions, role, token) and gets WELCOME, or ERROR and a closed connection.
COMMANDS carries unsequenced command stripes, EVENTS answers under the same correlation with the
event groups of the commands in their order; a group begins at index 0, part 0. A command that
the role may not send is answered in its place by a COMMAND_REJECTED of sequence 0.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from matching.codec import view_events
from matching.wire import SCHEMA_VERSION, STRIPE

PROTOCOL_VERSION = 1
MAX_FRAME = 1 << 20
HEADER = struct.Struct("<IBBHQ")
HELLO = struct.Struct("<HHB3xQ")
WELCOME = struct.Struct("<HHIQQQ")
_MAX_TOKEN = 256
_FEW_STRIPES = 24 * STRIPE


class FrameKind(IntEnum):
    """What a frame is; wire number, never reused."""

    HELLO = 1
    WELCOME = 2
    COMMANDS = 3
    EVENTS = 4
    ERROR = 5


class FrameFault(IntEnum):
    """Why a door closes a connection; wire number, never reused."""

    BAD_FRAME = 1
    FRAME_TOO_LARGE = 2
    VERSION_MISMATCH = 3
    BAD_TOKEN = 4
    MALFORMED_COMMANDS = 5
    SLOW_READER = 6
    STOPPING = 7
    HANDSHAKE_TIMEOUT = 8


class FrameError(ValueError):
    """A peer does not keep to the protocol; `fault` is what it is told."""

    def __init__(self, fault: FrameFault, text: str) -> None:
        super().__init__(f"{fault.name}: {text}")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Frame:
    """One received frame."""

    kind: int
    code: int
    correlation: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Hello:
    """What a client says first."""

    protocol: int
    schema: int
    role: int
    build_id: int
    token: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a door says to an admitted client."""

    protocol: int
    schema: int
    shard: int
    epoch: int
    sequence: int
    build_id: int


def encode_frame(kind: FrameKind, correlation: int, payload: bytes, code: int = 0) -> bytes:
    """Return the bytes of a frame."""
    return HEADER.pack(len(payload), kind, PROTOCOL_VERSION, code, correlation) + payload


def encode_hello(role: int, token: str, build_id: int, schema: int = SCHEMA_VERSION) -> bytes:
    """Return the HELLO frame."""
    body = HELLO.pack(PROTOCOL_VERSION, schema, role, build_id) + token.encode()
    return encode_frame(FrameKind.HELLO, 0, body)


def decode_hello(payload: bytes) -> Hello:
    """Return the HELLO in a payload; else `FrameError`."""
    if not HELLO.size <= len(payload) <= HELLO.size + _MAX_TOKEN:
        raise FrameError(FrameFault.BAD_FRAME, "HELLO of a wrong length")
    protocol, schema, role, build_id = HELLO.unpack_from(payload)
    token = payload[HELLO.size :].decode("utf-8", errors="replace")
    return Hello(protocol, schema, role, build_id, token)


def encode_welcome(shard: int, epoch: int, sequence: int, build_id: int) -> bytes:
    """Return the WELCOME frame."""
    body = WELCOME.pack(PROTOCOL_VERSION, SCHEMA_VERSION, shard, epoch, sequence, build_id)
    return encode_frame(FrameKind.WELCOME, 0, body)


def decode_welcome(payload: bytes) -> Welcome:
    """Return the WELCOME in a payload; else `FrameError`."""
    if len(payload) != WELCOME.size:
        raise FrameError(FrameFault.BAD_FRAME, "WELCOME of a wrong length")
    return Welcome(*WELCOME.unpack(payload))


class FrameReader:
    """Cut a byte stream into frames; `FrameError` for what cannot be one."""

    def __init__(self, max_frame: int = MAX_FRAME) -> None:
        self._buffer = bytearray()
        self._max_frame = max_frame

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are complete with `data`."""
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        start = 0
        while len(buffer) - start >= HEADER.size:
            size, kind, protocol, code, correlation = HEADER.unpack_from(buffer, start)
            if protocol != PROTOCOL_VERSION:
                raise FrameError(FrameFault.VERSION_MISMATCH, f"frame protocol {protocol}")
            if size > self._max_frame:
                raise FrameError(
                    FrameFault.FRAME_TOO_LARGE, f"{size} bytes, at most {self._max_frame}"
                )
            end = start + HEADER.size + size
            if len(buffer) < end:
                break
            frames.append(Frame(kind, code, correlation, bytes(buffer[start + HEADER.size : end])))
            start = end
        del buffer[:start]
        return frames


def split_groups(data: bytes) -> list[int]:
    """Return where each command's group of events begins in a reply."""
    if len(data) <= _FEW_STRIPES:
        return [
            offset
            for offset in range(0, len(data), STRIPE)
            if data[offset + 8 : offset + 10] == b"\0\0" and data[offset + 11] == 0
        ]
    view = view_events(data)
    starts = np.flatnonzero((view["index"] == 0) & (view["part"] == 0))
    return [int(start) for start in starts * STRIPE]
