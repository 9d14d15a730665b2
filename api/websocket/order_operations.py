"""The operations of orders on a WebSocket: each is an endpoint of REST, with its access and models.

So a command has the same checks and refusals whichever way it comes. What HTTP says in method and
address is in `params` here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from fastapi import Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from api.auth import Caller
from api.edge import Access, access_of, problem_of
from api.errors import Problem
from api.json_text import parse_json
from api.order_documents import Document, encode
from api.routes import order_batches, order_lists, orders
from api.schemas.common import Input, SymbolText
from api.schemas.order_lists import PlaceOrderListIn
from api.schemas.orders import (
    BatchAmend,
    BatchCancel,
    BatchIn,
    DeadMansSwitchIn,
    OrderIdText,
    PlaceOrderIn,
    SideText,
)
from api.services import Services


class CancelAllIn(Input):
    """Which orders to cancel: of one market or of all, of one side or of both."""

    symbol: SymbolText | None = None
    side: SideText | None = None


class CancelListIn(Input):
    """Which list to cancel."""

    order_list_id: OrderIdText


class AmendIn(BatchAmend):
    """An amend that comes alone: as in a batch, without its `op`."""

    op: Literal["amend"] = "amend"


class CancelIn(BatchCancel):
    """A cancel that comes alone: as in a batch, without its `op`."""

    op: Literal["cancel"] = "cancel"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation came to: REST's status and REST's document."""

    status: int
    document: bytes


Run = Callable[[Any, Caller, Services], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. One that `submits_at_once` reaches the engine before it first waits.

    So those can be in flight together and are still carried out in the order in which they came.
    """

    model: type[Input]
    endpoint: Callable[..., Any]
    run: Run
    submits_at_once: bool

    @property
    def access(self) -> Access:
        """Return what the endpoint declares: scope and cost."""
        return access_of(self.endpoint)


def parsed(operation: Operation, params: msgspec.Raw) -> Any:
    """Return the parameters as the operation's model; a `Problem` names what is wrong.

    They are read as a body of REST is: a name that is repeated is refused.
    """
    document = parse_json(bytes(params))
    try:
        return operation.model.model_validate(document)
    except ValidationError as error:
        found = [{**one, "loc": ("params", *one["loc"])} for one in error.errors()]
        raise problem_of(RequestValidationError(found)) from error


def order_count(operation: Operation, asked: Any) -> int:
    """Return how many orders it costs."""
    listed = operation.access.order_list
    return operation.access.orders + (len(getattr(asked, listed)) if listed else 0)


def _answer(model: BaseModel, status: int = 200) -> Answer:
    return Answer(status, model.model_dump_json().encode())


async def _place(asked: PlaceOrderIn, caller: Caller, services: Services) -> Answer:
    placed = await orders.carry_out(asked, caller, services)
    return Answer(200 if placed["duplicate"] else 201, encode(placed))


async def _place_list(asked: PlaceOrderListIn, caller: Caller, services: Services) -> Answer:
    response = Response(status_code=201)
    answer = await order_lists.place_order_list(asked, caller, services, response)
    return _answer(answer, response.status_code)


async def _one(asked: AmendIn | CancelIn, caller: Caller, services: Services) -> Answer:
    """Carry out a batch of one: it names the market, so the engine is not asked for the order."""
    batch = BatchIn.model_construct(operations=[asked])
    (found,) = await order_batches.carry_out(batch, caller, services)
    if found["problem"] is not None:
        raise _problem_again(found["problem"])
    return Answer(200, encode(found["amended"] or found["cancelled"]))


def _problem_again(document: Document) -> Problem:
    """Return the problem that a batch has written down."""
    for known in ("type", "title", "status", "retryable"):
        document.pop(known)
    return Problem(document.pop("code"), document.pop("detail"), extra=document)


async def _batch(asked: BatchIn, caller: Caller, services: Services) -> Answer:
    return Answer(200, encode({"results": await order_batches.carry_out(asked, caller, services)}))


async def _cancel_all(asked: CancelAllIn, caller: Caller, services: Services) -> Answer:
    return _answer(await orders.cancel_all_orders(caller, services, asked.symbol, asked.side))


async def _cancel_list(asked: CancelListIn, caller: Caller, services: Services) -> Answer:
    return _answer(await order_lists.cancel_order_list(asked.order_list_id, caller, services))


async def _dry_run(asked: PlaceOrderIn, caller: Caller, services: Services) -> Answer:
    return _answer(await orders.dry_run_order(asked, caller, services))


async def _dry_run_list(asked: PlaceOrderListIn, caller: Caller, services: Services) -> Answer:
    return _answer(await order_lists.dry_run_order_list(asked, caller, services))


async def _switch(asked: DeadMansSwitchIn, caller: Caller, services: Services) -> Answer:
    return _answer(await orders.set_dead_mans_switch(asked, caller, services))


OPERATIONS: dict[str, Operation] = {
    "place": Operation(PlaceOrderIn, orders.place_order, _place, True),
    "amend": Operation(AmendIn, orders.amend_order, _one, True),
    "cancel": Operation(CancelIn, orders.cancel_order, _one, True),
    "batch": Operation(BatchIn, order_batches.place_batch, _batch, True),
    "place_list": Operation(PlaceOrderListIn, order_lists.place_order_list, _place_list, True),
    "cancel_list": Operation(CancelListIn, order_lists.cancel_order_list, _cancel_list, False),
    "cancel_all": Operation(CancelAllIn, orders.cancel_all_orders, _cancel_all, False),
    "dead_mans_switch": Operation(DeadMansSwitchIn, orders.set_dead_mans_switch, _switch, False),
    "dry_run": Operation(PlaceOrderIn, orders.dry_run_order, _dry_run, False),
    "dry_run_list": Operation(
        PlaceOrderListIn, order_lists.dry_run_order_list, _dry_run_list, False
    ),
}
