"""Loopback servers that speak as the venues' documents say, and clocks for their prices."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from websockets.asyncio.server import ServerConnection, serve

from infra.prices.binance import Binance
from infra.prices.coinbase import Coinbase
from infra.prices.kraken import Kraken
from infra.prices.source import PricedMarket
from infra.prices.venue import Dialect, Patience, VenueSource

NOW_US = 1_795_773_600_123_000
BTC = PricedMarket(1, "BTC/USDT", "BTC", "USDT", "0.1", 670_000)
ETH = PricedMarket(2, "ETH/USDT", "ETH", "USDT", "0.01", 350_000)
QUICK = Patience(
    handshake_seconds=5.0,
    silence_seconds=10.0,
    first_pause_seconds=0.01,
    last_pause_seconds=0.05,
    max_garbage=5,
    max_frame_bytes=4096,
)


def iso(time_us: int) -> str:
    """Return a time as Coinbase and Kraken write it."""
    seconds, rest = divmod(time_us, 1_000_000)
    whole = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{rest:06}Z"


def binance_trade(base: str, price: str, time_us: int = NOW_US) -> str:
    """Return a combined stream's trade; the price is a string."""
    return json.dumps(
        {
            "stream": f"{base.lower()}usdt@trade",
            "data": {
                "e": "trade",
                "E": time_us // 1000 + 1,
                "s": f"{base}USDT",
                "t": 4_411_000_123,
                "p": price,
                "q": "0.00213000",
                "T": time_us // 1000,
                "m": True,
                "M": True,
            },
        }
    )


def coinbase_ticker(base: str, price: str, time_us: int = NOW_US) -> str:
    """Return a ticker message."""
    return json.dumps(
        {
            "type": "ticker",
            "sequence": 37_475_248_783,
            "product_id": f"{base}-USDT",
            "price": price,
            "open_24h": "66001.2",
            "volume_24h": "245.28",
            "low_24h": "65000",
            "high_24h": "68000.5",
            "volume_30d": "9788.7",
            "best_bid": "66999.9",
            "best_bid_size": "0.15",
            "best_ask": "67000.2",
            "best_ask_size": "0.4",
            "side": "buy",
            "time": iso(time_us),
            "trade_id": 370_843_401,
            "last_size": "0.0114",
        }
    )


def kraken_trade(base: str, price: str, time_us: int = NOW_US) -> str:
    """Return a trade update; the price is a number, with its digits as they are given."""
    trade = {
        "symbol": f"{base}/USDT",
        "side": "sell",
        "price": "PRICE",
        "qty": 0.0471,
        "ord_type": "market",
        "trade_id": 4665906,
        "timestamp": iso(time_us),
    }
    frame = json.dumps({"channel": "trade", "type": "update", "data": [trade]})
    return frame.replace('"PRICE"', price)


IMPATIENT = replace(QUICK, handshake_seconds=0.3, silence_seconds=0.3)


@dataclass(frozen=True)
class SpokenVenue:
    """A dialect with what its server says: one price, small talk, and a refusal."""

    dialect: Dialect
    trade: Callable[..., str]
    small_talk: tuple[str, ...]
    refusal: str


VENUES = {
    "binance": SpokenVenue(
        Binance(),
        binance_trade,
        ('{"result":null,"id":1}',),
        '{"error":{"code":2,"msg":"Invalid request: unknown stream"}}',
    ),
    "coinbase": SpokenVenue(
        Coinbase(),
        coinbase_ticker,
        (
            '{"type":"subscriptions","channels":[{"name":"ticker","product_ids":["BTC-USDT"]}]}',
            '{"type":"heartbeat","sequence":90,"product_id":"BTC-USDT","last_trade_id":20}',
        ),
        '{"type":"error","message":"Failed to subscribe","reason":"BTC-USDT is not a product"}',
    ),
    "kraken": SpokenVenue(
        Kraken(),
        kraken_trade,
        (
            '{"channel":"status","type":"update","data":[{"api_version":"v2","system":"online"}]}',
            '{"method":"subscribe","result":{"channel":"trade","symbol":"BTC/USDT"},"success":true}',
            '{"channel":"heartbeat"}',
        ),
        '{"error":"Currency pair not supported BTC/USDT","method":"subscribe","success":false}',
    ),
}


@dataclass
class Door:
    """A venue's door on loopback: `act` is what each session does, in order, the last again."""

    acts: list[Callable[[ServerConnection], Awaitable[None]]]
    heard: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    sessions: int = 0
    url: str = ""

    async def session(self, connection: ServerConnection) -> None:
        act = self.acts[min(self.sessions, len(self.acts) - 1)]
        self.sessions += 1
        assert connection.request is not None
        self.paths.append(connection.request.path)
        await act(connection)


@asynccontextmanager
async def door(*acts: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[Door]:
    """Open a venue's door."""
    found = Door(list(acts))
    async with serve(found.session, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        found.url = f"ws://127.0.0.1:{port}"
        yield found


def saying(*frames: str) -> Callable[[ServerConnection], Awaitable[None]]:
    """Return a session that says these and then waits for the other side to leave."""

    async def act(connection: ServerConnection) -> None:
        for frame in frames:
            await connection.send(frame)
        await connection.wait_closed()

    return act


@asynccontextmanager
async def running(
    venue: SpokenVenue, url: str, *, patience: Patience = QUICK, markets: tuple[PricedMarket, ...]
) -> AsyncIterator[VenueSource]:
    """Run a source against a door, with the clock standing at `NOW_US`."""
    source = VenueSource(venue.dialect, lambda: NOW_US, url=url, patience=patience)
    source.watch(markets)
    task = asyncio.create_task(source.run())
    try:
        yield source
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.005)
