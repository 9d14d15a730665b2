"""An account's open orders, kept from the channel `account`, and what to report of them; pure.

The native channel says what happened; a report of the dialect also says how the order stands after
it. So the orders are kept here: those of a snapshot, and then what each command does to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from domain.instrument import Instrument

Words = dict[str, Any]
MarketOf = Callable[[str], Instrument | None]


@dataclass(slots=True)
class OwnOrder:
    """An order in the words of the native API (`OrderOut`), and what its fills came to.

    `quote_units` is None where it was partly filled before and the history could not tell. One that
    has ended while it waited for its trigger has `never_acted`.
    """

    words: Words
    market: Instrument
    filled_lots: int = 0
    quote_units: int | None = 0
    never_acted: bool = False

    @property
    def order_id(self) -> str:
        """Return the engine's id."""
        return str(self.words["order_id"])

    @property
    def quantity(self) -> str:
        """Return the whole quantity; of one with a budget what it has bought so far."""
        if self.words.get("quote_amount"):
            return self.market.quantity_text(self.filled_lots)
        return str(self.words["quantity"])


@dataclass(frozen=True, slots=True)
class Report:
    """What happened to an order, which stands as it is while this is handed out.

    `what` is NEW, TRADE, REPLACED, TRIGGERED, TRADE_PREVENTION, or how it ended; `status` the
    native one, "open" while it lives. `fill` is the event of a TRADE.
    """

    what: str
    order: OwnOrder
    status: str = "open"
    close_reason: str | None = None
    fill: Words | None = None


ENDINGS = {"cancelled": "CANCELED", "expired": "EXPIRED", "rejected": "REJECTED"}


class OwnOrders:
    """The open orders of one account in one kind of markets."""

    def __init__(self, market_of: MarketOf, *, perpetual: bool) -> None:
        self._market_of = market_of
        self._perpetual = perpetual
        self._orders: dict[str, OwnOrder] = {}

    def start(self, orders: Sequence[Words]) -> list[OwnOrder]:
        """Take the orders of a snapshot; return those whose totals only the history knows."""
        unknown = []
        for words in orders:
            own = self._add(words)
            if own is not None and own.quote_units is None:
                unknown.append(own)
        return unknown

    def apply(self, events: Sequence[Words]) -> Iterator[Report]:
        """Apply what one command did; hand out each report while the order stands so."""
        filled = {
            one["order_id"]
            for one in events
            if one["event"] == "order_closed" and one["status"] == "filled"
        }
        last_fills = {
            one["order_id"]: place
            for place, one in enumerate(events)
            if one["event"] == "fill" and one["order_id"] in filled
        }
        for place, event in enumerate(events):
            teller = _TELLERS.get(event["event"])
            if event["event"] == "fill":
                is_last = last_fills.get(event["order_id"]) == place
                yield from self._fill(event, "filled" if is_last else "open")
            elif event["event"] == "order_placed":
                yield from self._placed(event["order"])
            elif event["event"] == "self_trade_prevented":
                yield from self._prevented(event)
            elif event["event"] == "order_closed":
                yield from self._closed(event, told=event["order_id"] in last_fills)
            elif teller is not None and event["order_id"] in self._orders:
                yield from teller(self._orders[event["order_id"]], event)

    def _add(self, words: Words) -> OwnOrder | None:
        market = self._market_of(words["symbol"])
        if market is None or (market.terms is not None) != self._perpetual:
            return None
        quote = words["filled_quote"]
        own = OwnOrder(
            words=dict(words),
            market=market,
            filled_lots=market.quantity_lots(words["filled_quantity"]),
            quote_units=None if quote is None else market.quote.engine_units(quote),
        )
        self._orders[own.order_id] = own
        return own

    def _placed(self, words: Words) -> Iterator[Report]:
        own = self._add(words)
        if own is not None:
            yield Report("NEW", own)

    def _fill(self, event: Words, status: str) -> Iterator[Report]:
        own = self._orders.get(event["order_id"]) or self._engines_own(event)
        if own is None:
            return
        market = own.market
        lots = market.quantity_lots(event["quantity"])
        own.filled_lots += lots
        if own.quote_units is not None:
            own.quote_units += market.quote_units(market.price_ticks(event["price"]), lots)
        yield Report("TRADE", own, status=status, fill=event)

    def _engines_own(self, event: Words) -> OwnOrder | None:
        """Return the order of a fill that the account did not place: a step of its liquidation."""
        market = self._market_of(event["symbol"])
        if market is None or (market.terms is not None) != self._perpetual:
            return None
        words = {
            "order_id": event["order_id"],
            "client_order_id": f"autoclose-{event['order_id']}",
            "symbol": event["symbol"],
            "side": event["side"],
            "type": "limit",
            "time_in_force": "ioc",
            "post_only": False,
            "self_trade": "expire_maker",
            "price": event["price"],
            "quantity": event["quantity"],
            "time_us": 0,
        }
        return OwnOrder(words, market)

    def _prevented(self, event: Words) -> Iterator[Report]:
        for order_id in event["order_ids"]:
            own = self._orders.get(order_id)
            if own is None:
                continue
            if not own.words.get("quote_amount"):
                market = own.market
                left = market.quantity_lots(own.words["quantity"])
                left -= market.quantity_lots(event["quantity"])
                own.words["quantity"] = market.quantity_text(left)
            yield Report("TRADE_PREVENTION", own)

    def _closed(self, event: Words, *, told: bool) -> Iterator[Report]:
        own = self._orders.pop(event["order_id"], None)
        if own is None or told:
            return
        own.never_acted = bool(own.words.get("waiting"))
        own.words["waiting"] = False
        status = str(event["status"])
        yield Report(
            ENDINGS.get(status, "EXPIRED"), own, status=status, close_reason=event["close_reason"]
        )


def _amended(own: OwnOrder, event: Words) -> Iterator[Report]:
    own.words |= {name: event[name] for name in ("price", "quantity", "trigger_price")}
    yield Report("REPLACED", own)


def _triggered(own: OwnOrder, event: Words) -> Iterator[Report]:
    if event["refusal"] is None:  # otherwise it ends as one that has waited
        own.words["waiting"] = False
        yield Report("TRIGGERED", own)


def _armed(own: OwnOrder, event: Words) -> Iterator[Report]:
    own.words |= {"pending": False, "quantity": event["quantity"]}
    if event["refusal"] is None:
        yield Report("NEW", own)


_TELLERS: dict[str, Callable[[OwnOrder, Words], Iterator[Report]]] = {
    "order_amended": _amended,
    "order_triggered": _triggered,
    "order_armed": _armed,
}
