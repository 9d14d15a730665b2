"""From the engine's events, and from records of orders, to the answers that a client gets."""

from __future__ import annotations

from collections.abc import Sequence

from api.errors import Problem, refused
from api.order_documents import Document, fill_documents, order_document, price_text, word
from api.schemas.orders import (
    AmendOut,
    CancelAllOut,
    CancelOut,
    DeadMansSwitchOut,
    DryRunOut,
    FillOut,
    OrderOut,
    OwnFillOut,
)
from domain.commands import PlaceOrder
from domain.errors import RejectReason
from domain.events import (
    CancelAccepted,
    CommandRejected,
    DeadMansSwitchSet,
    Event,
    OrderAccepted,
    OrderAmended,
    OrderClosed,
    OrderDuplicate,
    OrderRested,
)
from domain.instrument import Instrument
from domain.market import Listings, Market
from domain.order import CloseReason, Side
from domain.order_history import OrderChange, fold
from domain.order_record import DryRun, FillRecord, OrderRecord, OrderTerms


def placed(
    command: PlaceOrder, instrument: Instrument, events: Sequence[Event]
) -> Document | Problem:
    """Return the placed order with its fills, its first answer again, or why it was refused.

    It is what an `OrderOut` says, not checked again: a batch has a hundred.
    """
    outcome = events[0]
    if isinstance(outcome, OrderAccepted):
        if len(events) == 2 and isinstance(events[1], OrderRested):  # as most do
            return order_document(OrderChange(outcome.order_id, outcome).record(), instrument)
        record = change_of(events, outcome.order_id).record()
        fills = fill_documents(events, outcome.order_id, instrument)
        return order_document(record, instrument, fills)
    if isinstance(outcome, OrderDuplicate):
        if not outcome.same_body:
            return Problem(
                "duplicate_client_order_id",
                "This client order id was used for an order with another content.",
                extra={"order_id": str(outcome.order_id)},
            )
        return order_document(as_it_is_now(outcome, command, 0), instrument, duplicate=True)
    if isinstance(outcome, CommandRejected):
        return refused(outcome.reason, refusal_detail(outcome.reason, instrument))
    raise AssertionError(f"unexpected outcome of an order: {outcome!r}")


def dry_run(
    command: PlaceOrder, instrument: Instrument, found: tuple[int, DryRun]
) -> DryRunOut | Problem:
    """Return what an order would hold, or the refusal that it would meet."""
    sequence, (reason, hold_units, _) = found
    if reason:
        return refused(reason, refusal_detail(reason, instrument))
    held = instrument.quote if command.side is Side.BUY else instrument.base
    return DryRunOut(
        symbol=instrument.symbol,
        side=word(command.side),
        hold=held.engine_text(hold_units),
        hold_asset=held.code,
        sequence=sequence,
    )


def amended(instrument: Instrument, events: Sequence[Event]) -> AmendOut | Problem:
    """Return the amended order with the fills that followed, or why it was refused."""
    outcome = events[0]
    if isinstance(outcome, CommandRejected):
        detail = refusal_detail(outcome.reason, instrument)
        if outcome.reason is RejectReason.INVALID_COMBINATION:
            detail = "Only a waiting order has a trigger_price to change, only a limit a price."
        return refused(outcome.reason, detail)
    assert isinstance(outcome, OrderAmended), outcome
    change = change_of(events, outcome.order_id)
    quantity_lots = outcome.previous_quantity_lots + change.quantity_lots
    found = fill_documents(events, outcome.order_id, instrument)
    return AmendOut(
        order_id=str(outcome.order_id),
        symbol=instrument.symbol,
        side=word(outcome.side),
        price=price_text(outcome.price_ticks, instrument),
        quantity=instrument.quantity_text(quantity_lots),
        trigger_price=price_text(outcome.trigger_price_ticks, instrument),
        filled_quantity=instrument.quantity_text(outcome.filled_lots + change.filled_lots),
        previous_price=price_text(outcome.previous_price_ticks, instrument),
        previous_quantity=instrument.quantity_text(outcome.previous_quantity_lots),
        previous_trigger_price=price_text(outcome.previous_trigger_price_ticks, instrument),
        kept_place=outcome.kept_place,
        status=word(change.status),
        sequence=outcome.sequence,
        time_us=outcome.time_us,
        fills=tuple(FillOut(**one) for one in found),
    )


def refusal_detail(reason: RejectReason, instrument: Instrument) -> str:
    """Return a sentence that helps with the refusal, where one exists beyond the title."""
    if reason is RejectReason.PRICE_OUTSIDE_BAND:
        percent = instrument.band_ppm / 10_000
        return f"{instrument.symbol} accepts prices within {percent:g} % of its reference price."
    if reason is RejectReason.QUANTITY_TOO_LARGE:
        largest = instrument.quantity_text(instrument.max_order_lots)
        return f"The largest order of {instrument.symbol} is {largest}."
    if reason is RejectReason.TOO_MANY_OPEN_ORDERS:
        return f"At most {instrument.max_open_orders} open orders in {instrument.symbol}."
    if reason is RejectReason.TOO_MANY_SLICES:
        return "The display_quantity must be at least a hundredth of the quantity."
    if reason is RejectReason.LIST_PRICES_CROSSED:
        return (
            "A take-profit's price is better than the stop's trigger, and the price of a bracket's "
            "entry (at the market: the last price) lies between the two."
        )
    if reason is RejectReason.WOULD_TRIGGER_IMMEDIATELY:
        return (
            "A stop waits above the price that sets it off to buy and below it to sell, a "
            "take-profit the other way round. That is the last price, or what trigger_source says."
        )
    return ""


