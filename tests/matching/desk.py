"""An engine on a desk: a small market, driven by plain commands, for tests of its rules."""

from __future__ import annotations

import itertools
from typing import Any, TypeVar

from domain.commands import (
    AmendOrder,
    CancelAll,
    CancelOrder,
    Command,
    Credit,
    Debit,
    ListSymbol,
    PlaceOrder,
    PlaceOrderList,
    Tick,
)
from domain.errors import RejectReason
from domain.events import CommandRejected, Event, OrderAccepted, OrderClosed, OrderTriggered, Trade
from domain.fees import flat_fees
from domain.order import ListKind, OrderType, Side, TimeInForce
from matching.codec import decode_events, encode_command
from matching.engine import create_engine

USDT, ETH, BTC = 1, 2, 3
ETH_USDT, BTC_USDT = 1, 2
LISTING = ListSymbol(
    symbol_id=ETH_USDT,
    base_asset_id=ETH,
    quote_asset_id=USDT,
    base_units_per_lot=100_000,
    quote_units_per_tick_lot=1,
    fees=flat_fees(1_000, 2_000),
    max_taker_fee_ppm=2_000,
    band_ppm=100_000,
    listing_price_ticks=1_000,
    max_order_lots=1_000_000_000,
    max_open_orders=1_000,
)
START_US = 1_700_000_000_000_000
RICH = 10**15
E = TypeVar("E")


class Desk:
    """One engine, its clock and its numbering; `events` keeps everything that came out."""

    def __init__(self, shard: int = 0, listings: tuple[ListSymbol, ...] = (LISTING,)) -> None:
        self.engine = create_engine(shard)
        self.time_us = START_US
        self.events: list[Event] = []
        self.raw = bytearray()
        self._keys = itertools.count(1)
        for listing in listings:
            self.run(listing)

    def run(self, command: Command) -> tuple[Event, ...]:
        """Apply one command a microsecond later and return its events."""
        self.time_us += 1
        sequence = self.engine.sequence + 1
        out = self.engine.apply(encode_command(command, sequence=sequence, time_us=self.time_us))
        events = tuple(decode_events(out))
        self.raw += out
        self.events += events
        return events

    def wait(self, seconds: int) -> None:
        """Let engine time pass."""
        self.time_us += seconds * 1_000_000
        self.run(Tick())

    def fund(
        self, *accounts: int, units: int = RICH, assets: tuple[int, ...] = (USDT, ETH)
    ) -> None:
        """Credit each account with `units` of each asset."""
        for account in accounts:
            for asset in assets:
                self.credit(account, asset, units)

    def credit(self, account: int, asset: int, units: int, **other: Any) -> Event:
        """Credit once under a fresh key, unless told otherwise."""
        key = other.get("key", next(self._keys))
        created = other.get("created_at_us", self.time_us)
        return self.run(Credit(key, account, asset, units, created))[0]

    def debit(self, account: int, asset: int, units: int, **other: Any) -> Event:
        """Debit once under a fresh key, unless told otherwise."""
        key = other.get("key", next(self._keys))
        created = other.get("created_at_us", self.time_us)
        return self.run(Debit(key, account, asset, units, created))[0]

    def order(
        self, account: int, side: Side, price: int, lots: int, **other: Any
    ) -> tuple[Event, ...]:
        """Place a GTC limit order under a fresh key; `other` overrides fields."""
        fields: dict[str, Any] = {
            "account_id": account,
            "client_key": other.pop("client_key", None) or 10**9 + next(self._keys),
            "symbol_id": ETH_USDT,
            "side": side,
            "order_type": OrderType.LIMIT,
            "time_in_force": TimeInForce.GTC,
            "price_ticks": price,
            "quantity_lots": lots,
        }
        return self.run(PlaceOrder(**{**fields, **other}))

    def buy(self, account: int, price: int, lots: int, **other: Any) -> tuple[Event, ...]:
        """Place a buy."""
        return self.order(account, Side.BUY, price, lots, **other)

    def sell(self, account: int, price: int, lots: int, **other: Any) -> tuple[Event, ...]:
        """Place a sell."""
        return self.order(account, Side.SELL, price, lots, **other)

    def market(self, account: int, side: Side, lots: int, **other: Any) -> tuple[Event, ...]:
        """Place a market order."""
        other.setdefault("time_in_force", TimeInForce.IOC)
        return self.order(account, side, 0, lots, order_type=OrderType.MARKET, **other)

    def spend(self, account: int, units: int, **other: Any) -> tuple[Event, ...]:
        """Place a market buy with a quote budget."""
        return self.market(account, Side.BUY, 0, quote_budget_units=units, **other)

    def stop(self, account: int, side: Side, trigger: int, lots: int, **other: Any) -> int:
        """Place an order that waits for `trigger`, a stop unless told otherwise; return its id."""
        fields = {"order_type": OrderType.STOP, "trigger_price_ticks": trigger, **other}
        return order_id(self.order(account, side, fields.pop("price", 0), lots, **fields))

    def oco(
        self, account: int, side: Side, better: int, worse: int, lots: int, **other: Any
    ) -> tuple[Event, ...]:
        """Place a post-only limit order and a stop as an OCO; `second` overrides the stop's fields.

        `other` overrides fields of both.
        """
        only_second: dict[str, Any] = other.pop("second", {})
        only_first: dict[str, Any] = other.pop("first", {})
        common: dict[str, Any] = {
            "account_id": account,
            "symbol_id": ETH_USDT,
            "side": side,
            "time_in_force": TimeInForce.GTC,
            "quantity_lots": lots,
            **other,
        }
        first = {
            "client_key": 10**9 + next(self._keys),
            "order_type": OrderType.LIMIT,
            "price_ticks": better,
            "post_only": True,
        }
        second = {
            "client_key": 10**9 + next(self._keys),
            "order_type": OrderType.STOP,
            "price_ticks": 0,
            "trigger_price_ticks": worse,
        }
        orders = (
            PlaceOrder(**{**common, **first, **only_first}),
            PlaceOrder(**{**common, **second, **only_second}),
        )
        return self.run(PlaceOrderList(ListKind.OCO, orders))

    def bracket(
        self, account: int, side: Side, entry: int, exits: tuple[int, int], lots: int, **other: Any
    ) -> tuple[Event, ...]:
        """Place a bracket: its entry's price (0: market), take-profit and stop (0: none of it).

        `entry_fields`, `profit` and `loss` override fields of one, `other` of all of its orders.
        """
        overrides = [other.pop(name, {}) for name in ("entry_fields", "profit", "loss")]
        kind = OrderType.LIMIT if entry else OrderType.MARKET
        tif = TimeInForce.GTC if entry else TimeInForce.IOC
        own: list[dict[str, Any]] = [
            {"side": side, "order_type": kind, "time_in_force": tif, "price_ticks": entry},
            {"order_type": OrderType.LIMIT, "price_ticks": exits[0], "post_only": True},
            {"order_type": OrderType.STOP, "price_ticks": 0, "trigger_price_ticks": exits[1]},
        ]
        common: dict[str, Any] = {
            "account_id": account,
            "symbol_id": ETH_USDT,
            "side": side.opposite,
            "time_in_force": TimeInForce.GTC,
            "quantity_lots": lots,
            **other,
        }
        orders = [
            PlaceOrder(**{**common, "client_key": 10**9 + next(self._keys), **fields, **override})
            for fields, override, wanted in zip(own, overrides, (1, *exits), strict=True)
            if wanted
        ]
        return self.run(PlaceOrderList(ListKind.BRACKET, tuple(orders)))

    def trade(self, price: int, lots: int = 1) -> tuple[Event, ...]:
        """Let two bystanders trade at `price`, which becomes the last price."""
        self.fund(98, 99)
        self.sell(98, price, lots)
        return self.buy(99, price, lots)

    def cancel(self, account: int, order_id: int = 0, client_key: int = 0) -> tuple[Event, ...]:
        """Cancel one order."""
        return self.run(CancelOrder(account, ETH_USDT, order_id, client_key))

    def cancel_all(
        self, account: int, symbol_id: int = 0, side: Side | None = None
    ) -> tuple[Event, ...]:
        """Cancel all orders of an account."""
        return self.run(CancelAll(account, symbol_id, side))

    def amend(self, account: int, order_id: int, **terms: int) -> tuple[Event, ...]:
        """Amend one order; `terms` are price_ticks, quantity_lots and trigger_price_ticks."""
        return self.run(AmendOrder(account, ETH_USDT, order_id, **terms))

    def balance(self, account: int, asset: int) -> tuple[int, int]:
        """Return (total, held)."""
        return self.engine.balances().get((account, asset), (0, 0))


