"""The demo's traders: makers quote, takers trade against them, gamblers are liquidated.

They are ordinary customers: they use the signed public API over one keep-alive connection each,
and have to live with its refusals and limits. About 35 orders a second together. Each has its
market; the first pair also takes up whatever spot market is listed meanwhile in assets that it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

import structlog
from redis.asyncio import Redis

from api.client import markets
from api.client.account import ApiAccount
from api.client.errors import ClientError
from api.client.http import AsyncClient
from api.schemas.markets import MarketOut
from infra.heartbeat import Heartbeat
from infra.settings import Settings
from infra.telemetry import configure_logging
from workers.bot import Bot, BotMarket
from workers.demo_listings import BOT_MARKETS, FEED_SYMBOL
from workers.demo_perpetuals import PERPETUAL_BOTS
from workers.perpetual_bots import PerpetualTrader, Surroundings
from workers.spot_bots import SpotTrader
from workers.stopping import stop_on_signals

_LOOK_SECONDS = 2.0  # between two looks at which markets there are
_PATIENCE_SECONDS = 1.0  # a turn that fails is not worth more: the next one comes soon
_FIRST = "1"  # the bots of this number trade new markets, too
_WORTH = {"BTC": 60_000.0, "ETH": 2_500.0}  # about; bots trade similar values in all markets

log = structlog.get_logger(__name__)


class Trader(Protocol):
    """A bot in one market."""

    async def trade(self, stopping: asyncio.Event) -> None:
        """Trade until told to stop."""


class Pit:
    """Where the bots are sent to: each to its own market, the first pair to new ones as well."""

    def __init__(
        self,
        spot: Sequence[Bot],
        perpetual: Mapping[str, Bot],
        base_url: str,
        around: Surroundings,
    ) -> None:
        self._spot = spot
        self._perpetual = perpetual  # by the customer's name
        self._around = around
        self._client = _client(base_url)
        self._sent: set[tuple[str, str]] = set()

    async def next_traders(self) -> AsyncIterator[Trader]:
        """Yield who is to begin to trade; nobody while the gateway does not answer."""
        try:
            for market in (await self._client.send(markets.listed())).markets:
                new = self._spot_traders if market.perpetual is None else self._perpetual_traders
                async for trader in new(market):
                    yield trader
        except ClientError as error:
            log.info("the gateway does not answer", error=str(error)[:200])

    async def _spot_traders(self, market: MarketOut) -> AsyncIterator[Trader]:
        for bot in self._spot:
            place = (bot.account.name, market.symbol)
            if place not in self._sent and await self._is_for(bot, market):
                known = await _market(self._client, market)
                self._sent.add(place)
                yield SpotTrader(bot, known)

    async def _perpetual_traders(self, market: MarketOut) -> AsyncIterator[Trader]:
        for who in PERPETUAL_BOTS:
            place = (who.customer.name, who.symbol)
            bot = self._perpetual.get(who.customer.name)
            if bot is not None and who.symbol == market.symbol and place not in self._sent:
                known = await _market(self._client, market)
                self._sent.add(place)
                yield PerpetualTrader(bot, who, known, self._around)

    async def _is_for(self, bot: Bot, market: MarketOut) -> bool:
        number = bot.account.name.rpartition("-")[2]
        if market.symbol == BOT_MARKETS[number]:
            return True
        own = {BOT_MARKETS[other.account.name.rpartition("-")[2]] for other in self._spot}
        if number != _FIRST or market.symbol in {*own, FEED_SYMBOL} or market.state != "open":
            return False
        return market.shard == 0 and await bot.owns({market.base, market.quote})

    async def close(self) -> None:
        """Hang up."""
        await self._client.close()


async def _market(client: AsyncClient, listed: MarketOut) -> BotMarket:
    trades = (await client.send(markets.trades(listed.symbol, limit=1))).trades
    price = float(trades[0].price if trades else listed.listing_price)
    tick, lot = listed.tick_size, listed.lot_size
    return BotMarket(
        symbol=listed.symbol,
        tick_size=float(tick),
        tick_decimals=len(tick.partition(".")[2]),
        lot_size=float(lot),
        lot_decimals=len(lot.partition(".")[2]),
        start_ticks=round(price / float(tick)),
        quote_worth=_WORTH.get(listed.quote, 1.0),
    )


def _client(base_url: str) -> AsyncClient:
    return AsyncClient(base_url, patience_seconds=_PATIENCE_SECONDS)


async def run(settings: Settings, seed: int, stopping: asyncio.Event) -> None:
    """Trade with every account of `secrets/bots.json` until told to stop."""
    base_url = settings.gateway_public_url or (
        f"http://{settings.gateway_host}:{settings.gateway_port}"
    )
    content = json.loads((settings.secrets_dir / "bots.json").read_text())
    spot, perpetual = (
        [Bot(ApiAccount(**account), _client(base_url), seed) for account in content.get(name, [])]
        for name in ("accounts", "perpetual")
    )
    bots = [*spot, *perpetual]
    redis = Redis.from_url(settings.redis_url)
    heartbeat = Heartbeat("bots", settings.run_dir, redis)
    around = Surroundings(settings.chain_url, settings.run_dir)
    pit = Pit(spot, {bot.account.name: bot for bot in perpetual}, base_url, around)
    looked_at = 0.0
    async with asyncio.TaskGroup() as group:
        while not stopping.is_set():
            if time.monotonic() - looked_at > _LOOK_SECONDS:
                looked_at = time.monotonic()
                async for trader in pit.next_traders():
                    group.create_task(trader.trade(stopping))
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
