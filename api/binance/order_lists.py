"""Lists of spot orders: the native API's own handlers place, find and cancel them.

A list is found by its id, by its name, or by the client id of one of its orders.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import Response

from api import order_answers as answers
from api import order_list_answers as list_answers
from api.binance.call import Call
from api.binance.cancelling import UNKNOWN, unknown_if_ended
from api.binance.errors import Refusal, missing
from api.binance.names import wanted
from api.binance.order_list_requests import (
    oco_request,
    old_oco_request,
    oto_request,
    otoco_request,
)
from api.binance.order_words import ended_spot, list_words, placed_spot
from api.binance.orders_found import (
    LARGEST_COUNT,
    LARGEST_WALK,
    USUAL_COUNT,
    Place,
    past_rows,
)
from api.binance.parameters import Parameters
from api.errors import Problem
from api.routes import order_lists as native
from api.routes.order_queries import list_orders, open_records
from api.schemas.order_lists import OrderListOut, PlaceOrderListIn
from domain.instrument import Instrument
from domain.order_record import OrderRecord

LOOK_UP_WEIGHT = 2
UNKNOWN_LIST = Refusal(-2013, "Order list does not exist.")


async def place_oco(call: Call) -> dict[str, Any]:
    """Place two orders of which one ends the other."""
    return await _placed(call, oco_request)


async def place_old_oco(call: Call) -> dict[str, Any]:
    """Place the same, in the words of the older route."""
    return await _placed(call, old_oco_request)


async def place_oto(call: Call) -> dict[str, Any]:
    """Place an order, and one that closes what it has filled."""
    return await _placed(call, oto_request)


async def place_otoco(call: Call) -> dict[str, Any]:
    """Place an order, and two that close what it has filled, of which one ends the other."""
    return await _placed(call, otoco_request)


async def _placed(
    call: Call, request_of: Callable[[Parameters, Instrument], PlaceOrderListIn]
) -> dict[str, Any]:
    instrument = wanted(call.services, call.parameters, perpetual=False).instrument
    request = request_of(call.parameters, instrument)
    async with _called(call, request) as name:
        found = await native.place_order_list(request, call.caller, call.services, Response())
        if found.duplicate:
            raise Problem("duplicate_client_order_id")
    words = list_words(found, instrument, name)
    return {**words, "orderReports": [placed_spot(order, instrument) for order in found.orders]}


@asynccontextmanager
async def _called(call: Call, request: PlaceOrderListIn) -> AsyncIterator[str | None]:
    """Name the list, if it has a name, before it is placed; take the name back if it is refused.

    While names cannot be written, only a list is placed that an order's client id tells the name
    of. An order that was of an earlier list keeps that one's name until this list is accepted.
    """
    name = call.parameters.text("listClientOrderId")
    if name is None:
        yield None
        return
    names, customer_id = call.services.list_names, call.caller.customer_id
    ids = list(native.client_order_ids(request, call.caller).values())
    new: list[str] = []
    try:
        new = await names.name(customer_id, ids, name)
    except ConnectionError:
        if name not in ids:
            raise
    try:
        yield name
    except Problem as problem:
        if new and problem.code != "outcome_unknown":
            with suppress(ConnectionError):
                await names.forget(customer_id, new, name)
        raise
    if len(new) < len(ids):
        with suppress(ConnectionError):
            await names.rename(customer_id, ids, name)


async def _told(call: Call, lists: Sequence[OrderListOut]) -> list[dict[str, Any]]:
    """Return lists in the dialect's words, each by its name."""
    ids = [order.client_order_id for one in lists for order in one.orders]
    names: dict[str, str] = {}
    with suppress(ConnectionError):  # then each is called as its first order
        names = await call.services.list_names.of_orders(call.caller.customer_id, ids)
    return [
        list_words(
            one,
            _instrument(call, one),
            next(
                (names[it.client_order_id] for it in one.orders if it.client_order_id in names),
                None,
            ),
        )
        for one in lists
    ]


async def order_list(call: Call) -> dict[str, Any]:
    """Return a list that `orderListId`, or the client id of one of its orders, names."""
    found = await _named(call, "origClientOrderId")
    if found is None:
        raise UNKNOWN_LIST
    return (await _told(call, [found]))[0]


