"""ccxt.pro's book against ours while connections and the feed are dropped by force."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Awaitable
from typing import Any

import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import connect

from tests.api.binance.pro import client_of
from tests.api.memory import ETH, USDT
from tests.api.running import RunningExchange

pytestmark = [pytest.mark.servers, pytest.mark.long]
SYMBOL = "ETH/USDT"
SECONDS = float(os.environ.get("RIALTO_BOOK_SECONDS", "60"))
_DROP_SECONDS = 3.0
_Book = tuple[list[list[float]], list[list[float]]]


class Ours:
    """Our own book at each of its sequences, from the native channel."""

    def __init__(self) -> None:
        self.at: dict[int, _Book] = {}
        self._bids: dict[str, str] = {}
        self._asks: dict[str, str] = {}

    async def follow(self, url: str) -> None:
        """Keep it until cancelled."""
        async with connect(url) as socket:
            ask = {"op": "subscribe", "channel": "book", "symbol": SYMBOL}
            await socket.send(json.dumps(ask))
            async for message in socket:
                self._take(json.loads(message))

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("type") == "snapshot":
            self._bids, self._asks = dict(message["bids"]), dict(message["asks"])
        elif message.get("type") == "delta":
            for side, changes in ((self._bids, message["bids"]), (self._asks, message["asks"])):
                side.update(changes)
                for price, quantity in changes:
                    if quantity == "0":
                        del side[price]
        else:
            return
        self.at[message["seq"]] = _sorted(self._bids.items(), self._asks.items())


def _sorted(bids: Any, asks: Any) -> _Book:
    sides = ([[float(price), float(size)] for price, size in side] for side in (bids, asks))
    first, second = sides
    return sorted(first, reverse=True), sorted(second)


class Theirs:
    """The client's book whenever it hands one out, and how often it had to begin again."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, _Book]] = []
        self.restarts = 0

    async def watch(self, client: Any) -> None:
        """Watch until cancelled; whatever the client raises, it is asked again."""
        import ccxt

        while True:
            try:
                book = await client.watch_order_book(SYMBOL)
            except (ccxt.NetworkError, ccxt.ExchangeError):
                self.restarts += 1
                continue
            self.seen.append((book["nonce"], _sorted(book["bids"], book["asks"])))


async def churn(rig: RunningExchange, source: random.Random) -> None:
    """Let two customers place, fill and cancel orders."""
    while True:
        name, side, low = source.choice([("grace", "buy", 2390), ("heidi", "sell", 2405)])
        price = f"{low + source.randint(0, 200) / 10:.2f}"
        await rig.place(name, side, price, f"{source.randint(1, 20) / 100}")
        if source.random() < 0.05:
            await rig.request(name, "DELETE", "/v1/orders")


async def drop(rig: RunningExchange, client: Any, source: random.Random) -> None:
    """Drop the client's sockets, or all subscriptions of the feed, again and again."""
    redis = Redis.from_url(rig.redis_url)
    try:
        while True:
            await asyncio.sleep(_DROP_SECONDS * source.random())
            if source.random() < 0.5:
                await redis.client_kill_filter(_type="pubsub")
            else:
                for one in list(client.clients.values()):
                    if one.connection is not None:
                        await one.connection.close()
    finally:
        await redis.aclose()


async def test_the_clients_book_is_ours_whatever_is_dropped(running: RunningExchange) -> None:
    """Every book that the client hands out is ours at the number that it names."""
    for name in ("grace", "heidi"):
        await running.add_customer(name)
        await running.credit(name, USDT, "1000000")
        await running.credit(name, ETH, "1000")
    ours, theirs, source = Ours(), Theirs(), random.Random(7)
    async with client_of(running, "grace") as client:
        work: list[Awaitable[None]] = [
            ours.follow(running.ws_url),
            theirs.watch(client),
            churn(running, source),
            drop(running, client, source),
        ]
        tasks = [asyncio.ensure_future(one) for one in work]
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            done, _ = await asyncio.wait(tasks, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # what ends by itself has failed
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for name in ("grace", "heidi"):
        await running.request(name, "DELETE", "/v1/orders")
    known = [(ours.at[nonce], book) for nonce, book in theirs.seen if nonce in ours.at]
    assert len(known) > SECONDS
    assert len(known) > 0.9 * len(theirs.seen)
    assert theirs.restarts > 0
    for ours_then, theirs_then in known:
        assert theirs_then == ours_then
