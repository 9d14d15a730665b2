"""The WebSocket of a running exchange: real gateway, real engine, real Redis."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from domain.market_data import checksum
from tests.api.running import RunningExchange

_TRADES = "/v1/markets/ETH-USDT/trades?limit=100"

pytestmark = pytest.mark.servers


class Reader:
    """A client that keeps a book and checks every message of it."""

    def __init__(self, client: ClientConnection) -> None:
        self.client = client
        self.sequence = -1
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}

    async def send(self, **request: Any) -> None:
        """Send a request."""
        await self.client.send(json.dumps(request))

    async def next(self, **wanted: Any) -> dict[str, Any]:
        """Return the next message with these members, applying book messages on the way."""
        async with asyncio.timeout(30):
            while True:
                message: dict[str, Any] = json.loads(await self.client.recv())
                if message.get("channel") == "book" and "type" in message:
                    self._book(message)
                if wanted.items() <= message.items():
                    return message

    def _book(self, message: dict[str, Any]) -> None:
        if message["type"] == "snapshot":
            self.bids, self.asks = dict(message["bids"]), dict(message["asks"])
        else:
            assert message["prev_seq"] <= self.sequence < message["seq"]
            for mine, changes in ((self.bids, message["bids"]), (self.asks, message["asks"])):
                for price, quantity in changes:
                    mine[price] = quantity
                    if quantity == "0":
                        del mine[price]
        self.sequence = message["seq"]
        bids = sorted(self.bids.items(), key=lambda level: float(level[0]), reverse=True)
        asks = sorted(self.asks.items(), key=lambda level: float(level[0]))
        assert checksum(bids, asks) == message["checksum"]


async def _subscribed(running: RunningExchange, client: ClientConnection, channel: str) -> Reader:
    reader = Reader(client)
    await reader.send(op="subscribe", channel=channel, symbol="ETH/USDT", id=1)
    await reader.next(op="subscribed")
    await reader.next(channel=channel, type="snapshot")
    return reader


async def test_book_snapshot_then_deltas(running: RunningExchange) -> None:
    """An order shows as a delta whose sequence is the order's; a cancel takes it away again."""
    async with connect(running.ws_url) as client:
        reader = await _subscribed(running, client, "book")
        order = (await running.place("alice", "buy", "2400.07", "0.5")).json()
        while "2400.07" not in reader.bids:
            delta = await reader.next(channel="book", type="delta")
        assert reader.bids["2400.07"] == "0.5"
        assert delta["seq"] == order["sequence"]
        await running.request("alice", "DELETE", f"/v1/orders/{order['order_id']}")
        while "2400.07" in reader.bids:
            await reader.next(channel="book", type="delta")


async def test_the_book_equals_rest_after_a_storm(running: RunningExchange) -> None:
    """After many orders of two customers, our copy of the book is the REST book."""
    async with connect(running.ws_url) as client:
        reader = await _subscribed(running, client, "book")
        for number in range(30):
            await running.place("alice", "buy", f"{2450 + number % 7}.5", "0.3")
            await running.place("bob", "sell", f"{2452 + number % 5}.5", "0.2")
        last = (await running.place("alice", "buy", "2301.23", "0.1")).json()
        while reader.sequence < last["sequence"]:
            await reader.next(channel="book", type="delta")
        async with running.engine("reader") as engine:
            _, bids, asks = await engine.book(1)
        assert [int(float(price) * 100 + 0.5) for price in sorted(reader.bids, key=float)] == [
            ticks for ticks, _ in reversed(bids)
        ]
        assert len(reader.asks) == len(asks)
        for name in ("alice", "bob"):
            await running.request(name, "DELETE", "/v1/orders")


async def test_trades_and_candles(running: RunningExchange) -> None:
    """A trade is on the tape with the taker's side, and in the minute's candle."""
    async with connect(running.ws_url) as client:
        tape = await _subscribed(running, client, "trades")
        await tape.send(op="subscribe", channel="candles", symbol="ETH/USDT")
        await running.place("alice", "sell", "2500.11", "0.25")
        taken = (await running.place("bob", "buy", "2500.11", "0.25")).json()
        update = await tape.next(channel="trades", type="update")
        trade = update["trades"][-1]
        assert trade["trade_id"] == taken["fills"][0]["trade_id"]
        assert (trade["price"], trade["quantity"], trade["side"]) == ("2500.11", "0.25", "buy")
        candle = (await tape.next(channel="candles", type="update"))["candle"]
        assert candle["close"] == "2500.11"
        answer = await running.request("bob", "GET", "/v1/markets/ETH-USDT/trades?limit=1")
        assert answer.json()["trades"][0]["trade_id"] == trade["trade_id"]


