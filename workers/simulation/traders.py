"""Who trades in a simulation: makers, and thousands of accounts, each in a way of its own.

Nobody here knows more than a customer: prices, his own positions, what he has.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from domain.commands import CancelAll, Command, Credit, PlaceOrder
from domain.money import PPM
from domain.order import OrderType, Side, TimeInForce
from domain.risk_commands import MarginMode, MoveMargin, SetLeverage, SetMarginMode
from domain.risk_picture import RiskPicture, ScopeKey
from workers.simulation.market import (
    BTC_PERP,
    ETH,
    ETH_PERP,
    ETH_SPOT,
    MARKETS,
    USDT,
    WHOLE,
    Listed,
    lots_of,
)
from workers.simulation.prices import Prices

FIRST_TRADER = 1_000
_MAKERS = 3  # of each market
_MAKER_CASH = 6_000_000 * WHOLE
_LEVERAGES = (2, 3, 5, 10, 10, 20, 20, 50)
_BY_SYMBOL = {market.symbol_id: market for market in MARKETS}


class Way(StrEnum):
    """How an account decides."""

    MOMENTUM = "buys what rises, sells what falls"
    REVERSION = "sells what rises, buys what falls"
    HEDGE = "holds the coin and is short of it"
    NOISE = "does either, for reasons of its own"


_WAYS = (Way.MOMENTUM,) * 4 + (Way.REVERSION,) * 3 + (Way.HEDGE,) + (Way.NOISE,) * 2


@dataclass(frozen=True, slots=True)
class Trader:
    """An account: its market, way and leverage, and what it brings each time it has nothing."""

    account_id: int
    way: Way
    market: Listed
    leverage: int
    is_isolated: bool
    cash_units: int

    @property
    def scope(self) -> ScopeKey:
        """Return the scope that backs its position."""
        return ScopeKey(self.account_id, self.market.symbol_id if self.is_isolated else 0)


class Traders:
    """Draws what everybody does in a step, as commands."""

    def __init__(self, chance: random.Random, accounts: int, picture: RiskPicture) -> None:
        self._chance = chance
        self._picture = picture
        self._keys = iter(range(1, 1 << 62))
        self.accounts = [self._drawn(FIRST_TRADER + number) for number in range(accounts)]
        self.makers = [
            (account_id, market)
            for place, market in enumerate(MARKETS)
            for account_id in range(1 + place * _MAKERS, 1 + (place + 1) * _MAKERS)
        ]

    def _drawn(self, account_id: int) -> Trader:
        chance = self._chance
        way = chance.choice(_WAYS)
        symbol_id = ETH_PERP if way is Way.HEDGE or chance.random() < 0.7 else BTC_PERP
        return Trader(
            account_id,
            way,
            _BY_SYMBOL[symbol_id],
            chance.choice(_LEVERAGES),
            way is not Way.HEDGE and chance.random() < 0.35,
            200 * WHOLE * 2 ** chance.randint(0, 6),
        )

    # ---- money ----------------------------------------------------------------------------------

    def opening(self, now_us: int) -> Iterator[Command]:
        """Yield how everybody comes: money, leverage, what backs their positions."""
        for account_id, market in self.makers:
            yield self._credit(account_id, _MAKER_CASH, now_us)
            if market.is_perpetual:
                yield SetLeverage(account_id, market.symbol_id, 20)
            else:
                units = 20_000 * 10**ETH.engine_decimals
                yield Credit(next(self._keys), account_id, ETH.asset_id, units, now_us)
        for trader in self.accounts:
            symbol_id = trader.market.symbol_id
            yield SetLeverage(trader.account_id, symbol_id, trader.leverage)
            if trader.is_isolated:
                yield SetMarginMode(trader.account_id, symbol_id, MarginMode.ISOLATED)
            yield from self._bring(trader, now_us)

    def _credit(self, account_id: int, units: int, now_us: int) -> Credit:
        return Credit(next(self._keys), account_id, USDT.asset_id, units, now_us)

    def _bring(self, trader: Trader, now_us: int) -> Iterator[Command]:
        """Bring an account's cash; most of it goes into an isolated position."""
        yield self._credit(trader.account_id, trader.cash_units, now_us)
        if trader.is_isolated:
            yield MoveMargin(
                next(self._keys),
                trader.account_id,
                trader.market.symbol_id,
                trader.cash_units * 4 // 5,
                now_us,
            )

    # ---- what makers do -------------------------------------------------------------------------

    def quotes(self, prices: Prices, now_us: int) -> Iterator[Command]:
        """Yield how the makers quote anew; after a jump most of them wait, and show little."""
        chance = self._chance
        for account_id, market in self.makers:
            is_wild = abs(prices.trend_ppm(market, 1)) > 30_000
            if chance.random() < (0.5 if is_wild else 0.3):
                continue  # slow: his old quotes stand
            yield CancelAll(account_id, market.symbol_id)
            if is_wild and chance.random() < 0.4:
                continue
            price = prices.ticks(market)
            held = self._picture.position(account_id, market.symbol_id).lots
            units = market.depth * WHOLE // (4 if is_wild else 1)
            lots = lots_of(units, price)
            skew = max(-4, min(4, -held // (20 * lots + 1))) if market.is_perpetual else 0
            spread = price * (4_000 if is_wild else 400) // PPM + 1
            middle = price + skew * spread // 4
            for away in (1, 4):
                yield self._limit(account_id, market, Side.BUY, middle - away * spread, lots * away)
                yield self._limit(
                    account_id, market, Side.SELL, middle + away * spread, lots * away
                )
            if self._picture.cash.get(ScopeKey(account_id), 0) < _MAKER_CASH // 4:
                yield self._credit(account_id, _MAKER_CASH // 2, now_us)

    def _limit(
        self, account_id: int, market: Listed, side: Side, price: int, lots: int, **other: Any
    ) -> PlaceOrder:
        terms = {"time_in_force": TimeInForce.GTC, **other}
        now = self._picture.markets.get(market.symbol_id)
        if now is not None and now.mark_ticks:  # who wants more gets what the band allows
            band = now.band()
            buys = side is Side.BUY
            price = min(price, band.highest_ticks) if buys else max(price, band.lowest_ticks)
        return PlaceOrder(
            account_id,
            next(self._keys),
            market.symbol_id,
            side,
            OrderType.LIMIT,
            price_ticks=max(1, price),
            quantity_lots=max(1, lots),
            **terms,
        )

    # ---- what everybody else does ---------------------------------------------------------------

    def orders(self, prices: Prices, now_us: int, count: int) -> Iterator[Command]:
        """Yield what `count` drawn accounts do now."""
        for trader in self._chance.sample(self.accounts, count):
            if trader.scope not in self._picture.frozen:
                yield from self._act(trader, prices, now_us)

    def _act(self, trader: Trader, prices: Prices, now_us: int) -> Iterator[Command]:
        chance, market, picture = self._chance, trader.market, self._picture
        position = picture.position(trader.account_id, market.symbol_id)
        cash = picture.cash.get(trader.scope, 0)
        price = prices.ticks(market)
        if not position.lots and cash < trader.cash_units // 10:
            if chance.random() < 0.3:  # lost; comes again with new money
                yield from self._bring(trader, now_us)
            return
        if position.lots and chance.random() < 0.25:
            yield from self._close(trader, position.lots, price)
            return
        if trader.way is Way.HEDGE:
            yield from self._hedge(trader, price, cash)
            return
        side = self._side(trader, prices)
        wanted = cash * trader.leverage * chance.randint(10, 90) // 100
        lots = lots_of(max(0, wanted), price)
        if chance.random() < 0.3:  # waits in the book, a little away
            away = price * chance.randint(1_000, 8_000) // PPM
            worse = price - away if side is Side.BUY else price + away
            yield CancelAll(trader.account_id, market.symbol_id)
            yield self._limit(trader.account_id, market, side, worse, lots)
        else:
            yield self._now(trader, side, price, lots)

    def _side(self, trader: Trader, prices: Prices) -> Side:
        trend = prices.trend_ppm(trader.market, self._chance.choice((1, 6, 24)))
        rises = trend > 0 if trader.way is not Way.NOISE else self._chance.random() < 0.5
        if trader.way is Way.REVERSION:
            rises = not rises
        return Side.BUY if rises else Side.SELL

    def _now(
        self, trader: Trader, side: Side, price: int, lots: int, market: Listed | None = None
    ) -> PlaceOrder:
        """Return an order that takes what there is, up to 1 % away."""
        away = price // 100 if side is Side.BUY else -(price // 100)
        return self._limit(
            trader.account_id,
            market or trader.market,
            side,
            price + away,
            lots,
            time_in_force=TimeInForce.IOC,
        )

    def _close(self, trader: Trader, held: int, price: int) -> Iterator[Command]:
        side = Side.SELL if held > 0 else Side.BUY
        lots = max(1, abs(held) * self._chance.choice((25, 50, 100)) // 100)
        away = price // 50 if side is Side.BUY else -(price // 50)
        yield self._limit(
            trader.account_id,
            trader.market,
            side,
            price + away,
            lots,
            time_in_force=TimeInForce.IOC,
            reduce_only=True,
        )

    def _hedge(self, trader: Trader, price: int, cash: int) -> Iterator[Command]:
        """Buy the coin and be short as much of it."""
        lots = lots_of(max(0, cash) // self._chance.randint(3, 10), price)
        yield self._now(trader, Side.BUY, price, lots, _BY_SYMBOL[ETH_SPOT])
        yield self._now(trader, Side.SELL, price, lots)