def only(events: tuple[Event, ...], kind: type[E]) -> list[E]:
    """Return the events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def triggered(events: tuple[Event, ...]) -> list[int]:
    """Return the orders that were set off, in order."""
    return [event.order_id for event in only(events, OrderTriggered)]


def order_id(events: tuple[Event, ...]) -> int:
    """Return the id of the order that was accepted."""
    outcome = events[0]
    assert isinstance(outcome, OrderAccepted), outcome
    return outcome.order_id


def reason(events: tuple[Event, ...]) -> RejectReason:
    """Return why the command was refused; it must be, alone."""
    (outcome,) = events
    return why(outcome)


def why(outcome: Event) -> RejectReason:
    """Return why a command was refused; it must be."""
    assert isinstance(outcome, CommandRejected), outcome
    return outcome.reason


def fills(events: tuple[Event, ...]) -> list[tuple[int, int, int]]:
    """Return (maker order, price, lots) of the trades."""
    return [(t.maker_order_id, t.price_ticks, t.quantity_lots) for t in only(events, Trade)]


def closes(events: tuple[Event, ...]) -> list[tuple[int, str]]:
    """Return (order, reason) of the orders that closed."""
    return [(c.order_id, c.reason.name) for c in only(events, OrderClosed)]


def pair(events: tuple[Event, ...]) -> tuple[int, int]:
    """Return the ids of the two orders that one command placed."""
    first, second = only(events, OrderAccepted)
    return first.order_id, second.order_id


def ids(events: tuple[Event, ...]) -> list[int]:
    """Return the ids of the orders that were accepted."""
    return [event.order_id for event in only(events, OrderAccepted)]


def shape(events: tuple[Event, ...]) -> list[type]:
    """Return the kinds of the events, which must be numbered densely."""
    assert [event.index for event in events] == list(range(len(events)))
    return [type(event) for event in events]


def buy_hold(price: int, lots: int) -> int:
    """Return what a buy holds: price and the highest fee, 0.2 %, rounded up."""
    quote = price * lots
    return quote + -(-quote * LISTING.max_taker_fee_ppm // 10**6)
