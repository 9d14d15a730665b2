"""Finding an account's orders and fills as the dialect names them: by id, client id, or time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from api import order_answers as answers
from api.binance.call import Call
from api.binance.errors import Refusal, missing
from api.binance.parameters import Parameters
from api.errors import Problem
from api.order_commands import order_id_from
from api.routes.order_queries import find_order, list_orders, open_records
from api.schemas.orders import OrderOut
from domain.market import Market
from domain.order_record import FillRecord, OrderRecord

USUAL_COUNT = 500
LARGEST_COUNT = 1_000
LARGEST_WALK = 5_000
"""How many rows of history one question may walk through; narrow the time for what is older."""
Place = tuple[int, ...]
Row = TypeVar("Row")
_FOLLOWING_TRIES = 10
_FOLLOWING_SECONDS = 0.05


async def named_order(
    call: Call,
    market: Market | None,
    parameters: Parameters,
    by_id: str = "orderId",
    by_client_id: str = "origClientOrderId",
) -> OrderOut | None:
    """Return the caller's order that the parameters name; None if there is none.

    It is one of that market, or where none is given of any perpetual.
    """
    number, text = parameters.integer(by_id), parameters.text(by_client_id)
    if number is not None:
        try:
            record = await find_order(call.services, call.caller, order_id_from(str(number)))
        except Problem as problem:
            if problem.code == "order_not_found":
                return None
            raise
        order = None if record is None else answers.recorded(record, call.services.listings)
    elif text is not None:
        page = await list_orders(call.caller, call.services, client_order_id=text)
        order = page.orders[0] if page.orders else None
    else:
        raise missing(by_id)
    if order is None:
        return None
    if market is None:
        return order if call.services.market(order.symbol).instrument.terms is not None else None
    return order if order.symbol == market.instrument.symbol else None


async def with_totals(call: Call, order: OrderOut) -> OrderOut:
    """Return an order with what its fills came to, waiting a moment for the history to follow.

    The engine does not keep those totals; half a second later they are told as not available.
    """
    for _ in range(_FOLLOWING_TRIES):
        if order.filled_quote is not None or order.filled_quantity == "0":
            break
        await asyncio.sleep(_FOLLOWING_SECONDS)
        try:
            stored = await call.services.orders.order(call.caller.customer_id, int(order.order_id))
        except ConnectionError:
            break
        if stored is None:
            continue
        told = answers.recorded(stored, call.services.listings)
        if told.filled_quantity == order.filled_quantity and told.status == order.status:
            return told
    return order


async def open_orders(call: Call, *, perpetual: bool, market: Market | None) -> list[OrderOut]:
    """Return the caller's open orders in one kind of markets, or in one, oldest first."""
    services, listings = call.services, call.services.listings
    places = services.shards_of(None if market is None else market.instrument.symbol)
    found = await open_records(services, call.caller, *places)
    return [
        answers.recorded(record, listings)
        for record in reversed(found)
        if (answers.market_of(listings, record.symbol_id).instrument.terms is not None) == perpetual
    ]


async def past_orders(call: Call, market: Market) -> list[OrderOut]:
    """Return orders of a market, open ones too, oldest first; which ones, see `past_rows`."""

    async def page(before: Place | None) -> list[OrderRecord]:
        symbol_id = market.instrument.symbol_id
        return await call.services.orders.orders(
            call.caller.customer_id, symbol_id, before, LARGEST_COUNT
        )

    def place(record: OrderRecord) -> Place:
        return record.accepted_at_us, record.order_id

    limit = call.parameters.count("limit", USUAL_COUNT, LARGEST_COUNT)
    found = await past_rows(call.parameters, "orderId", page, place, (0,), limit)
    return [answers.recorded(record, call.services.listings) for record in found]


async def past_fills(
    call: Call, market: Market | None, limit: int | None = None
) -> list[FillRecord]:
    """Return the caller's settled fills, oldest first; which ones, see `past_rows`.

    They are those of a market, or of all; so many as the parameter `limit` says, or `limit`.
    """
    if limit is None:
        limit = call.parameters.count("limit", USUAL_COUNT, LARGEST_COUNT)
    order_id = call.parameters.integer("orderId") or 0

    async def page(before: Place | None) -> list[FillRecord]:
        symbol_id = 0 if market is None else market.instrument.symbol_id
        return await call.services.orders.fills(
            call.caller.customer_id, symbol_id, order_id, before, LARGEST_COUNT
        )

    def place(record: FillRecord) -> Place:
        return record.time_us, record.trade_id, int(record.is_maker)

    return await past_rows(call.parameters, "fromId", page, place, (0, 0), limit)


async def past_rows(
    parameters: Parameters,
    first_name: str,
    page: Callable[[Place | None], Awaitable[list[Row]]],
    place_of: Callable[[Row], Place],
    first_at_a_time: Place,
    limit: int,
) -> list[Row]:
    """Return rows of history, oldest first; `page` gives those before a place, newest first.

    From the id `first_name` or from `startTime` on they are the first ones, otherwise the newest.
    A place is a time, an id, and what else tells rows apart: `first_at_a_time` without the time.
    """
    first_id = parameters.integer(first_name) if first_name else None
    since_us, until_us = time_range(parameters)
    before = None if until_us is None else (until_us + 1, *first_at_a_time)
    from_start = first_id is not None or since_us is not None

    def fits(row: Row) -> bool:
        place = place_of(row)
        return (first_id is None or place[1] >= first_id) and (
            since_us is None or place[0] >= since_us
        )

    found: list[Row] = []
    while len(found) < (LARGEST_WALK if from_start else limit):
        rows = await page(before)
        fitting = [row for row in rows if fits(row)]
        found += fitting
        if len(rows) < LARGEST_COUNT or len(fitting) < len(rows):
            break
        before = place_of(rows[-1])
    oldest_first = found[::-1]
    return oldest_first[:limit] if from_start else oldest_first[-limit:]


def as_many(parameters: Parameters, rows: list[Row], limit: int) -> list[Row]:
    """Return `limit` rows of a range, oldest first: from `startTime` on, or else the newest."""
    return rows[:limit] if parameters.text("startTime") is not None else rows[-limit:]


def time_range(parameters: Parameters) -> tuple[int | None, int | None]:
    """Return `startTime` and the end of `endTime`'s millisecond in us; -1127 if they cross."""
    start_ms, end_ms = parameters.integer("startTime"), parameters.integer("endTime")
    if start_ms is not None and end_ms is not None and end_ms < start_ms:
        raise Refusal(-1127, "startTime is after endTime.")
    since_us = None if start_ms is None else _bounded(start_ms) * 1_000
    return since_us, None if end_ms is None else _bounded(end_ms) * 1_000 + 999


def _bounded(time_ms: int) -> int:
    """Return a time that fits a database's 64 bits in microseconds."""
    return min(max(time_ms, 0), 2**62 // 1_000)
