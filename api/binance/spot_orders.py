"""Placing, replacing and cancelling spot orders: the native API's own handlers do it."""

from __future__ import annotations

from typing import Any

from api.binance.call import Call, refusal_of
from api.binance.cancelling import UNKNOWN, cancelled_order
from api.binance.errors import Refusal, combination, malformed
from api.binance.names import wanted
from api.binance.order_words import ended_spot, placed_spot
from api.binance.orders_found import named_order, open_orders
from api.binance.parameters import Parameters
from api.errors import Problem
from api.routes import orders as native
from api.schemas.orders import OrderOut, PlaceOrderIn
from domain.instrument import Instrument
from domain.market import Market

# The dialect's order types -> the native type, and whether it is post-only.
ORDER_TYPES = {
    "LIMIT": ("limit", False),
    "LIMIT_MAKER": ("limit", True),
    "MARKET": ("market", False),
    "STOP_LOSS": ("stop", False),
    "STOP_LOSS_LIMIT": ("stop_limit", False),
    "TAKE_PROFIT": ("take_profit", False),
    "TAKE_PROFIT_LIMIT": ("take_profit_limit", False),
}
SELF_TRADE_MODES = ("EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT")


def spot_request(parameters: Parameters, instrument: Instrument) -> PlaceOrderIn:
    """Return the native request of a new order; a `Refusal` names what is missing or wrong."""
    word = parameters.need("type")
    if word not in ORDER_TYPES:
        raise Refusal(-1116, "Invalid orderType.")
    kind, post_only = ORDER_TYPES[word]
    if parameters.text("trailingDelta") is not None:
        raise combination("No trailingDelta here.")
    if kind.endswith("limit"):
        parameters.need("price")
    if kind not in ("limit", "market"):
        parameters.need("stopPrice")
    quantity, budget = parameters.text("quantity"), parameters.text("quoteOrderQty")
    if quantity is None and budget is None:
        parameters.need("quantity")
    # what goes with another type only is left out by clients, or sent as an empty wish
    return PlaceOrderIn.model_validate(
        {
            "symbol": instrument.symbol,
            "side": side_of(parameters),
            "type": kind,
            "quantity": quantity,
            "quote_amount": budget,
            "price": parameters.text("price") if kind.endswith("limit") else None,
            "time_in_force": time_in_force_of(parameters) if kind.endswith("limit") else None,
            "trigger_price": parameters.text("stopPrice") if kind != "market" else None,
            "display_quantity": parameters.text("icebergQty"),
            "post_only": post_only,
            "self_trade": self_trade_of(parameters),
            "client_order_id": parameters.text("newClientOrderId"),
        }
    )


def side_of(parameters: Parameters, name: str = "side") -> str:
    """Return the side in the native word; -1117 for any other word."""
    side = parameters.need(name)
    if side not in ("BUY", "SELL"):
        raise Refusal(-1117, "Invalid side.")
    return side.lower()


def self_trade_of(parameters: Parameters) -> str:
    """Return what gives way when an order meets one of the same account."""
    word = parameters.text("selfTradePreventionMode")
    return word.lower() if word in SELF_TRADE_MODES else "expire_maker"


def time_in_force_of(parameters: Parameters, name: str = "timeInForce") -> str | None:
    """Return the time in force in the native word, None without one; -1115 for any other word."""
    word = parameters.text(name)
    if word not in (None, "GTC", "IOC", "FOK"):
        raise Refusal(-1115, "Invalid timeInForce.")
    return None if word is None else word.lower()


async def place(call: Call) -> dict[str, Any]:
    """Place an order; what a client id names already is refused, as the dialect does."""
    market = wanted(call.services, call.parameters, perpetual=False)
    order = spot_request(call.parameters, market.instrument)
    return placed_spot(await _placed(call, order), market.instrument)


async def try_order(call: Call) -> dict[str, Any]:
    """Check an order without placing it."""
    market = wanted(call.services, call.parameters, perpetual=False)
    order = spot_request(call.parameters, market.instrument)
    await native.dry_run_order(order, call.caller, call.services)
    return {}


