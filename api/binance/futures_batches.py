"""Several orders on perpetuals in one request: each has its own answer, an order or a refusal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import ValidationError

from api.binance.call import Call, refusal_of
from api.binance.errors import Refusal, malformed, missing, translated
from api.binance.futures_orders import amended, cancelled, native_request
from api.binance.futures_words import futures_order
from api.binance.names import market_called, wanted
from api.binance.parameters import Parameters, json_list
from api.errors import Problem
from api.routes.order_batches import carry_out
from api.schemas.orders import BatchIn, BatchPlace, BatchResult
from domain.market import Market

LARGEST_BATCH = 5
LARGEST_CANCEL = 10
_FAILURES = (Refusal, Problem, ConnectionError, ValidationError)


async def place(call: Call) -> list[dict[str, Any]]:
    """Place up to 5 orders, in the order given; one's refusal does not stop the others."""
    answers: list[dict[str, Any] | None] = []
    places: list[tuple[int, Market]] = []
    operations = []
    for index, parameters in enumerate(_orders(call.parameters)):
        try:
            market = _market(call, parameters)
            order = await native_request(call, market, parameters)
            operations.append(BatchPlace.model_validate({**order.model_dump(), "op": "place"}))
            places.append((index, market))
            answers.append(None)
        except _FAILURES as error:
            answers.append(refusal_of(error, futures=True).body())
    if operations:
        batch = BatchIn(operations=[*operations])
        done = await carry_out(batch, call.caller, call.services)
        for (index, market), result in zip(places, done, strict=True):
            answers[index] = _told(BatchResult(**result), market)
    return [answer for answer in answers if answer is not None]


def _told(result: BatchResult, market: Market) -> dict[str, Any]:
    """Return an order, or in the dialect's words the problem that it met."""
    if result.order is not None and not result.order.duplicate:
        return futures_order(result.order, market.instrument)
    found = result.problem or {"code": "duplicate_client_order_id", "detail": ""}
    return translated(Problem(found["code"], found["detail"]), futures=True).body()


async def amend(call: Call) -> list[dict[str, Any]]:
    """Amend up to 5 orders, one after the other."""

    async def one(parameters: Parameters) -> dict[str, Any]:
        return await amended(call, _market(call, parameters), parameters)

    return await _each(_orders(call.parameters), one)


async def cancel(call: Call) -> list[dict[str, Any]]:
    """Cancel up to 10 orders of a market, one after the other, by their ids or client ids."""
    market = wanted(call.services, call.parameters, perpetual=True)
    named = [
        Parameters({name: text})
        for name in ("orderId", "origClientOrderId")
        for text in _names(call.parameters, f"{name}List")
    ]
    if not named:
        raise missing("orderIdList")
    if len(named) > LARGEST_CANCEL:
        raise Refusal(-4082, f"Invalid number of batch orders: at most {LARGEST_CANCEL}.")

    async def one(parameters: Parameters) -> dict[str, Any]:
        return await cancelled(call, market, parameters)

    return await _each(named, one)


async def _each(
    asked: list[Parameters], one: Callable[[Parameters], Awaitable[dict[str, Any]]]
) -> list[dict[str, Any]]:
    answers = []
    for parameters in asked:
        try:
            answers.append(await one(parameters))
        except _FAILURES as error:
            answers.append(refusal_of(error, futures=True).body())
    return answers


def _market(call: Call, parameters: Parameters) -> Market:
    return market_called(call.services, parameters.need("symbol"), perpetual=True)


def _orders(parameters: Parameters) -> list[Parameters]:
    """Return the JSON objects of `batchOrders`, each as a request's parameters of its own.

    Numbers keep their text: clients may send a price as a number, and none becomes a float here.
    """
    listed = json_list("batchOrders", parameters.need("batchOrders"), number=str)
    if not 0 < len(listed) <= LARGEST_BATCH:
        raise Refusal(-4082, f"Invalid number of batch orders: 1 to {LARGEST_BATCH}.")
    orders = []
    for one in listed:
        if not isinstance(one, dict):
            raise malformed("batchOrders")
        texts = {
            name: _text("batchOrders", value) for name, value in one.items() if value is not None
        }
        orders.append(Parameters(texts))
    return orders


def _names(parameters: Parameters, name: str) -> list[str]:
    """Return a JSON list of ids; its name is in lower case in one client."""
    text = parameters.text(name) or parameters.text(name.lower())
    return [] if text is None else [_text(name, one) for one in json_list(name, text, number=str)]


def _text(name: str, value: Any) -> str:
    """Return a value as the text of a parameter; what is in the list `name` is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        raise malformed(name)
    return value
