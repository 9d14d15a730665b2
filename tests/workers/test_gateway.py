"""The gateway's process: what it does while the others are away, and how it stops."""

from __future__ import annotations

import asyncio
import signal
import time

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from tests.api.memory import USDT
from tests.api.running import RunningExchange
from workers.gateway import _server
from workers.key_cache import KEY_FRESH_SECONDS


@pytest.mark.parametrize(
    ("proxies", "seen"), [("", "127.0.0.1"), ("127.0.0.1", "9.9.9.9"), ("10.0.0.1", "127.0.0.1")]
)
async def test_only_a_trusted_proxy_says_who_asks(proxies: str, seen: str) -> None:
    """Limits are charged to addresses: nobody chooses his own by a header."""
    found = []

    async def app(scope: Scope, _: Receive, __: Send) -> None:
        found.append(scope["client"][0])

    config = _server(app, proxies).config
    config.load()
    scope = {
        "type": "http",
        "client": ("127.0.0.1", 1),
        "headers": [(b"x-forwarded-for", b"9.9.9.9")],
        "scheme": "http",
    }
    await config.loaded_app(scope, None, None)
    assert found == [seen]


@pytest.mark.servers
async def test_a_revoked_key_dies_within_two_seconds(running: RunningExchange) -> None:
    """Revoked by itself over the API: refused by the running gateway, which remembers keys."""
    account = await running.add_customer("carol")
    assert (await running.request("carol", "GET", "/v1/balances")).status_code == 200
    gone = await running.request("carol", "DELETE", f"/v1/keys/{account.api_key}")
    assert gone.status_code == 200, gone.text
    await asyncio.sleep(KEY_FRESH_SECONDS + 0.2)
    assert (await running.request("carol", "GET", "/v1/balances")).status_code == 401


@pytest.mark.servers
async def test_an_engine_that_dies_and_comes_back(running: RunningExchange) -> None:
    """503 while it is dead; afterwards the same client order id finds the order or places it."""
    order = {
        "symbol": "ETH/USDT",
        "side": "buy",
        "price": "2400",
        "quantity": "0.1",
        "client_order_id": f"survivor-{time.time_ns()}",
    }
    first = await running.request("alice", "POST", "/v1/orders", order)
    assert first.status_code == 201
    running.kill("matching-engine-0")
    async with asyncio.timeout(30):
        while (away := await running.request("alice", "GET", "/v1/orders")).status_code != 503:
            await running.pause()
    assert away.json()["code"] == "engine_unavailable"
    refused = await running.request("alice", "POST", "/v1/orders", order)
    assert refused.json()["outcome"] in ("nothing sent", "unknown")
    running.launch("matching-engine-0", "workers.matching_engine")
    await running.ready("matching-engine-0")
    async with asyncio.timeout(30):
        while (
            again := await running.request("alice", "POST", "/v1/orders", order)
        ).status_code == 503:
            await running.pause()
    assert (again.status_code, again.json()["duplicate"]) == (200, True)
    assert again.json()["order_id"] == first.json()["order_id"]
    await running.request("alice", "DELETE", "/v1/orders")


@pytest.mark.servers
async def test_a_withdrawal_without_temporal_is_accepted(running: RunningExchange) -> None:
    """The rows are there; the sweep starts the workflow when Temporal is back."""
    await running.add_customer("dora")
    await running.credit("dora", USDT, "20")
    body = {
        "asset": "USDT",
        "amount": "20",
        "address": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    }
    listing = {"address": body["address"]}
    listed = await running.request("dora", "POST", "/v1/withdrawal-addresses", listing)
    assert listed.status_code == 201
    headers = {"Idempotency-Key": "w-1", "X-Request-Id": "req-1"}
    async with asyncio.timeout(30):
        while (
            answer := await running.request("dora", "POST", "/v1/withdrawals", body, **headers)
        ).status_code == 503:  # another test has just killed the engine
            await running.pause()
    assert (answer.status_code, answer.json()["state"]) == (202, "requested")
    assert answer.headers["x-request-id"] == "req-1"
    found = (await running.request("dora", "GET", "/v1/withdrawals")).json()["withdrawals"]
    assert [item["withdrawal_id"] for item in found] == [answer.json()["withdrawal_id"]]


@pytest.mark.servers
async def test_deposit_addresses_come_from_the_xpub(running: RunningExchange) -> None:
    """Every customer has an own one, and it stays."""
    first = (await running.request("alice", "GET", "/v1/deposit-addresses")).json()
    again = (await running.request("alice", "GET", "/v1/deposit-addresses")).json()
    other = (await running.request("bob", "GET", "/v1/deposit-addresses")).json()
    assert first == again
    addresses = {line["address"] for line in first["deposit_addresses"]}
    assert len(addresses) == 1
    assert addresses.isdisjoint({line["address"] for line in other["deposit_addresses"]})


@pytest.mark.servers
async def test_sigterm_stops_cleanly(running: RunningExchange) -> None:
    """Exit code 0, its sockets are told why; started again, it serves again."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    async with connect(running.ws_url) as client:
        await client.send('{"op":"ping","id":1}')
        await client.recv()
        process = running.processes["gateway"]
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1001
    running.launch("gateway", "workers.gateway")
    await running.ready("gateway")
    async with httpx.AsyncClient(base_url=running.base_url) as http:
        assert (await http.get("/v1/time")).status_code == 200
