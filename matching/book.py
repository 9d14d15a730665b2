"""One market's book: price levels in time order, and the orders in them."""

from __future__ import annotations

from typing import NamedTuple

from domain.commands import MarketRules
from domain.money import INT64_MAX, PPM, ceil_ppm
from domain.order import OrderStatus, OrderType, Side, SymbolState, TriggerSource
from domain.order_guards import RestingReduceOnly
from domain.trading_status import StatusReason
from matching.book_side import BookSide
from matching.perpetual import REDUCES, Perpetual

BUY = int(Side.BUY)
OPEN = int(OrderStatus.OPEN)
AWAITS, ENDED = 1, 2
_LIMITS = frozenset(int(kind) for kind in OrderType if kind.is_limit)
_WAITERS = frozenset(int(kind) for kind in OrderType if kind.is_triggered)
_LIMIT = int(OrderType.LIMIT)
_TAKES_PROFIT = frozenset((int(OrderType.TAKE_PROFIT), int(OrderType.TAKE_PROFIT_LIMIT)))


class Terms(NamedTuple):
    """The rarer terms of an order as it was placed: `domain.order_record.OrderTerms`, but light."""

    quote_budget_units: int = 0
    expires_at_us: int = 0
    display_lots: int = 0
    trigger_price_ticks: int = 0
    trailing_offset_ticks: int = 0
    list_id: int = 0


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
        "covered_units",
        "entry_lots",
        "filled_lots",
        "flags",
        "hidden_lots",
        "identity",
        "is_market",
        "is_waiting",
        "limit_ticks",
        "order_id",
        "pending",
        "price_ticks",
        "quantity_lots",
        "rises",
        "sibling",
        "side",
        "status",
        "symbol_id",
        "terms",
        "text",
        "trigger_ticks",
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
        kind = flags >> 1 & 15
        self.is_market = kind not in _LIMITS
        self.is_waiting = kind in _WAITERS  # until its trigger
        self.rises = (self.side == BUY) != (kind in _TAKES_PROFIT)  # which way it waits for
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
        self.trigger_ticks = terms.trigger_price_ticks  # as it is now
        self.sibling: Order | None = None  # the other one of its list, while both are untouched
        self.covered_units = 0  # of its hold, what its sibling holds for it
        self.pending = 0  # a bracket's child: AWAITS its entry's end, or it ENDED with `entry_lots`
        self.entry_lots = 0
        self.status = OPEN
        self.closed_us = 0

    @property
    def is_outside(self) -> bool:
        """Return whether the order, which is open, is not in the book: it waits or is pending."""
        return self.is_waiting or self.pending > 0

    @property
    def shown_lots(self) -> int:
        """Return what the book shows of the order."""
        return self.quantity_lots - self.filled_lots - self.hidden_lots

    def show_next(self) -> None:
        """Hide all but the next slice of what remains, when the order is an iceberg."""
        if self.terms.display_lots:
            remaining = self.quantity_lots - self.filled_lots
            self.hidden_lots = max(0, remaining - self.terms.display_lots)

    def start_from(self, price_ticks: int) -> None:
        """Give a trailing stop that begins to wait its trigger; 0 where it can have none."""
        offset = self.terms.trailing_offset_ticks
        if offset:
            trigger = price_ticks + (offset if self.rises else -offset)
            self.trigger_ticks = trigger if 0 < trigger <= INT64_MAX else 0

    def follow(self, low_ticks: int, high_ticks: int) -> bool:
        """Move a trailing stop's trigger after the best price; return whether it moved."""
        offset = self.terms.trailing_offset_ticks
        if offset == 0:
            return False
        if self.rises:
            trigger = min(self.trigger_ticks, low_ticks + offset)
        else:
            trigger = max(self.trigger_ticks, high_ticks - offset)
        moved = trigger != self.trigger_ticks
        self.trigger_ticks = trigger
        return moved

    def is_reached(self, low_ticks: int, high_ticks: int) -> bool:
        """Return whether prices from `low_ticks` to `high_ticks` set the waiting order off."""
        return high_ticks >= self.trigger_ticks if self.rises else low_ticks <= self.trigger_ticks

    def same_body(self, asked: Order, list_id: int) -> bool:
        """Return whether `asked` is what this one was placed as, alone (0) or in that list."""
        return (
            (self.symbol_id, self.flags) == (asked.symbol_id, asked.flags)
            and (self.asked_ticks, self.asked_lots) == (asked.asked_ticks, asked.asked_lots)
            and self.terms == asked.terms._replace(list_id=list_id)
        )

    def is_beyond(self, entry_side: int, entry_ticks: int) -> bool:
        """Return whether a bracket's child is on its side of the entry; a trailing stop always."""
        kind = self.flags >> 1 & 15
        if self.terms.trailing_offset_ticks:
            return True
        profits = kind == _LIMIT or kind in _TAKES_PROFIT
        rises = (entry_side == BUY) == profits
        return self.first_ticks > entry_ticks if rises else self.first_ticks < entry_ticks

    @property
    def source(self) -> int:
        """Return which price sets the order off when it waits: a `TriggerSource`."""
        return self.flags >> 12 & 3

    @property
    def first_ticks(self) -> int:
        """Return the price at which something happens to the order: its trigger, or its limit."""
        return self.trigger_ticks if self.is_waiting else self.price_ticks

    def keeps_place(self, price_ticks: int, quantity_lots: int) -> bool:
        """Return whether an amend to these terms leaves the order where it stands."""
        return price_ticks == self.price_ticks and quantity_lots <= self.quantity_lots


