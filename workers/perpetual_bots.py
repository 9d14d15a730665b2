"""The demo's traders of perpetuals: makers around the mark, takers, and gamblers.

Ordinary customers on the signed public API, as the spot bots are. A gambler goes in with all that
his leverage allows; then the demo's prices turn against him, until he is liquidated; he deposits
anew on the chain and comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from api.client import accounts, markets, positions
from api.client.errors import ClientError
from api.schemas.orders import BatchPlace, SideText
from infra.prices.shocks import Shock, ShockFile
from infra.wallet import demo as chain_demo
from infra.wallet.rpc import ChainUnavailableError, RpcError
from workers import demo_listings as listings
from workers.bot import Bot, BotMarket, Operation, cancelled, placed, quotes, taken
from workers.demo_perpetuals import PerpetualBot, Role, Weather

_MAKER_SECONDS, _TAKER_SECONDS, _GAMBLER_SECONDS = 0.8, 0.7, 1.0
_RETRY_SECONDS = 1.0
_DEPOSIT_SECONDS = 30.0  # how long a deposit is waited for before another one is made
_CALM_SECONDS = 5.0  # between two turns of the weather
_FIRST_SECONDS = 4.0  # from the bet to the turn
_SPREAD = 0.0002
_MOST_INVENTORY = 300_000.0  # USDT, at which a maker's middle is a spread away from the mark
_MOST_POSITION = 20_000.0  # USDT, beyond which a taker only closes
_BET = 0.8  # share of what the leverage allows; the rest is for fee and slip
_SLIP = 0.0015  # a market order has to have margin for the whole band: so a limit near the mark
_BROKE = 0.3  # share of a stake at which a gambler deposits a new one

_SIDES: tuple[SideText, ...] = ("buy", "sell")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """A bot's position (base, < 0 short), and its account's equity in USDT."""

    quantity: float
    equity: float
    liquidating: bool


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the bots' process gives each of them: the chain to deposit on, the demo's weather."""

    chain_url: str
    run_dir: Path


