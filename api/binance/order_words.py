"""Orders and fills in the words of the dialect, made from the native API's answers.

`FULL` words of spot and of futures differ in a few members; clients tell the two markets of one
name apart by those, so no member of the one may be in the other.
"""

from __future__ import annotations

from typing import Any

from api.binance.names import name_of
from api.schemas.order_lists import OrderListOut
from api.schemas.orders import FillOut, OrderOut
from domain.instrument import Instrument
from domain.order_record import FillRecord

STATUSES = {
    "open": "NEW",
    "filled": "FILLED",
    "cancelled": "CANCELED",
    "expired": "EXPIRED",
    "rejected": "REJECTED",
}
SPOT_TYPES = {
    "limit": "LIMIT",
    "market": "MARKET",
    "stop": "STOP_LOSS",
    "stop_limit": "STOP_LOSS_LIMIT",
    "take_profit": "TAKE_PROFIT",
    "take_profit_limit": "TAKE_PROFIT_LIMIT",
    "trailing_stop": "TRAILING_STOP",
}
FUTURES_TYPES = {
    "limit": "LIMIT",
    "market": "MARKET",
    "stop": "STOP_MARKET",
    "stop_limit": "STOP",
    "take_profit": "TAKE_PROFIT_MARKET",
    "take_profit_limit": "TAKE_PROFIT",
    "trailing_stop": "TRAILING_STOP_MARKET",
}
WORKING_TYPES = {"last": "CONTRACT_PRICE", "mark": "MARK_PRICE", "index": "INDEX_PRICE"}
NOT_KNOWN = "-1"  # the dialect's own word for a total that is not available


def status_word(
    status: str, filled: str, close_reason: str | None = None, *, pending: bool = False
) -> str:
    """Return an order's status; a filled quantity above 0 tells the two open ones apart.

    One that is `pending` waits for the end of its list's working order.
    """
    if status == "open" and pending:
        return "PENDING_NEW"
    if status == "open":
        return "NEW" if filled == "0" else "PARTIALLY_FILLED"
    return "EXPIRED_IN_MATCH" if close_reason == "self_trade" else STATUSES[status]


def spot_order(order: OrderOut, instrument: Instrument) -> dict[str, Any]:
    """Return a spot order without times and fills, which differ from answer to answer."""
    kind = "LIMIT_MAKER" if order.post_only and order.type == "limit" else SPOT_TYPES[order.type]
    return {
        "symbol": name_of(instrument),
        "orderId": int(order.order_id),
        "orderListId": int(order.order_list_id) if order.order_list_id else -1,
        "clientOrderId": order.client_order_id,
        "price": order.price or "0",
        "origQty": order.quantity,
        "executedQty": order.filled_quantity,
        "origQuoteOrderQty": order.quote_amount or "0",
        "cummulativeQuoteQty": NOT_KNOWN if order.filled_quote is None else order.filled_quote,
        "status": status_word(
            order.status, order.filled_quantity, order.close_reason, pending=order.pending
        ),
        "timeInForce": order.time_in_force.upper(),
        "type": kind,
        "side": order.side.upper(),
        "stopPrice": order.trigger_price or "0",
        "icebergQty": order.display_quantity or "0",
        "selfTradePreventionMode": order.self_trade.upper(),
    }


def placed_spot(order: OrderOut, instrument: Instrument) -> dict[str, Any]:
    """Return the answer to a new spot order, with the fills of that moment."""
    time_ms = order.time_us // 1_000
    return {
        **spot_order(order, instrument),
        "transactTime": time_ms,
        "workingTime": time_ms if _works(order) else -1,
        "fills": [_fill(one) for one in order.fills],
    }


def seen_spot(order: OrderOut, instrument: Instrument) -> dict[str, Any]:
    """Return a spot order as it is looked up."""
    time_ms = order.time_us // 1_000
    return {
        **spot_order(order, instrument),
        "time": time_ms,
        "updateTime": time_ms,
        "isWorking": _works(order),
        "workingTime": time_ms if _works(order) else -1,
    }


def ended_spot(order: OrderOut, instrument: Instrument) -> dict[str, Any]:
    """Return a spot order that a cancel has ended."""
    return {
        **spot_order(order, instrument),
        "origClientOrderId": order.client_order_id,
        "transactTime": order.time_us // 1_000,
        "status": status_word(order.status, order.filled_quantity),
    }


def list_words(
    found: OrderListOut, instrument: Instrument, name: str | None = None
) -> dict[str, Any]:
    """Return a list of orders; without a `name` it is told by that of its first order."""
    is_open = found.status == "open"
    return {
        "orderListId": int(found.order_list_id),
        "contingencyType": "OTO" if found.kind == "bracket" else "OCO",
        "listStatusType": "EXEC_STARTED" if is_open else "ALL_DONE",
        "listOrderStatus": "EXECUTING" if is_open else "ALL_DONE",
        "listClientOrderId": name or found.orders[0].client_order_id,
        "transactionTime": found.orders[0].time_us // 1_000,
        "symbol": name_of(instrument),
        "orders": [
            {
                "symbol": name_of(instrument),
                "orderId": int(order.order_id),
                "clientOrderId": order.client_order_id,
            }
            for order in found.orders
        ],
    }


def spot_fill(fill: FillRecord, instrument: Instrument) -> dict[str, Any]:
    """Return one of the caller's own fills on a spot market."""
    return {
        "symbol": name_of(instrument),
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "orderListId": -1,
        "price": instrument.price_text(fill.price_ticks),
        "qty": instrument.quantity_text(fill.quantity_lots),
        "quoteQty": instrument.quote.engine_text(fill.quote_units),
        "commission": instrument.quote.engine_text(fill.fee_units),
        "commissionAsset": instrument.quote.code,
        "time": fill.time_us // 1_000,
        "isBuyer": fill.side.name == "BUY",
        "isMaker": fill.is_maker,
        "isBestMatch": True,
    }


def _works(order: OrderOut) -> bool:
    return not order.waiting and not order.pending


def _fill(fill: FillOut) -> dict[str, Any]:
    return {
        "price": fill.price,
        "qty": fill.quantity,
        "commission": fill.fee,
        "commissionAsset": fill.fee_asset,
        "tradeId": int(fill.trade_id),
    }
