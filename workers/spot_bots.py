"""The demo's traders of spot markets: makers around a seeded random walk, takers against them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import Iterator, Sequence

import structlog

from api.client.errors import ClientError
from api.schemas.orders import SideText
from workers.bot import LEVELS, Bot, BotMarket, Operation, cancelled, placed, quotes, taken

MAKER_SECONDS = 0.8
TAKER_SECONDS = 0.4
_RETRY_SECONDS = 1.0
_REVERSION = 0.002  # share of the way back to the listing price, each step
_VOLATILITY = 0.00025  # standard deviation of a step, as a share of the price

log = structlog.get_logger(__name__)


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


class SpotTrader:
    """A bot in one market: a maker or a taker, as its name says."""

    def __init__(self, bot: Bot, market: BotMarket) -> None:
        self._bot = bot
        self._market = market

    async def trade(self, stopping: asyncio.Event) -> None:
        """Trade until told to stop, and through everything that fails on the way."""
        turns, bot = self.turns(), self._bot
        while not stopping.is_set():
            operations, pause = next(turns)
            try:
                results = await bot.trade(operations)
            except ClientError as error:
                log.info("the exchange refused", bot=bot.account.name, error=str(error)[:200])
                pause = _RETRY_SECONDS
            else:
                if any((one.problem or {}).get("code") == "symbol_delisted" for one in results):
                    return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause)

    def turns(self) -> Iterator[tuple[Sequence[Operation], float]]:
        """Yield what to send each turn, and how long to pause after it."""
        return self._maker() if self._bot.account.name.startswith("maker") else self._taker()

    def _maker(self) -> Iterator[tuple[Sequence[Operation], float]]:
        """Quote `LEVELS` prices on each side of the walk; each turn replaces the last one's."""
        market, chance = self._market, self._bot.random
        walk = RandomWalk(chance.getrandbits(64), market.start_ticks)
        run = time.time_ns()  # client order ids must be new after a restart
        quoted: list[str] = []
        spread = max(1, round(market.start_ticks * 0.0002))
        for turn in itertools.count():
            middle = walk.step()
            new = quotes(market, chance, (middle, spread), (500, 4000), f"m{run:x}-{turn}")
            operations: list[Operation] = [*cancelled(market, quoted), *new.values()]
            quoted = list(new)
            yield operations[:20], MAKER_SECONDS

    def _taker(self) -> Iterator[tuple[Sequence[Operation], float]]:
        """Buy or sell at the market; now and then leave an order further away, for a while."""
        market, chance = self._market, self._bot.random
        resting: list[str] = []
        run = time.time_ns()
        sides: tuple[SideText, ...] = ("buy", "sell")
        for turn in itertools.count():
            side = chance.choice(sides)
            pause = chance.expovariate(1 / TAKER_SECONDS)
            if turn % 4:
                worth = chance.lognormvariate(6, 1)
                yield [taken(market, side, market.start_ticks, worth)], pause
                continue
            away = round(market.start_ticks * chance.uniform(0.002, 0.02))
            ticks = market.start_ticks + (away if side == "sell" else -away)
            name = f"n{run:x}-{turn}"
            order = placed(market, side, ticks, chance.uniform(100, 2000))
            named = {"client_order_id": name, "post_only": True}
            operations: list[Operation] = [order.model_copy(update=named)]
            resting.append(name)
            if len(resting) > 20:
                operations += cancelled(market, [resting.pop(0)])
            yield operations, pause
