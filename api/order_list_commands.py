"""From a list of orders that a client sends to the engine's command."""

from __future__ import annotations

from typing import Any

from api.errors import Problem
from api.order_commands import place_command
from api.schemas.order_lists import EntryIn, PlaceOrderListIn, StopLossIn, TakeProfitIn
from api.schemas.orders import PlaceOrderIn
from domain.commands import PlaceOrder, PlaceOrderList
from domain.instrument import Instrument
from domain.order import ListKind, OrderType

OPPOSITE = {"buy": "sell", "sell": "buy"}
_STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP)


def order_names(command: PlaceOrderList) -> list[str]:
    """Return what a client calls the orders of a list, in their order."""
    names = [
        "stop_loss" if order.order_type in _STOPS else "take_profit" for order in command.orders
    ]
    return ["entry", *names[1:]] if command.kind is ListKind.BRACKET else names


def list_command(
    asked: PlaceOrderListIn, instrument: Instrument, account_id: int, names: dict[str, str]
) -> PlaceOrderList:
    """Return the engine's command for a list; a `Problem` names order and field that are wrong.

    `names` are the client order ids of its orders: entry, take_profit, stop_loss.
    """
    is_bracket = asked.kind == "bracket"
    if is_bracket and asked.reduce_only:
        raise Problem("invalid_combination", "A bracket opens a position: reduce_only is for oco.")
    exits_only_reduce = is_bracket and instrument.terms is not None
    common: dict[str, Any] = {
        "symbol": asked.symbol,
        "side": OPPOSITE[asked.side] if is_bracket else asked.side,
        "quantity": asked.quantity,
        "time_in_force": asked.time_in_force,
        "expires_at_us": asked.expires_at_us,
        "self_trade": asked.self_trade,
        "reduce_only": asked.reduce_only or exits_only_reduce,
    }
    parts: dict[str, dict[str, Any]] = {}
    if asked.entry is not None:
        opens = {"side": asked.side, "reduce_only": False}
        parts["entry"] = {**common, **opens, **_entry(asked.entry)}
    if asked.take_profit is not None:
        parts["take_profit"] = {**common, **_take_profit(asked.take_profit)}
    if asked.stop_loss is not None:
        parts["stop_loss"] = {**common, **_stop_loss(asked.stop_loss)}
    orders: list[PlaceOrder] = []
    for name, fields in parts.items():
        try:
            order = PlaceOrderIn.model_validate(fields)
            orders.append(place_command(order, instrument, account_id, names[name]))
        except Problem as problem:
            raise problem.with_extra({"order": name}, f"{name}: {problem.detail}") from problem
    kind = ListKind.BRACKET if is_bracket else ListKind.OCO
    return PlaceOrderList(kind, tuple(orders))


def _entry(entry: EntryIn) -> dict[str, Any]:
    return {
        "type": "market" if entry.price is None else "limit",
        "price": entry.price,
        "time_in_force": entry.time_in_force,
        "expires_at_us": entry.expires_at_us,
        "display_quantity": entry.display_quantity,
        "post_only": entry.post_only,
    }


def _take_profit(profit: TakeProfitIn) -> dict[str, Any]:
    waits = profit.trigger_price is not None
    limited = "_limit" if profit.price is not None else ""
    return {
        "type": f"take_profit{limited}" if waits else "limit",
        "price": profit.price,
        "trigger_price": profit.trigger_price,
        "trigger_source": profit.trigger_source,
        "post_only": not waits,
    }


def _stop_loss(loss: StopLossIn) -> dict[str, Any]:
    kind = "stop_limit" if loss.price is not None else "stop"
    return {
        "type": "trailing_stop" if loss.trailing_offset is not None else kind,
        "price": loss.price,
        "trigger_price": loss.trigger_price,
        "trailing_offset": loss.trailing_offset,
        "trigger_source": loss.trigger_source,
    }
