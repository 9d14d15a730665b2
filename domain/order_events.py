"""Events in the life of an order: accepted, changed, traded, rested, closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from domain.errors import RejectReason
from domain.event_type import EventType
from domain.order import (
    CloseReason,
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerSource,
)
from domain.quick_values import quickly_made


@quickly_made
@dataclass(frozen=True, slots=True)
class OrderAccepted:
    """Outcome: the order passed all checks; `hold_units` of quote (buy) or base (sell) are held.

    With a quote budget the quantity is 0 here and becomes what the order buys. An order with a
    trigger waits from here on, outside the book. The orders of a list are accepted by one command,
    one event each; `list_id` is the first one's order id. The second of an OCO holds only what the
    first does not hold for it; the children of a bracket hold nothing and are pending until
    `OrderArmed`: they name their entry, `entry_order_id`.
    """

    event_type: ClassVar[EventType] = EventType.ORDER_ACCEPTED
    sequence: int
    index: int
    time_us: int
    account_id: int
    order_id: int
    client_key: int
    symbol_id: int
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    post_only: bool
    self_trade: SelfTrade
    price_ticks: int
    quantity_lots: int
    hold_units: int
    client_text: str
    quote_budget_units: int = 0
    expires_at_us: int = 0
    display_lots: int = 0
    trigger_price_ticks: int = 0
    trailing_offset_ticks: int = 0
    list_id: int = 0
    entry_order_id: int = 0
    trigger_source: TriggerSource = TriggerSource.LAST_PRICE
    reduce_only: bool = False
    close_position: bool = False


@dataclass(frozen=True, slots=True)
class OrderDuplicate:
    """Outcome: this client order id was used before; nothing happened.

    `same_body` tells a retry (answer again) from a conflict; the rest is the order as it is now.
    A list that was placed before has one for each order that is known; `same_body` is the list's.
    """

    event_type: ClassVar[EventType] = EventType.ORDER_DUPLICATE
    sequence: int
    index: int
    time_us: int
    account_id: int
    client_key: int
    symbol_id: int
    order_id: int
    accepted_sequence: int
    accepted_at_us: int
    same_body: bool
    status: OrderStatus
    is_waiting: bool
    price_ticks: int
    quantity_lots: int
    filled_lots: int
    trigger_price_ticks: int
    is_pending: bool = False


@dataclass(frozen=True, slots=True)
class CancelAccepted:
    """Outcome: a cancel or cancel-all was carried out; `OrderClosed` events follow."""

    event_type: ClassVar[EventType] = EventType.CANCEL_ACCEPTED
    sequence: int
    index: int
    time_us: int
    account_id: int
    symbol_id: int
    closed_count: int


@dataclass(frozen=True, slots=True)
class OrderAmended:
    """Outcome: an open order has a new price, quantity or trigger price.

    With `kept_place` it stays where it is and only shrank, what is hidden first; otherwise it
    left the book and acts like a new order: trades, a rest or a close follow. Hidden lots are
    part of the quantity. An order that `is_waiting` for its trigger is not in the book.
    """

    event_type: ClassVar[EventType] = EventType.ORDER_AMENDED
    sequence: int
    index: int
    time_us: int
    account_id: int
    order_id: int
    client_key: int
    symbol_id: int
    side: Side
    kept_place: bool
    price_ticks: int
    quantity_lots: int
    filled_lots: int
    previous_price_ticks: int
    previous_quantity_lots: int
    hidden_lots: int = 0
    previous_hidden_lots: int = 0
    is_waiting: bool = False
    trigger_price_ticks: int = 0
    previous_trigger_price_ticks: int = 0


@dataclass(frozen=True, slots=True)
class OrderTriggered:
    """A price reached the order's trigger: it waits no more, and acts next.

    `trigger_price_ticks` is where a trailing stop's has moved to. Unless `refusal` is NONE the
    order may not act now, and closes.
    """

    event_type: ClassVar[EventType] = EventType.ORDER_TRIGGERED
    sequence: int
    index: int
    symbol_id: int
    account_id: int
    order_id: int
    side: Side
    trigger_price_ticks: int
    reached_price_ticks: int
    refusal: RejectReason


@dataclass(frozen=True, slots=True)
class OrderArmed:
    """The entry of a bracket ended: its child is pending no more, and for what that has filled.

    It holds `hold_units` from here on (the second of two only what the first does not hold for it)
    and next rests, or waits for its trigger. Unless `refusal` is NONE it may not, holds nothing and
    closes.
    """

    event_type: ClassVar[EventType] = EventType.ORDER_ARMED
    sequence: int
    index: int
    symbol_id: int
    account_id: int
    order_id: int
    side: Side
    quantity_lots: int
    previous_quantity_lots: int
    hold_units: int
    refusal: RejectReason


@dataclass(frozen=True, slots=True)
class DeadMansSwitchSet:
    """Outcome: the account's orders are cancelled at `deadline_us`, or (0) no longer."""

    event_type: ClassVar[EventType] = EventType.DEAD_MANS_SWITCH_SET
    sequence: int
    index: int
    time_us: int
    account_id: int
    deadline_us: int