@pytest.mark.parametrize(
    ("request_text", "code"),
    [
        ("{", "malformed_request"),
        ("[]", "malformed_request"),
        ('{"op":"subscribe","channel":"book","symbol":"ETH/USDT","evil":1}', "malformed_request"),
        ('{"op":"ping","id":1,"id":2}', "malformed_request"),
        ('{"op":"explode"}', "unknown_op"),
        ('{"op":"subscribe","channel":"accounts","symbol":"ETH/USDT"}', "unknown_channel"),
        ('{"op":"subscribe","channel":"account"}', "missing_credentials"),
        ('{"op":"subscribe","channel":"book","symbol":"NO/NO"}', "unknown_symbol"),
    ],
)
async def test_wrong_requests_are_answered(
    running: RunningExchange, request_text: str, code: str
) -> None:
    """A mistake is answered with a code, and the connection lives on."""
    async with connect(running.ws_url) as client:
        await client.send(request_text)
        assert json.loads(await client.recv())["code"] == code
        await client.send('{"op":"ping","id":7}')
        assert json.loads(await client.recv())["id"] == 7


async def test_resubscribe_gives_a_fresh_snapshot(running: RunningExchange) -> None:
    """The way out of a gap, on the same socket; subscribing twice is an error."""
    async with connect(running.ws_url) as client:
        reader = await _subscribed(running, client, "book")
        await reader.send(op="subscribe", channel="book", symbol="ETH/USDT")
        assert (await reader.next(op="error"))["code"] == "already_subscribed"
        await reader.send(op="resubscribe", channel="book", symbol="ETH-USDT")
        await reader.next(channel="book", type="snapshot")
        await reader.send(op="unsubscribe", channel="book", symbol="ETH/USDT")
        await reader.next(op="unsubscribed")


async def _flood(client: ClientConnection) -> None:
    for _ in range(2_000):
        await client.send('{"op":"ping"}')
    while True:
        await client.recv()


async def test_a_flood_of_requests_is_closed(running: RunningExchange) -> None:
    """Beyond its allowance a client is closed with a code; an honest one is not disturbed."""
    async with connect(running.ws_url) as honest, connect(running.ws_url) as client:
        with pytest.raises(ConnectionClosed) as caught:
            await _flood(client)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 4029
        await honest.send('{"op":"ping","id":1}')
        assert json.loads(await honest.recv())["op"] == "pong"


async def test_a_giant_message_is_closed(running: RunningExchange) -> None:
    """Frames beyond 4 KiB are not read."""
    async with connect(running.ws_url) as client:
        await client.send("x" * 10_000)
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009


async def test_a_flushed_redis_heals(running: RunningExchange) -> None:
    """FLUSHALL loses the hot copies; they are written again and new subscribers start from them."""
    async with Redis.from_url(running.redis_url) as redis:
        await redis.flushall()
    await running.place("alice", "buy", "2333.33", "0.1")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        async with connect(running.ws_url) as client:
            reader = await _subscribed(running, client, "book")
            if "2333.33" in reader.bids:
                break
        await asyncio.sleep(0.1)
    assert "2333.33" in reader.bids
    await running.request("alice", "DELETE", "/v1/orders")


async def test_a_killed_market_data_process_comes_back_without_a_hole(
    running: RunningExchange,
) -> None:
    """Orders while it is dead are in the book and in the candles afterwards."""
    async with connect(running.ws_url) as client:
        reader = await _subscribed(running, client, "book")
        earlier = (await running.request("alice", "GET", _TRADES)).json()["trades"]
        running.kill("market-data-0")
        await running.place("alice", "sell", "2499.99", "0.5")
        taken = (await running.place("bob", "buy", "2499.99", "0.2")).json()
        await running.place("alice", "buy", "2345.67", "0.1")
        running.launch("market-data-0", "workers.market_data")
        await running.ready("market-data-0")
        while "2345.67" not in reader.bids:
            await reader.next(channel="book")
        assert reader.asks["2499.99"] == "0.3"
    deadline = time.monotonic() + 30
    fills = [fill["trade_id"] for fill in taken["fills"]]
    while time.monotonic() < deadline:
        trades = (await running.request("alice", "GET", _TRADES)).json()["trades"]
        if fills[0] in [trade["trade_id"] for trade in trades]:
            break
        await asyncio.sleep(0.1)
    ids = [trade["trade_id"] for trade in trades]
    assert ids == ([*reversed(fills)] + [trade["trade_id"] for trade in earlier])[:100]
    await running.request("alice", "DELETE", "/v1/orders")
