"""From what a client sends to the engine's commands: text becomes ticks, lots and units."""

from __future__ import annotations

from collections.abc import Callable

from api.errors import Problem
from api.schemas.orders import (
    AmendOrderIn,
    BatchAmend,
    BatchCancel,
    PlaceOrderIn,
)
from domain.commands import AmendOrder, CancelOrder, PlaceOrder
from domain.instrument import Instrument, OffGridError
from domain.money import INT64_MAX, DecimalTextError
from domain.order import OrderType, SelfTrade, Side, TimeInForce, TriggerSource
from domain.order_id import client_key

_USUAL = {OrderType.MARKET: TimeInForce.IOC}
_SIDES = {side.name.lower(): side for side in Side}
_KINDS = {kind.name.lower(): kind for kind in OrderType}
_TIMES = {time.name.lower(): time for time in TimeInForce}
_SELF_TRADES = {what.name.lower(): what for what in SelfTrade}
SOURCE_OF = {source.word: source for source in TriggerSource}


def place_command(
    order: PlaceOrderIn, instrument: Instrument, account_id: int, client_order_id: str
) -> PlaceOrder:
    """Return the engine's command for an order; a `Problem` names the field that is wrong."""
    kind = _KINDS[order.type]
    asked = order.time_in_force
    time_in_force = _TIMES[asked] if asked else _USUAL.get(kind, TimeInForce.GTC)
    if not kind.is_limit and (order.price is not None or order.post_only):
        raise Problem("invalid_combination", f"A {_words(kind)} order has no price, no post_only.")
    if kind is OrderType.MARKET and time_in_force not in (TimeInForce.IOC, TimeInForce.FOK):
        raise Problem("invalid_combination", "A market order is ioc or fok.")
    if kind.is_limit and order.price is None:
        raise Problem("invalid_price", f"A {_words(kind)} order needs a price.")
    if (order.expires_at_us is not None) != (time_in_force is TimeInForce.GTD):
        raise Problem("invalid_combination", "expires_at_us and gtd go together.")
    _go_together(order, kind, time_in_force)
    _reduces(order, instrument, kind)
    trails = kind is OrderType.TRAILING_STOP
    _goes_with(kind, "trigger_price", order.trigger_price, kind.is_triggered and not trails)
    _goes_with(kind, "trailing_offset", order.trailing_offset, trails)
    quantity_lots = _quantity(order.quantity, instrument)
    display_lots = _quantity(order.display_quantity, instrument, "display_quantity")
    if display_lots > quantity_lots > 0:
        raise Problem("invalid_quantity", "The display_quantity exceeds the quantity.")
    return PlaceOrder(
        account_id=account_id,
        client_key=client_key(client_order_id),
        symbol_id=instrument.symbol_id,
        side=_SIDES[order.side],
        order_type=kind,
        time_in_force=time_in_force,
        price_ticks=_price(order.price, instrument),
        quantity_lots=quantity_lots,
        post_only=order.post_only,
        self_trade=_SELF_TRADES[order.self_trade],
        client_text=client_order_id,
        quote_budget_units=_budget(order, instrument, kind),
        expires_at_us=order.expires_at_us or 0,
        display_lots=display_lots,
        trigger_price_ticks=_trigger(order.trigger_price, instrument),
        trailing_offset_ticks=_trigger(order.trailing_offset, instrument, "trailing_offset"),
        trigger_source=_source(order, instrument, kind),
        reduce_only=order.reduce_only or order.close_position,
        close_position=order.close_position,
    )


def amend_command(
    amend: AmendOrderIn,
    instrument: Instrument,
    account_id: int,
    *,
    order_id: int = 0,
    key: int = 0,
) -> AmendOrder:
    """Return the engine's command for an amend of the order named by id or by client key."""
    if amend.price is None and amend.quantity is None and amend.trigger_price is None:
        raise Problem("invalid_combination", "Give a price, a quantity or a trigger_price.")
    return AmendOrder(
        account_id=account_id,
        symbol_id=instrument.symbol_id,
        order_id=order_id,
        client_key=key,
        price_ticks=_price(amend.price, instrument),
        quantity_lots=_quantity(amend.quantity, instrument),
        trigger_price_ticks=_trigger(amend.trigger_price, instrument),
    )


def cancel_command(cancel: BatchCancel, instrument: Instrument, account_id: int) -> CancelOrder:
    """Return the engine's command for a cancel of a batch."""
    order_id, key = named(cancel)
    return CancelOrder(account_id, instrument.symbol_id, order_id, key)


def named(operation: BatchCancel | BatchAmend) -> tuple[int, int]:
    """Return (order id, client key) of an operation, one of them 0."""
    if (operation.order_id is None) == (operation.client_order_id is None):
        raise Problem("invalid_combination", "Give order_id or client_order_id, and only one.")
    if operation.order_id is not None:
        return order_id_from(operation.order_id), 0
    return 0, client_key(operation.client_order_id or "")