def cancelled(listings: Listings, events: Sequence[Event]) -> CancelOut | Problem:
    """Return the cancelled order, or why there was nothing to cancel."""
    outcome = events[0]
    if isinstance(outcome, CommandRejected):
        return refused(outcome.reason)
    closed, *others = _closed_by_user(events)
    answer = _cancel_out(closed, instrument_of(listings, closed.symbol_id))
    return answer.model_copy(update={"also_cancelled": [str(other.order_id) for other in others]})


def cancelled_all(listings: Listings, events: Sequence[Event]) -> CancelAllOut | Problem:
    """Return every order that a cancel-all closed, or why it was refused."""
    outcome = events[0]
    if isinstance(outcome, CommandRejected):
        return refused(outcome.reason)
    assert isinstance(outcome, CancelAccepted)
    return CancelAllOut(
        cancelled=[
            _cancel_out(event, instrument_of(listings, event.symbol_id))
            for event in _closed_by_user(events)
        ]
    )


def switch_set(events: Sequence[Event]) -> DeadMansSwitchOut:
    """Return how the dead-man's switch stands; a refusal raises its `Problem`."""
    outcome = events[0]
    if isinstance(outcome, CommandRejected):
        raise refused(outcome.reason)
    assert isinstance(outcome, DeadMansSwitchSet)
    return DeadMansSwitchOut(deadline_us=outcome.deadline_us or None, time_us=outcome.time_us)


def recorded(record: OrderRecord, listings: Listings) -> OrderOut:
    """Return an order from the engine's or the history's record of it."""
    return order_out(record, instrument_of(listings, record.symbol_id))


def fill(record: FillRecord, listings: Listings) -> OwnFillOut:
    """Return one of the customer's fills."""
    instrument = instrument_of(listings, record.symbol_id)
    return OwnFillOut(
        trade_id=str(record.trade_id),
        order_id=str(record.order_id),
        symbol=instrument.symbol,
        side=word(record.side),
        role="maker" if record.is_maker else "taker",
        price=instrument.price_text(record.price_ticks),
        quantity=instrument.quantity_text(record.quantity_lots),
        quote=instrument.quote.engine_text(record.quote_units),
        fee=instrument.quote.engine_text(record.fee_units),
        fee_asset=instrument.quote.code,
        realised_profit=_money(record.realised_units, instrument),
        insurance=_money(record.insurance_units, instrument),
        time_us=record.time_us,
        sequence=record.sequence,
    )


def instrument_of(listings: Listings, symbol_id: int) -> Instrument:
    """Return the instrument of an event; one that is not listed yet here is not ready."""
    return market_of(listings, symbol_id).instrument


def market_of(listings: Listings, symbol_id: int) -> Market:
    """Return the market of an event; one that is not listed yet here is not ready."""
    market = listings.market_by_id(symbol_id)
    if market is None:
        raise Problem("market_data_unavailable", "The market is being listed; try again.")
    return market


def order_out(record: OrderRecord, instrument: Instrument, *, duplicate: bool = False) -> OrderOut:
    """Return an order as its owner reads it, without fills."""
    return OrderOut(**order_document(record, instrument, duplicate=duplicate))


def as_it_is_now(outcome: OrderDuplicate, command: PlaceOrder, list_id: int) -> OrderRecord:
    """Return the order of a repeated request; its fills are asked for separately."""
    terms = OrderTerms(
        command.quote_budget_units,
        command.expires_at_us,
        command.display_lots,
        outcome.trigger_price_ticks,
        command.trailing_offset_ticks,
        list_id,
    )
    return OrderRecord(
        order_id=outcome.order_id,
        account_id=outcome.account_id,
        symbol_id=command.symbol_id,
        client_order_id=command.client_text,
        client_key=outcome.client_key,
        side=command.side,
        order_type=command.order_type,
        time_in_force=command.time_in_force,
        post_only=command.post_only,
        self_trade=command.self_trade,
        price_ticks=outcome.price_ticks,
        quantity_lots=outcome.quantity_lots,
        filled_lots=outcome.filled_lots,
        status=outcome.status,
        accepted_sequence=outcome.accepted_sequence,
        accepted_at_us=outcome.accepted_at_us,
        terms=terms,
        is_waiting=outcome.is_waiting,
        is_pending=outcome.is_pending,
        trigger_source=command.trigger_source,
        reduce_only=command.reduce_only,
        close_position=command.close_position,
    )


def change_of(events: Sequence[Event], order_id: int) -> OrderChange:
    """Return what the events of one command did to an order."""
    return next(change for change in fold(events) if change.order_id == order_id)


def _money(units: int | None, instrument: Instrument) -> str | None:
    return None if units is None else instrument.quote.engine_text(units)


def _closed_by_user(events: Sequence[Event]) -> list[OrderClosed]:
    """Return what a cancel closed; others' orders may expire in the same command."""
    return [
        event
        for event in events
        if isinstance(event, OrderClosed) and event.reason is CloseReason.CANCELLED_BY_USER
    ]


def _cancel_out(closed: OrderClosed, instrument: Instrument) -> CancelOut:
    return CancelOut(
        order_id=str(closed.order_id),
        symbol=instrument.symbol,
        status=word(closed.reason.status),
        filled_quantity=instrument.quantity_text(closed.filled_lots),
        remaining_quantity=instrument.quantity_text(closed.remaining_lots),
        sequence=closed.sequence,
    )
