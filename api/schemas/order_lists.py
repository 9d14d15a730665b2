"""Lists of orders that depend on each other: what comes in and what goes out, as text."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from api.schemas.common import DecimalText, Input, Output, SymbolText
from api.schemas.orders import (
    CancelOut,
    ClientOrderId,
    OrderOut,
    SelfTradeText,
    SetsItOff,
    SideText,
    TimeInForceText,
)
from domain.money import INT64_MAX


class EntryIn(Input):
    """The entry of a bracket: a limit order at a `price`, or without one a market order."""

    price: DecimalText | None = None
    time_in_force: TimeInForceText | None = Field(
        None, description="Without it, a market order is ioc and a limit order gtc."
    )
    expires_at_us: int | None = Field(
        None, ge=1, le=INT64_MAX, description="For gtd: when it ends, in microseconds since 1970."
    )
    display_quantity: DecimalText | None = None
    post_only: bool = False
    client_order_id: ClientOrderId | None = None


class TakeProfitIn(Input):
    """The better price: with only a `price` a post-only limit order, which stands in the book.

    With a `trigger_price` it waits for it, and then acts as a market order or at its `price`.
    """

    price: DecimalText | None = None
    trigger_price: DecimalText | None = None
    trigger_source: SetsItOff | None = None
    client_order_id: ClientOrderId | None = None


class StopLossIn(Input):
    """The worse price: a stop at `trigger_price`, or one that follows by `trailing_offset`.

    With a `price` it is a limit order at its trigger, otherwise a market order.
    """

    trigger_price: DecimalText | None = None
    trailing_offset: DecimalText | None = None
    trigger_source: SetsItOff | None = None
    price: DecimalText | None = None
    client_order_id: ClientOrderId | None = None


class PlaceOrderListIn(Input):
    """Two orders of which one ends the other (`oco`), or an entry and what closes it (`bracket`).

    The two of an OCO are of one market, side and quantity. The first trade or trigger of one
    closes the other, and so does its cancel or expiry. They hold what the larger of them needs,
    not the sum.

    A bracket has an `entry` and a take-profit, a stop-loss, or both, on the other side. They are
    pending, and hold nothing, until the entry ends; then they are an OCO for what it has filled,
    or close with it if that is nothing. What cannot be held by then closes as refused_at_trigger.
    On a perpetual they only reduce the position that the entry opens.
    """

    kind: Literal["oco", "bracket"] = "oco"
    symbol: SymbolText
    side: SideText = Field(description="Of the two orders of an OCO; of the entry of a bracket.")
    quantity: DecimalText
    entry: EntryIn | None = Field(None, description="Of a bracket.")
    take_profit: TakeProfitIn | None = None
    stop_loss: StopLossIn | None = None
    time_in_force: Literal["gtc", "gtd"] = Field(
        "gtc", description="Of the take-profit and the stop-loss."
    )
    expires_at_us: int | None = Field(
        None, ge=1, le=INT64_MAX, description="For gtd: when these two end, in microseconds."
    )
    self_trade: SelfTradeText = Field(
        "expire_maker", description="What gives way when an order meets one of your own."
    )
    reduce_only: bool = Field(
        False, description="Of an OCO on a perpetual: both orders only close what there is."
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.kind == "oco" and (self.entry or not (self.take_profit and self.stop_loss)):
            raise ValueError("an oco has take_profit and stop_loss, and no entry")
        if self.kind == "bracket" and not (self.entry and (self.take_profit or self.stop_loss)):
            raise ValueError("a bracket has an entry, and take_profit, stop_loss, or both")
        return self


class OrderListOut(Output):
    """A list as it is: a bracket's entry first, then `take_profit`, then `stop_loss`.

    It is `open` while one of its orders is, and `done` afterwards.
    """

    order_list_id: str
    kind: Literal["oco", "bracket"]
    symbol: str
    status: Literal["open", "done"]
    orders: list[OrderOut]
    duplicate: bool = False


class CancelListOut(Output):
    """What was open of a list and is cancelled: all of its orders, or those that were left."""

    cancelled: list[CancelOut]
