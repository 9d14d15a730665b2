"""Orders, cancels and fills: what comes in and what goes out, as text."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from api.schemas.common import DecimalText, Input, Output, SymbolText
from domain.money import INT64_MAX
from domain.order_id import CLIENT_ORDER_ID_PATTERN

ClientOrderId = Annotated[
    str,
    StringConstraints(strict=True, pattern=CLIENT_ORDER_ID_PATTERN),
    Field(description="Your name for the order, unique per account.", examples=["my-order-1"]),
]
LARGEST_BATCH = 100
OrderIdText = Annotated[
    str, StringConstraints(strict=True, pattern=r"^[0-9]{1,19}$"), Field(examples=["17"])
]
# The words of domain/order.py in lower case; a test holds them complete.
SideText = Literal["buy", "sell"]
TypeText = Literal[
    "limit",
    "market",
    "stop",
    "stop_limit",
    "take_profit",
    "take_profit_limit",
    "trailing_stop",
]
TimeInForceText = Literal["gtc", "gtd", "ioc", "fok"]
TriggerSourceText = Literal["last", "mark", "index"]
SetsItOff = Annotated[
    TriggerSourceText,
    Field(
        description="Which price sets it off: the last traded one, as is usual, or on a perpetual "
        "the mark or the index."
    ),
]
SelfTradeText = Literal["expire_maker", "expire_taker", "expire_both", "decrement"]
StatusText = Literal["open", "filled", "cancelled", "expired", "rejected"]
CloseReasonText = Literal[
    "filled",
    "cancelled_by_user",
    "ioc_remainder",
    "self_trade",
    "cancelled_by_admin",
    "band_reached",
    "sweep_limit",
    "time_expired",
    "dead_mans_switch",
    "refused_at_trigger",
    "order_list_done",
    "cancelled_by_liquidation",
    "nothing_to_reduce",
    "cancelled_by_settlement",
    "insufficient_margin",
]


class PlaceOrderIn(Input):
    """A new order. A market order has no price and is immediate-or-cancel.

    Stops and take-profits wait outside the book until the price of their `trigger_source` reaches
    `trigger_price`, a trailing stop until it turns by `trailing_offset` from the best since. Then
    those named limit act as a limit order, the others as a market order.
    """

    symbol: SymbolText
    side: SideText
    type: TypeText = "limit"
    quantity: DecimalText | None = None
    quote_amount: DecimalText | None = Field(
        None,
        description="Instead of a quantity, for market buys: spend at most this much of the quote "
        "asset, the fee included.",
        examples=["100"],
    )
    price: DecimalText | None = None
    time_in_force: TimeInForceText | None = Field(
        None,
        description="Without it, a market order is ioc and any other gtc. One that acts as a "
        "market order at its trigger waits gtc or gtd.",
    )
    expires_at_us: int | None = Field(
        None,
        ge=1,
        le=INT64_MAX,
        description="For gtd: when the order leaves the book, in microseconds since 1970.",
    )
    trigger_price: DecimalText | None = None
    trailing_offset: DecimalText | None = Field(
        None, description="For trailing_stop: how far the price has to turn.", examples=["25.5"]
    )
    trigger_source: SetsItOff | None = None
    display_quantity: DecimalText | None = Field(
        None,
        description="An iceberg: the book shows this much at a time and hides the rest, in at "
        "most 100 slices.",
        examples=["0.1"],
    )
    post_only: bool = False
    self_trade: SelfTradeText = Field(
        "expire_maker", description="What gives way when the order meets one of your own."
    )
    reduce_only: bool = Field(
        False,
        description="On a perpetual: trade no more than there is to close when it acts, and rest "
        "only as long as it can close.",
    )
    close_position: bool = Field(
        False,
        description="On a perpetual, for a market order or one that acts as a market order at its "
        "trigger: close all there is, without naming a quantity.",
    )
    client_order_id: ClientOrderId | None = None


class AmendOrderIn(Input):
    """The new price, quantity or trigger price; what is left out stays.

    `quantity` is the whole quantity, what is filled already included.
    """

    price: DecimalText | None = None
    quantity: DecimalText | None = None
    trigger_price: DecimalText | None = Field(None, description="Only while the order waits.")


class BatchPlace(PlaceOrderIn):
    """A new order in a batch."""

    op: Literal["place"]


class _BatchNamed(Input):
    """An open order in a batch, by order id or client order id."""

    symbol: SymbolText
    order_id: OrderIdText | None = None
    client_order_id: ClientOrderId | None = None


class BatchCancel(_BatchNamed):
    """A cancel in a batch."""

    op: Literal["cancel"]


class BatchAmend(_BatchNamed, AmendOrderIn):
    """An amend in a batch."""

    op: Literal["amend"]


BatchOperation = Annotated[BatchPlace | BatchCancel | BatchAmend, Field(discriminator="op")]


class BatchIn(Input):
    """Up to 100 operations, carried out in the order given."""

    operations: list[BatchOperation] = Field(min_length=1, max_length=LARGEST_BATCH)


class DeadMansSwitchIn(Input):
    """How long the account may be silent; 0 switches it off."""

    timeout_seconds: int = Field(ge=0, le=10**9, examples=[60])


class FillOut(Output):
    """One fill of the answered order."""

    trade_id: str
    price: str
    quantity: str
    fee: str
    fee_asset: str
    role: Literal["maker", "taker"] = "taker"


class OrderOut(Output):
    """An order as it is after the request. `fills` are those of this very request.

    Price and quantity are as they are now: an amend, or a self trade that was prevented by
    `decrement`, changes them.
    """

    order_id: str
    client_order_id: str
    symbol: str
    side: SideText
    type: TypeText
    time_in_force: TimeInForceText
    post_only: bool
    self_trade: SelfTradeText
    price: str | None
    quantity: str = Field(description="With a quote amount, what it has bought.")
    quote_amount: str | None = None
    expires_at_us: int | None = None
    display_quantity: str | None = None
    trigger_price: str | None = Field(
        None,
        description="As it is now. Of a trailing stop that waits, where it has moved to; its first "
        "answer and its history do not tell it.",
    )
    trailing_offset: str | None = None
    trigger_source: TriggerSourceText | None = Field(
        None, description="Which price sets it off; null: it waits for none."
    )
    reduce_only: bool = False
    close_position: bool = False
    order_list_id: str | None = Field(
        None, description="The list it was placed in; null: it was placed alone."
    )
    waiting: bool = Field(False, description="Whether it waits for its trigger, outside the book.")
    pending: bool = Field(
        False, description="Whether it waits for the end of its bracket's entry, and holds nothing."
    )
    filled_quantity: str
    filled_quote: str | None = Field(
        description="Sum of price x quantity of the fills; null where only the history knows it."
    )
    average_price: str | None = Field(
        description="filled_quote / filled_quantity, rounded down to the quote asset's unit."
    )
    fee: str | None
    fee_asset: str
    status: StatusText
    close_reason: CloseReasonText | None = None
    refusal: str | None = Field(
        None,
        description="The code of the refusal that it met, when it closed as refused_at_trigger; "
        "null where only the history knows it.",
        examples=["no_liquidity"],
    )
    sequence: int = Field(description="The engine's number of the command that accepted it.")
    time_us: int
    duplicate: bool = False
    fills: tuple[FillOut, ...] = ()


class MarginPreviewOut(Output):
    """What an order on a perpetual would do, were all of it filled at its limit or else the mark.

    `quantity` is what it could trade now: a reduce-only order no more than there is to close.
    `initial_margin` is what the position would then need at least, `fee` the most that the fill
    costs, `liquidation_price` the last mark at which the position would be safe (null: every one).
    `previous_position` and `previous_liquidation_price` are what they are without the order.
    """

    price: str
    quantity: str
    position: str
    previous_position: str
    leverage: int
    initial_margin: str
    maintenance_margin: str
    fee: str
    liquidation_price: str | None
    previous_liquidation_price: str | None


class DryRunOut(Output):
    """An order that would be accepted: what it would hold until it trades or ends.

    A buy holds the quote asset with the largest fee, a sell what it sells.
    """

    symbol: str
    side: SideText
    hold: str
    hold_asset: str
    sequence: int = Field(description="The engine's number of the command after which this holds.")
    margin: MarginPreviewOut | None = Field(
        None,
        description="Of a perpetual: what the order, or a bracket's entry, does to your margin.",
    )


class AmendOut(Output):
    """An order right after an amend; `fills` are those that the amend itself brought."""

    order_id: str
    symbol: str
    side: SideText
    price: str | None
    quantity: str
    trigger_price: str | None
    filled_quantity: str
    previous_price: str | None
    previous_quantity: str
    previous_trigger_price: str | None
    kept_place: bool = Field(description="Whether it stands where it stood in the queue.")
    status: StatusText
    sequence: int
    time_us: int
    fills: tuple[FillOut, ...] = ()


class CancelOut(Output):
    """A cancelled order."""

    order_id: str
    symbol: str
    status: StatusText
    filled_quantity: str
    remaining_quantity: str
    sequence: int
    also_cancelled: list[str] = Field(
        [], description="The order ids of others of its list, which went with it."
    )


class HaltedOrdersOut(Output):
    """Orders that stay open because their market is halted, which takes no cancels either."""

    symbol: str
    open_orders: int
    reason: str


class CancelAllOut(Output):
    """All orders that a cancel-all closed, in id order, and those that it could not reach."""

    cancelled: list[CancelOut]
    halted: list[HaltedOrdersOut] = Field(
        [], description="What stays open in halted markets; cancel it when they are open again."
    )


class DeadMansSwitchOut(Output):
    """When all your orders are cancelled, unless you are heard of before; null: not at all."""

    deadline_us: int | None
    time_us: int


class BatchResult(Output):
    """The result of one operation of a batch: an order, an amend, a cancel, or a problem."""

    status: int
    order: OrderOut | None = None
    amended: AmendOut | None = None
    cancelled: CancelOut | None = None
    problem: dict[str, Any] | None = None


class BatchOut(Output):
    """Results in the order of the operations."""

    results: list[BatchResult]


class OrderPage(Output):
    """Orders, newest first; `next` continues."""

    orders: list[OrderOut]
    next: str | None = None


class OwnFillOut(Output):
    """One of your fills."""

    trade_id: str
    order_id: str
    symbol: str
    side: SideText
    role: Literal["maker", "taker"]
    price: str
    quantity: str
    quote: str
    fee: str
    fee_asset: str
    realised_profit: str | None = Field(
        None, description="Of a perpetual: the profit that this fill made, fees not taken off."
    )
    insurance: str | None = Field(
        None,
        description="Of a perpetual: what this fill of a liquidation paid to the insurance fund; "
        "negative where the fund paid.",
    )
    time_us: int
    sequence: int


class FillPage(Output):
    """Fills, newest first; `next` continues."""

    fills: list[OwnFillOut]
    next: str | None = None