class PerpetualTrader:
    """One customer in one perpetual market; `trade` goes on until it is told to stop."""

    def __init__(
        self, bot: Bot, who: PerpetualBot, market: BotMarket, around: Surroundings
    ) -> None:
        self._bot = bot
        self._who = who
        self._market = market
        self._around = around
        self._run = f"{time.time_ns():x}"  # client order ids must be new after a restart
        self._turns = itertools.count()
        self._quoted: list[str] = []
        self._standing = Standing(0.0, 0.0, False)
        self._has_leverage = False
        self._is_calm = False
        self._turning_at = 0.0  # when the weather turns against an open bet
        self._fair_at = 0.0  # when the last turn of it is over
        self._is_spared = False  # whether it has turned, and left something of the bet
        self._deposited_at = -_DEPOSIT_SECONDS

    async def trade(self, stopping: asyncio.Event) -> None:
        """Trade until told to stop, and through everything that fails on the way."""
        while not stopping.is_set():
            try:
                pause = await self.turn()
            except (ClientError, ChainUnavailableError, RpcError, TimeoutError) as error:
                log.info("a turn failed", bot=self._bot.account.name, error=str(error)[:200])
                pause = _RETRY_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause)
        if self._who.role is Role.GAMBLER:
            await self._leave()

    async def turn(self) -> float:
        """Do what it does once; return how long to pause, in seconds."""
        await self._choose_leverage()
        match self._who.role:
            case Role.MAKER:
                return await self._quote()
            case Role.TAKER:
                return await self._take()
            case Role.GAMBLER:
                return await self._gamble()

    # ---- what it asks ---------------------------------------------------------------------------

    async def _mark_ticks(self) -> int:
        """Return the mark in ticks; 0 while there is none. Note whether the market is calm."""
        now = (await self._bot.send(markets.funding(self._market.symbol, limit=1))).now
        self._is_calm = now.state == "open" and now.mark_is_fresh
        return round(float(now.mark_price or 0) / self._market.tick_size)

    async def _look(self) -> Standing:
        """Return how the account stands."""
        found = await self._bot.send(positions.listed(self._market.symbol))
        cross = found.cross[0]
        quantity = sum(float(one.quantity) for one in found.positions)
        return Standing(quantity, float(cross.equity), cross.liquidating)

    async def _choose_leverage(self) -> None:
        if not self._has_leverage:
            wanted = positions.set_leverage(self._market.symbol, self._who.leverage)
            await self._bot.send(wanted)
            self._has_leverage = True

    # ---- what it does ---------------------------------------------------------------------------

    async def _quote(self) -> float:
        """Quote `LEVELS` prices on each side of the mark, away from what it has too much of."""
        ticks = await self._mark_ticks()
        if not ticks:
            return _RETRY_SECONDS
        turn = next(self._turns)
        if turn % 5 == 0:
            self._standing = await self._look()
        market = self._market
        spread = max(1, round(ticks * _SPREAD))
        inventory = self._standing.quantity * ticks * market.tick_size
        middle = ticks - round(spread * max(-3.0, min(3.0, inventory / _MOST_INVENTORY)))
        name = f"p{self._run}-{turn}"
        new = quotes(market, self._bot.random, (middle, spread), (4_000, 12_000), name)
        operations: list[Operation] = [*cancelled(market, self._quoted), *new.values()]
        self._quoted = list(new)
        await self._bot.trade(operations)
        return _MAKER_SECONDS

    async def _take(self) -> float:
        """Buy or sell at the market; close what has become too much."""
        ticks = await self._mark_ticks()
        if not ticks:
            return _RETRY_SECONDS
        if next(self._turns) % 5 == 0:
            self._standing = await self._look()
        chance, held = self._bot.random, self._standing.quantity * ticks * self._market.tick_size
        side = chance.choice(_SIDES)
        if abs(held) > _MOST_POSITION:
            side = "sell" if held > 0 else "buy"
        await self._bot.trade([taken(self._market, side, ticks, chance.lognormvariate(6, 1))])
        return chance.expovariate(1 / _TAKER_SECONDS)

    async def _gamble(self) -> float:
        """Deposit, bet, meet the weather, leave what it spared; one of them a turn."""
        now = self._standing = await self._look()
        if now.liquidating:
            return _GAMBLER_SECONDS
        if now.quantity:  # a deposit now would save him
            if time.monotonic() < self._turning_at:
                return _GAMBLER_SECONDS
            if self._is_spared:
                await self._leave()
            else:
                self._turn_weather(1 if now.quantity > 0 else -1)
        elif now.equity < _BROKE * float(self._who.stake):
            await self._deposit()
        else:
            await self._bet(now.equity)
        return _GAMBLER_SECONDS

    async def _bet(self, equity: float) -> None:
        """Go in with all that the leverage allows, once the market is open at a fresh mark."""
        ticks = await self._mark_ticks()
        if not ticks or not self._is_calm or time.monotonic() < self._fair_at:
            return
        side = self._bot.random.choice(_SIDES)
        worst = round(ticks * (1 + _SLIP if side == "buy" else 1 - _SLIP))
        order = placed(self._market, side, worst, equity * self._who.leverage * _BET)
        hasty = order.model_copy(update={"time_in_force": "ioc"})
        (result,) = await self._bot.trade([hasty])
        if result.order is not None:
            self._is_spared = False
            self._turning_at = time.monotonic() + _FIRST_SECONDS

    def _turn_weather(self, direction: int) -> None:
        """Let prices go against a position: down when `direction` is 1, a long."""
        weather = self._who.weather
        assert isinstance(weather, Weather)
        now_us = time.time_ns() // 1_000
        shock = Shock(
            self._market.symbol,
            now_us,
            -direction * weather.ppm,
            weather.ramp_us,
            weather.hold_us,
        )
        ShockFile(self._around.run_dir).add(shock, now_us)
        self._is_spared = True
        self._fair_at = self._turning_at = time.monotonic() + weather.seconds + _CALM_SECONDS

    async def _deposit(self) -> None:
        """Send a new stake to the account's own deposit address, unless one is on its way."""
        if time.monotonic() - self._deposited_at < _DEPOSIT_SECONDS:
            return
        lines = (await self._bot.send(accounts.deposit_addresses())).deposit_addresses
        (line,) = (one for one in lines if one.asset == "USDT")
        units = listings.USDT.chain_units(self._who.stake)
        await chain_demo.fund(self._around.chain_url, line.address, line.contract, units)
        self._deposited_at = time.monotonic()

    async def _leave(self) -> None:
        """Close what is open; at the end, so that nobody is left on the way to a liquidation."""
        with contextlib.suppress(ClientError):
            now = await self._look()
            if now.quantity:
                await self._bot.trade(
                    [
                        BatchPlace(
                            op="place",
                            symbol=self._market.symbol,
                            type="market",
                            side="sell" if now.quantity > 0 else "buy",
                            close_position=True,
                        )
                    ]
                )