@dataclass(frozen=True, slots=True)
class DeadMansSwitchFired:
    """`closed_count` orders of the account close next; more of them go with the next command."""

    event_type: ClassVar[EventType] = EventType.DEAD_MANS_SWITCH_FIRED
    sequence: int
    index: int
    account_id: int
    deadline_us: int
    closed_count: int


@quickly_made
@dataclass(frozen=True, slots=True)
class Trade:
    """One fill between a resting maker and an incoming taker, at the maker's price.

    Deltas, engine units: the buyer pays `quote_units` + its fee and gets `base_units`; the seller
    gets `quote_units` - its fee. Fees are rounded down; a negative maker fee is a rebate.
    `taker_side` is the taker's. `trade_id` is dense per shard, from 1.
    """

    event_type: ClassVar[EventType] = EventType.TRADE
    sequence: int
    index: int
    symbol_id: int
    trade_id: int
    taker_side: Side
    maker_order_id: int
    taker_order_id: int
    maker_account_id: int
    taker_account_id: int
    price_ticks: int
    quantity_lots: int
    base_units: int
    quote_units: int
    maker_fee_units: int
    taker_fee_units: int


@dataclass(frozen=True, slots=True)
class SelfTradePrevented:
    """Two orders of one account met: both became `lots` smaller and nothing was traded.

    The quantities shrink, what is filled stays; an order that has nothing left closes next.
    """

    event_type: ClassVar[EventType] = EventType.SELF_TRADE_PREVENTED
    sequence: int
    index: int
    symbol_id: int
    taker_side: Side
    account_id: int
    maker_order_id: int
    taker_order_id: int
    price_ticks: int
    lots: int


@quickly_made
@dataclass(frozen=True, slots=True)
class OrderRested:
    """The order's remainder joined the end of its price level.

    `hidden_lots` of it are not shown in the book: the level grows by the difference.
    """

    event_type: ClassVar[EventType] = EventType.ORDER_RESTED
    sequence: int
    index: int
    symbol_id: int
    account_id: int
    order_id: int
    side: Side
    price_ticks: int
    remaining_lots: int
    hidden_lots: int = 0


@dataclass(frozen=True, slots=True)
class OrderRefilled:
    """What an iceberg showed is gone; it shows its next lots, at the end of its price level.

    `hidden_lots` of what remains are still not shown: the level grows by the difference.
    """

    event_type: ClassVar[EventType] = EventType.ORDER_REFILLED
    sequence: int
    index: int
    symbol_id: int
    account_id: int
    order_id: int
    side: Side
    price_ticks: int
    remaining_lots: int
    hidden_lots: int


@quickly_made
@dataclass(frozen=True, slots=True)
class OrderClosed:
    """The order left the engine: filled, cancelled or expired; its hold is released.

    `resting` tells whether it stood in the book (so that a book mirror must take it out);
    `hidden_lots` of what remained were not shown there.
    """

    event_type: ClassVar[EventType] = EventType.ORDER_CLOSED
    sequence: int
    index: int
    symbol_id: int
    account_id: int
    order_id: int
    side: Side
    reason: CloseReason
    resting: bool
    price_ticks: int
    remaining_lots: int
    filled_lots: int
    hidden_lots: int = 0
