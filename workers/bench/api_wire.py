"""The bytes of an API client that costs little: signed requests, WebSocket frames, answers.

A client's share of the two processors is taken from what it measures, so requests are made before
the clock runs, frames have the mask 0, and of an answer no more is read than is needed.
"""

from __future__ import annotations

import asyncio
import base64
import struct
import time
from collections.abc import Callable
from typing import cast

from api.auth import SignedParts, sign
from infra.embedded.ports import LOOPBACK

_WINDOW_MS = "60000"  # the longest that a signed request may wait to be sent
_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A


def post(path: str, body: str, key: str, secret: str, *, age_ms: int = 0) -> bytes:
    """Return a signed POST as it goes over the wire; it may be sent within a minute."""
    timestamp = str(time.time_ns() // 1_000_000 - age_ms)
    signature = sign(
        secret.encode(), timestamp, SignedParts("POST", path.encode(), body=body.encode())
    )
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\nContent-Type: application/json\r\n"
        f"RIALTO-KEY: {key}\r\nRIALTO-TIMESTAMP: {timestamp}\r\nRIALTO-WINDOW: {_WINDOW_MS}\r\n"
        f"RIALTO-SIGNATURE: {signature}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    return head.encode()


def login(key: str, secret: str) -> str:
    """Return the message that logs a socket in."""
    timestamp = str(time.time_ns() // 1_000_000)
    signature = sign(secret.encode(), timestamp, SignedParts("GET", b"/v1/ws"))
    return (
        f'{{"op":"login","key":"{key}","timestamp":"{timestamp}","window":"{_WINDOW_MS}",'
        f'"signature":"{signature}"}}'
    )


def frame(body: bytes, opcode: int = _TEXT) -> bytes:
    """Return a client's frame; the mask is 0, so the payload stands in it as it is."""
    size = len(body)
    if size < 126:
        return struct.pack("!BBI", opcode, 0x80 | size, 0) + body
    if size < 1 << 16:
        return struct.pack("!BBHI", opcode, 0x80 | 126, size, 0) + body
    return struct.pack("!BBQI", opcode, 0x80 | 127, size, 0) + body


class HttpLink(asyncio.Protocol):
    """A connection that is kept: requests go out, `answered` hears each answer's status."""

    def __init__(self, answered: Callable[[HttpLink, int], None]) -> None:
        self._answered = answered
        self._buffer = bytearray()
        self.transport: asyncio.Transport | None = None
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes) -> None:
        """Send one request."""
        assert self.transport is not None
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take what came, and tell of each answer that is whole."""
        buffer = self._buffer
        buffer += data
        while (head_end := buffer.find(b"\r\n\r\n")) >= 0:
            at = buffer.lower().find(b"content-length:", 0, head_end)
            size = int(buffer[at + 15 : buffer.find(b"\r", at)])
            if len(buffer) < head_end + 4 + size:
                return
            status = int(buffer[9:12])
            del buffer[: head_end + 4 + size]
            self._answered(self, status)


class SocketLink(asyncio.Protocol):
    """A WebSocket: `heard` gets each message's bytes as they came."""

    def __init__(self, heard: Callable[[SocketLink, bytes], None]) -> None:
        self._heard = heard
        self._buffer = bytearray()
        self.transport: asyncio.Transport | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed_with = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = made = cast("asyncio.Transport", transport)
        key = base64.b64encode(b"0123456789abcdef").decode()
        made.write(
            f"GET /v1/ws HTTP/1.1\r\nHost: {LOOPBACK}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def send(self, text: str) -> None:
        """Send one message."""
        assert self.transport is not None
        self.transport.write(frame(text.encode()))

    def data_received(self, data: bytes) -> None:
        """Take what came, and tell of each message that is whole."""
        if not self.opened.done():
            data = self._handshake(data)
        buffer = self._buffer
        if buffer:
            buffer += data
            data = bytes(buffer)
            buffer.clear()
        at, end = 0, len(data)
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                start += width
                if end < start:
                    break
                size = int.from_bytes(data[start - width : start], "big")
            if end < start + size:
                break
            self._take(data[at], data[start : start + size])
            at = start + size
        if at < end:
            buffer += data[at:]

    def _handshake(self, data: bytes) -> bytes:
        self._buffer += data
        at = self._buffer.find(b"\r\n\r\n")
        if at < 0:
            return b""
        if not self._buffer.startswith(b"HTTP/1.1 101"):
            text = f"no WebSocket: {bytes(self._buffer[:80])!r}"
            self.opened.set_exception(ConnectionError(text))
            return b""
        rest = bytes(self._buffer[at + 4 :])
        self._buffer.clear()
        self.opened.set_result(None)
        return rest

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == _TEXT:
            self._heard(self, payload)
        elif opcode == _PING and self.transport is not None:
            self.transport.write(frame(payload, _PONG))
        elif opcode == _CLOSE:
            self.closed_with = int.from_bytes(payload[:2], "big")

    def connection_lost(self, exc: Exception | None) -> None:
        """End; who waited for the handshake hears of it."""
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("closed before it was open"))
