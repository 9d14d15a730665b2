"""Placing, amending and cancelling orders on perpetuals: the native API's own handlers do it.

A conditional order may come by either of the dialect's two routes, `order` and `algoOrder`; it is
the same order, with the same id.
"""

from __future__ import annotations

from typing import Any

from api.binance.call import Call
from api.binance.cancelling import cancelled_order
from api.binance.errors import Refusal, malformed
from api.binance.futures_history import chosen
from api.binance.futures_requests import futures_request, kind_of, source_of, trigger_text
from api.binance.futures_words import algo_order, futures_order
from api.binance.names import wanted
from api.binance.orders_found import named_order, open_orders, with_totals
from api.binance.parameters import Parameters
from api.binance.spot_orders import refuse_repeat
from api.binance.tickers import last_price
from api.engine_calls import ask
from api.errors import Problem
from api.routes import orders as native
from api.schemas.orders import AmendOrderIn, DeadMansSwitchIn, OrderOut, PlaceOrderIn
from domain.market import Market

DONE = {"code": 200, "msg": "The operation of cancel all open order is done."}
_SECOND_MS = 1_000
_LONGEST_MS = 86_400_000


async def place(call: Call) -> dict[str, Any]:
    """Place an order of any type; what a client id names already is refused."""
    market = wanted(call.services, call.parameters, perpetual=True)
    return futures_order(await _placed(call, market), market.instrument)


async def place_algo(call: Call) -> dict[str, Any]:
    """Place a conditional order by the route that clients use for them now."""
    market = wanted(call.services, call.parameters, perpetual=True)
    if call.parameters.need("algoType") != "CONDITIONAL":
        raise Refusal(-1130, "Data sent for parameter 'algoType' is not valid: CONDITIONAL only.")
    if kind_of(call.parameters) in ("limit", "market"):
        raise Refusal(-1116, "Invalid orderType.")
    return algo_order(await _placed(call, market), market.instrument)


async def try_order(call: Call) -> dict[str, Any]:
    """Check an order without placing it."""
    market = wanted(call.services, call.parameters, perpetual=True)
    order = await native_request(call, market, call.parameters)
    await native.dry_run_order(order, call.caller, call.services)
    return {}


async def _placed(call: Call, market: Market) -> OrderOut:
    order = await native_request(call, market, call.parameters)
    placed = await native.carry_out(order, call.caller, call.services)
    return refuse_repeat(OrderOut(**placed))


async def native_request(call: Call, market: Market, parameters: Parameters) -> PlaceOrderIn:
    """Return the native request, for a trailing stop with the price that its rate is taken of."""
    reference = 0
    if kind_of(parameters) == "trailing_stop":
        reference = await _reference_ticks(call, market, source_of(parameters))
    return futures_request(parameters, market.instrument, reference)


async def _reference_ticks(call: Call, market: Market, source: str) -> int:
    """Return the last price, or the mark where that is meant or nothing has traded yet."""
    instrument = market.instrument
    last = await last_price(call.services, instrument) if source == "last" else "0"
    if last != "0":
        return instrument.price_ticks(last)
    _, found = await ask(call.services.door(market.shard).perpetuals())
    for one in found:
        if one.symbol_id == instrument.symbol_id and one.mark_ticks:
            return one.mark_ticks
    raise Problem("mark_unknown")


async def amend(call: Call) -> dict[str, Any]:
    """Change price and quantity of an open order; it keeps its id."""
    market = wanted(call.services, call.parameters, perpetual=True)
    return await amended(call, market, call.parameters)


async def amended(call: Call, market: Market, parameters: Parameters) -> dict[str, Any]:
    """Amend the order that the parameters name, and return it as it then is."""
    order = await named_order(call, market, parameters)
    if order is None:
        raise Problem("order_not_found")
    if parameters.text("side") not in (None, order.side.upper()):
        raise Refusal(-1117, "Invalid side.")
    change = AmendOrderIn(
        price=parameters.text("price"),
        quantity=parameters.text("quantity"),
        trigger_price=trigger_text(parameters),
    )
    done = await native.amend_order(order.order_id, change, call.caller, call.services)
    update: dict[str, Any] = {
        "price": done.price,
        "quantity": done.quantity,
        "trigger_price": done.trigger_price,
        "filled_quantity": done.filled_quantity,
        "status": done.status,
    }
    if done.filled_quantity != order.filled_quantity:  # only the history knows the new totals
        update |= {"filled_quote": None, "average_price": None}
    return futures_order(
        await with_totals(call, order.model_copy(update=update)), market.instrument
    )


async def cancel(call: Call) -> dict[str, Any]:
    """Cancel an order, named by its id or its client id."""
    market = wanted(call.services, call.parameters, perpetual=True)
    return await cancelled(call, market, call.parameters)


async def cancelled(call: Call, market: Market, parameters: Parameters) -> dict[str, Any]:
    """Cancel the order that the parameters name, and return it as it then is."""
    order = await cancelled_order(call, market, parameters, "orderId", "origClientOrderId")
    return futures_order(order, market.instrument)


async def cancel_algo(call: Call) -> dict[str, Any]:
    """Cancel a conditional order; the market need not be named."""
    order = await cancelled_order(call, chosen(call), call.parameters, "algoId", "clientAlgoId")
    return {
        "algoId": int(order.order_id),
        "clientAlgoId": order.client_order_id,
        "code": "200",
        "msg": "success",
    }


async def cancel_all(call: Call) -> dict[str, Any]:
    """Cancel all orders of a market, those that wait for their trigger too."""
    market = wanted(call.services, call.parameters, perpetual=True)
    await native.cancel_all_orders(call.caller, call.services, symbol=market.instrument.symbol)
    return dict(DONE)


async def cancel_all_algo(call: Call) -> dict[str, Any]:
    """Cancel the orders of a market that wait for their trigger, one after the other."""
    market = wanted(call.services, call.parameters, perpetual=True)
    for order in await open_orders(call, perpetual=True, market=market):
        if not order.waiting:
            continue
        try:
            await native.cancel_order(order.order_id, call.caller, call.services)
        except Problem as problem:
            if problem.code != "order_not_found":  # it has been set off or ended meanwhile
                raise
    return dict(DONE)


async def count_down(call: Call) -> dict[str, Any]:
    """Cancel all orders of the account, in every market, unless this comes again in time.

    The time, at most a day, is rounded up to a whole second; 0 switches it off.
    """
    wanted(call.services, call.parameters, perpetual=True)
    time_ms = call.parameters.need_integer("countdownTime")
    if not 0 <= time_ms <= _LONGEST_MS:
        raise malformed("countdownTime")
    seconds = -(-time_ms // _SECOND_MS)
    switch = DeadMansSwitchIn(timeout_seconds=seconds)
    await native.set_dead_mans_switch(switch, call.caller, call.services)
    return {"symbol": call.parameters.need("symbol"), "countdownTime": str(seconds * _SECOND_MS)}
