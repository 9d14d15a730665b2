"""An engine behind the NDJSON protocol of the package `tracebook-conformance`.

Its programs start us as a candidate, send `hello` with a configuration and then events (`new`,
`cancel`, `reduce`, `replace`, `clear`), and compare after each: outcome, trades, and a hash of
all resting orders in priority. Numbers travel as decimals; here they become ticks of the
configured size and lots of 10**-10, and what does not fit is refused, never rounded.

Where their words and ours differ: an order that may not trade at all (FOK, a market order without
anybody, one that would meet its own account) is `applied` without trades for them, a refusal for
us. Without a self-trade policy an order may meet its owner's: owners become one buyer and one
seller. A replacement that loses its place anyway is an amend here; one that would keep it is a
cancel and a new order.
Prices off the grid go to the nearest tick. Pro-rata allocation does not exist here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from domain.commands import AmendOrder, CancelOrder, Command, PlaceOrder
from domain.errors import RejectReason
from domain.events import CommandRejected, Event, OrderAccepted, OrderClosed, Trade
from domain.order import OrderType, SelfTrade, Side, TimeInForce
from workers.conformance.desk import Desk, Queue, market

PROTOCOL = "tracebook.conformance"
PROTOCOL_VERSION = 1
LOT_DECIMALS = 10
_LOT = Decimal(1).scaleb(-LOT_DECIMALS)
_LISTING_TICKS, _BAND_PPM = 10_000, 10**8
_POLICIES = {
    "NONE": SelfTrade.EXPIRE_MAKER,
    "CANCEL_RESTING": SelfTrade.EXPIRE_MAKER,
    "CANCEL_INCOMING": SelfTrade.EXPIRE_TAKER,
}
_RICH = {"NONE": 4 * 10**18, "CANCEL_RESTING": 10**17, "CANCEL_INCOMING": 10**17}
_KINDS = {
    "LIMIT": (OrderType.LIMIT, TimeInForce.GTC),
    "IOC": (OrderType.LIMIT, TimeInForce.IOC),
    "FOK": (OrderType.LIMIT, TimeInForce.FOK),
    "MARKET": (OrderType.MARKET, TimeInForce.IOC),
}
_WITHOUT_EFFECT = (
    RejectReason.FOK_NOT_FILLABLE,
    RejectReason.NO_LIQUIDITY,
    RejectReason.SELF_TRADE,
)


class ProtocolError(ValueError):
    """The peer does not keep to the protocol."""


class Refused(Exception):  # noqa: N818 - an outcome on its way to the answer
    """The event is refused; `reason` is the protocol's word."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(slots=True)
class _Order:
    name: int
    owner: int
    account_id: int
    order_id: int
    side: Side
    price_ticks: int
    quantity_lots: int
    filled_lots: int = 0

    @property
    def remaining_lots(self) -> int:
        return self.quantity_lots - self.filled_lots


