"""One end of a WebSocket: what is read, what is written straight to the wire, and how it ends.

What the messages mean is the business of those who build on it.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from contextlib import suppress

from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from api.websocket.wire import CLOSE_GOING_AWAY, GOING_AWAY, Wire, wire_of

LARGEST_WAITING_BYTES = 2 << 20  # that the client has not taken; then it reads too slowly
LARGEST_WAITING_TOGETHER = 256 << 20  # of a gateway's clients; beyond it each may have less
LARGEST_WAITING_THEN = 64 << 10
LARGEST_REQUEST_BYTES = 4_096
LARGEST_REQUEST_RATE = 50  # a second, averaged over the connection's last ten
GOODBYE_SECONDS = 5.0  # how long a slow reader may take to reach the close frame

CLOSE_MESSAGE_TOO_BIG = 1009
CLOSE_SLOW_READER = 4008
CLOSE_TOO_MANY_REQUESTS = 4029
CLOSE_TOO_MANY_CONNECTIONS = 4013


class Lines(set["Line"]):
    """The connections of a gateway, and how much all of them have not taken."""

    waiting_bytes = 0

    @property
    def most_waiting(self) -> int:
        """Return how much one may leave untaken at the moment."""
        is_much = self.waiting_bytes > LARGEST_WAITING_TOGETHER
        return LARGEST_WAITING_THEN if is_much else LARGEST_WAITING_BYTES


class Line(ABC):
    """Reads the client's requests, one after the other; ends when either side gives up."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._wire: Wire | None = wire_of(socket) if socket else None
        self._address = socket.client.host if socket and socket.client else "unknown"
        self._lines: Lines = socket.app.state.connections if socket else Lines()
        self._waiting_bytes = 0
        self._ended = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._goodbye = (CLOSE_SLOW_READER, "you read too slowly")
        self._request_tokens = float(LARGEST_REQUEST_RATE * 10)
        self._last_request = time.monotonic()

    @property
    def address(self) -> str:
        """Return where it comes from."""
        return self._address

    def offer(self, message: bytes) -> None:
        """Write a message; who has left too much untaken is a slow reader, and is let go."""
        if self._wire is None or self._ended.is_set():
            return
        waiting = self._wire.write_text(message)
        self._lines.waiting_bytes += waiting - self._waiting_bytes
        self._waiting_bytes = waiting
        if waiting > self._lines.most_waiting:
            self._ended.set()

    def _end(self, code: int, reason: str) -> None:
        """Have the connection closed with a code of ours."""
        if not self._ended.is_set():
            self._goodbye = (code, reason)
            self._ended.set()

    async def drain(self) -> None:
        """Read no more, answer what was asked, and close: the gateway stops."""
        if self._reading is not None:
            self._reading.cancel()
        await self._finish()
        self._end(CLOSE_GOING_AWAY, GOING_AWAY)

    async def run(self) -> None:
        """Serve the connection until it ends."""
        if self._wire is not None:
            self._wire.counted = self._spend
        self._reading = asyncio.create_task(self._read())
        ending = asyncio.create_task(self._wait_for_end())
        tasks = (self._reading, ending)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._reading.cancelled():
                await ending  # it is drained
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, self._leave(), return_exceptions=True)
        if self._ended.is_set():
            await self._close(*self._goodbye)
        self._lines.waiting_bytes -= self._waiting_bytes

    async def _finish(self) -> None:  # noqa: B027 - who answers one by one has nothing open
        """Wait until everything that was asked is answered."""

    @abstractmethod
    async def _leave(self) -> None:
        """Give back what the connection has taken."""

    @abstractmethod
    async def _answer(self, raw: str | bytes) -> None:
        """Answer one frame of the client."""

    async def _wait_for_end(self) -> None:
        await self._ended.wait()

    async def _read(self) -> None:
        with suppress(WebSocketDisconnect):
            while not self._ended.is_set():
                message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                raw = message.get("text") or message.get("bytes") or b""
                if not self._admits(raw):
                    return
                await self._answer(raw)

    def _admits(self, raw: str | bytes) -> bool:
        """Return whether a frame is answered; otherwise the connection ends."""
        if len(raw) > LARGEST_REQUEST_BYTES:
            self._end(CLOSE_MESSAGE_TOO_BIG, f"a message has at most {LARGEST_REQUEST_BYTES} bytes")
            return False
        return self._spend()

    def _spend(self) -> bool:
        """Take one from what the connection may ask a second; who has none left is closed."""
        now = time.monotonic()
        earned = (now - self._last_request) * LARGEST_REQUEST_RATE
        self._request_tokens = min(LARGEST_REQUEST_RATE * 10.0, self._request_tokens + earned) - 1
        self._last_request = now
        if self._request_tokens < 0:
            self._end(CLOSE_TOO_MANY_REQUESTS, "too many requests")
        return self._request_tokens >= 0

    async def _close(self, code: int, reason: str) -> None:
        if self._socket.application_state is WebSocketState.DISCONNECTED:
            return
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._socket.close(code, reason)
        except (RuntimeError, WebSocketDisconnect):
            return
        except TimeoutError:
            if self._wire is not None:
                self._wire.transport.abort()  # else what waits is kept until the peer is gone