async def cancel(call: Call) -> dict[str, Any]:
    """Cancel what is open of a list."""
    market = wanted(call.services, call.parameters, perpetual=False)
    found = await _named(call, "listClientOrderId")
    if found is None or found.symbol != market.instrument.symbol or found.status != "open":
        raise UNKNOWN
    with unknown_if_ended():
        done = await native.cancel_order_list(found.order_list_id, call.caller, call.services)
    after = {
        one.order_id: {"status": one.status, "filled_quantity": one.filled_quantity}
        for one in done.cancelled
    }
    orders = [
        order.model_copy(update={**after[order.order_id], "waiting": False, "pending": False})
        for order in found.orders
        if order.order_id in after
    ]
    (words,) = await _told(call, [found.model_copy(update={"status": "done"})])
    return {**words, "orderReports": [ended_spot(order, market.instrument) for order in orders]}


async def open_lists(call: Call) -> list[dict[str, Any]]:
    """Return the lists of which an order is open, oldest first.

    One whose first order has ended is looked up, for its name is that order's; each costs a weight.
    """
    services, caller = call.services, call.caller
    found = _lists(call, await open_records(services, caller, *services.shards_of(None)))
    lacking = sum(not _has_first(one) for one in found)
    if lacking:
        weight = lacking * LOOK_UP_WEIGHT
        await services.limiter.charge_customer(caller.customer_id, caller.rate_class, weight)
    told = []
    for one in found:
        whole = None if _has_first(one) else await _by_id(call, one.order_list_id)
        told.append(whole or one)
    return await _told(call, told)


async def every_list(call: Call) -> list[dict[str, Any]]:
    """Return lists of the history, oldest first: from `fromId` or `startTime` on, or the newest.

    The newest orders are looked at, as many as one question may walk through.
    """

    async def page(before: Place | None) -> list[OrderRecord]:
        return await call.services.orders.orders(call.caller.customer_id, 0, before, LARGEST_COUNT)

    def place(record: OrderRecord) -> Place:
        return record.accepted_at_us, record.order_id

    limit = call.parameters.count("limit", USUAL_COUNT, LARGEST_COUNT)
    first_id = call.parameters.integer("fromId")
    rows = await past_rows(call.parameters, "", page, place, (0,), LARGEST_WALK)
    found = [
        one
        for one in _lists(call, rows)
        if _has_first(one) and int(one.order_list_id) >= (first_id or 0)
    ]
    from_start = first_id is not None or call.parameters.text("startTime") is not None
    listed = found[:limit] if from_start else found[-limit:]
    return await _told(call, listed)


def _lists(call: Call, records: Sequence[OrderRecord]) -> list[OrderListOut]:
    """Return the spot lists that some orders are of, oldest first."""
    listings = call.services.listings
    groups: dict[int, list[OrderRecord]] = {}
    for record in sorted(records, key=lambda one: (one.accepted_at_us, one.order_id)):
        if record.terms.list_id:
            groups.setdefault(record.terms.list_id, []).append(record)
    found = []
    for group in groups.values():
        instrument = answers.instrument_of(listings, group[0].symbol_id)
        if instrument.terms is None:
            found.append(list_answers.order_list(group, instrument))
    return found


async def _named(call: Call, by_client_id: str) -> OrderListOut | None:
    """Return the caller's list of spot orders that the parameters name, None without one."""
    number, name = call.parameters.integer("orderListId"), call.parameters.text(by_client_id)
    list_id: str | None
    if number is not None:
        list_id = str(number)
    elif name is not None:
        list_id = await _list_called(call, name)
    else:
        raise missing("orderListId")
    found = None if list_id is None else await _by_id(call, list_id)
    return found if found is not None and _instrument(call, found).terms is None else None


async def _list_called(call: Call, name: str) -> str | None:
    """Return the id of the list of that name, or with an order of that client id."""
    in_it = None
    with suppress(ConnectionError):
        in_it = await call.services.list_names.order_in(call.caller.customer_id, name)
    for client_id in dict.fromkeys((in_it or name, name)):
        page = await list_orders(call.caller, call.services, client_order_id=client_id)
        if page.orders and page.orders[0].order_list_id:
            return page.orders[0].order_list_id
    return None


async def _by_id(call: Call, list_id: str) -> OrderListOut | None:
    try:
        return await native.get_order_list(list_id, call.caller, call.services)
    except Problem as problem:
        if problem.code == "order_not_found":
            return None
        raise


def _has_first(found: OrderListOut) -> bool:
    """Return whether the order is there that a list has its id of: the walk may end within one."""
    return found.order_list_id == found.orders[0].order_id


def _instrument(call: Call, found: OrderListOut) -> Instrument:
    return call.services.market(found.symbol).instrument
