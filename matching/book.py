"""One market's book: price levels in time order, and the orders in them."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from domain.commands import MarketRules
from domain.money import INT64_MAX, PPM, ceil_ppm
from domain.order import OrderStatus, Side, SymbolState
from domain.trading_status import StatusReason

BUY = int(Side.BUY)
OPEN = int(OrderStatus.OPEN)


class Terms(NamedTuple):
    """The rarer terms of an order as it was placed: `domain.order_record.OrderTerms`, but light."""

    quote_budget_units: int = 0
    expires_at_us: int = 0
    display_lots: int = 0


NO_TERMS = Terms()


class Order:
    """One accepted order, open or closed. Flags are `matching.wire.order_flags`."""

    __slots__ = (
        "accepted_sequence",
        "accepted_time_us",
        "account_id",
        "asked_lots",
        "asked_ticks",
        "closed_us",
        "filled_lots",
        "flags",
        "hidden_lots",
        "identity",
        "limit_ticks",
        "order_id",
        "price_ticks",
        "quantity_lots",
        "side",
        "status",
        "symbol_id",
        "terms",
        "text",
    )

    def __init__(
        self,
        account_id: int,
        identity: bytes,
        symbol_id: int,
        flags: int,
        price_ticks: int,
        quantity_lots: int,
        text: bytes,
        terms: Terms = NO_TERMS,
    ) -> None:
        """`identity` is account and client key as they lie on the wire, 24 bytes."""
        self.order_id = 0
        self.account_id = account_id
        self.identity = identity
        self.symbol_id = symbol_id
        self.flags = flags
        self.side = flags & 1
        self.price_ticks = price_ticks
        self.limit_ticks = price_ticks  # a market order's becomes the band's edge
        self.quantity_lots = quantity_lots
        self.asked_ticks = price_ticks  # as placed: a repeat of the command asks for these
        self.asked_lots = quantity_lots
        self.filled_lots = 0
        self.hidden_lots = 0  # of what remains, when it stands in the book
        self.accepted_sequence = 0
        self.accepted_time_us = 0
        self.text = text
        self.terms = terms
        self.status = OPEN
        self.closed_us = 0

    @property
    def shown_lots(self) -> int:
        """Return what the book shows of the order."""
        return self.quantity_lots - self.filled_lots - self.hidden_lots

    def show_next(self) -> None:
        """Hide all but the next slice of what remains, when the order is an iceberg."""
        if self.terms.display_lots:
            remaining = self.quantity_lots - self.filled_lots
            self.hidden_lots = max(0, remaining - self.terms.display_lots)

    def keeps_place(self, price_ticks: int, quantity_lots: int) -> bool:
        """Return whether an amend to these terms leaves the order where it stands."""
        return price_ticks == self.price_ticks and quantity_lots <= self.quantity_lots


class BookSide:
    """Price levels of one side. A level's rank grows with its priority; the best is last."""

    __slots__ = ("levels", "ranks", "sign")

    def __init__(self, side: int) -> None:
        self.sign = 1 if side == BUY else -1
        self.levels: dict[int, OrderedDict[int, Order]] = {}
        self.ranks: list[int] = []

    def add(self, order: Order) -> None:
        """Put `order` at the end of its level."""
        rank = order.price_ticks * self.sign
        level = self.levels.get(rank)
        if level is None:
            level = self.levels[rank] = OrderedDict()
            insort(self.ranks, rank)
        level[order.order_id] = order

    def remove(self, order: Order) -> None:
        """Take `order` out; a level that becomes empty goes with it."""
        rank = order.price_ticks * self.sign
        level = self.levels[rank]
        del level[order.order_id]
        if not level:
            del self.levels[rank]
            if self.ranks[-1] == rank:
                self.ranks.pop()
            else:
                del self.ranks[bisect_left(self.ranks, rank)]

    def first(self, limit_rank: int) -> Order | None:
        """Return the order to be met first at `limit_rank` or better."""
        if not self.ranks or self.ranks[-1] < limit_rank:
            return None
        return next(iter(self.levels[self.ranks[-1]].values()))

    def walk(self) -> Iterator[Order]:
        """Yield all orders, best price first, in time order within a price."""
        for rank in reversed(self.ranks):
            yield from self.levels[rank].values()

    def depth(self, levels: int) -> list[tuple[int, int]]:
        """Return (price_ticks, shown lots) of the best `levels` levels."""
        return [
            (
                rank * self.sign,
                sum(order.shown_lots for order in self.levels[rank].values()),
            )
            for rank in self.ranks[: -levels - 1 : -1]
        ]


class Market:
    """One listed symbol: its rules, its state and its book."""

    __slots__ = ("last_ticks", "open_by_account", "rules", "sides", "state", "status")

    def __init__(self, rules: MarketRules) -> None:
        self.rules = rules
        self.state = int(SymbolState.OPEN)
        self.status = StatusReason()
        self.last_ticks = 0
        self.sides = (BookSide(0), BookSide(1))
        self.open_by_account: dict[int, dict[int, Order]] = {}

    def band(self) -> tuple[int, int]:
        """Return (lowest, highest) price of the band around the last trade or listing price.

        Rounded inward: the lowest up, the highest down.
        """
        reference = self.last_ticks or self.rules.listing_price_ticks
        width = self.rules.band_ppm
        lowest = max(1, -(-reference * (PPM - width) // PPM))
        return lowest, min(INT64_MAX, reference * (PPM + width) // PPM)

    def hold_units(self, order: Order, lots: int) -> int:
        """Return what `lots` of `order` hold, rounded up: a buy quote and fee, a sell base.

        The fee is the market's highest, so that no tier and no change of rates uncovers an order.
        """
        rules = self.rules
        if order.side == BUY:
            quote = order.limit_ticks * lots * rules.quote_units_per_tick_lot
            return quote + ceil_ppm(quote, rules.max_taker_fee_ppm)
        return lots * rules.base_units_per_lot

    def affordable_lots(self, price_ticks: int, units: int, taker_ppm: int) -> int:
        """Return how many lots `units` of quote buy at a price, the taker's fee included.

        Exact: the most lots whose quote and rounded-down fee are together at most `units`.
        """
        lot_units = price_ticks * self.rules.quote_units_per_tick_lot
        return ((units + 1) * PPM - 1) // (lot_units * (PPM + taker_ppm))

    def open_buy_lots(self, account_id: int) -> int:
        """Return how much the account's open buys have still to buy."""
        mine = self.open_by_account.get(account_id, {}).values()
        return sum(order.quantity_lots - order.filled_lots for order in mine if order.side == BUY)

    def rest(self, order: Order) -> None:
        """Let `order` stand in the book."""
        self.sides[order.side].add(order)
        self.open_by_account.setdefault(order.account_id, {})[order.order_id] = order

    def take_out(self, order: Order) -> None:
        """Let `order` leave the book."""
        self.sides[order.side].remove(order)
        mine = self.open_by_account[order.account_id]
        del mine[order.order_id]
        if not mine:
            del self.open_by_account[order.account_id]
