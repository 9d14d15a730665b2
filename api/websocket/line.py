"""One end of a WebSocket: what is read, a bounded queue of what is written, and how it ends.

What the messages mean is the business of those who build on it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

QUEUE_MESSAGES = 1_000
LARGEST_REQUEST_RATE = 50  # a second, averaged over the connection's last ten
GOODBYE_SECONDS = 5.0  # how long a slow reader may take to reach the close frame

CLOSE_SLOW_READER = 4008
CLOSE_TOO_MANY_REQUESTS = 4029
CLOSE_TOO_MANY_CONNECTIONS = 4013


class Line:
    """Reads the client's requests and writes the queue; ends when either side gives up."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._address = socket.client.host if socket and socket.client else "unknown"
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_MESSAGES)
        self._ended = asyncio.Event()
        self._goodbye = (CLOSE_SLOW_READER, "you read too slowly")
        self._request_tokens = float(LARGEST_REQUEST_RATE * 10)
        self._last_request = time.monotonic()

    def offer(self, message: bytes) -> None:
        """Queue a message; a full queue means a slow reader, who is let go."""
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            self._ended.set()

    def _end(self, code: int, reason: str) -> None:
        """Have the connection closed with a code of ours."""
        self._goodbye = (code, reason)
        self._ended.set()

    async def run(self) -> None:
        """Serve the connection until it ends."""
        work = [self._read(), self._write(), self._wait_for_end(), *self._work()]
        tasks = [asyncio.create_task(one) for one in work]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, self._leave(), return_exceptions=True)
        if self._ended.is_set():
            await self._close(*self._goodbye)

    def _work(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Return what else runs as long as the connection; it ends when one of it does."""
        return ()

    async def _leave(self) -> None:
        """Give back what the connection has taken."""

    async def _answer(self, raw: str | bytes) -> None:
        """Answer one frame of the client."""
        raise NotImplementedError

    async def _wait_for_end(self) -> None:
        await self._ended.wait()

    async def _read(self) -> None:
        with suppress(WebSocketDisconnect):
            while True:
                message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                if not self._take_token():
                    await self._close(CLOSE_TOO_MANY_REQUESTS, "too many requests")
                    return
                await self._answer(message.get("text") or message.get("bytes") or b"")

    def _take_token(self) -> bool:
        now = time.monotonic()
        earned = (now - self._last_request) * LARGEST_REQUEST_RATE
        self._request_tokens = min(LARGEST_REQUEST_RATE * 10.0, self._request_tokens + earned) - 1
        self._last_request = now
        return self._request_tokens >= 0

    async def _write(self) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):
            while True:
                message = await self._queue.get()
                await self._socket.send_text(message.decode())

    async def _close(self, code: int, reason: str) -> None:
        if self._socket.application_state is WebSocketState.DISCONNECTED:
            return
        with suppress(RuntimeError, TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._socket.close(code, reason)
