"""Orders, algo orders and fills on perpetuals in the words of the dialect.

Clients know spot orders and trades by members of their own (`isWorking`, `M`, `isMaker`,
`orderListId`): none of those may be here, as both markets share one name.
"""

from __future__ import annotations

from typing import Any

from api.binance.names import name_of
from api.binance.order_words import FUTURES_TYPES, WORKING_TYPES, status_word
from api.schemas.orders import OrderOut
from domain.instrument import Instrument
from domain.order_record import FillRecord

CONDITIONAL = frozenset(FUTURES_TYPES) - {"limit", "market"}
_ALGO_STATUSES = {
    "filled": "FINISHED",
    "cancelled": "CANCELED",
    "expired": "EXPIRED",
    "rejected": "REJECTED",
}


def futures_order(order: OrderOut, instrument: Instrument) -> dict[str, Any]:
    """Return an order; totals that the history does not have yet are told as "0"."""
    time_ms = order.time_us // 1_000
    kind = FUTURES_TYPES[order.type]
    return {
        "orderId": int(order.order_id),
        "clientOrderId": order.client_order_id,
        "status": status_word(order.status, order.filled_quantity, order.close_reason),
        "price": order.price or "0",
        "avgPrice": order.average_price or "0",
        "origQty": order.quantity,
        "executedQty": order.filled_quantity,
        "cumQty": order.filled_quantity,
        "cumQuote": order.filled_quote or "0",
        "type": kind,
        "origType": kind,
        "stopPrice": order.trigger_price or "0",
        **_terms(order, instrument),
        "time": time_ms,
        "updateTime": time_ms,
    }


def algo_order(order: OrderOut, instrument: Instrument) -> dict[str, Any]:
    """Return a conditional order by its other names; its id is that of the order it becomes."""
    time_ms = order.time_us // 1_000
    return {
        "algoId": int(order.order_id),
        "clientAlgoId": order.client_order_id,
        "algoType": "CONDITIONAL",
        "orderType": FUTURES_TYPES[order.type],
        "algoStatus": algo_status(order),
        "quantity": order.quantity,
        "executedQty": order.filled_quantity,
        "price": order.price or "0",
        "triggerPrice": order.trigger_price or "0",
        "trailingOffset": order.trailing_offset,
        "icebergQuantity": None,
        "actualOrderId": "" if order.waiting or order.pending else order.order_id,
        "actualPrice": order.average_price or "0",
        **_terms(order, instrument),
        "createTime": time_ms,
        "updateTime": time_ms,
        "triggerTime": 0,
    }


def algo_status(order: OrderOut) -> str:
    """Return how far a conditional order is: it is TRIGGERED while what it became is open."""
    if order.status == "open":
        return "NEW" if order.waiting or order.pending else "TRIGGERED"
    if order.close_reason == "refused_at_trigger":
        return "REJECTED"
    return _ALGO_STATUSES[order.status]


def _terms(order: OrderOut, instrument: Instrument) -> dict[str, Any]:
    """Return what both kinds of answers say in the same words."""
    return {
        "symbol": name_of(instrument),
        "side": order.side.upper(),
        "positionSide": "BOTH",
        "timeInForce": "GTX" if order.post_only else order.time_in_force.upper(),
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "workingType": WORKING_TYPES[order.trigger_source or "last"],
        "priceProtect": False,
        "priceMatch": "NONE",
        "selfTradePreventionMode": order.self_trade.upper(),
        "goodTillDate": (order.expires_at_us or 0) // 1_000,
    }


def futures_fill(fill: FillRecord, instrument: Instrument) -> dict[str, Any]:
    """Return one of the caller's own fills on a perpetual."""
    money = instrument.quote.engine_text
    return {
        "symbol": name_of(instrument),
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "side": fill.side.name,
        "positionSide": "BOTH",
        "price": instrument.price_text(fill.price_ticks),
        "qty": instrument.quantity_text(fill.quantity_lots),
        "quoteQty": money(fill.quote_units),
        "realizedPnl": money(fill.realised_units or 0),
        "commission": money(fill.fee_units),
        "commissionAsset": instrument.quote.code,
        "marginAsset": instrument.quote.code,
        "time": fill.time_us // 1_000,
        "buyer": fill.side.name == "BUY",
        "maker": fill.is_maker,
    }