async def _placed(call: Call, order: PlaceOrderIn) -> OrderOut:
    placed = await native.carry_out(order, call.caller, call.services)
    return refuse_repeat(OrderOut(**placed))


def refuse_repeat(order: OrderOut) -> OrderOut:
    """Return a new order; one that was placed before is a duplicate in the dialect."""
    if order.duplicate:
        raise Problem("duplicate_client_order_id")
    return order


async def cancel(call: Call) -> dict[str, Any]:
    """Cancel an order, named by its id or its client id."""
    market = wanted(call.services, call.parameters, perpetual=False)
    return await _cancelled(call, market, call.parameters, "orderId", "origClientOrderId")


async def _cancelled(
    call: Call, market: Market, parameters: Parameters, *names: str
) -> dict[str, Any]:
    order = await cancelled_order(call, market, parameters, *names)
    return ended_spot(order, market.instrument)


async def cancel_all(call: Call) -> list[dict[str, Any]]:
    """Cancel all open orders of a market; without any -2011, as the dialect has it."""
    market = wanted(call.services, call.parameters, perpetual=False)
    symbol = market.instrument.symbol
    resting = await open_orders(call, perpetual=False, market=market)
    before = {order.order_id: order for order in resting}
    done = await native.cancel_all_orders(call.caller, call.services, symbol=symbol)
    if not done.cancelled:
        raise UNKNOWN
    found = []
    for one in done.cancelled:
        order = before.get(one.order_id)
        if order is None:  # it came between the two questions
            order = await named_order(call, market, Parameters({"orderId": one.order_id}))
        if order is None:
            continue
        update = {"status": one.status, "filled_quantity": one.filled_quantity}
        found.append(ended_spot(order.model_copy(update=update), market.instrument))
    return found


async def cancel_replace(call: Call) -> dict[str, Any]:
    """Cancel an order, then place another one.

    STOP_ON_FAILURE places nothing when the cancel was refused, ALLOW_FAILURE tries all the same.
    """
    market = wanted(call.services, call.parameters, perpetual=False)
    mode = call.parameters.need("cancelReplaceMode")
    if mode not in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
        raise malformed("cancelReplaceMode")
    order = spot_request(call.parameters, market.instrument)  # what is malformed cancels nothing
    cancelled: dict[str, Any] | Refusal
    try:
        names = ("cancelOrderId", "cancelOrigClientOrderId")
        cancelled = await _cancelled(call, market, call.parameters, *names)
    except (Refusal, Problem, ConnectionError) as error:
        cancelled = refusal_of(error)
    placed: dict[str, Any] | Refusal | None = None
    if not isinstance(cancelled, Refusal) or mode == "ALLOW_FAILURE":
        try:
            placed = placed_spot(await _placed(call, order), market.instrument)
        except (Refusal, Problem, ConnectionError) as error:
            placed = refusal_of(error)
    return _replacement(cancelled, placed)


def _replacement(
    cancelled: dict[str, Any] | Refusal, placed: dict[str, Any] | Refusal | None
) -> dict[str, Any]:
    """Return both results, or the refusal that holds them: -2022 none succeeded, -2021 one did."""
    both = {
        "cancelResult": _result(cancelled),
        "newOrderResult": "NOT_ATTEMPTED" if placed is None else _result(placed),
        "cancelResponse": cancelled.body() if isinstance(cancelled, Refusal) else cancelled,
        "newOrderResponse": placed.body() if isinstance(placed, Refusal) else placed,
    }
    failed = [isinstance(one, Refusal) or one is None for one in (cancelled, placed)]
    if all(failed):
        raise Refusal(-2022, "Order cancel-replace failed.", data=both)
    if any(failed):
        raise Refusal(-2021, "Order cancel-replace partially failed.", status=409, data=both)
    return both


def _result(answer: dict[str, Any] | Refusal) -> str:
    return "FAILURE" if isinstance(answer, Refusal) else "SUCCESS"
