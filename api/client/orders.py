"""Calls for orders: place, amend and cancel them, in ones, lists and batches; look at them.

An order without a client order id is given one here, so that repeating the call is one order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

from api.client.call import Call, delete, fresh_id, get, part, send
from api.schemas.order_lists import (
    CancelListOut,
    EntryIn,
    OrderListOut,
    PlaceOrderListIn,
    StopLossIn,
    TakeProfitIn,
)
from api.schemas.orders import (
    AmendOrderIn,
    AmendOut,
    BatchAmend,
    BatchCancel,
    BatchIn,
    BatchOut,
    BatchPlace,
    CancelAllOut,
    CancelOut,
    DeadMansSwitchIn,
    DeadMansSwitchOut,
    DryRunOut,
    FillPage,
    OrderOut,
    OrderPage,
    PlaceOrderIn,
    SideText,
)

Order = TypeVar("Order", PlaceOrderIn, BatchPlace, EntryIn, TakeProfitIn, StopLossIn)


def place(order: PlaceOrderIn) -> Call[OrderOut]:
    """Place an order."""
    return send("POST", OrderOut, "/v1/orders", _named(order))


def dry_run(order: PlaceOrderIn) -> Call[DryRunOut]:
    """Check an order without placing it."""
    return send("POST", DryRunOut, "/v1/orders/dry-run", order)


def amend(order_id: str, terms: AmendOrderIn) -> Call[AmendOut]:
    """Change price, quantity or trigger price of an open order."""
    return send("PATCH", AmendOut, f"/v1/orders/{part(order_id)}", terms)


def cancel(order_id: str) -> Call[CancelOut]:
    """Cancel an open order."""
    return delete(CancelOut, f"/v1/orders/{part(order_id)}")


def cancel_all(symbol: str = "", side: SideText | None = None) -> Call[CancelAllOut]:
    """Cancel all open orders, of one market and side where they are named."""
    return delete(CancelAllOut, "/v1/orders", symbol=symbol, side=side)


def batch(operations: Sequence[BatchPlace | BatchCancel | BatchAmend]) -> Call[BatchOut]:
    """Place, amend and cancel up to 100 orders in one request.

    When the batch had to be repeated, the result of a cancel may be `order_not_found` because an
    earlier try has cancelled it.
    """
    named = [_named(one) if isinstance(one, BatchPlace) else one for one in operations]
    return send("POST", BatchOut, "/v1/orders/batch", BatchIn(operations=named))


def dead_mans_switch(timeout_seconds: int) -> Call[DeadMansSwitchOut]:
    """Have all orders cancelled unless this is sent again in time; 0 switches it off."""
    body = DeadMansSwitchIn(timeout_seconds=timeout_seconds)
    return send("POST", DeadMansSwitchOut, "/v1/dead-mans-switch", body)


def listed(
    state: Literal["open", "all"] = "open", symbol: str = "", limit: int | None = None
) -> Call[OrderPage]:
    """List orders, newest first."""
    return get(OrderPage, "/v1/orders", state=state, symbol=symbol, limit=limit)


def by_client_order_id(client_order_id: str) -> Call[OrderPage]:
    """Find an order by the name that its owner gave it; the page is empty without one."""
    return get(OrderPage, "/v1/orders", client_order_id=client_order_id)


def one(order_id: str) -> Call[OrderOut]:
    """Look at an order, open or closed."""
    return get(OrderOut, f"/v1/orders/{part(order_id)}")


def fills(symbol: str = "", order_id: str = "", limit: int | None = None) -> Call[FillPage]:
    """List settled fills, newest first."""
    return get(FillPage, "/v1/fills", symbol=symbol, order_id=order_id, limit=limit)


def place_list(orders: PlaceOrderListIn) -> Call[OrderListOut]:
    """Place an OCO or a bracket: all of its orders, or none."""
    parts = {
        name: _named(given)
        for name in ("entry", "take_profit", "stop_loss")
        if (given := getattr(orders, name)) is not None
    }
    return send("POST", OrderListOut, "/v1/order-lists", orders.model_copy(update=parts))


def dry_run_list(orders: PlaceOrderListIn) -> Call[DryRunOut]:
    """Check a list without placing it."""
    return send("POST", DryRunOut, "/v1/order-lists/dry-run", orders)


def one_list(order_list_id: str) -> Call[OrderListOut]:
    """Look at a list with its orders."""
    return get(OrderListOut, f"/v1/order-lists/{part(order_list_id)}")


def cancel_list(order_list_id: str) -> Call[CancelListOut]:
    """Cancel what is open of a list."""
    return delete(CancelListOut, f"/v1/order-lists/{part(order_list_id)}")


def _named(order: Order) -> Order:
    if order.client_order_id is not None:
        return order
    return order.model_copy(update={"client_order_id": fresh_id()})
