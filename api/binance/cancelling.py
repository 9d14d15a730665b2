"""Cancelling one order that the dialect's parameters name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from api.binance.call import Call
from api.binance.errors import Refusal
from api.binance.orders_found import named_order, with_totals
from api.binance.parameters import Parameters
from api.errors import Problem
from api.routes import orders as native
from api.schemas.orders import OrderOut
from domain.market import Market

UNKNOWN = Refusal(-2011, "Unknown order sent.")


async def cancelled_order(
    call: Call, market: Market | None, parameters: Parameters, *names: str
) -> OrderOut:
    """Cancel an order and return it as it then is; `names` are those of `named_order`."""
    order = await named_order(call, market, parameters, *names)
    if order is None or order.status != "open":
        raise UNKNOWN
    with unknown_if_ended():
        done = await native.cancel_order(order.order_id, call.caller, call.services)
    after = {"status": done.status, "filled_quantity": done.filled_quantity, "waiting": False}
    return await with_totals(call, order.model_copy(update=after))


@contextmanager
def unknown_if_ended() -> Iterator[None]:
    """Refuse as `UNKNOWN` the cancel of what has traded or ended meanwhile."""
    try:
        yield
    except Problem as problem:
        if problem.code == "order_not_found":
            raise UNKNOWN from problem
        raise
