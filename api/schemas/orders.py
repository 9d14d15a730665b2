"""Orders, cancels and fills: what comes in, what goes out, and the way between text and units."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from api.errors import Problem
from api.schemas.common import DecimalText, Input, Output, SymbolText
from domain.commands import CancelOrder, PlaceOrder
from domain.instrument import Instrument, OffGridError
from domain.money import INT64_MAX, DecimalTextError
from domain.order import OrderType, SelfTrade, Side, TimeInForce
from domain.order_id import CLIENT_ORDER_ID_PATTERN, client_key

ClientOrderId = Annotated[
    str,
    StringConstraints(strict=True, pattern=CLIENT_ORDER_ID_PATTERN),
    Field(description="Your name for the order, unique per account.", examples=["my-order-1"]),
]
OrderIdText = Annotated[
    str, StringConstraints(strict=True, pattern=r"^[0-9]{1,19}$"), Field(examples=["17"])
]
SideText = Literal["buy", "sell"]
TypeText = Literal["limit", "market"]
TimeInForceText = Literal["gtc", "ioc", "fok"]
StatusText = Literal["open", "filled", "cancelled", "expired", "rejected"]


class PlaceOrderIn(Input):
    """A new order. A market order has no price and is immediate-or-cancel."""

    symbol: SymbolText
    side: SideText
    type: TypeText = "limit"
    quantity: DecimalText
    price: DecimalText | None = None
    time_in_force: TimeInForceText | None = None
    post_only: bool = False
    self_trade: Literal["expire_maker", "expire_taker", "expire_both"] = "expire_maker"
    client_order_id: ClientOrderId | None = None


class BatchPlace(PlaceOrderIn):
    """A new order in a batch."""

    op: Literal["place"]


class BatchCancel(Input):
    """A cancel in a batch, by order id or client order id."""

    op: Literal["cancel"]
    symbol: SymbolText
    order_id: OrderIdText | None = None
    client_order_id: ClientOrderId | None = None


class BatchIn(Input):
    """Up to 20 operations, carried out in the order given."""

    operations: list[Annotated[BatchPlace | BatchCancel, Field(discriminator="op")]] = Field(
        min_length=1, max_length=20
    )


class FillOut(Output):
    """One fill of the answered order."""

    trade_id: str
    price: str
    quantity: str
    fee: str
    fee_asset: str
    role: Literal["maker", "taker"] = "taker"


class OrderOut(Output):
    """An order as it is after the request. `fills` are those of this very request."""

    order_id: str
    client_order_id: str
    symbol: str
    side: SideText
    type: TypeText
    time_in_force: TimeInForceText
    post_only: bool
    price: str | None
    quantity: str
    filled_quantity: str
    filled_quote: str | None = Field(description="Sum of price x quantity of the fills.")
    fee: str | None
    fee_asset: str
    status: StatusText
    sequence: int = Field(description="The engine's number of the command that accepted it.")
    time_us: int
    duplicate: bool = False
    fills: tuple[FillOut, ...] = ()


class CancelOut(Output):
    """A cancelled order."""

    order_id: str
    symbol: str
    status: StatusText
    filled_quantity: str
    remaining_quantity: str
    sequence: int


class CancelAllOut(Output):
    """All orders that a cancel-all closed, in id order."""

    cancelled: list[CancelOut]


class BatchResult(Output):
    """The result of one operation of a batch: an order, a cancel, or a problem."""

    status: int
    order: OrderOut | None = None
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
    time_us: int
    sequence: int


class FillPage(Output):
    """Fills, newest first; `next` continues."""

    fills: list[OwnFillOut]
    next: str | None = None


def place_command(
    order: PlaceOrderIn, instrument: Instrument, account_id: int, client_order_id: str
) -> PlaceOrder:
    """Return the engine's command for an order; a `Problem` names the field that is wrong."""
    if order.type == "market":
        if order.price is not None or order.post_only:
            raise Problem("invalid_combination", "A market order has no price and no post_only.")
        time_in_force = TimeInForce[(order.time_in_force or "ioc").upper()]
        if time_in_force is TimeInForce.GTC:
            raise Problem("invalid_combination", "A market order is ioc or fok.")
        price_ticks = 0
    else:
        if order.price is None:
            raise Problem("invalid_price", "A limit order needs a price.")
        time_in_force = TimeInForce[(order.time_in_force or "gtc").upper()]
        price_ticks = _positive("invalid_price", "price", order.price, instrument)
    return PlaceOrder(
        account_id=account_id,
        client_key=client_key(client_order_id),
        symbol_id=instrument.symbol_id,
        side=Side[order.side.upper()],
        order_type=OrderType[order.type.upper()],
        time_in_force=time_in_force,
        price_ticks=price_ticks,
        quantity_lots=_positive("invalid_quantity", "quantity", order.quantity, instrument),
        post_only=order.post_only,
        self_trade=SelfTrade[order.self_trade.upper()],
        client_text=client_order_id,
    )


def cancel_command(cancel: BatchCancel, instrument: Instrument, account_id: int) -> CancelOrder:
    """Return the engine's command for a cancel of a batch."""
    if (cancel.order_id is None) == (cancel.client_order_id is None):
        raise Problem("invalid_combination", "Give order_id or client_order_id, and only one.")
    return CancelOrder(
        account_id=account_id,
        symbol_id=instrument.symbol_id,
        order_id=order_id_from(cancel.order_id) if cancel.order_id else 0,
        client_key=client_key(cancel.client_order_id) if cancel.client_order_id else 0,
    )


def order_id_from(text: str) -> int:
    """Return the number in an order id; one that cannot exist is not found."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else 0
    if not 0 < number <= INT64_MAX:
        raise Problem("order_not_found")
    return number


def _positive(code: str, field: str, text: str, instrument: Instrument) -> int:
    parse = instrument.price_ticks if field == "price" else instrument.quantity_lots
    step = instrument.tick_size if field == "price" else instrument.lot_size
    try:
        count = parse(text)
    except OffGridError as error:
        raise Problem(code, f"The {field} is not a multiple of {step}.") from error
    except DecimalTextError as error:
        raise Problem(
            "invalid_number", f"The {field} is {text[:40]!r}; write it like 2500.01."
        ) from error
    if count <= 0:
        raise Problem(code, f"The {field} must be positive.")
    if count > INT64_MAX:
        raise Problem("overflow", f"The {field} is out of range.")
    return count
