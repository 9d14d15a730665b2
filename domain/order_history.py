"""The life of orders, folded from a batch of events: what is new, and what changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from domain.events import Event, OrderAccepted, OrderClosed, Trade
from domain.order import CloseReason, OrderStatus


@dataclass(slots=True)
class OrderChange:
    """What a batch did to one order. `accepted` is None for an order of an earlier batch.

    Fills and fees are what the batch adds; `close_reason` is None while the order lives.
    """

    order_id: int
    accepted: OrderAccepted | None = None
    filled_lots: int = 0
    filled_quote_units: int = 0
    fee_units: int = 0
    close_reason: CloseReason | None = None
    updated_sequence: int = 0
    updated_at_us: int = 0

    @property
    def status(self) -> OrderStatus:
        """Return where the order is after the batch."""
        return OrderStatus.OPEN if self.close_reason is None else self.close_reason.status


def fold(events: Iterable[Event]) -> list[OrderChange]:
    """Return the changes by order, in the order of their first event.

    The time of a command's events is its outcome's.
    """
    changes: dict[int, OrderChange] = {}
    time_us = 0

    def change(order_id: int, sequence: int) -> OrderChange:
        found = changes.get(order_id)
        if found is None:
            found = changes[order_id] = OrderChange(order_id)
        found.updated_sequence, found.updated_at_us = sequence, time_us
        return found

    for event in events:
        if event.index == 0:
            time_us = getattr(event, "time_us", time_us)
        if isinstance(event, OrderAccepted):
            change(event.order_id, event.sequence).accepted = event
        elif isinstance(event, Trade):
            for order_id, fee_units in (
                (event.maker_order_id, event.maker_fee_units),
                (event.taker_order_id, event.taker_fee_units),
            ):
                found = change(order_id, event.sequence)
                found.filled_lots += event.quantity_lots
                found.filled_quote_units += event.quote_units
                found.fee_units += fee_units
        elif isinstance(event, OrderClosed):
            change(event.order_id, event.sequence).close_reason = event.reason
    return list(changes.values())
