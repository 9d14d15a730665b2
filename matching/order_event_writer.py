"""What the reference engine says about orders: accepted, amended, traded, rested, closed."""

from __future__ import annotations

from typing import NamedTuple

from domain.event_type import EventType
from domain.order import CloseReason
from matching.book import NO_TERMS, OPEN, Order
from matching.event_batch import EventBatch, packer

_ACCEPTED = packer(EventType.ORDER_ACCEPTED, 0).pack
_ACCEPTED_1 = packer(EventType.ORDER_ACCEPTED, 1).pack
_ACCEPTED_2 = packer(EventType.ORDER_ACCEPTED, 2).pack
_ACCEPTED_3 = packer(EventType.ORDER_ACCEPTED, 3).pack
_DUPLICATE = packer(EventType.ORDER_DUPLICATE, 0).pack
_DUPLICATE_1 = packer(EventType.ORDER_DUPLICATE, 1).pack
_AMENDED = packer(EventType.ORDER_AMENDED, 0).pack
_AMENDED_2 = packer(EventType.ORDER_AMENDED, 2).pack
_AMENDED_1 = packer(EventType.ORDER_AMENDED, 1).pack
_TRADE = packer(EventType.TRADE, 0).pack
_TRADE_1 = packer(EventType.TRADE, 1).pack
_PREVENTED = packer(EventType.SELF_TRADE_PREVENTED, 0).pack
_RESTED = packer(EventType.ORDER_RESTED, 0).pack
_REFILLED = packer(EventType.ORDER_REFILLED, 0).pack
_TRIGGERED = packer(EventType.ORDER_TRIGGERED, 0).pack
_ARMED = packer(EventType.ORDER_ARMED, 0).pack
_CLOSED = packer(EventType.ORDER_CLOSED, 0).pack

_T_ACCEPTED = int(EventType.ORDER_ACCEPTED)
_T_TRADE = int(EventType.TRADE)
_T_RESTED = int(EventType.ORDER_RESTED)
_T_CLOSED = int(EventType.ORDER_CLOSED)


class Before(NamedTuple):
    """What an amend changes, as it was until now."""

    price_ticks: int
    quantity_lots: int
    hidden_lots: int
    trigger_ticks: int

    @classmethod
    def of(cls, order: Order) -> Before:
        """Return it of an order."""
        terms = (order.price_ticks, order.quantity_lots)
        return cls(*terms, order.hidden_lots, order.trigger_ticks)


