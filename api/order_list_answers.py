"""From the engine's events, and from records of orders, to what a client gets of a list."""

from __future__ import annotations

from collections.abc import Sequence

from api import order_answers as answers
from api.errors import Problem, refused
from api.order_list_commands import order_names
from api.schemas.order_lists import OrderListOut
from api.schemas.orders import DryRunOut
from domain.commands import PlaceOrderList
from domain.errors import RejectReason
from domain.events import CommandRejected, Event, OrderAccepted, OrderDuplicate
from domain.instrument import Instrument
from domain.order_record import DryRun, OrderRecord


def placed(
    command: PlaceOrderList, instrument: Instrument, events: Sequence[Event]
) -> OrderListOut | Problem:
    """Return the placed list, its orders as they are now for a repeat, or why it was refused."""
    outcome = events[0]
    if isinstance(outcome, CommandRejected):
        return _refused(command, outcome.reason, outcome.list_position, instrument)
    known = [event for event in events if isinstance(event, OrderDuplicate)]
    if not known:
        ids = [event.order_id for event in events if isinstance(event, OrderAccepted)]
        changes = [answers.change_of(events, order_id) for order_id in ids]
        return order_list([change.record() for change in changes], instrument)
    if not known[0].same_body:
        return Problem(
            "duplicate_client_order_id",
            "A client order id of the list was used for something else.",
            extra={"order_id": str(known[0].order_id)},
        )
    records = [
        answers.as_it_is_now(event, order, known[0].order_id)
        for event, order in zip(known, command.orders, strict=True)
    ]
    return order_list(records, instrument, duplicate=True)


def order_list(
    records: Sequence[OrderRecord], instrument: Instrument, *, duplicate: bool = False
) -> OrderListOut:
    """Return a list from its orders."""
    orders = [answers.order_out(record, instrument, duplicate=duplicate) for record in records]
    is_open = any(order.status == "open" for order in orders)
    return OrderListOut(
        order_list_id=str(records[0].terms.list_id),
        kind="bracket" if len({record.side for record in records}) > 1 else "oco",
        symbol=instrument.symbol,
        status="open" if is_open else "done",
        orders=orders,
        duplicate=duplicate,
    )


def dry_run(
    command: PlaceOrderList, instrument: Instrument, found: tuple[int, DryRun]
) -> DryRunOut | Problem:
    """Return what a list would hold, or the refusal that it would meet."""
    _, (reason, _, position) = found
    if reason:
        return _refused(command, reason, position, instrument)
    return answers.dry_run(command.orders[0], instrument, found)


def _refused(
    command: PlaceOrderList, reason: RejectReason, position: int, instrument: Instrument
) -> Problem:
    """Return why a list was refused, with the name of its order at fault."""
    problem = refused(reason, answers.refusal_detail(reason, instrument))
    if position == 0:
        return problem
    name = order_names(command)[position - 1]
    return problem.with_extra({"order": name}, f"{name}: {problem.detail}")
