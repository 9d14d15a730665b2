"""Draws commands about perpetuals, sensible and not, from what an engine says of itself."""

from __future__ import annotations

import random
from dataclasses import replace

from domain import risk_commands as r
from domain.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    Credit,
    Debit,
    PlaceOrder,
    Started,
    Tick,
)
from domain.order import OrderType, SelfTrade, Side, TimeInForce, TriggerSource
from domain.perpetual_terms import MAX_SOURCES
from domain.risk_commands import FUND_ACCOUNT, MarginMode, Trigger
from tests.matching.desk import BTC, ETH, ETH_USDT, USDT
from tests.matching.perpetual_desk import PERP, PerpetualDesk, terms

HOUR_US = 3_600_000_000
TRADERS = (1, 2, 3, 4, 5)
MAKER = 90
OTHER = 8  # a second perpetual under the same collateral


class Draw:
    """Draw the next command for a desk, as chance has it; money, orders, index, risk, time."""

    def __init__(self, desk: PerpetualDesk, chance: random.Random) -> None:
        self.desk = desk
        self.chance = chance
        self.key = 10**9
        self.price = {PERP: 1_000, OTHER: 1_000}
        self.ways = chance.choice(((-1, -1, 1), (1, 1, -1)))  # where prices drift to

    def next(self) -> list[Command]:
        """Return what comes next: one command, or a few that belong together."""
        if self.desk.engine.frozen() and self.chance.random() < 0.5:
            return [self._risk()]
        pick = self.chance.random()
        if pick < 0.42:
            return [self._order()]
        if pick < 0.60:
            return self._index()
        if pick < 0.82:
            return [self._risk()]
        if pick < 0.90:
            return [self._change()]
        if pick < 0.95:
            return [self._margin()]
        return [self._other()]

    def _symbol(self) -> int:
        return self.chance.choice((PERP, PERP, PERP, OTHER))

    def _fresh(self) -> int:
        self.key += 1
        return self.key

    def _order(self) -> PlaceOrder:
        chance, symbol = self.chance, self._symbol()
        if chance.random() < 0.06:
            symbol = ETH_USDT
        side = Side(chance.randint(0, 1))
        kind = chance.choices(
            (OrderType.LIMIT, OrderType.MARKET, OrderType.STOP, OrderType.STOP_LIMIT), (8, 2, 1, 1)
        )[0]
        price = self.price.get(symbol, 1_000) + chance.randint(-40, 40)
        reduces = symbol != ETH_USDT and chance.random() < 0.25
        closes = reduces and not kind.is_limit and chance.random() < 0.5
        tif = TimeInForce.IOC if kind is OrderType.MARKET else TimeInForce.GTC
        if kind is OrderType.LIMIT and chance.random() < 0.3:
            tif = chance.choice((TimeInForce.IOC, TimeInForce.FOK))
        return PlaceOrder(
            account_id=chance.choice(TRADERS),
            client_key=self._fresh(),
            symbol_id=symbol,
            side=side,
            order_type=kind,
            time_in_force=tif,
            price_ticks=price if kind.is_limit else 0,
            quantity_lots=0 if closes else chance.choice((1, 5, 20, 60, 100, 150, 300)),
            post_only=kind is OrderType.LIMIT and tif is TimeInForce.GTC and chance.random() < 0.1,
            self_trade=chance.choice(list(SelfTrade)),
            display_lots=1 if tif is TimeInForce.GTC and kind.is_limit and reduces else 0,
            trigger_price_ticks=price if kind.is_triggered else 0,
            trigger_source=TriggerSource(
                chance.choice((0, 1, 1, 2)) if kind.is_triggered and symbol != ETH_USDT else 0
            ),
            reduce_only=reduces,
            close_position=closes,
        )

    def _index(self) -> list[Command]:
        """Let time pass, the price wander or jump, the maker quote anew around it."""
        chance, symbol = self.chance, self._symbol()
        step = chance.choice((0, 3, 10, 25, 40))
        if chance.random() < 0.08:
            step = 110
        self.price[symbol] = max(300, self.price[symbol] + chance.choice(self.ways) * step)
        price = self.price[symbol]
        self.desk.time_us += chance.choice((1, 1, 2, 5, 9, 30)) * 1_000_000
        quotes: list[Command] = [CancelAll(MAKER, symbol)]
        for side, away in ((Side.BUY, -3), (Side.SELL, 3)):
            quotes.append(self._quote(symbol, side, price + away))
        if chance.random() < 0.05:
            quotes = quotes[:2]
        prices = tuple(price + chance.randint(-1, 1) for _ in range(3))
        if chance.random() < 0.04:
            prices = prices[:2]
        return [*quotes, self._said(symbol, prices)]

    def _quote(self, symbol: int, side: Side, price: int) -> PlaceOrder:
        return PlaceOrder(
            MAKER,
            self._fresh(),
            symbol,
            side,
            OrderType.LIMIT,
            TimeInForce.GTC,
            price,
            self.chance.choice((5, 40, 150)),
        )

    def _said(self, symbol: int, prices: tuple[int, ...]) -> r.SetIndex:
        none = (0,) * (MAX_SOURCES - len(prices))
        return r.SetIndex(symbol, (*prices, *none), (self.desk.time_us,) * MAX_SOURCES)

    def _risk(self) -> Command:
        """Freeze who is below margin; take a step with who is frozen."""
        engine, chance = self.desk.engine, self.chance
        frozen = engine.frozen()
        if frozen and chance.random() < 0.9:
            one = chance.choice(frozen)
            return self._step(one.account_id, one.symbol_id, one.version)
        scopes = [(account, symbol) for account in TRADERS for symbol in (0, PERP, OTHER)]
        for account, symbol in chance.sample(scopes, len(scopes)):
            view = engine.scope(account, symbol)
            if view.maintenance_units > 0 and view.equity_units < view.maintenance_units:
                return r.Freeze(self._fresh(), account, symbol)
        if chance.random() < 0.3:
            return self._of_the_fund()
        if chance.random() < 0.8:
            return self._order()
        return r.Freeze(self._fresh(), chance.choice(TRADERS), chance.choice((0, PERP)))

    def _step(self, account: int, symbol: int, version: int) -> Command:
        engine, chance = self.desk.engine, self.chance
        if chance.random() < 0.08:
            version -= 1
        held = [one for one in engine.positions(account) if one.lots]
        held = [one for one in held if (one.symbol_id if one.mode else 0) == symbol]
        view = engine.scope(account, symbol)
        is_safe = view.equity_units > 2 * view.maintenance_units
        if not held or is_safe or chance.random() < 0.1:
            return r.Unfreeze(self._fresh(), account, symbol, version)
        one = chance.choice(held)
        lots = chance.choice((1, *(abs(one.lots),) * 4, abs(one.lots) // 2, 10**6))
        about = (self._fresh(), account, one.symbol_id)
        kind = chance.random()
        if kind < 0.35:
            limit = chance.choice((0, 0, one.mark_ticks))
            may_pay = chance.random() < 0.4
            return r.Liquidate(*about, lots, limit, version, fund_may_pay=may_pay)
        if kind < 0.5:
            return r.TakeOver(*about, lots, version)
        others = [
            (seat.account_id, abs(seat.lots))
            for seat in engine.seats()
            if seat.symbol_id == one.symbol_id and seat.lots * one.lots < 0
        ]
        other, most = chance.choice(others) if others else (chance.choice(TRADERS), 1)
        return r.Deleverage(*about, other, min(lots, most), version)

    def _of_the_fund(self) -> Command:
        engine, chance = self.desk.engine, self.chance
        held = [one for one in engine.positions(FUND_ACCOUNT) if one.lots]
        if held and chance.random() < 0.6:
            one = chance.choice(held)
            lots = chance.choice((1, abs(one.lots), 5))
            return r.Unwind(self._fresh(), one.symbol_id, lots, 0)
        if chance.random() < 0.2:
            return r.SweepDust(self._fresh(), USDT, self.desk.time_us)
        if chance.random() < 0.7:
            return self._index()[-1]
        units = chance.choice((1, 500, 5_000, 500_000))
        return r.TopUpFund(self._fresh(), USDT, units, self.desk.time_us)

    def _change(self) -> Command:
        chance, account = self.chance, self.chance.choice(TRADERS)
        orders = self.desk.engine.open_orders(account)
        if not orders or chance.random() < 0.1:
            return CancelAll(account, chance.choice((0, PERP)))
        order = chance.choice(orders)
        if chance.random() < 0.4:
            return CancelOrder(account, order.symbol_id, order.order_id)
        price = order.price_ticks and order.price_ticks + chance.randint(-20, 20)
        lots = chance.choice((0, order.quantity_lots + 5, max(1, order.quantity_lots - 2)))
        return AmendOrder(account, order.symbol_id, order.order_id, 0, price, lots)

    def _margin(self) -> Command:
        chance, account, symbol = self.chance, self.chance.choice(TRADERS), self._symbol()
        kind = chance.random()
        if kind < 0.4:
            return r.SetLeverage(account, symbol, chance.choice((1, 5, 20, 50, 51)))
        if kind < 0.55:
            return r.SetMarginMode(account, symbol, chance.choice(list(MarginMode)))
        amount = chance.choice((-50_000, -3_000, 3_000, 20_000, 60_000))
        return r.MoveMargin(self._fresh(), account, symbol, amount, self.desk.time_us)

    def _other(self) -> Command:
        chance, account = self.chance, self.chance.choice(TRADERS)
        kind = chance.random()
        money = (self._fresh(), account, chance.choice((USDT, USDT, BTC)))
        if kind < 0.25:
            return Credit(*money, chance.choice((1, 5_000, 40_000)), self.desk.time_us)
        if kind < 0.5:
            return Debit(*money, chance.choice((1, 5_000, 40_000, 10**9)), self.desk.time_us)
        if kind < 0.7:
            return self._funding()
        if kind < 0.85:
            self.desk.time_us += chance.choice((0, 11)) * 1_000_000
            return Tick()
        if kind < 0.87:
            return Started(2, 2)
        triggers = (Trigger.REDUCE, Trigger.HALT, *(Trigger.RESUME,) * 8)
        return r.SetPerpetualState(self._symbol(), chance.choice(triggers), "ada", "a drill")

    def _funding(self) -> r.SettleFunding:
        """Mostly let the next instant come first."""
        instant = (self.desk.time_us // HOUR_US + 1) * HOUR_US
        if self.chance.random() < 0.8:
            self.desk.time_us = instant
        return r.SettleFunding(self._fresh(), self._symbol(), instant)


def drawn_desk(chance: random.Random) -> PerpetualDesk:
    """Return a desk with two perpetuals and traders of little money and much leverage."""
    hourly = terms(
        funding_interval_seconds=3_600,
        index_max_age_us=600_000_000,
        max_slices=chance.choice((1, 2)),
        fund_cap_ppm=chance.choice((1_000_000, 4_000_000)),
        liquidation_fee_ppm=chance.choice((0, 5_000, 20_000)),
        oi_lower_units=10**6,
        oi_upper_units=chance.choice((0, 10**8)),
    )
    desk = PerpetualDesk(hourly)
    desk.run(r.ListPerpetual(replace(desk.rules, symbol_id=OTHER, base_asset_id=2), hourly))
    desk.index(1_000, symbol_id=OTHER)
    for account in TRADERS:
        desk.fund(account, units=chance.choice((10_000, 30_000, 100_000)))
        desk.fund(account, assets=(ETH,))
        for symbol in (PERP, OTHER):
            desk.run(r.SetLeverage(account, symbol, chance.choice((10, 20, 50))))
    if chance.random() < 0.5:
        desk.run(r.SetMarginMode(5, PERP, MarginMode.ISOLATED))
        desk.run(r.MoveMargin(10**8, 5, PERP, 10_000, desk.time_us))
    if chance.random() < 0.5:
        desk.run(r.TopUpFund(10**8 + 1, USDT, chance.choice((3_000, 300_000)), desk.time_us))
    return desk
