"""From the engine's events to the answers that a client gets."""

from __future__ import annotations

from collections.abc import Sequence

from api.errors import Problem, refused
from api.schemas.orders import (
    CancelAllOut,
    CancelOut,
    FillOut,
    OrderOut,
    OwnFillOut,
    SideText,
    StatusText,
    TimeInForceText,
    TypeText,
)
from domain.commands import PlaceOrder
from domain.events import (
    CancelAccepted,
    CommandRejected,
    Event,
    OrderAccepted,
    OrderClosed,
    OrderDuplicate,
    Trade,
)
from domain.instrument import Instrument
from domain.market import Listings
from domain.order import OrderStatus, OrderType, Side, TimeInForce
from domain.order_record import FillRecord, OrderRecord

SIDE_TEXTS: dict[Side, SideText] = {Side.BUY: "buy", Side.SELL: "sell"}
TYPE_TEXTS: dict[OrderType, TypeText] = {OrderType.LIMIT: "limit", OrderType.MARKET: "market"}
TIME_IN_FORCE_TEXTS: dict[TimeInForce, TimeInForceText] = {
    TimeInForce.GTC: "gtc",
    TimeInForce.IOC: "ioc",
    TimeInForce.FOK: "fok",
}
STATUS_TEXTS: dict[OrderStatus, StatusText] = {
    OrderStatus.OPEN: "open",
    OrderStatus.FILLED: "filled",
    OrderStatus.CANCELLED: "cancelled",
    OrderStatus.EXPIRED: "expired",
    OrderStatus.REJECTED: "rejected",
}


def placed(
    command: PlaceOrder, instrument: Instrument, events: Sequence[Event]
) -> OrderOut | Problem:
    """Return the placed order with its fills, its first answer again, or why it was refused."""
    outcome = events[0]
    if isinstance(outcome, OrderAccepted):
        return _accepted(outcome, instrument, events)
    if isinstance(outcome, OrderDuplicate):
        if not outcome.same_body:
            return Problem(
                "duplicate_client_order_id",
                "This client order id was used for an order with another content.",
                extra={"order_id": str(outcome.order_id)},
            )
        return _repeated(outcome, command, instrument)
    if isinstance(outcome, CommandRejected):
        return refused(outcome.reason, refusal_detail(outcome, instrument))
    raise AssertionError(f"unexpected outcome of an order: {outcome!r}")


def _accepted(outcome: OrderAccepted, instrument: Instrument, events: Sequence[Event]) -> OrderOut:
    trades = [
        event
        for event in events
        if isinstance(event, Trade) and event.taker_order_id == outcome.order_id
    ]
    status = OrderStatus.OPEN
    for event in events:
        if isinstance(event, OrderClosed) and event.order_id == outcome.order_id:
            status = event.reason.status
    quote = instrument.quote
    return OrderOut(
        order_id=str(outcome.order_id),
        client_order_id=outcome.client_text,
        symbol=instrument.symbol,
        side=SIDE_TEXTS[outcome.side],
        type=TYPE_TEXTS[outcome.order_type],
        time_in_force=TIME_IN_FORCE_TEXTS[outcome.time_in_force],
        post_only=outcome.post_only,
        price=_price(outcome.order_type, outcome.price_ticks, instrument),
        quantity=instrument.quantity_text(outcome.quantity_lots),
        filled_quantity=instrument.quantity_text(sum(trade.quantity_lots for trade in trades)),
        filled_quote=quote.engine_text(sum(trade.quote_units for trade in trades)),
        fee=quote.engine_text(sum(trade.taker_fee_units for trade in trades)),
        fee_asset=quote.code,
        status=STATUS_TEXTS[status],
        sequence=outcome.sequence,
        time_us=outcome.time_us,
        fills=tuple(
            FillOut(
                trade_id=str(trade.trade_id),
                price=instrument.price_text(trade.price_ticks),
                quantity=instrument.quantity_text(trade.quantity_lots),
                fee=quote.engine_text(trade.taker_fee_units),
                fee_asset=quote.code,
            )
            for trade in trades
        ),
    )


def _repeated(outcome: OrderDuplicate, command: PlaceOrder, instrument: Instrument) -> OrderOut:
    """Return the order of a repeated request, as it is now; its fills are asked for separately."""
    return OrderOut(
        order_id=str(outcome.order_id),
        client_order_id=command.client_text,
        symbol=instrument.symbol,
        side=SIDE_TEXTS[command.side],
        type=TYPE_TEXTS[command.order_type],
        time_in_force=TIME_IN_FORCE_TEXTS[command.time_in_force],
        post_only=command.post_only,
        price=_price(command.order_type, command.price_ticks, instrument),
        quantity=instrument.quantity_text(command.quantity_lots),
        filled_quantity=instrument.quantity_text(outcome.filled_lots),
        filled_quote="0" if outcome.filled_lots == 0 else None,
        fee="0" if outcome.filled_lots == 0 else None,
        fee_asset=instrument.quote.code,
        status=STATUS_TEXTS[outcome.status],
        sequence=outcome.accepted_sequence,
        time_us=outcome.time_us,
        duplicate=True,
    )


