"""The life of orders, folded from a batch of events: what is new, and what changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from domain.errors import RejectReason
from domain.events import (
    Event,
    LiquidationPlaced,
    OrderAccepted,
    OrderAmended,
    OrderArmed,
    OrderClosed,
    OrderRested,
    OrderTriggered,
    PerpetualTrade,
    SelfTradePrevented,
    Trade,
    UnwindPlaced,
)
from domain.order import CloseReason, OrderStatus
from domain.order_record import OrderRecord, OrderTerms


@dataclass(slots=True)
class OrderChange:
    """What a batch did to one order. `accepted` is None for an order of an earlier batch.

    Lots, units and fees are what the batch adds (`quantity_lots` may be negative: an amend, a
    prevented self trade); `price_ticks` and `trigger_price_ticks` are None unless an amend gave
    the order other ones, `close_reason` is None while the order lives. One that was `triggered`
    waits no more, one that was `armed` is pending no more, and `refusal` is why it could not act.
    """

    order_id: int
    accepted: OrderAccepted | None = None
    price_ticks: int | None = None
    trigger_price_ticks: int | None = None
    quantity_lots: int = 0
    filled_lots: int = 0
    filled_quote_units: int = 0
    fee_units: int = 0
    triggered: bool = False
    armed: bool = False
    refusal: RejectReason | None = None
    close_reason: CloseReason | None = None
    updated_sequence: int = 0
    updated_at_us: int = 0

    @property
    def status(self) -> OrderStatus:
        """Return where the order is after the batch."""
        return OrderStatus.OPEN if self.close_reason is None else self.close_reason.status

    @property
    def acts(self) -> bool:
        """Return whether the order waits no more: it was triggered, or is closed."""
        return self.triggered or self.close_reason is not None

    @property
    def stands(self) -> bool:
        """Return whether the order is pending no more: it was armed, or is closed."""
        return self.armed or self.close_reason is not None

    def record(self, before: OrderRecord | None = None) -> OrderRecord:
        """Return the order after the batch; `before` is needed unless the batch accepted it."""
        if self.accepted is not None:
            return _placed(self.accepted, self)
        order = before
        assert order is not None, f"nothing is known of order {self.order_id}"
        assert order.filled_quote_units is not None
        assert order.fee_units is not None
        terms = order.terms
        if self.trigger_price_ticks is not None:
            terms = replace(terms, trigger_price_ticks=self.trigger_price_ticks)
        return replace(
            order,
            terms=terms,
            is_waiting=order.is_waiting and not self.acts,
            is_pending=order.is_pending and not self.stands,
            price_ticks=order.price_ticks if self.price_ticks is None else self.price_ticks,
            quantity_lots=order.quantity_lots + self.quantity_lots,
            filled_lots=order.filled_lots + self.filled_lots,
            filled_quote_units=order.filled_quote_units + self.filled_quote_units,
            fee_units=order.fee_units + self.fee_units,
            status=self.status,
            close_reason=self.close_reason,
            refusal=self.refusal,
        )

    def fill(self, trade: Trade | PerpetualTrade, fee_units: int) -> None:
        """Add this order's side of a trade."""
        self.filled_lots += trade.quantity_lots
        self.filled_quote_units += trade.quote_units
        self.fee_units += fee_units
        if self.accepted is not None and self.accepted.quote_budget_units:
            self.quantity_lots += trade.quantity_lots  # its quantity is what the budget buys


def fold(events: Iterable[Event]) -> list[OrderChange]:
    """Return the changes by order, in the order of their first event.

    `events` are whole commands: an order that never rests begins and ends in the same fold. The
    time of a command's events is its outcome's. Orders that nobody placed, by which the house
    liquidates or unwinds, begin and end in one command and have no history: their fills have.
    """
    changes: dict[int, OrderChange] = {}
    house: set[int] = set()
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
        match event:
            case OrderAccepted():
                change(event.order_id, event.sequence).accepted = event
            case OrderRested():
                pass  # most orders do, and nothing of theirs is changed by it
            case OrderAmended():
                amended = change(event.order_id, event.sequence)
                amended.price_ticks = event.price_ticks
                if event.trigger_price_ticks != event.previous_trigger_price_ticks:
                    amended.trigger_price_ticks = event.trigger_price_ticks
                amended.quantity_lots += event.quantity_lots - event.previous_quantity_lots
            case LiquidationPlaced() | UnwindPlaced():
                house.add(event.order_id)
            case Trade() | PerpetualTrade():
                change(event.maker_order_id, event.sequence).fill(event, event.maker_fee_units)
                change(event.taker_order_id, event.sequence).fill(event, event.taker_fee_units)
            case OrderTriggered():
                triggered = change(event.order_id, event.sequence)
                triggered.triggered, triggered.refusal = True, event.refusal or None
            case OrderArmed():
                armed = change(event.order_id, event.sequence)
                armed.armed, armed.refusal = True, event.refusal or None
                armed.quantity_lots += event.quantity_lots - event.previous_quantity_lots
            case SelfTradePrevented():
                for order_id in (event.maker_order_id, event.taker_order_id):
                    change(order_id, event.sequence).quantity_lots -= event.lots
            case OrderClosed():
                change(event.order_id, event.sequence).close_reason = event.reason
            case _:
                pass
    return [found for order_id, found in changes.items() if order_id not in house]


def _placed(accepted: OrderAccepted, change: OrderChange) -> OrderRecord:
    """Return an order after the batch that accepted it: made once, as every answer needs it."""
    terms = OrderTerms.of(accepted)
    if change.trigger_price_ticks is not None:
        terms = replace(terms, trigger_price_ticks=change.trigger_price_ticks)
    price_ticks = change.price_ticks
    return OrderRecord(
        order_id=accepted.order_id,
        account_id=accepted.account_id,
        symbol_id=accepted.symbol_id,
        client_order_id=accepted.client_text,
        client_key=accepted.client_key,
        side=accepted.side,
        order_type=accepted.order_type,
        time_in_force=accepted.time_in_force,
        post_only=accepted.post_only,
        self_trade=accepted.self_trade,
        price_ticks=accepted.price_ticks if price_ticks is None else price_ticks,
        quantity_lots=accepted.quantity_lots + change.quantity_lots,
        filled_lots=change.filled_lots,
        status=change.status,
        accepted_sequence=accepted.sequence,
        accepted_at_us=accepted.time_us,
        terms=terms,
        trigger_source=accepted.trigger_source,
        reduce_only=accepted.reduce_only,
        close_position=accepted.close_position,
        is_waiting=accepted.order_type.is_triggered and not change.acts,
        is_pending=accepted.entry_order_id != 0 and not change.stands,
        filled_quote_units=change.filled_quote_units,
        fee_units=change.fee_units,
        close_reason=change.close_reason,
        refusal=change.refusal,
    )
