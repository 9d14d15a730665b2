"""Placing, amending and cancelling orders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Query, Response

from api import order_answers as answers
from api.auth import Caller, generated_client_order_id
from api.edge import CallerDep, EdgeRoute, ServicesDep, access
from api.engine_calls import REPEAT_OR_ASK, ask, submit, submit_to_all
from api.errors import Problem
from api.margin_previews import margin_preview
from api.order_commands import amend_command, order_id_from, place_command
from api.order_documents import Document, answer_of
from api.refusals import closed, explained
from api.schemas.orders import (
    AmendOrderIn,
    AmendOut,
    CancelAllOut,
    CancelOut,
    DeadMansSwitchIn,
    DeadMansSwitchOut,
    DryRunOut,
    HaltedOrdersOut,
    OrderOut,
    PlaceOrderIn,
    SideText,
)
from api.services import Services
from api.trading_state import trading_statuses
from domain.commands import CancelAll, CancelOrder, SetDeadMansSwitch
from domain.customer import Scope
from domain.order import Side, SymbolState

router = APIRouter(prefix="/v1", tags=["orders"], route_class=EdgeRoute)


@router.post("/orders", status_code=201, response_model=OrderOut)
@access(Scope.TRADE, orders=1)
async def place_order(order: PlaceOrderIn, caller: CallerDep, services: ServicesDep) -> Response:
    """Place an order. The answer comes when the engine has journalled it; fills are in it.

    Repeating the same request is safe: the same `client_order_id` with the same content gives the
    first order again as it is by then (200, `duplicate: true`), with another content 409. Without
    a `client_order_id` one is made from the request's signature, so equal orders that are signed
    in the same millisecond are one order.
    """
    placed = await carry_out(order, caller, services)
    return answer_of(placed, 200 if placed["duplicate"] else 201)


async def carry_out(order: PlaceOrderIn, caller: Caller, services: Services) -> Document:
    """Place an order; return the members of its `OrderOut`."""
    market = services.market(order.symbol)
    client_order_id = order.client_order_id or generated_client_order_id(caller.signature)
    command = place_command(order, market.instrument, caller.customer_id, client_order_id)
    events = await submit(
        services.door(market.shard), command, REPEAT_OR_ASK, client_order_id=client_order_id
    )
    answer = answers.placed(command, market.instrument, events)
    if isinstance(answer, Problem):
        raise await explained(services, answer, market, command)
    return answer


@router.post("/orders/dry-run", response_model=DryRunOut)
@access(Scope.TRADE, weight=2)
async def dry_run_order(order: PlaceOrderIn, caller: CallerDep, services: ServicesDep) -> DryRunOut:
    """Check an order without placing it: the same refusals, or what it would hold.

    The engine answers from its state of this moment; nothing is recorded and nothing is promised.
    """
    market = services.market(order.symbol)
    client_order_id = order.client_order_id or generated_client_order_id(caller.signature)
    command = place_command(order, market.instrument, caller.customer_id, client_order_id)
    found = await ask(services.door(market.shard).dry_run(command))
    answer = answers.dry_run(command, market.instrument, found)
    if isinstance(answer, Problem):
        raise await explained(services, answer, market, command)
    if market.instrument.terms is not None:
        preview = await margin_preview(services, market, command)
        return answer.model_copy(update={"margin": preview})
    return answer


@router.patch("/orders/{order_id}", response_model=AmendOut)
@access(Scope.TRADE, orders=1, once=True)
async def amend_order(
    order_id: str, amend: AmendOrderIn, caller: CallerDep, services: ServicesDep
) -> AmendOut:
    """Change price or quantity of one of your open orders; it keeps its ids.

    It keeps its place in the queue only when its price stays and its quantity does not grow;
    otherwise it acts like a new order, which may trade at once. An amend states the whole price
    and quantity, so repeating one whose answer was lost is safe: an order that has them already
    stays as it is. A quantity must be more than what is filled; to stop there, cancel.
    """
    number = order_id_from(order_id)
    door = services.doors.get(number >> 48)
    order = await ask(door.order(caller.customer_id, number)) if door is not None else None
    if door is None or order is None:
        raise Problem("order_not_found")
    market = answers.market_of(services.listings, order.symbol_id)
    instrument = market.instrument
    command = amend_command(amend, instrument, caller.customer_id, order_id=number)
    answer = answers.amended(instrument, await submit(door, command, order_id=order_id))
    if isinstance(answer, Problem):
        raise await explained(services, answer, market, command)
    return answer


@router.delete("/orders/{order_id}", response_model=CancelOut)
@access(Scope.TRADE, winds_down=True)
async def cancel_order(order_id: str, caller: CallerDep, services: ServicesDep) -> CancelOut:
    """Cancel one of your open orders."""
    number = order_id_from(order_id)
    door = services.doors.get(number >> 48)
    if door is None:
        raise Problem("order_not_found")
    events = await submit(door, CancelOrder(caller.customer_id, 0, number), order_id=order_id)
    answer = answers.cancelled(services.listings, events)
    if isinstance(answer, Problem):
        order = await ask(door.order(caller.customer_id, number))
        raise await closed(services, answer, number >> 48, order.symbol_id if order else 0)
    return answer


@router.delete("/orders", response_model=CancelAllOut)
@access(Scope.TRADE, weight=5, once=True, winds_down=True)
async def cancel_all_orders(
    caller: CallerDep,
    services: ServicesDep,
    symbol: Annotated[str | None, Query(max_length=32)] = None,
    side: SideText | None = None,
) -> CancelAllOut:
    """Cancel all your open orders, of one market or of all, of one side or of both.

    Every shard is asked. Where one cannot, its problem is the answer, with the orders that the
    others `cancelled`; asking again is safe. A halted market keeps its orders, which are counted
    in `halted`; where it is the one that is named, that is the problem.
    """
    shards, symbol_id = services.shards_of(symbol)
    command = CancelAll(caller.customer_id, symbol_id, Side[side.upper()] if side else None)
    answered, failed = await submit_to_all(services, shards, command)
    cancelled: list[CancelOut] = []
    for shard, events in answered.items():
        outcome = answers.cancelled_all(services.listings, events)
        if isinstance(outcome, Problem):
            failed = await closed(services, outcome, shard, symbol_id)
        else:
            cancelled += outcome.cancelled
    if failed is not None:
        done = {"cancelled": [order.model_dump() for order in cancelled]}
        raise failed.with_extra(done)
    halted = [] if symbol else await _halted(services, caller.customer_id, answered, command.side)
    return CancelAllOut(cancelled=cancelled, halted=halted)


async def _halted(
    services: Services, account_id: int, shards: Iterable[int], side: Side | None
) -> list[HaltedOrdersOut]:
    """Return how many orders of the account no cancel reaches now, by market."""
    found = []
    for shard, status in (await trading_statuses(services, shards)).items():
        markets = status.markets.items() if status is not None else ()
        for symbol_id, (state, why) in markets:
            if state is not SymbolState.HALTED:
                continue
            _, orders = await ask(services.door(shard).open_orders(account_id, symbol_id))
            count = sum(1 for order in orders if side in (None, order.side))
            if count:
                name = answers.instrument_of(services.listings, symbol_id).symbol
                found.append(HaltedOrdersOut(symbol=name, open_orders=count, reason=why.reason))
    return found


@router.post("/dead-mans-switch", response_model=DeadMansSwitchOut)
@access(Scope.TRADE, once=True)
async def set_dead_mans_switch(
    switch: DeadMansSwitchIn, caller: CallerDep, services: ServicesDep
) -> DeadMansSwitchOut:
    """Cancel all your orders unless you send this again in time; 0 switches it off.

    The deadline, at most 24 hours away, is the engine's own state: it fires within 100 ms of its
    time even when everything else is down, and a restart of the engine does not forget it. After an
    error some shards may have it: send it again.
    """
    command = SetDeadMansSwitch(caller.customer_id, switch.timeout_seconds * 1_000_000)
    answered, failed = await submit_to_all(services, sorted(services.doors), command)
    if failed is not None:
        raise failed
    switches = [answers.switch_set(events) for events in answered.values()]
    return min(switches, key=lambda each: each.deadline_us or 0)
