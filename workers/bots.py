"""The demo's traders: makers quote around a seeded random walk, takers trade against them.

They are ordinary customers: they use the signed public API over one keep-alive connection each,
and have to live with its refusals and limits. About 25 orders a second together. Each has its
market; the first pair also takes up whatever is listed meanwhile in assets that it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import structlog
from redis.asyncio import Redis

from infra.heartbeat import Heartbeat
from infra.settings import Settings
from infra.telemetry import configure_logging
from workers.api_client import ApiAccount
from workers.demo_listings import BOT_MARKETS, FEED_SYMBOL
from workers.stopping import stop_on_signals

MAKER_SECONDS = 0.8
TAKER_SECONDS = 0.4
LEVELS = 5
_RETRY_SECONDS = 1.0
_REVERSION = 0.002  # share of the way back to the listing price, each step
_VOLATILITY = 0.00025  # standard deviation of a step, as a share of the price

_LOOK_SECONDS = 2.0  # between two looks at which markets there are
_FIRST = "1"  # the bots of this number trade new markets, too
_WORTH = {"BTC": 60_000.0, "ETH": 2_500.0}  # about; bots trade similar values in all markets

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BotMarket:
    """What a bot knows about a market; prices in ticks, quantities in lots."""

    symbol: str
    tick_size: float
    tick_decimals: int
    lot_size: float
    lot_decimals: int
    start_ticks: int
    quote_worth: float = 1.0  # of one unit of quote, in the currency that bots think in

    def price(self, ticks: int) -> str:
        """Return a price as the API wants it."""
        return f"{ticks * self.tick_size:.{self.tick_decimals}f}"

    def quantity(self, value: float, ticks: int) -> str:
        """Return base worth about `value`, at least one lot."""
        price = ticks * self.tick_size * self.quote_worth
        lots = max(1, round(value / price / self.lot_size))
        return f"{lots * self.lot_size:.{self.lot_decimals}f}"


class RandomWalk:
    """A price that wanders and slowly comes back; the same seed wanders the same way."""

    def __init__(self, seed: int, start_ticks: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a demo's prices, not a secret
        self._home = self._at = float(start_ticks)

    def step(self) -> int:
        """Move and return the new price in ticks."""
        self._at += (self._home - self._at) * _REVERSION
        self._at *= 1 + self._random.gauss(0, _VOLATILITY)
        return max(LEVELS + 2, round(self._at))


class Bot:
    """One customer with its own connection."""

    def __init__(self, account: ApiAccount, base_url: str, seed: int) -> None:
        self.account = account
        self.random = random.Random(f"{seed}/{account.name}")  # noqa: S311
        self.order_count = 0
        self._http = httpx.AsyncClient(base_url=base_url, timeout=5.0)

    async def request(self, method: str, target: str, body: Any = None) -> httpx.Response:
        """Send one signed request."""
        text = "" if body is None else json.dumps(body, separators=(",", ":"))
        headers = self.account.headers(method, target, text)
        return await self._http.request(method, target, content=text, headers=headers)

    async def trade(self, stopping: asyncio.Event, market: BotMarket) -> None:
        """Trade until told to stop, and through everything that fails on the way."""
        turns = (
            self._maker(market) if self.account.name.startswith("maker") else self._taker(market)
        )
        while not stopping.is_set():
            operations, pause = next(turns)
            try:
                answer = await self.request("POST", "/v1/orders/batch", {"operations": operations})
            except httpx.HTTPError:
                pause = _RETRY_SECONDS
            else:
                self.order_count += sum(item["op"] == "place" for item in operations)
                if answer.status_code != 200:
                    log.info("the exchange refused", bot=self.account.name, body=answer.text[:200])
                    pause = _RETRY_SECONDS
                elif '"symbol_delisted"' in answer.text:
                    return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause)

    async def owns(self, codes: set[str]) -> bool:
        """Return whether the account has free trading balance of each of these assets."""
        try:
            answer = await self.request("GET", "/v1/balances")
            rows = answer.raise_for_status().json()["balances"]
        except httpx.HTTPError:
            return False
        return codes <= {row["asset"] for row in rows if float(row["available"])}

    async def close(self) -> None:
        """Cancel everything that is open and hang up."""
        with contextlib.suppress(httpx.HTTPError):
            await self.request("DELETE", "/v1/orders")
        await self._http.aclose()

    def _maker(self, market: BotMarket) -> Iterator[tuple[list[dict[str, Any]], float]]:
        """Quote `LEVELS` prices on each side of the walk; each turn replaces the last one's."""
        walk = RandomWalk(self.random.getrandbits(64), market.start_ticks)
        run = time.time_ns()  # client order ids must be new after a restart
        quoted: list[str] = []
        spread = max(1, round(market.start_ticks * 0.0002))
        for turn in itertools.count():
            middle = walk.step()
            operations: list[dict[str, Any]] = [
                {"op": "cancel", "symbol": market.symbol, "client_order_id": name}
                for name in quoted
            ]
            quoted = []
            for level, side in itertools.product(range(LEVELS), ("buy", "sell")):
                away = spread * (level + 1) + self.random.randrange(spread + 1)
                ticks = middle - away if side == "buy" else middle + away
                name = f"m{run:x}-{turn}-{side[0]}{level}"
                quoted.append(name)
                operations.append(
                    _place(market, side, ticks, self.random.uniform(500, 4000) * (level + 1))
                    | {"client_order_id": name}
                )
            yield operations[:20], MAKER_SECONDS

    def _taker(self, market: BotMarket) -> Iterator[tuple[list[dict[str, Any]], float]]:
        """Buy or sell at the market; now and then leave an order further away, for a while."""
        resting: list[str] = []
        run = time.time_ns()
        for turn in itertools.count():
            side = self.random.choice(("buy", "sell"))
            pause = self.random.expovariate(1 / TAKER_SECONDS)
            if turn % 4:
                worth = self.random.lognormvariate(6, 1)
                order = _place(market, side, market.start_ticks, worth)
                del order["price"]
                yield [order | {"type": "market"}], pause
                continue
            away = round(market.start_ticks * self.random.uniform(0.002, 0.02))
            ticks = market.start_ticks + (away if side == "sell" else -away)
            name = f"n{run:x}-{turn}"
            operations = [
                _place(market, side, ticks, self.random.uniform(100, 2000))
                | {"client_order_id": name, "post_only": True}
            ]
            resting.append(name)
            if len(resting) > 20:
                operations.append(
                    {"op": "cancel", "symbol": market.symbol, "client_order_id": resting.pop(0)}
                )
            yield operations, pause