def order_id_from(text: str) -> int:
    """Return the number in an order id; one that cannot exist is not found."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else 0
    if not 0 < number <= INT64_MAX:
        raise Problem("order_not_found")
    return number


def _words(kind: OrderType) -> str:
    return kind.name.lower().replace("_", "-")


def _go_together(order: PlaceOrderIn, kind: OrderType, time_in_force: TimeInForce) -> None:
    """Refuse in words what the engine would refuse as a combination: it has only the one reason."""
    rests = time_in_force in (TimeInForce.GTC, TimeInForce.GTD)
    if kind.is_triggered and not kind.is_limit and not rests:
        text = f"A {_words(kind)} order waits as gtc or gtd; once triggered it takes what there is."
        raise Problem("invalid_combination", text)
    if order.post_only and not rests:
        raise Problem("invalid_combination", "A post-only order rests: it is gtc or gtd.")
    if order.display_quantity is not None and not (rests and kind.is_limit):
        raise Problem(
            "invalid_combination", "A display_quantity needs a limit that rests: gtc, gtd."
        )
    if order.quote_amount is not None and kind is OrderType.MARKET:
        if rests or time_in_force is TimeInForce.FOK:
            raise Problem("invalid_combination", "An order with a quote_amount is ioc.")
        if order.self_trade == "decrement":
            text = (
                "A quote_amount does not go with self_trade decrement: it has no quantity to cut."
            )
            raise Problem("invalid_combination", text)


def _reduces(order: PlaceOrderIn, instrument: Instrument, kind: OrderType) -> None:
    """Refuse reduce-only and close-position where they mean nothing."""
    if not (order.reduce_only or order.close_position):
        return
    if instrument.terms is None:
        text = "reduce_only and close_position are for perpetuals; a spot market has no positions."
        raise Problem("invalid_combination", text)
    if order.close_position and (order.quantity is not None or order.quote_amount is not None):
        raise Problem("invalid_combination", "A close_position order names no quantity.")
    if order.close_position and kind.is_limit:
        text = "close_position goes with a market order, or a stop or take-profit without a price."
        raise Problem("invalid_combination", text)


def _goes_with(kind: OrderType, field: str, text: str | None, needed: bool) -> None:
    """Refuse a trigger where the kind of order has none, and its absence where it needs one."""
    if needed and text is None:
        raise Problem("invalid_trigger", f"A {_words(kind)} order needs a {field}.")
    if text is not None and not needed:
        raise Problem("invalid_combination", f"A {_words(kind)} order has no {field}.")


def _source(order: PlaceOrderIn, instrument: Instrument, kind: OrderType) -> TriggerSource:
    """Return which price sets the order off; refused where it waits for none, or has only one."""
    if order.trigger_source is None:
        return TriggerSource.LAST_PRICE
    if not kind.is_triggered:
        text = f"A {_words(kind)} order waits for no price: it has no trigger_source."
        raise Problem("invalid_combination", text)
    source = SOURCE_OF[order.trigger_source]
    if instrument.terms is None and source is not TriggerSource.LAST_PRICE:
        text = "A spot market has no mark and no index: its orders wait for the last price."
        raise Problem("invalid_combination", text)
    return source


def _budget(order: PlaceOrderIn, instrument: Instrument, kind: OrderType) -> int:
    """Return the quote budget in engine units, 0 where the order has a quantity."""
    if order.quote_amount is None:
        if order.quantity is None and not order.close_position:
            raise Problem("invalid_quantity", "An order needs a quantity.")
        return 0
    if order.quantity is not None:
        raise Problem("invalid_combination", "Give quantity or quote_amount, and only one.")
    if instrument.terms is not None:
        raise Problem("invalid_combination", "A perpetual is ordered by quantity.")
    if kind is not OrderType.MARKET or order.side != "buy":
        raise Problem("invalid_combination", "Only a market buy has a quote_amount.")
    quote = instrument.quote
    hint = f"write it like 2500.01, with at most {quote.engine_decimals} decimals"
    return _count(quote.engine_units, order.quote_amount, "quote_amount", "invalid_amount", hint)


def _price(text: str | None, instrument: Instrument) -> int:
    if text is None:
        return 0
    return _count(instrument.price_ticks, text, "price", "invalid_price", "write it like 2500.01")


def _trigger(text: str | None, instrument: Instrument, field: str = "trigger_price") -> int:
    if text is None:
        return 0
    hint = "write it like 2500.01"
    return _count(instrument.price_ticks, text, field, "invalid_trigger", hint)


def _quantity(text: str | None, instrument: Instrument, field: str = "quantity") -> int:
    if text is None:
        return 0
    hint = "write it like 0.25"
    return _count(instrument.quantity_lots, text, field, "invalid_quantity", hint)


def _count(parse: Callable[[str], int], text: str, field: str, code: str, hint: str) -> int:
    """Return `text` as a positive int64 count; a `Problem` (`code` for its value) names `field`."""
    try:
        count = parse(text)
    except OffGridError as error:
        raise Problem(code, f"The {field} {error}.") from error
    except DecimalTextError as error:
        raise Problem("invalid_number", f"The {field} is {text[:40]!r}; {hint}.") from error
    if count <= 0:
        raise Problem(code, f"The {field} must be positive.")
    if count > INT64_MAX:
        raise Problem("overflow", f"The {field} is out of range.")
    return count
