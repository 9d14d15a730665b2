"""Two gateways of one exchange: an account is one account, whichever it is reached through."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from api.auth import SignedParts, sign
from infra.embedded.ports import own_port
from tests.api.memory import ETH, USDT
from tests.api.running import RunningExchange
from workers.stack import gateway_environment

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
PATIENCE_SECONDS = 30
SECOND = "gateway-2"
ORDER = {"symbol": "ETH/USDT", "side": "buy", "price": "2301", "quantity": "0.01"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def second(running: RunningExchange) -> AsyncIterator[int]:
    """Give the port of a second gateway."""
    port = own_port()
    running.launch(SECOND, "workers.gateway", **gateway_environment(2, port))
    await running.ready(SECOND)
    yield port
    running.kill(SECOND)


def login(running: RunningExchange, name: str, **other: Any) -> str:
    """Return a signed login."""
    account, timestamp = running.accounts[name], str(time.time_ns() // 1_000_000)
    signature = sign(account.api_secret.encode(), timestamp, SignedParts("GET", b"/v1/ws"))
    signed = {"key": account.api_key, "timestamp": timestamp, "signature": signature}
    return json.dumps({"op": "login", "id": 1, **signed, **other})


async def hear(client: ClientConnection, **wanted: Any) -> dict[str, Any]:
    """Return the next message with these members."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            message: dict[str, Any] = json.loads(await client.recv())
            if wanted.items() <= message.items():
                return message


async def ask(client: ClientConnection, number: int, op: str, **params: Any) -> dict[str, Any]:
    """Send a request of orders; return its answer."""
    await client.send(json.dumps({"op": op, "id": number, "params": params}))
    return await hear(client, id=number)


def at(port: int) -> str:
    """Return the address of a gateway's socket."""
    return f"ws://127.0.0.1:{port}/v1/ws"


async def test_an_order_is_one_order_at_both(running: RunningExchange, second: int) -> None:
    """A client order id, a login and the limits count for both together."""
    name = f"both-{time.time_ns()}"
    async with connect(at(running.port)) as here, connect(at(second)) as there:
        once = login(running, "alice")
        await here.send(once)
        assert (await hear(here, id=1))["op"] == "logged_in"
        await there.send(once)
        assert (await hear(there, id=1))["code"] == "request_replayed"
        await asyncio.sleep(0.002)  # another millisecond, another signature
        await there.send(login(running, "alice"))
        assert (await hear(there, id=1))["op"] == "logged_in"
        first = await ask(here, 2, "place", **ORDER, client_order_id=name)
        again = await ask(there, 3, "place", **ORDER, client_order_id=name)
        assert (first["status"], again["status"]) == (201, 200)
        assert again["result"]["order_id"] == first["result"]["order_id"]
        gone = await ask(there, 4, "cancel", symbol="ETH/USDT", client_order_id=name)
        assert gone["result"]["status"] == "cancelled"


async def test_a_signed_request_sent_again_is_the_same_order(
    running: RunningExchange, second: int
) -> None:
    """The very bytes, at the other gateway, within their window: a repeat and no second order."""
    account, timestamp = running.accounts["bob"], str(time.time_ns() // 1_000_000)
    body = json.dumps(ORDER).encode()
    parts = SignedParts("POST", b"/v1/orders", body=body)
    headers = {
        "RIALTO-KEY": account.api_key,
        "RIALTO-TIMESTAMP": timestamp,
        "RIALTO-WINDOW": "60000",
        "RIALTO-SIGNATURE": sign(account.api_secret.encode(), timestamp, parts),
        "Content-Type": "application/json",
    }
    answers = []
    async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
        for port in (running.port, second):
            target = f"http://127.0.0.1:{port}/v1/orders"
            answers.append(await http.post(target, content=body, headers=headers))
    assert [one.status_code for one in answers] == [201, 200]
    assert len({one.json()["order_id"] for one in answers}) == 1
    await running.request("bob", "DELETE", "/v1/orders")


async def test_a_revoked_key_ends_its_sockets_at_both(
    running: RunningExchange, second: int
) -> None:
    """Within seconds, with the code that says why."""
    account = await running.add_customer(f"erin-{time.time_ns()}")
    async with connect(at(running.port)) as here, connect(at(second)) as there:
        for client in (here, there):
            await asyncio.sleep(0.002)
            await client.send(login(running, account.name))
            assert (await hear(client, id=1))["op"] == "logged_in"
        gone = await running.request(account.name, "DELETE", f"/v1/keys/{account.api_key}")
        assert gone.status_code == 200, gone.text
        for client in (here, there):
            with pytest.raises(ConnectionClosed) as caught:
                await hear(client, never="heard")
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 4001


async def test_compressed_frames_are_not_read(running: RunningExchange) -> None:
    """Compression is never agreed on, so a bomb is a protocol error before anything unpacks it."""
    async with connect(at(running.port), compression="deflate") as client:
        assert client.protocol.extensions == []
        compressed_text, masked = 0x80 | 0x40 | 0x01, 0x80
        client.transport.write(bytes((compressed_text, masked | 100)) + bytes(4) + bytes(100))
        with pytest.raises(ConnectionClosed) as caught:
            await hear(client, never="heard")
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1002


async def test_who_loses_a_gateway_misses_nothing(running: RunningExchange, second: int) -> None:
    """One is killed in the middle: at the other the account goes on after the last sequence."""
    name = f"frank-{time.time_ns()}"
    await running.add_customer(name)
    for asset in (USDT, ETH):
        await running.credit(name, asset, "1000")
    told: list[tuple[int, str]] = []
    placed: list[str] = []

    async def place(count: int) -> None:
        for _ in range(count):
            price = f"{2200 + len(placed)}"
            answer = await running.place(name, "buy", price, "0.01")
            placed.append(answer.json()["order_id"])

    async def listen(client: ClientConnection, until: int) -> None:
        while len(told) < until:
            update = await hear(client, channel="account", type="update")
            told.extend(
                (update["seq"], event["order"]["order_id"])
                for event in update["events"]
                if event["event"] == "order_placed"
            )

    async with connect(at(second)) as client:
        await client.send(login(running, name))
        await client.send('{"op":"subscribe","channel":"account"}')
        await hear(client, type="snapshot")
        await place(3)
        await listen(client, 3)
        running.kill(SECOND)
        with pytest.raises(ConnectionClosed):
            await hear(client, never="heard")
    await place(3)
    async with connect(at(running.port)) as client:
        await asyncio.sleep(0.002)
        await client.send(login(running, name))
        after = {"0": told[-1][0]}
        await client.send(json.dumps({"op": "subscribe", "channel": "account", "after": after}))
        await hear(client, type="resumed")
        await place(1)
        await listen(client, 7)
    assert [order_id for _, order_id in told] == placed
    await running.request(name, "DELETE", "/v1/orders")
