"""Several orders in one request."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api import order_answers as answers
from api.auth import Caller, generated_client_order_id
from api.edge import CallerDep, EdgeRoute, ServicesDep, access
from api.engine_calls import REPEAT_OR_ASK, submit_many
from api.errors import Problem
from api.order_commands import amend_command, cancel_command, named, place_command
from api.order_documents import Document, answer_of
from api.refusals import explained
from api.schemas.orders import BatchAmend, BatchCancel, BatchIn, BatchOut, BatchPlace
from api.services import Services
from domain.commands import AmendOrder, CancelOrder, PlaceOrder
from domain.customer import Scope
from domain.events import Event, OrderAccepted
from domain.market import Listings, Market

router = APIRouter(prefix="/v1", tags=["orders"], route_class=EdgeRoute)

BatchCommand = PlaceOrder | AmendOrder | CancelOrder


@router.post("/orders/batch", response_model=BatchOut)
@access(Scope.TRADE, order_list="operations")
async def place_batch(batch: BatchIn, caller: CallerDep, services: ServicesDep) -> Response:
    """Place, amend and cancel up to 100 orders, carried out in the order given.

    Each operation has its own result; one's refusal does not stop the others. Operations on markets
    of different shards keep their order within each shard.
    """
    return answer_of({"results": await carry_out(batch, caller, services)})


async def carry_out(batch: BatchIn, caller: Caller, services: Services) -> list[Document]:
    """Carry out a batch; return the members of a `BatchResult` for each operation, in order."""
    results: list[Document] = [{}] * len(batch.operations)
    queued: dict[int, list[tuple[int, Market, BatchCommand]]] = {}
    for index, operation in enumerate(batch.operations):
        try:
            market = services.market(operation.symbol)
            command = _command(operation, market, caller, index)
            queued.setdefault(market.shard, []).append((index, market, command))
        except Problem as problem:
            results[index] = _problem_result(problem)
    for shard, items in queued.items():
        commands = [item[2] for item in items]
        names = [each.client_text for each in commands if isinstance(each, PlaceOrder)]
        try:
            outcomes = await submit_many(
                services.door(shard), commands, REPEAT_OR_ASK, client_order_ids=names
            )
        except Problem as problem:
            if len(queued) == 1:
                raise
            for index, _, _ in items:  # the other shards answer for themselves
                results[index] = _problem_result(problem)
            continue
        for (index, market, command), events in zip(items, outcomes, strict=True):
            result = _result(market, services.listings, command, events)
            if isinstance(result, Problem):
                result = _problem_result(await explained(services, result, market, command))
            results[index] = result
    return results


def _command(
    operation: BatchPlace | BatchAmend | BatchCancel, market: Market, caller: Caller, index: int
) -> BatchCommand:
    instrument, account_id = market.instrument, caller.customer_id
    if isinstance(operation, BatchCancel):
        return cancel_command(operation, instrument, account_id)
    if isinstance(operation, BatchAmend):
        order_id, key = named(operation)
        return amend_command(operation, instrument, account_id, order_id=order_id, key=key)
    client_order_id = operation.client_order_id or generated_client_order_id(
        caller.signature, index
    )
    return place_command(operation, instrument, account_id, client_order_id)


def _result(
    market: Market, listings: Listings, command: BatchCommand, events: tuple[Event, ...]
) -> Document | Problem:
    if isinstance(command, PlaceOrder):
        placed = answers.placed(command, market.instrument, events)
        if isinstance(placed, Problem):
            return placed
        status = 201 if isinstance(events[0], OrderAccepted) else 200
        return _document(status, order=placed)
    if isinstance(command, AmendOrder):
        amended = answers.amended(market.instrument, events)
        if isinstance(amended, Problem):
            return amended
        return _document(200, amended=amended.model_dump())
    cancelled = answers.cancelled(listings, events)
    if isinstance(cancelled, Problem):
        return cancelled
    return _document(200, cancelled=cancelled.model_dump())


def _document(
    status: int,
    *,
    order: Document | None = None,
    amended: Document | None = None,
    cancelled: Document | None = None,
    problem: Document | None = None,
) -> Document:
    """Return the members of a `BatchResult`, in their order."""
    return {
        "status": status,
        "order": order,
        "amended": amended,
        "cancelled": cancelled,
        "problem": problem,
    }


def _problem_result(problem: Problem) -> Document:
    document = problem.document("")
    del document["request_id"]  # the batch has one, in its header
    return _document(problem.kind.status, problem=document)
