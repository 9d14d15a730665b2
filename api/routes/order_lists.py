"""Orders that are placed together and end each other."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api import order_answers as answers
from api import order_list_answers as list_answers
from api.auth import Caller, generated_client_order_id
from api.edge import CallerDep, EdgeRoute, ServicesDep, access
from api.engine_calls import REPEAT_OR_ASK, ask, submit
from api.errors import Problem
from api.margin_previews import margin_preview
from api.order_commands import order_id_from
from api.order_list_commands import list_command
from api.refusals import closed, explained
from api.routes.order_queries import find_order
from api.schemas.order_lists import CancelListOut, OrderListOut, PlaceOrderListIn
from api.schemas.orders import CancelOut, DryRunOut
from api.services import Services
from domain.commands import CancelOrder, PlaceOrderList
from domain.customer import Scope
from domain.market import Market
from domain.order import ListKind, OrderStatus
from domain.order_record import OrderRecord

router = APIRouter(prefix="/v1", tags=["orders"], route_class=EdgeRoute)

_LISTED = 3  # most orders of a list, which have numbers one after the other
_PARTS = ("take_profit", "stop_loss", "entry")


@router.post("/order-lists", status_code=201, response_model=OrderListOut)
@access(Scope.TRADE, orders=3)
async def place_order_list(
    orders: PlaceOrderListIn, caller: CallerDep, services: ServicesDep, response: Response
) -> OrderListOut:
    """Place orders that depend on each other, an OCO or a bracket: all of them, or none.

    A refusal names the `order` at fault. Repeating the same request is safe as for one order: the
    same client order ids with the same content give the list again as it is by then (200,
    `duplicate: true`), with another content 409.
    """
    market, command = _command(orders, caller, services)
    names = [order.client_text for order in command.orders]
    events = await submit(
        services.door(market.shard), command, REPEAT_OR_ASK, client_order_ids=names
    )
    answer = list_answers.placed(command, market.instrument, events)
    if isinstance(answer, Problem):
        raise await explained(services, answer, market, command)
    if answer.duplicate:
        response.status_code = 200
    return answer


@router.post("/order-lists/dry-run", response_model=DryRunOut)
@access(Scope.TRADE, weight=2)
async def dry_run_order_list(
    orders: PlaceOrderListIn, caller: CallerDep, services: ServicesDep
) -> DryRunOut:
    """Check a list without placing it: the same refusals, or what it would hold.

    The engine answers from its state of this moment; nothing is recorded and nothing is promised.
    """
    market, command = _command(orders, caller, services)
    found = await ask(services.door(market.shard).dry_run(command))
    answer = list_answers.dry_run(command, market.instrument, found)
    if isinstance(answer, Problem):
        raise await explained(services, answer, market, command)
    if market.instrument.terms is not None and command.kind is ListKind.BRACKET:
        preview = await margin_preview(services, market, command.orders[0])
        return answer.model_copy(update={"margin": preview})
    return answer


@router.get("/order-lists/{order_list_id}", response_model=OrderListOut)
@access(Scope.READ, weight=2)
async def get_order_list(
    order_list_id: str, caller: CallerDep, services: ServicesDep
) -> OrderListOut:
    """Return one of your lists with its orders, open or closed."""
    records = await _records(services, caller, order_list_id)
    instrument = answers.instrument_of(services.listings, records[0].symbol_id)
    return list_answers.order_list(records, instrument)


@router.delete("/order-lists/{order_list_id}", response_model=CancelListOut)
@access(Scope.TRADE, weight=2, winds_down=True)
async def cancel_order_list(
    order_list_id: str, caller: CallerDep, services: ServicesDep
) -> CancelListOut:
    """Cancel what is open of one of your lists: all of its orders, or those that are left.

    A bracket's children go before its entry, one after the other, so that none is armed.
    """
    records = await _records(services, caller, order_list_id)
    shard, symbol_id = records[0].order_id >> 48, records[0].symbol_id
    still = [one.order_id for one in records if one.status is OrderStatus.OPEN]
    cancelled: dict[str, CancelOut] = {}
    problem: Problem | None = None
    for order_id in reversed(still or [records[0].order_id]):
        if str(order_id) in cancelled:
            continue
        command = CancelOrder(caller.customer_id, 0, order_id)
        events = await submit(services.door(shard), command, order_list_id=order_list_id)
        answer = answers.cancelled_all(services.listings, events)
        if isinstance(answer, Problem):
            problem = problem or answer
        else:
            cancelled |= {one.order_id: one for one in answer.cancelled}
    if problem is not None and not cancelled:
        raise await closed(services, problem, shard, symbol_id)
    return CancelListOut(cancelled=sorted(cancelled.values(), key=lambda one: int(one.order_id)))


def _command(
    orders: PlaceOrderListIn, caller: Caller, services: Services
) -> tuple[Market, PlaceOrderList]:
    market = services.market(orders.symbol)
    names = client_order_ids(orders, caller)
    return market, list_command(orders, market.instrument, caller.customer_id, names)


def client_order_ids(orders: PlaceOrderListIn, caller: Caller) -> dict[str, str]:
    """Return the client order id of each part that the list has: the given one, or the made one."""
    return {
        part: asked.client_order_id or generated_client_order_id(caller.signature, number)
        for number, part in enumerate(_PARTS)
        if (asked := getattr(orders, part)) is not None
    }


async def _records(services: Services, caller: Caller, order_list_id: str) -> list[OrderRecord]:
    """Return the orders of one of the caller's lists; what is no list is not found."""
    first = order_id_from(order_list_id)
    found = [
        await find_order(services, caller, order_id) for order_id in range(first, first + _LISTED)
    ]
    records = [one for one in found if one is not None and one.terms.list_id == first]
    if not records:
        raise Problem("order_not_found", "No such list of orders.")
    return records