def _place(market: BotMarket, side: str, ticks: int, worth: float) -> dict[str, Any]:
    return {
        "op": "place",
        "symbol": market.symbol,
        "side": side,
        "price": market.price(ticks),
        "quantity": market.quantity(worth, ticks),
    }


class Pit:
    """Where the bots are sent to: each to its own market, the first pair to new ones as well."""

    def __init__(self, bots: list[Bot], base_url: str) -> None:
        self._bots = bots
        self._http = httpx.AsyncClient(base_url=base_url, timeout=5.0)
        self._sent: set[tuple[str, str]] = set()

    async def next_tasks(self) -> list[tuple[Bot, BotMarket]]:
        """Return who is to begin to trade which market; none while the gateway does not answer."""
        found = []
        try:
            listed = (await self._http.get("/v1/markets")).raise_for_status().json()["markets"]
            for market in listed:
                for bot in self._bots:
                    place = (bot.account.name, market["symbol"])
                    if place not in self._sent and await self._is_for(bot, market):
                        found.append((bot, await _market(self._http, market)))
                        self._sent.add(place)
        except httpx.HTTPError as error:
            log.info("the gateway does not answer", error=str(error)[:200])
        return found

    async def _is_for(self, bot: Bot, market: dict[str, Any]) -> bool:
        number = bot.account.name.rpartition("-")[2]
        if market["symbol"] == BOT_MARKETS[number]:
            return True
        own = {BOT_MARKETS[other.account.name.rpartition("-")[2]] for other in self._bots}
        if number != _FIRST or market["symbol"] in {*own, FEED_SYMBOL} or market["state"] != "open":
            return False
        return market["shard"] == 0 and await bot.owns({market["base"], market["quote"]})

    async def close(self) -> None:
        """Hang up."""
        await self._http.aclose()


async def _market(http: httpx.AsyncClient, listed: dict[str, Any]) -> BotMarket:
    path = f"/v1/markets/{listed['symbol'].replace('/', '-')}/trades?limit=1"
    trades = (await http.get(path)).raise_for_status().json()["trades"]
    price = float(trades[0]["price"] if trades else listed["listing_price"])
    tick, lot = listed["tick_size"], listed["lot_size"]
    return BotMarket(
        symbol=listed["symbol"],
        tick_size=float(tick),
        tick_decimals=len(tick.partition(".")[2]),
        lot_size=float(lot),
        lot_decimals=len(lot.partition(".")[2]),
        start_ticks=round(price / float(tick)),
        quote_worth=_WORTH.get(listed["quote"], 1.0),
    )


async def run(settings: Settings, seed: int, stopping: asyncio.Event) -> None:
    """Trade with every account of `secrets/bots.json` until told to stop."""
    base_url = settings.gateway_public_url or (
        f"http://{settings.gateway_host}:{settings.gateway_port}"
    )
    accounts = json.loads((settings.secrets_dir / "bots.json").read_text())["accounts"]
    bots = [Bot(ApiAccount(**account), base_url, seed) for account in accounts]
    redis = Redis.from_url(settings.redis_url)
    heartbeat = Heartbeat("bots", settings.run_dir, redis)
    pit = Pit(bots, base_url)
    looked_at = 0.0
    async with asyncio.TaskGroup() as group:
        while not stopping.is_set():
            if time.monotonic() - looked_at > _LOOK_SECONDS:
                looked_at = time.monotonic()
                for bot, market in await pit.next_tasks():
                    group.create_task(bot.trade(stopping, market))
            await heartbeat.beat(detail={"orders": sum(bot.order_count for bot in bots)})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), 1.0)
    await asyncio.gather(*(bot.close() for bot in bots), pit.close())
    await redis.aclose()


async def _until_signal(settings: Settings, seed: int) -> None:
    stopping = stop_on_signals()
    trading = asyncio.create_task(run(settings, seed, stopping))
    stopped = asyncio.create_task(stopping.wait())
    await asyncio.wait([trading, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    try:
        await asyncio.wait_for(trading, 10.0)
    except TimeoutError:
        log.warning("stopped while waiting for the gateway")


def main() -> None:
    """Run the bots; RIALTO_BOTS_SEED makes them trade the same way each time."""
    import uvloop

    settings = Settings()
    configure_logging("bots", settings.log_level, settings.log_format)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    seed = int(os.environ.get("RIALTO_BOTS_SEED", "0")) or time.time_ns()
    log.info("bots start", seed=seed)
    uvloop.run(_until_signal(settings, seed))