class TracebookDesk:
    """An engine under the events of a trace."""

    def __init__(self, config: dict[str, Any], kind: str = "auto") -> None:
        """Start an engine; a configuration that Rialto does not have is a `ProtocolError`."""
        if config.get("matching_algorithm", "fifo") != "fifo":
            raise ProtocolError("Rialto matches by price and time only, not pro rata")
        self._policy = str(config.get("self_trade_policy", "NONE"))
        if self._policy not in _POLICIES:
            raise ProtocolError(f"unknown self-trade policy {self._policy!r}")
        self._tick = Decimal(str(config.get("tick_size", "0.01")))
        self._desk = Desk(kind)
        self._queue = Queue()
        self._symbols: dict[str, int] = {}
        self._open: dict[tuple[int, int], _Order] = {}  # (symbol id, their id)
        self._names: dict[int, _Order] = {}
        self._funded: set[tuple[int, int]] = set()
        self._key = 0

    @property
    def engine_kind(self) -> str:
        """Return which implementation runs."""
        return self._desk.engines[0].kind

    def observe(self, index: int, event: dict[str, Any]) -> dict[str, Any]:
        """Carry out one event and return the observation message."""
        trades: list[dict[str, Any]] = []
        outcome: dict[str, Any] = {"status": "applied", "reason": None, "message": None}
        try:
            self._carry_out(event, trades)
        except Refused as refusal:
            outcome = {"status": "rejected", "reason": refusal.reason, "message": str(refusal)}
        state = self.state()
        text = json.dumps(state, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return {
            "type": "observation",
            "index": index,
            "outcome": outcome,
            "trades": trades,
            "state_hash": hashlib.sha256(text.encode()).hexdigest(),
            "resting_order_count": sum(
                len(book["bids"]) + len(book["asks"]) for book in state["books"]
            ),
        }

    def state(self) -> dict[str, Any]:
        """Return all resting orders, book by book, in priority."""
        return {
            "books": [
                {
                    "symbol": name,
                    "bids": self._side(symbol_id, Side.BUY),
                    "asks": self._side(symbol_id, Side.SELL),
                }
                for name, symbol_id in sorted(self._symbols.items())
            ]
        }

    def _side(self, symbol_id: int, side: Side) -> list[dict[str, Any]]:
        return [
            {
                "order_id": self._names[order_id].name,
                "price": self._price_text(price),
                "remaining_quantity": _text(lots * _LOT),
                "owner": self._names[order_id].owner,
                "order_type": "LIMIT",
            }
            for order_id, price, lots in self._queue.side(symbol_id, side)
        ]

    def _carry_out(self, event: dict[str, Any], trades: list[dict[str, Any]]) -> None:
        name, op = str(event["symbol"]), event["op"]
        symbol_id = self._symbols.get(name, 0)
        if op in ("new", "clear") and not symbol_id:
            symbol_id = self._list(name)
        if op == "clear":
            for order in [o for (of, _), o in self._open.items() if of == symbol_id]:
                self._run(symbol_id, CancelOrder(order.account_id, symbol_id, order.order_id))
            return
        order_id = int(event["order_id"])
        found = self._open.get((symbol_id, order_id))
        if op == "new":
            if found is not None:
                raise Refused("DUPLICATE_ORDER_ID", f"order {order_id} is open")
            trades += self._new(symbol_id, order_id, event)
            return
        if found is None:
            raise Refused("ORDER_NOT_ACTIVE", f"order {order_id} is not open")
        match op:
            case "cancel":
                self._run(symbol_id, CancelOrder(found.account_id, symbol_id, found.order_id))
            case "reduce":
                self._reduce(symbol_id, found, self._lots(event["quantity"], "INVALID_ORDER"))
            case "replace":
                trades += self._replace(symbol_id, found, event)
            case _:
                raise ProtocolError(f"unknown operation {op!r}")

    def _list(self, name: str) -> int:
        symbol_id = self._symbols[name] = len(self._symbols) + 1
        self._desk.run(market(symbol_id, _LISTING_TICKS, _BAND_PPM))
        return symbol_id

    def _account(self, symbol_id: int, side: Side, owner: int) -> int:
        """Return whose order it is for us, with money on both sides of the market."""
        account = owner + 1 if self._policy != "NONE" else 1 + side
        for asset in (2 * symbol_id - 1, 2 * symbol_id):
            if (account, asset) not in self._funded:
                self._desk.fund(account, asset, _RICH[self._policy])
                self._funded.add((account, asset))
        return account

    def _new(self, symbol_id: int, name: int, event: dict[str, Any]) -> list[dict[str, Any]]:
        side, kind = Side[event["side"]], event["order_type"]
        order_type, time_in_force = _KINDS[kind]
        lots = self._lots(event["quantity"], "INVALID_ORDER")
        is_market = order_type is OrderType.MARKET
        price = 0 if is_market else self._ticks(event["price"], "INVALID_ORDER")
        owner = int(event["owner"])
        return self._place(
            symbol_id,
            _Order(name, owner, self._account(symbol_id, side, owner), 0, side, price, lots),
            order_type,
            time_in_force,
        )

    def _place(
        self, symbol_id: int, order: _Order, order_type: OrderType, time_in_force: TimeInForce
    ) -> list[dict[str, Any]]:
        self._key += 1
        command = PlaceOrder(
            order.account_id,
            self._key,
            symbol_id,
            order.side,
            order_type,
            time_in_force,
            order.price_ticks,
            order.quantity_lots,
            self_trade=_POLICIES[self._policy],
        )
        return self._run(symbol_id, command, order)

    def _reduce(self, symbol_id: int, order: _Order, lots: int) -> None:
        if lots > order.remaining_lots:
            raise Refused("INVALID_ORDER", "it has less than that left")
        account, number = order.account_id, order.order_id
        if lots == order.remaining_lots:
            self._run(symbol_id, CancelOrder(account, symbol_id, number))
            return
        left = order.quantity_lots - lots
        self._run(symbol_id, AmendOrder(account, symbol_id, number, quantity_lots=left))
        order.quantity_lots = left

    def _replace(
        self, symbol_id: int, order: _Order, event: dict[str, Any]
    ) -> list[dict[str, Any]]:
        bad = "INVALID_REPLACEMENT"
        given_price, given_quantity = event.get("price"), event.get("quantity")
        price = order.price_ticks if given_price is None else self._ticks(given_price, bad)
        lots = order.remaining_lots if given_quantity is None else self._lots(given_quantity, bad)
        grows = price != order.price_ticks or lots > order.remaining_lots
        if grows and self._policy != "CANCEL_INCOMING":
            account, number, quantity = order.account_id, order.order_id, order.filled_lots + lots
            trades = self._run(
                symbol_id, AmendOrder(account, symbol_id, number, 0, price, quantity)
            )
            order.price_ticks, order.quantity_lots = price, quantity
            return trades
        self._run(symbol_id, CancelOrder(order.account_id, symbol_id, order.order_id))
        fresh = _Order(order.name, order.owner, order.account_id, 0, order.side, price, lots)
        return self._place(symbol_id, fresh, OrderType.LIMIT, TimeInForce.GTC)

    def _run(
        self, symbol_id: int, command: Command, placed: _Order | None = None
    ) -> list[dict[str, Any]]:
        """Apply a command; return its trades as messages."""
        events = self._desk.run(command)
        self._queue.read(events)
        outcome = events[0]
        if isinstance(outcome, CommandRejected) and outcome.reason not in _WITHOUT_EFFECT:
            raise Refused("INVALID_ORDER", outcome.reason.name)
        if isinstance(outcome, OrderAccepted) and placed is not None:
            placed.order_id = outcome.order_id
            self._open[symbol_id, placed.name] = self._names[outcome.order_id] = placed
        return list(self._messages(symbol_id, events))

    def _messages(self, symbol_id: int, events: Iterable[Event]) -> Iterator[dict[str, Any]]:
        for event in events:
            if isinstance(event, Trade):
                maker, taker = self._names[event.maker_order_id], self._names[event.taker_order_id]
                for order in (maker, taker):
                    order.filled_lots += event.quantity_lots
                buyer, seller = (maker, taker) if maker.side is Side.BUY else (taker, maker)
                yield {
                    "symbol": next(n for n, number in self._symbols.items() if number == symbol_id),
                    "buy_order_id": buyer.name,
                    "sell_order_id": seller.name,
                    "price": self._price_text(event.price_ticks),
                    "quantity": _text(event.quantity_lots * _LOT),
                }
            elif isinstance(event, OrderClosed):
                gone = self._names.pop(event.order_id)
                del self._open[symbol_id, gone.name]

    def _lots(self, quantity: Any, reason: str) -> int:
        """Return a quantity in lots; one that is not positive or too fine is refused."""
        lots = _decimal(quantity, reason) / _LOT
        if lots <= 0 or lots != lots.to_integral_value():
            raise Refused(reason, f"a quantity of {quantity}")
        return int(lots)

    def _ticks(self, price: Any, reason: str) -> int:
        """Return the tick nearest to a price, of two the even one; none is refused."""
        ticks = round(_decimal(price, reason) / self._tick)
        if ticks <= 0:
            raise Refused(reason, f"a price of {price}")
        return ticks

    def _price_text(self, ticks: int) -> str:
        return _text(ticks * self._tick)


def _decimal(value: Any, reason: str) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise Refused(reason, f"{value!r} is no number") from error
    if not number.is_finite():
        raise Refused(reason, f"{value!r} is no number")
    return number


def _text(number: Decimal) -> str:
    """Return a decimal without exponent and without zeros at its end."""
    return format(number.normalize(), "f")


def serve(lines: Iterable[str], version: str, kind: str = "auto") -> Iterator[str]:
    """Answer the peer's messages, one JSON object a line; `ProtocolError` ends it."""
    desk: TracebookDesk | None = None
    for line in lines:
        message = json.loads(line)
        match message.get("type"):
            case "hello":
                if (message["protocol"], message["protocol_version"]) != (
                    PROTOCOL,
                    PROTOCOL_VERSION,
                ):
                    raise ProtocolError(f"this is {PROTOCOL} {PROTOCOL_VERSION}")
                desk = TracebookDesk(message["config"], kind)
                language = "C++" if desk.engine_kind == "core" else "Python"
                engine = {"name": "rialto", "version": version, "language": language}
                answer: dict[str, Any] = {
                    "type": "ready",
                    "protocol": PROTOCOL,
                    "protocol_version": PROTOCOL_VERSION,
                    "engine": engine,
                }
            case "event" if desk is not None:
                answer = desk.observe(message["index"], message["event"])
            case "snapshot" if desk is not None:
                answer = {"type": "snapshot", "index": message["index"], "state": desk.state()}
            case "finish":
                answer = {"type": "complete", "event_count": message["event_count"]}
            case other:
                raise ProtocolError(f"a message of type {other!r} is not expected")
        yield json.dumps(answer, separators=(",", ":"))
        if answer["type"] == "complete":
            return
    raise ProtocolError("the peer ended before finish")
