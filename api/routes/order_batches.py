"""Several orders in one request."""

from __future__ import annotations

from fastapi import APIRouter

from api import order_answers as answers
from api.auth import Caller, generated_client_order_id
from api.edge import CallerDep, EdgeRoute, ServicesDep, access
from api.engine_calls import REPEAT_OR_ASK, submit_many
from api.errors import Problem
from api.order_commands import amend_command, cancel_command, named, place_command
from api.refusals import explained
from api.schemas.orders import BatchAmend, BatchCancel, BatchIn, BatchOut, BatchPlace, BatchResult
from domain.commands import AmendOrder, CancelOrder, PlaceOrder
from domain.customer import Scope
from domain.events import Event, OrderAccepted
from domain.market import Listings, Market

router = APIRouter(prefix="/v1", tags=["orders"], route_class=EdgeRoute)

BatchCommand = PlaceOrder | AmendOrder | CancelOrder


@router.post("/orders/batch", response_model=BatchOut)
@access(Scope.TRADE, order_list="operations")
async def place_batch(batch: BatchIn, caller: CallerDep, services: ServicesDep) -> BatchOut:
    """Place, amend and cancel up to 100 orders, carried out in the order given.

    Each operation has its own result; one's refusal does not stop the others. Operations on markets
    of different shards keep their order within each shard.
    """
    results: list[BatchResult | None] = [None] * len(batch.operations)
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
    return BatchOut(results=[result for result in results if result is not None])


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
) -> BatchResult | Problem:
    if isinstance(command, PlaceOrder):
        placed = answers.placed(command, market.instrument, events)
        if isinstance(placed, Problem):
            return placed
        status = 201 if isinstance(events[0], OrderAccepted) else 200
        return BatchResult(status=status, order=placed)
    if isinstance(command, AmendOrder):
        amended = answers.amended(market.instrument, events)
        if isinstance(amended, Problem):
            return amended
        return BatchResult(status=200, amended=amended)
    cancelled = answers.cancelled(listings, events)
    if isinstance(cancelled, Problem):
        return cancelled
    return BatchResult(status=200, cancelled=cancelled)


def _problem_result(problem: Problem) -> BatchResult:
    document = problem.document("")
    del document["request_id"]  # the batch has one, in its header
    return BatchResult(status=problem.kind.status, problem=document)
