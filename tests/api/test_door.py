"""What a connection meets first, on real sockets: places, heads, slow requests, storms."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from api import door as module
from api.door import LARGEST_HEAD_BYTES, Places, door
from api.limits import PUBLIC_CLASS
from api.websocket.line import (
    CLOSE_TOO_MANY_REQUESTS,
    LARGEST_WAITING_BYTES,
    LARGEST_WAITING_THEN,
    LARGEST_WAITING_TOGETHER,
    Lines,
)
from api.websocket.route import CONNECT_WEIGHT
from api.websocket.wire import Wire
from tests.api.exchange import Exchange
from tests.api.serving import serving

PATIENCE_SECONDS = 30
GET = b"GET /v1/time HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def served(exchange: Exchange, places: Places) -> AsyncIterator[int]:
    """Give the port of the application behind a door with these places."""
    async with serving(
        exchange.app, http=door(places), ws=Wire, ws_per_message_deflate=False
    ) as port:
        yield port


async def ask(port: int, *said: bytes) -> tuple[int, str]:
    """Say something over a connection of its own; return status and code of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            for part in said:
                writer.write(part)
            head = await reader.readuntil(b"\r\n\r\n")
            at = head.lower().index(b"content-length:") + 15
            body = await reader.readexactly(int(head[at : head.index(b"\r", at)]))
    finally:
        writer.close()
    return int(head.split()[1]), json.loads(body).get("code", "")


async def code_of_end(client: ClientConnection) -> int:
    """Return the code with which the server closes."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        await client.wait_closed()
    assert client.close_code is not None
    return client.close_code


def test_places_are_counted_by_address() -> None:
    """One address cannot have all; a proxy's connections are not one address'."""
    places = Places(most=5, most_of_address=2, exempt=("proxy",))
    assert [places.take("a") for _ in range(3)] == [True, True, False]
    assert [places.take("proxy") for _ in range(3)] == [True, True, True]
    assert not places.take("b")
    places.give_back("a")
    assert places.take("b")
    assert (places.open, places.refused) == (5, 2)


async def test_one_more_is_refused_and_a_place_comes_back(exchange: Exchange) -> None:
    """A WebSocket keeps its place until it ends, as any connection does."""
    places = Places(most=2, most_of_address=2)
    async with served(exchange, places) as port, AsyncExitStack() as stack:
        url = f"ws://127.0.0.1:{port}/v1/ws"
        first = await stack.enter_async_context(connect(url))
        await stack.enter_async_context(connect(url))
        assert await ask(port, GET) == (503, "too_many_connections")
        await first.close()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while places.open > 1:  # noqa: ASYNC110 - counted by the server
                await asyncio.sleep(0.01)
        assert (await ask(port, GET))[0] == 200


async def test_a_head_has_a_bound(exchange: Exchange) -> None:
    """However it is cut into pieces, and whatever is in it."""
    async with served(exchange, Places()) as port:
        line = b"X: " + b"y" * 1_000 + b"\r\n"
        endless = [b"GET /v1/time HTTP/1.1\r\n", *[line] * (LARGEST_HEAD_BYTES // 1_000 + 300)]
        assert await ask(port, *endless) == (431, "head_too_large")
        assert (await ask(port, GET[:-2], *[line] * 20, b"\r\n"))[0] == 200


async def test_who_does_not_finish_a_request_is_let_go(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saying nothing, half a head, or a body that does not come: none keeps its place."""
    monkeypatch.setattr(module, "REQUEST_SECONDS", 0.2)
    places = Places()
    async with served(exchange, places) as port:
        for said in (b"", GET[:-10]):
            assert await ask(port, said) == (408, "request_too_slow")
        body = b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"
        with pytest.raises(asyncio.IncompleteReadError):
            await ask(port, body)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while places.open:  # noqa: ASYNC110 - counted by the server
                await asyncio.sleep(0.01)


async def test_who_connects_too_often_is_refused_before_the_handshake(exchange: Exchange) -> None:
    """With the limit of public requests, and Retry-After."""
    async with served(exchange, Places()) as port:
        url = f"ws://127.0.0.1:{port}/v1/ws"
        await exchange.services.limiter.charge_address(
            "127.0.0.1", PUBLIC_CLASS.weight - CONNECT_WEIGHT
        )
        async with connect(url) as client:
            await client.send('{"op":"ping"}')
            assert "pong" in str(await client.recv())
        with pytest.raises(InvalidStatus) as caught:
            await connect(url)
        response = caught.value.response
        assert response.status_code == 429
        assert json.loads(response.body or b"")["code"] == "rate_limited"
        assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize("frame", [b"\x89\x80", b"\x00\x80"], ids=["pings", "empty fragments"])
async def test_a_flood_of_small_frames_ends_the_connection(
    exchange: Exchange, frame: bytes
) -> None:
    """What is no message counts as one: a fragment without content has no size to be bounded."""
    async with (
        served(exchange, Places()) as port,
        connect(f"ws://127.0.0.1:{port}/v1/ws", ping_interval=None) as client,
    ):
        if frame[0] == 0:
            client.transport.write(b"\x01\x80" + bytes(4))  # a message that does not end
        client.transport.write((frame + bytes(4)) * 2_000)
        assert await code_of_end(client) == CLOSE_TOO_MANY_REQUESTS


def test_what_waits_for_all_is_bounded_together() -> None:
    """Beyond the sum each may have less waiting, so that many slow readers take no memory."""
    lines = Lines()
    assert lines.most_waiting == LARGEST_WAITING_BYTES
    lines.waiting_bytes = LARGEST_WAITING_TOGETHER + 1
    assert lines.most_waiting == LARGEST_WAITING_THEN
