"""Placing, cancelling and looking at orders and fills."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from api import order_answers as answers
from api.auth import Caller, generated_client_order_id
from api.edge import CallerDep, EdgeRoute, ServicesDep, access
from api.errors import Problem
from api.ports import EngineAway, EngineDoor, EngineOutcomeUnknown
from api.schemas.common import decode_cursor, encode_cursor
from api.schemas.orders import (
    BatchCancel,
    BatchIn,
    BatchOut,
    BatchResult,
    CancelAllOut,
    CancelOut,
    FillPage,
    OrderOut,
    OrderPage,
    PlaceOrderIn,
    cancel_command,
    order_id_from,
    place_command,
)
from api.services import Services
from domain.commands import CancelAll, CancelOrder, Command, PlaceOrder
from domain.customer import Scope
from domain.events import Event, OrderAccepted
from domain.market import Listings, Market
from domain.order_id import client_key, is_client_order_id
from domain.order_record import OrderRecord

router = APIRouter(prefix="/v1", tags=["orders"], route_class=EdgeRoute)

Limit = Annotated[int, Query(ge=1, le=500)]
CursorText = Annotated[str | None, Query(max_length=200)]
SymbolFilter = Annotated[str | None, Query(max_length=32)]


@router.post("/orders", status_code=201, response_model=OrderOut)
@access(Scope.TRADE, orders=1)
async def place_order(
    order: PlaceOrderIn, caller: CallerDep, services: ServicesDep, response: Response
) -> OrderOut:
    """Place an order. The answer comes when the engine has journalled it; fills are in it.

    Repeating the same request is safe: the same `client_order_id` with the same content gives the
    first order again (200, `duplicate: true`), with another content 409. Without a
    `client_order_id` one is made from the request's signature, so equal orders that are signed in
    the same millisecond are one order.
    """
    market = services.market(order.symbol)
    client_order_id = order.client_order_id or generated_client_order_id(caller.signature)
    command = place_command(order, market.instrument, caller.customer_id, client_order_id)
    events = await _submit(services.door(market.shard), command, client_order_id)
    answer = answers.placed(command, market.instrument, events)
    if isinstance(answer, Problem):
        raise answer
    if answer.duplicate:
        response.status_code = 200
    return answer


@router.post("/orders/batch", response_model=BatchOut)
@access(Scope.TRADE, order_list="operations")
async def place_batch(batch: BatchIn, caller: CallerDep, services: ServicesDep) -> BatchOut:
    """Place and cancel up to 20 orders, carried out in the order given, each with its own result.

    One operation's refusal does not stop the others.
    """
    results: list[BatchResult | None] = [None] * len(batch.operations)
    queued: dict[int, list[tuple[int, Market, Command]]] = {}
    for index, operation in enumerate(batch.operations):
        try:
            market = services.market(operation.symbol)
            command = _batch_command(operation, market, caller, index)
            queued.setdefault(market.shard, []).append((index, market, command))
        except Problem as problem:
            results[index] = _problem_result(problem)
    for shard, items in queued.items():
        outcomes = await _submit_many(services.door(shard), [item[2] for item in items])
        for (index, market, command), events in zip(items, outcomes, strict=True):
            results[index] = _batch_result(market, services.listings, command, events)
    return BatchOut(results=[result for result in results if result is not None])


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
    symbol_id = services.market(symbol).instrument.symbol_id if symbol else 0
    if client_order_id is not None:
        record = await _by_client_order_id(services, caller, client_order_id)
        records, following = ([record] if record else []), None
    elif state == "open":
        before = decode_cursor("open-orders", cursor, 1)
        records, following = await _open_orders(services, caller, symbol_id, before, limit)
    else:
        before = decode_cursor("orders", cursor, 2)
        records = await services.orders.orders(caller.customer_id, symbol_id, before, limit)
        following = None
        if len(records) == limit:
            last = records[-1].order_id
            following = encode_cursor("orders", (last >> 48, last))
    listings = services.listings
    return OrderPage(
        orders=[answers.recorded(record, listings) for record in records], next=following
    )


@router.get("/orders/{order_id}", response_model=OrderOut)
@access(Scope.READ)
async def get_order(order_id: str, caller: CallerDep, services: ServicesDep) -> OrderOut:
    """Return one of your orders, open or closed."""
    record = await _find_order(services, caller, order_id_from(order_id))
    if record is None:
        raise Problem("order_not_found")
    return answers.recorded(record, services.listings)


@router.delete("/orders/{order_id}", response_model=CancelOut)
@access(Scope.TRADE)
async def cancel_order(order_id: str, caller: CallerDep, services: ServicesDep) -> CancelOut:
    """Cancel one of your open orders."""
    number = order_id_from(order_id)
    door = services.doors.get(number >> 48)
    if door is None:
        raise Problem("order_not_found")
    events = await _submit(door, CancelOrder(caller.customer_id, 0, order_id=number))
    answer = answers.cancelled(services.listings, events)
    if isinstance(answer, Problem):
        raise answer
    return answer


@router.delete("/orders", response_model=CancelAllOut)
@access(Scope.TRADE, weight=5, once=True)
async def cancel_all_orders(
    caller: CallerDep, services: ServicesDep, symbol: SymbolFilter = None
) -> CancelAllOut:
    """Cancel all your open orders, of one market or of all."""
    if symbol is not None:
        market = services.market(symbol)
        shards, symbol_id = [market.shard], market.instrument.symbol_id
    else:
        shards, symbol_id = sorted(services.doors), 0
    cancelled: list[CancelOut] = []
    for shard in shards:
        events = await _submit(services.door(shard), CancelAll(caller.customer_id, symbol_id))
        cancelled += answers.cancelled_all(services.listings, events).cancelled
    return CancelAllOut(cancelled=cancelled)


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
        following = encode_cursor("fills", (last.sequence, last.index, int(last.is_maker)))
    return FillPage(
        fills=[answers.fill(record, services.listings) for record in records], next=following
    )


def _batch_command(
    operation: PlaceOrderIn | BatchCancel, market: Market, caller: Caller, index: int
) -> Command:
    if isinstance(operation, BatchCancel):
        return cancel_command(operation, market.instrument, caller.customer_id)
    client_order_id = operation.client_order_id or generated_client_order_id(
        caller.signature, index
    )
    return place_command(operation, market.instrument, caller.customer_id, client_order_id)


def _batch_result(
    market: Market, listings: Listings, command: Command, events: tuple[Event, ...]
) -> BatchResult:
    if isinstance(command, PlaceOrder):
        placed = answers.placed(command, market.instrument, events)
        if isinstance(placed, Problem):
            return _problem_result(placed)
        status = 201 if isinstance(events[0], OrderAccepted) else 200
        return BatchResult(status=status, order=placed)
    cancelled = answers.cancelled(listings, events)
    if isinstance(cancelled, Problem):
        return _problem_result(cancelled)
    return BatchResult(status=200, cancelled=cancelled)


def _problem_result(problem: Problem) -> BatchResult:
    document = problem.document("")
    del document["request_id"]  # the batch has one, in its header
    return BatchResult(status=problem.kind.status, problem=document)


async def _submit(
    door: EngineDoor, command: Command, client_order_id: str = ""
) -> tuple[Event, ...]:
    named = {"client_order_id": client_order_id} if client_order_id else {}
    try:
        return await door.submit(command)
    except EngineAway as error:
        raise _away() from error
    except EngineOutcomeUnknown as error:
        raise _unknown(named) from error


async def _submit_many(door: EngineDoor, commands: list[Command]) -> list[tuple[Event, ...]]:
    try:
        return await door.submit_many(commands)
    except EngineAway as error:
        raise _away() from error
    except EngineOutcomeUnknown as error:
        raise _unknown({}) from error


def _away() -> Problem:
    return Problem(
        "engine_unavailable",
        "Nothing was sent to the matching engine; the request had no effect.",
        extra={"outcome": "nothing sent"},
        headers={"Retry-After": "1"},
    )


def _unknown(named: dict[str, str]) -> Problem:
    return Problem(
        "outcome_unknown",
        "The request may have taken effect. Repeat it with the same client order id, or ask for "
        "that order.",
        extra={"outcome": "unknown", **named},
        headers={"Retry-After": "1"},
    )


async def _ask(
    door: EngineDoor, caller: Caller, order_id: int = 0, key: int = 0
) -> OrderRecord | None:
    try:
        return await door.order(caller.customer_id, order_id, key)
    except EngineAway as error:
        raise _away() from error


async def _find_order(services: Services, caller: Caller, order_id: int) -> OrderRecord | None:
    """Return the order from the history when it is closed there, else as the engine has it."""
    door = services.doors.get(order_id >> 48)
    if door is None:
        return None
    live = await _ask(door, caller, order_id)
    return live or await services.orders.order(caller.customer_id, order_id)


async def _by_client_order_id(
    services: Services, caller: Caller, client_order_id: str
) -> OrderRecord | None:
    if not is_client_order_id(client_order_id):
        return None
    key = client_key(client_order_id)
    for shard in sorted(services.doors):
        live = await _ask(services.door(shard), caller, key=key)
        if live is not None:
            return live
    return await services.orders.order_by_client_key(caller.customer_id, key)


async def _open_orders(
    services: Services,
    caller: Caller,
    symbol_id: int,
    before: tuple[int, ...] | None,
    limit: int,
) -> tuple[list[OrderRecord], str | None]:
    records: list[OrderRecord] = []
    for shard in sorted(services.doors):
        try:
            _, found = await services.door(shard).open_orders(caller.customer_id, symbol_id)
        except EngineAway as error:
            raise _away() from error
        records += found
    records.sort(key=lambda record: record.order_id, reverse=True)
    if before is not None:
        records = [record for record in records if record.order_id < before[0]]
    page = records[:limit]
    if len(records) > limit:
        return page, encode_cursor("open-orders", (page[-1].order_id,))
    return page, None