def refusal_detail(outcome: CommandRejected, instrument: Instrument) -> str:
    """Return a sentence that helps with the refusal, where one exists beyond the title."""
    reason = outcome.reason.name
    if reason == "PRICE_OUTSIDE_BAND":
        percent = instrument.band_ppm / 10_000
        return f"{instrument.symbol} accepts prices within {percent:g} % of its reference price."
    if reason == "QUANTITY_TOO_LARGE":
        largest = instrument.quantity_text(instrument.max_order_lots)
        return f"The largest order of {instrument.symbol} is {largest}."
    if reason == "TOO_MANY_OPEN_ORDERS":
        return f"At most {instrument.max_open_orders} open orders in {instrument.symbol}."
    return ""


def cancelled(listings: Listings, events: Sequence[Event]) -> CancelOut | Problem:
    """Return the cancelled order, or why there was nothing to cancel."""
    outcome = events[0]
    if isinstance(outcome, CommandRejected):
        return refused(outcome.reason)
    closed = next(event for event in events if isinstance(event, OrderClosed))
    return _cancel_out(closed, instrument_of(listings, closed.symbol_id))


def cancelled_all(listings: Listings, events: Sequence[Event]) -> CancelAllOut:
    """Return every order that a cancel-all closed; a refusal raises its `Problem`."""
    outcome = events[0]
    if isinstance(outcome, CommandRejected):
        raise refused(outcome.reason)
    assert isinstance(outcome, CancelAccepted)
    return CancelAllOut(
        cancelled=[
            _cancel_out(event, instrument_of(listings, event.symbol_id))
            for event in events
            if isinstance(event, OrderClosed)
        ]
    )


def _cancel_out(closed: OrderClosed, instrument: Instrument) -> CancelOut:
    return CancelOut(
        order_id=str(closed.order_id),
        symbol=instrument.symbol,
        status=STATUS_TEXTS[closed.reason.status],
        filled_quantity=instrument.quantity_text(closed.filled_lots),
        remaining_quantity=instrument.quantity_text(closed.remaining_lots),
        sequence=closed.sequence,
    )


def recorded(record: OrderRecord, listings: Listings) -> OrderOut:
    """Return an order from the engine's or the history's record of it."""
    instrument = instrument_of(listings, record.symbol_id)
    quote = instrument.quote
    quote_units = 0 if record.filled_lots == 0 else record.filled_quote_units
    fee_units = 0 if record.filled_lots == 0 else record.fee_units
    return OrderOut(
        order_id=str(record.order_id),
        client_order_id=record.client_order_id,
        symbol=instrument.symbol,
        side=SIDE_TEXTS[record.side],
        type=TYPE_TEXTS[record.order_type],
        time_in_force=TIME_IN_FORCE_TEXTS[record.time_in_force],
        post_only=record.post_only,
        price=_price(record.order_type, record.price_ticks, instrument),
        quantity=instrument.quantity_text(record.quantity_lots),
        filled_quantity=instrument.quantity_text(record.filled_lots),
        filled_quote=None if quote_units is None else quote.engine_text(quote_units),
        fee=None if fee_units is None else quote.engine_text(fee_units),
        fee_asset=quote.code,
        status=STATUS_TEXTS[record.status],
        sequence=record.accepted_sequence,
        time_us=record.accepted_at_us,
    )


def fill(record: FillRecord, listings: Listings) -> OwnFillOut:
    """Return one of the customer's fills."""
    instrument = instrument_of(listings, record.symbol_id)
    return OwnFillOut(
        trade_id=str(record.trade_id),
        order_id=str(record.order_id),
        symbol=instrument.symbol,
        side=SIDE_TEXTS[record.side],
        role="maker" if record.is_maker else "taker",
        price=instrument.price_text(record.price_ticks),
        quantity=instrument.quantity_text(record.quantity_lots),
        quote=instrument.quote.engine_text(record.quote_units),
        fee=instrument.quote.engine_text(record.fee_units),
        fee_asset=instrument.quote.code,
        time_us=record.time_us,
        sequence=record.sequence,
    )


def instrument_of(listings: Listings, symbol_id: int) -> Instrument:
    """Return the instrument of an event; one that is not listed yet here is not ready."""
    market = listings.market_by_id(symbol_id)
    if market is None:
        raise Problem("market_data_unavailable", "The market is being listed; try again.")
    return market.instrument


def _price(order_type: OrderType, price_ticks: int, instrument: Instrument) -> str | None:
    return None if order_type is OrderType.MARKET else instrument.price_text(price_ticks)
