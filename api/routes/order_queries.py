"""Looking at orders and fills."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from api import order_answers as answers
from api.auth import Caller
from api.edge import CallerDep, EdgeRoute, ServicesDep, access
from api.engine_calls import ask
from api.errors import Problem
from api.order_commands import order_id_from
from api.schemas.common import decode_cursor, encode_cursor
from api.schemas.orders import FillPage, OrderOut, OrderPage
from api.services import Services
from domain.customer import Scope
from domain.order_id import client_key, is_client_order_id
from domain.order_record import OrderRecord

router = APIRouter(prefix="/v1", tags=["orders"], route_class=EdgeRoute)

Limit = Annotated[int, Query(ge=1, le=500)]
CursorText = Annotated[str | None, Query(max_length=200)]
SymbolFilter = Annotated[str | None, Query(max_length=32)]


@router.get("/orders", response_model=OrderPage)
@access(Scope.READ, weight=2)
async def list_orders(
    caller: CallerDep,
    services: ServicesDep,
    state: Literal["open", "all"] = "open",
    symbol: SymbolFilter = None,
    client_order_id: Annotated[str | None, Query(max_length=36)] = None,
    limit: Limit = 100,
    cursor: CursorText = None,
) -> OrderPage:
    """List your orders: `open` asks the engine itself, `all` the history (a moment behind).

    With `client_order_id` the page holds that one order; ask this after an unknown outcome.
    """
    shards, symbol_id = services.shards_of(symbol)
    if client_order_id is not None:
        record = await _by_client_order_id(services, caller, client_order_id)
        records, following = ([record] if record else []), None
    elif state == "open":
        before = decode_cursor("open-orders", cursor, 2)
        live = await open_records(services, caller, shards, symbol_id)
        records, following = _page_of(live, before, limit)
    else:
        before = decode_cursor("orders", cursor, 2)
        records = await services.orders.orders(caller.customer_id, symbol_id, before, limit)
        following = None
        if len(records) == limit:
            following = encode_cursor("orders", _place(records[-1]))
    listings = services.listings
    return OrderPage(
        orders=[answers.recorded(record, listings) for record in records], next=following
    )


@router.get("/orders/{order_id}", response_model=OrderOut)
@access(Scope.READ)
async def get_order(order_id: str, caller: CallerDep, services: ServicesDep) -> OrderOut:
    """Return one of your orders, open or closed.

    It is as the engine has it; totals of the fills and the reason of its close are there as soon
    as the history has followed.
    """
    record = await find_order(services, caller, order_id_from(order_id))
    if record is None:
        raise Problem("order_not_found")
    return answers.recorded(record, services.listings)


@router.get("/fills", response_model=FillPage)
@access(Scope.READ, weight=2)
async def list_fills(
    caller: CallerDep,
    services: ServicesDep,
    symbol: SymbolFilter = None,
    order_id: Annotated[str | None, Query(max_length=19)] = None,
    limit: Limit = 100,
    cursor: CursorText = None,
) -> FillPage:
    """List your settled fills, newest first."""
    symbol_id = services.market(symbol).instrument.symbol_id if symbol else 0
    before = decode_cursor("fills", cursor, 3)
    records = await services.orders.fills(
        caller.customer_id,
        symbol_id,
        order_id_from(order_id) if order_id is not None else 0,
        before,
        limit,
    )
    following = None
    if len(records) == limit:
        last = records[-1]
        following = encode_cursor("fills", (last.time_us, last.trade_id, int(last.is_maker)))
    return FillPage(
        fills=[answers.fill(record, services.listings) for record in records], next=following
    )


async def find_order(services: Services, caller: Caller, order_id: int) -> OrderRecord | None:
    """Return one of the caller's orders, from the engine or else the history."""
    door = services.doors.get(order_id >> 48)
    if door is None:
        return None
    live = await ask(door.order(caller.customer_id, order_id))
    if live is None:
        return await services.orders.order(caller.customer_id, order_id)
    return await _with_totals(services, live)


async def open_records(
    services: Services, caller: Caller, shards: Iterable[int], symbol_id: int
) -> list[OrderRecord]:
    """Return all open orders of the caller, as the shards' engines have them, newest first."""
    found: list[OrderRecord] = []
    for shard in shards:
        found += (await ask(services.door(shard).open_orders(caller.customer_id, symbol_id)))[1]
    return sorted(found, key=_place, reverse=True)


async def _by_client_order_id(
    services: Services, caller: Caller, client_order_id: str
) -> OrderRecord | None:
    if not is_client_order_id(client_order_id):
        return None
    key = client_key(client_order_id)
    away: Problem | None = None
    for shard in sorted(services.doors):
        try:
            live = await ask(services.door(shard).order(caller.customer_id, client_key=key))
        except Problem as problem:
            away = problem  # another shard may know the order all the same
            continue
        if live is not None:
            return await _with_totals(services, live)
    if away is not None:
        raise away
    return await services.orders.order_by_client_key(caller.customer_id, key)


async def _with_totals(services: Services, live: OrderRecord) -> OrderRecord:
    """Return the history's record where it says the same as the engine: it knows more."""
    try:
        stored = await services.orders.order(live.account_id, live.order_id)
    except ConnectionError:
        return live  # the engine's word does not wait for the database
    return stored if stored is not None and stored.as_engine() == live else live


def _page_of(
    records: list[OrderRecord], before: tuple[int, ...] | None, limit: int
) -> tuple[list[OrderRecord], str | None]:
    """Return the first of the records before a cursor, and the cursor of the page that follows."""
    if before is not None:
        records = [record for record in records if _place(record) < before]
    page = records[:limit]
    if len(records) > limit:
        return page, encode_cursor("open-orders", _place(page[-1]))
    return page, None


def _place(record: OrderRecord) -> tuple[int, int]:
    """Return what "newest first" goes by: shards number their orders each for themselves."""
    return record.accepted_at_us, record.order_id
