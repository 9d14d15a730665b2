"""A client that stops reading hurts only itself: a real server, sockets, and a full queue."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable

import pytest_asyncio
from websockets.asyncio.client import connect

from api.websocket.hub import FeedHub
from api.websocket.line import CLOSE_SLOW_READER, LARGEST_WAITING_BYTES
from api.websocket.wire import Wire
from tests.api.exchange import Exchange
from tests.api.serving import serving


def _message(number: int) -> bytes:
    trades = [{"trade_id": str(number), "x": "y" * 2_000}]
    return json.dumps(
        {"channel": "trades", "symbol": "ETH/USDT", "type": "update", "trades": trades}
    ).encode()


@pytest_asyncio.fixture
async def server(exchange: Exchange) -> AsyncIterator[tuple[int, FeedHub]]:
    """Give the port of the application on a loopback socket, and its hub."""
    async with serving(exchange.app, ws=Wire, ws_per_message_deflate=False) as port:
        yield port, exchange.services.hub


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - what is watched belongs to the server
            await asyncio.sleep(0.01)


def _lazy_client(port: int) -> socket.socket:
    """Return a socket that has subscribed to trades and will not read."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    made.connect(("127.0.0.1", port))
    made.sendall(
        f"GET /v1/ws HTTP/1.1\r\nHost: x:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(b'0' * 16).decode()}\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    while not made.recv(4_096).endswith(b"\r\n\r\n"):
        pass
    body = b'{"op":"subscribe","channel":"trades","symbol":"ETH/USDT"}'
    made.sendall(bytes([0x81, 0x80 | len(body)]) + b"\0" * 4 + body)
    made.setblocking(False)
    return made


async def _close_code(client: socket.socket) -> int:
    """Read everything and return the code of the close frame at the end."""
    loop = asyncio.get_running_loop()
    tail = b""
    async with asyncio.timeout(30):
        while True:
            chunk = await loop.sock_recv(client, 1 << 16)
            if not chunk:
                raise AssertionError("closed without a close frame")
            tail = (tail + chunk)[-200:]
            at = tail.rfind(b"\x88", 0, -3)
            if at >= 0 and tail[at + 4 :] == b"you read too slowly":
                return int(struct.unpack("!H", tail[at + 2 : at + 4])[0])


async def test_a_slow_reader_is_closed_with_a_code(server: tuple[int, FeedHub]) -> None:
    """What waits for it is bounded; another subscriber gets every message meanwhile."""
    port, hub = server
    lazy = await asyncio.to_thread(_lazy_client, port)
    async with connect(f"ws://127.0.0.1:{port}/v1/ws") as reader:
        await reader.send('{"op":"subscribe","channel":"trades","symbol":"ETH/USDT"}')
        subscribers = hub.feed("ETH/USDT").subscribers["trades"]
        await _until(lambda: len(subscribers) == 2)
        assert json.loads(await reader.recv())["op"] == "subscribed"
        assert json.loads(await reader.recv())["type"] == "snapshot"
        sent = 0
        while len(subscribers) > 1:
            sent += 1
            hub._take(_message(sent))
            assert await reader.recv() == _message(sent).decode()
            assert sent < 20_000
        assert sent * len(_message(sent)) > LARGEST_WAITING_BYTES
        assert await _close_code(lazy) == CLOSE_SLOW_READER
    lazy.close()
