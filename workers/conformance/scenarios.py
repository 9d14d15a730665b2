"""Command scripts of a matching tool (`add limit buy 1 0 10 10`), run through both engines.

The scripts are inputs only: what is checked is that the engines agree byte for byte after every
command; the outcome says what the scripts led to. One line is one command, `#` begins a comment.
Commands that Rialto has no order for (all-or-none) are named in the outcome, not passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from domain.commands import AmendOrder, CancelOrder, Command, PlaceOrder
from domain.events import (
    CommandRejected,
    OrderAccepted,
    OrderAmended,
    OrderClosed,
    OrderTriggered,
    Trade,
)
from domain.order import OrderType, Side, TimeInForce
from workers.conformance.desk import Desk, Queue, market

_RICH = 10**17
_ACCOUNTS = {Side.BUY: 1, Side.SELL: 2}
_LIMITS = {"": TimeInForce.GTC, "ioc": TimeInForce.IOC, "fok": TimeInForce.FOK}


class ScriptError(ValueError):
    """A line that is no command of the tool."""


@dataclass(slots=True)
class Outcome:
    """What a script led to; orders by the script's ids.

    `trades` are (maker, taker, price, lots), `open_orders` {id: (price, remaining lots)},
    `waiting` those that wait for a trigger, with where it stood at the start (0: it trails),
    `triggered` (order, price that set it off), `refused` (line, reason), `unsupported` the lines
    that say what Rialto does not have.
    """

    trades: list[tuple[int, int, int, int]] = field(default_factory=list)
    open_orders: dict[int, tuple[int, int]] = field(default_factory=dict)
    waiting: dict[int, int] = field(default_factory=dict)
    triggered: list[tuple[int, int]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    commands: int = 0
    digest: str = ""


@dataclass(slots=True)
class _Order:
    account_id: int
    symbol_id: int
    side: Side
    order_id: int
    quantity_lots: int
    filled_lots: int = 0


class ScenarioDesk:
    """Both engines under the commands of a script."""

    def __init__(self, *kinds: str) -> None:
        """Start engines of these kinds; without any, the core and the reference."""
        self._desk = Desk(*(kinds or ("core", "reference")))
        self._queue = Queue()
        self._orders: dict[int, _Order] = {}  # by the script's id
        self._names: dict[int, int] = {}  # our order id -> the script's
        self._key = 0
        self._line = ""
        self.outcome = Outcome()
        self._acts: dict[str, Callable[..., None]] = {
            "add limit": self._limit,
            "add ioc limit": partial(self._limit, kind="ioc"),
            "add fok limit": partial(self._limit, kind="fok"),
            "add market": self._market,
            "add stop": self._stop,
            "add stop-limit": self._stop_limit,
            "add trailing stop": self._trailing_stop,
            "add slippage market": self._slippage,
            "add book": self._book,
            "reduce order": self._reduce,
            "modify order": self._modify,
            "mitigate order": self._mitigate,
            "replace order": self._replace,
            "delete order": self._delete,
        }

    def run(self, script: str) -> Outcome:
        """Run the whole script; `DivergenceError` where the engines differ, else `ScriptError`."""
        for raw in script.splitlines():
            line = raw.partition("#")[0].strip()
            if line:
                self._line = line
                self._command(line)
        self.outcome.digest = self._desk.digest().hex()
        for name, order in self._orders.items():
            for order_id, price, lots in self._queue.side(order.symbol_id, order.side):
                if order_id == order.order_id:
                    self.outcome.open_orders[name] = (price, lots)
        return self.outcome

    def _command(self, line: str) -> None:
        words = line.split()
        for length in (3, 2):
            act = self._acts.get(" ".join(words[:length]))
            if act is not None:
                try:
                    act(*words[length:])
                except (TypeError, ValueError, KeyError) as error:
                    raise ScriptError(f"{line!r}: {error}") from error
                return
        if words[0] not in ("add", "delete", "enable"):
            raise ScriptError(f"{line!r} is no command")
        if words[0] != "enable" and words[1] != "symbol":
            self.outcome.unsupported.append(line)

    def _book(self, symbol: str) -> None:
        self._run(market(int(symbol) + 1, listing_price_ticks=100, band_ppm=10**9))
        for account in _ACCOUNTS.values():
            for asset in (2 * int(symbol) + 1, 2 * int(symbol) + 2):
                self._desk.fund(account, asset, _RICH)

    def _limit(
        self, side: str, name: str, symbol: str, price: str, lots: str, kind: str = ""
    ) -> None:
        self._place(int(name), side, symbol, price_ticks=int(price), quantity_lots=int(lots),
                    time_in_force=_LIMITS[kind])  # fmt: skip

    def _market(self, side: str, name: str, symbol: str, lots: str) -> None:
        self._place(int(name), side, symbol, price_ticks=0, quantity_lots=int(lots),
                    order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC)  # fmt: skip

    def _stop(self, side: str, name: str, symbol: str, trigger: str, lots: str) -> None:
        self._place(int(name), side, symbol, price_ticks=0, quantity_lots=int(lots),
                    order_type=OrderType.STOP, time_in_force=TimeInForce.GTC,
                    trigger_price_ticks=int(trigger))  # fmt: skip

    def _stop_limit(
        self, side: str, name: str, symbol: str, trigger: str, price: str, lots: str
    ) -> None:
        self._place(int(name), side, symbol, price_ticks=int(price), quantity_lots=int(lots),
                    order_type=OrderType.STOP_LIMIT, time_in_force=TimeInForce.GTC,
                    trigger_price_ticks=int(trigger))  # fmt: skip

    def _trailing_stop(
        self, side: str, name: str, symbol: str, _start: str, lots: str, offset: str, _step: str
    ) -> None:
        """Follow at a distance; ours starts at the reference price and follows tick by tick."""
        self._place(int(name), side, symbol, price_ticks=0, quantity_lots=int(lots),
                    order_type=OrderType.TRAILING_STOP, time_in_force=TimeInForce.GTC,
                    trailing_offset_ticks=int(offset))  # fmt: skip

    def _slippage(self, side: str, name: str, symbol: str, lots: str, slippage: str) -> None:
        """Take up to a price so far from the best: an IOC limit."""
        way = Side[side.upper()]
        opposite = self._queue.side(int(symbol) + 1, way.opposite)
        if not opposite:
            self.outcome.refused.append((self._line, "NO_LIQUIDITY"))
            return
        reach = int(slippage) if way is Side.BUY else -int(slippage)
        self._limit(side, name, symbol, str(opposite[0][1] + reach), lots, kind="ioc")

    def _place(self, name: int, side: str, symbol: str, **terms: Any) -> None:
        way = Side[side.upper()]
        self._key += 1
        fields = {"order_type": OrderType.LIMIT, **terms}
        self._run(PlaceOrder(_ACCOUNTS[way], self._key, int(symbol) + 1, way, **fields), name)

    def _reduce(self, name: str, lots: str) -> None:
        order = self._orders[int(name)]
        self._amend(order, name, 0, order.quantity_lots - int(lots))

    def _modify(self, name: str, price: str, lots: str) -> None:
        order = self._orders[int(name)]
        self._amend(order, name, int(price), order.filled_lots + int(lots))

    def _mitigate(self, name: str, price: str, lots: str) -> None:
        self._amend(self._orders[int(name)], name, int(price), int(lots))

    def _amend(self, order: _Order, name: str, price_ticks: int, lots: int) -> None:
        """Set price and whole quantity; an order with that much filled already is cancelled."""
        if lots <= order.filled_lots:
            self._delete(name)
            return
        account, symbol, number = order.account_id, order.symbol_id, order.order_id
        self._run(AmendOrder(account, symbol, number, 0, price_ticks, lots))

    def _replace(self, name: str, other: str, price: str, lots: str) -> None:
        order = self._orders[int(name)]
        self._delete(name)
        self._limit(order.side.name, other, str(order.symbol_id - 1), price, lots)

    def _delete(self, name: str) -> None:
        order = self._orders[int(name)]
        self._run(CancelOrder(order.account_id, order.symbol_id, order.order_id))

    def _run(self, command: Command, name: int = 0) -> None:
        """Run a command; `name` is what the script calls the order that it places."""
        events = self._desk.run(command)
        self._queue.read(events)
        self.outcome.commands += 1
        for event in events:
            match event:
                case CommandRejected():
                    self.outcome.refused.append((self._line, event.reason.name))
                case OrderAccepted():
                    self._names[event.order_id] = name
                    self._orders[name] = _Order(
                        event.account_id,
                        event.symbol_id,
                        event.side,
                        event.order_id,
                        event.quantity_lots,
                    )
                    if event.order_type.is_triggered:
                        self.outcome.waiting[name] = event.trigger_price_ticks
                case OrderAmended():
                    self._orders[self._names[event.order_id]].quantity_lots = event.quantity_lots
                case Trade():
                    maker, taker = map(
                        self._names.__getitem__, (event.maker_order_id, event.taker_order_id)
                    )
                    lots = event.quantity_lots
                    self.outcome.trades.append((maker, taker, event.price_ticks, lots))
                    self._orders[maker].filled_lots += lots
                    self._orders[taker].filled_lots += lots
                case OrderTriggered():
                    triggered = self._names[event.order_id]
                    del self.outcome.waiting[triggered]
                    self.outcome.triggered.append((triggered, event.reached_price_ticks))
                case OrderClosed():
                    closed = self._names[event.order_id]
                    del self._orders[closed]
                    self.outcome.waiting.pop(closed, None)
                case _:
                    pass