class OrderEvents(EventBatch):
    """Write the events of orders."""

    __slots__ = ()

    def accepted(self, order: Order, hold_units: int) -> None:
        """Outcome: an order passed all checks."""
        n, i, s, g = self.sequence, self.next_index(), order.symbol_id, order.flags
        out = self.out
        out.append(
            _ACCEPTED(
                n,
                i,
                _T_ACCEPTED,
                0,
                s,
                g,
                self.time_us,
                order.account_id,
                order.order_id,
                order.identity[8:],
                order.price_ticks,
            )
        )
        entry_id = order.terms.list_id if order.pending else 0
        lots = order.quantity_lots
        out.append(_ACCEPTED_1(n, i, _T_ACCEPTED, 1, s, g, lots, hold_units, entry_id))
        if order.text:
            out.append(_ACCEPTED_2(n, i, _T_ACCEPTED, 2, s, g, order.text))
        if order.terms != NO_TERMS:
            out.append(_ACCEPTED_3(n, i, _T_ACCEPTED, 3, s, g, *order.terms))

    def duplicate(self, order: Order, symbol_id: int, same_body: bool) -> None:
        """Outcome: the client order id is known; `order` is its order as it is now."""
        kind = EventType.ORDER_DUPLICATE
        waits = order.is_waiting and order.status == OPEN
        n, i = self.sequence, self.next_index()
        g = int(same_body) | order.status << 1 | int(waits) << 4 | int(order.pending > 0) << 5
        self.out.append(
            _DUPLICATE(
                n,
                i,
                kind,
                0,
                symbol_id,
                g,
                self.time_us,
                order.account_id,
                order.identity[8:],
                order.order_id,
                order.accepted_sequence,
            )
        )
        trigger = order.trigger_ticks if order.terms.trigger_price_ticks else 0
        numbers = (order.price_ticks, order.quantity_lots, order.filled_lots, trigger)
        accepted_us = order.accepted_time_us
        self.out.append(_DUPLICATE_1(n, i, kind, 1, symbol_id, g, accepted_us, *numbers))

    def amended(self, order: Order, before: Before, kept: bool) -> None:
        """Outcome: `order` is changed."""
        n, i, kind = self.sequence, self.next_index(), EventType.ORDER_AMENDED
        s, g = order.symbol_id, order.side | (2 if kept else 0) | (4 if order.is_waiting else 0)
        about = (order.account_id, order.order_id, order.identity[8:], order.price_ticks)
        self.out.append(_AMENDED(n, i, kind, 0, s, g, self.time_us, *about))
        lots = (order.quantity_lots, order.filled_lots)
        terms, hidden = before[:2], (order.hidden_lots, before.hidden_lots)
        self.out.append(_AMENDED_1(n, i, kind, 1, s, g, *lots, *terms, *hidden))
        if order.is_waiting:
            triggers = (order.trigger_ticks, before.trigger_ticks)
            self.out.append(_AMENDED_2(n, i, kind, 2, s, g, *triggers))

    def trade(
        self,
        trade_id: int,
        maker: Order,
        taker: Order,
        lots: int,
        amounts: tuple[int, int, int, int],
    ) -> None:
        """One fill; `amounts` are base, quote, maker fee and taker fee units."""
        n, i, s, g = self.sequence, self.next_index(), taker.symbol_id, taker.side
        out = self.out
        out.append(
            _TRADE(
                n,
                i,
                _T_TRADE,
                0,
                s,
                g,
                trade_id,
                maker.order_id,
                taker.order_id,
                maker.account_id,
                taker.account_id,
                maker.price_ticks,
            )
        )
        out.append(_TRADE_1(n, i, _T_TRADE, 1, s, g, lots, *amounts))

    def prevented(self, maker: Order, taker: Order, lots: int) -> None:
        """Say that two orders of one account shrank instead of trading."""
        self.out.append(
            _PREVENTED(
                self.sequence,
                self.next_index(),
                EventType.SELF_TRADE_PREVENTED,
                0,
                taker.symbol_id,
                taker.side,
                taker.account_id,
                maker.order_id,
                taker.order_id,
                maker.price_ticks,
                lots,
            )
        )

    def rested(self, order: Order) -> None:
        """Say that the order's remainder joined its level."""
        self.out.append(
            _RESTED(
                self.sequence,
                self.next_index(),
                _T_RESTED,
                0,
                order.symbol_id,
                order.side,
                order.account_id,
                order.order_id,
                order.price_ticks,
                order.quantity_lots - order.filled_lots,
                order.hidden_lots,
            )
        )

    def refilled(self, order: Order) -> None:
        """Say that an iceberg shows its next lots."""
        self.out.append(
            _REFILLED(
                self.sequence,
                self.next_index(),
                EventType.ORDER_REFILLED,
                0,
                order.symbol_id,
                order.side,
                order.account_id,
                order.order_id,
                order.price_ticks,
                order.quantity_lots - order.filled_lots,
                order.hidden_lots,
            )
        )

    def triggered(self, order: Order, reached_ticks: int, refusal: int) -> None:
        """Say that a price reached the order's trigger, and why (or NONE) it may not act."""
        self.out.append(
            _TRIGGERED(
                self.sequence,
                self.next_index(),
                EventType.ORDER_TRIGGERED,
                0,
                order.symbol_id,
                order.side,
                order.account_id,
                order.order_id,
                order.trigger_ticks,
                reached_ticks,
                refusal,
            )
        )

    def armed(self, order: Order, previous_lots: int, hold_units: int, refusal: int) -> None:
        """Say that a child of a bracket is pending no more, and why (or NONE) it may not stand."""
        self.out.append(
            _ARMED(
                self.sequence,
                self.next_index(),
                EventType.ORDER_ARMED,
                0,
                order.symbol_id,
                order.side,
                order.account_id,
                order.order_id,
                order.quantity_lots,
                previous_lots,
                hold_units,
                refusal,
            )
        )

    def closed(self, order: Order, reason: CloseReason, resting: bool) -> None:
        """Say that the order left the engine."""
        self.out.append(
            _CLOSED(
                self.sequence,
                self.next_index(),
                _T_CLOSED,
                0,
                order.symbol_id,
                order.side | (2 if resting else 0) | reason << 8,
                order.account_id,
                order.order_id,
                order.price_ticks,
                order.quantity_lots - order.filled_lots,
                order.filled_lots,
                order.hidden_lots,
            )
        )