def whole_lists(orders: list[Order], most: int) -> list[Order]:
    """Return the first `most` (at least one) of `orders`, and more rather than a part of a list.

    The orders of a list follow each other: they were numbered by one command.
    """
    while most < len(orders) and _go_together(orders[most - 1], orders[most]):
        most += 1
    return orders[:most]


def _go_together(order: Order, following: Order) -> bool:
    if following.pending:
        return order.terms.list_id == following.terms.list_id
    return order.sibling is following


class Reached:
    """The lowest and highest price that orders which wait have not been held against yet, or 0."""

    __slots__ = ("high_ticks", "low_ticks")

    def __init__(self) -> None:
        self.low_ticks = self.high_ticks = 0

    def note(self, price_ticks: int) -> None:
        """Remember a price."""
        self.low_ticks = min(self.low_ticks or price_ticks, price_ticks)
        self.high_ticks = max(self.high_ticks, price_ticks)


class Market:
    """One listed symbol: its rules, its state, its book, and the orders that wait outside.

    Those that wait for a trigger are `waiting`; the children of brackets are `pending`, by the id
    of their list, until those in `ended` have been seen to.

    What each source of triggers has said and not been held against yet is in `reached`.
    """

    __slots__ = (
        "ended",
        "last_ticks",
        "open_by_account",
        "pending",
        "perpetual",
        "reached",
        "rules",
        "sides",
        "state",
        "status",
        "waiting",
    )

    def __init__(self, rules: MarketRules, perpetual: Perpetual | None = None) -> None:
        self.rules = rules
        self.perpetual = perpetual
        self.state = int(SymbolState.OPEN)
        self.status = StatusReason()
        self.last_ticks = 0
        self.reached = [Reached() for _ in TriggerSource]
        self.sides = (BookSide(0), BookSide(1))
        self.waiting: dict[int, Order] = {}
        self.pending: dict[int, dict[int, Order]] = {}
        self.ended: set[int] = set()
        self.open_by_account: dict[int, dict[int, Order]] = {}

    @property
    def reference_ticks(self) -> int:
        """Return the last traded price, or the listing price before there is one.

        Of a perpetual the mark, as soon as there is one.
        """
        if self.perpetual is not None and self.perpetual.mark_ticks:
            return self.perpetual.mark_ticks
        return self.last_ticks or self.rules.listing_price_ticks

    def price_of(self, source: int) -> int:
        """Return the price that sets orders of a source off, as it is now; 0: there is none."""
        if source == TriggerSource.LAST_PRICE or self.perpetual is None:
            return self.last_ticks
        is_mark = source == TriggerSource.MARK_PRICE
        return self.perpetual.mark_ticks if is_mark else self.perpetual.index_ticks

    def start_of(self, order: Order) -> int:
        """Return the price that a trailing stop begins to wait from."""
        is_last = order.source == TriggerSource.LAST_PRICE
        return self.reference_ticks if is_last else self.price_of(order.source)

    def band(self, reference_ticks: int = 0) -> tuple[int, int]:
        """Return (lowest, highest) price of the band around the last or a given price.

        Rounded inward: the lowest up, the highest down. Around the mark in a perpetual.
        """
        if self.perpetual is not None:
            return self.perpetual.band(self.rules.band_ppm, reference_ticks)
        reference = reference_ticks or self.reference_ticks
        width = self.rules.band_ppm
        lowest = max(1, -(-reference * (PPM - width) // PPM))
        return lowest, min(INT64_MAX, reference * (PPM + width) // PPM)

    def hold_units(self, order: Order, lots: int) -> int:
        """Return what `lots` of `order` hold, rounded up: a buy quote and fee, a sell base.

        The fee is the market's highest, so that no tier and no change of rates uncovers an order.
        In a perpetual nothing is held: margin covers what orders may do.
        """
        if self.perpetual is not None:
            return 0
        rules = self.rules
        if order.side == BUY:
            quote = order.limit_ticks * lots * rules.quote_units_per_tick_lot
            return quote + ceil_ppm(quote, rules.max_taker_fee_ppm)
        return lots * rules.base_units_per_lot

    def held_asset(self, order: Order) -> int:
        """Return the asset that an order holds: what it spends."""
        return self.rules.quote_asset_id if order.side == BUY else self.rules.base_asset_id

    def affordable_lots(self, price_ticks: int, units: int, taker_ppm: int) -> int:
        """Return how many lots `units` of quote buy at a price, the taker's fee included.

        Exact: the most lots whose quote and rounded-down fee are together at most `units`.
        """
        lot_units = price_ticks * self.rules.quote_units_per_tick_lot
        return ((units + 1) * PPM - 1) // (lot_units * (PPM + taker_ppm))

    def held_units(self, order: Order) -> int:
        """Return what an open order holds now: for what remains, less what its sibling covers."""
        if order.pending:
            return 0
        lots = order.quantity_lots - order.filled_lots
        return self.hold_units(order, lots) - order.covered_units

    def link(self, first: Order, second: Order) -> None:
        """Let two orders end each other; what `first` holds covers `second`, which waits."""
        first.sibling, second.sibling = second, first
        second.covered_units = min(self.held_units(first), self.held_units(second))

    def open_buy_lots(self, account_id: int) -> int:
        """Return how much the account's open buys have still to buy; of an OCO only one will.

        What is pending may never buy, and is asked again before it can.
        """
        mine = self.open_by_account.get(account_id, {}).values()
        return sum(
            order.quantity_lots - order.filled_lots
            for order in mine
            if order.side == BUY and not order.covered_units and not order.pending
        )

    def reduce_only_orders(self, account_id: int, side: int) -> list[RestingReduceOnly]:
        """Return the account's reduce-only orders in the book, of one side."""
        if self.perpetual is None:
            return []
        return [
            RestingReduceOnly(one.order_id, one.price_ticks, one.quantity_lots - one.filled_lots)
            for one in self.open_by_account.get(account_id, {}).values()
            if one.side == side and one.flags & REDUCES and not one.is_outside
        ]

    def aim(self, order: Order) -> None:
        """Set the limit of an order that waits: its own, or the band's edge at its trigger."""
        lowest, highest = self.band(order.trigger_ticks)
        edge = highest if order.side == BUY else lowest
        order.limit_ticks = edge if order.is_market else order.price_ticks

    def rest(self, order: Order) -> None:
        """Let `order` stand in the book, or wait beside it."""
        if order.pending:
            self.pending.setdefault(order.terms.list_id, {})[order.order_id] = order
            if order.pending == ENDED:
                self.ended.add(order.terms.list_id)
        elif order.is_waiting:
            self.waiting[order.order_id] = order
        else:
            self.sides[order.side].add(order)
            self.count(order, order.quantity_lots - order.filled_lots)
        self.open_by_account.setdefault(order.account_id, {})[order.order_id] = order

    def take_out(self, order: Order) -> None:
        """Let `order` leave the book, or wait no more."""
        if order.pending:
            self._take_pending(order)
        elif order.is_waiting:
            del self.waiting[order.order_id]
        else:
            self.sides[order.side].remove(order)
            self.count(order, order.filled_lots - order.quantity_lots)
        mine = self.open_by_account[order.account_id]
        del mine[order.order_id]
        if not mine:
            del self.open_by_account[order.account_id]

    def count(self, order: Order, lots: int) -> None:
        """Count `lots` more (or less) of an order in the book toward its account's margin."""
        if self.perpetual is not None:
            self.perpetual.seat(order.account_id).count(order.side, order.flags, lots)

    def _take_pending(self, order: Order) -> None:
        list_id = order.terms.list_id
        children = self.pending[list_id]
        del children[order.order_id]
        if not children:
            del self.pending[list_id]
            self.ended.discard(list_id)

    def outside(self) -> list[Order]:
        """Return the open orders that do not stand in the book."""
        pending = [order for children in self.pending.values() for order in children.values()]
        return [*self.waiting.values(), *pending]

    def children(self, entry: Order) -> list[Order]:
        """Return the pending orders of the bracket that `entry` opened, by id."""
        return list(self.pending.get(entry.order_id, {}).values())
