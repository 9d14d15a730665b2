"""Orders and fills as documents: the members of the answers' models, in their order.

What answers an order is encoded from here as it is; who needs the model makes it of the document.
A test holds both to the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import msgspec
from starlette.responses import Response

from domain.events import Event, PerpetualTrade, Trade
from domain.instrument import Instrument
from domain.order_record import OrderRecord

Document = dict[str, Any]

encode = msgspec.json.Encoder().encode
"""JSON of a document, as the models write it."""


def answer_of(document: Document, status: int = 200) -> Response:
    """Return a document as the answer of a route."""
    return Response(encode(document), status, media_type="application/json")


def word(member: IntEnum) -> Any:
    """Return an enumeration's member as the schemas write it; they check that they know it."""
    return member._name_.lower()  # `name` is computed by a descriptor, and every answer has ten


def order_document(
    record: OrderRecord,
    instrument: Instrument,
    fills: Sequence[Document] = (),
    *,
    duplicate: bool = False,
) -> Document:
    """Return the members of an `OrderOut`: an order as its owner reads it."""
    quote, terms = instrument.quote, record.terms
    filled = record.filled_lots
    quote_units = record.filled_quote_units if filled else 0
    fee_units = record.fee_units if filled else 0
    quantity_text = instrument.quantity_text
    return {
        "order_id": str(record.order_id),
        "client_order_id": record.client_order_id,
        "symbol": instrument.symbol,
        "side": word(record.side),
        "type": word(record.order_type),
        "time_in_force": word(record.time_in_force),
        "post_only": record.post_only,
        "self_trade": word(record.self_trade),
        "price": price_text(record.price_ticks, instrument),
        "quantity": quantity_text(record.quantity_lots),
        "quote_amount": quote.engine_text(units) if (units := terms.quote_budget_units) else None,
        "expires_at_us": terms.expires_at_us or None,
        "display_quantity": quantity_text(shown) if (shown := terms.display_lots) else None,
        "trigger_price": price_text(terms.trigger_price_ticks, instrument),
        "trailing_offset": price_text(terms.trailing_offset_ticks, instrument),
        "trigger_source": record.trigger_source.word if record.order_type.is_triggered else None,
        "reduce_only": record.reduce_only,
        "close_position": record.close_position,
        "order_list_id": str(terms.list_id) if terms.list_id else None,
        "waiting": record.is_waiting,
        "pending": record.is_pending,
        "filled_quantity": quantity_text(filled),
        "filled_quote": None if quote_units is None else quote.engine_text(quote_units),
        "average_price": _average(filled, quote_units, instrument),
        "fee": None if fee_units is None else quote.engine_text(fee_units),
        "fee_asset": quote.code,
        "status": word(record.status),
        "close_reason": None if record.close_reason is None else word(record.close_reason),
        "refusal": word(record.refusal) if record.refusal else None,
        "sequence": record.accepted_sequence,
        "time_us": record.accepted_at_us,
        "duplicate": duplicate,
        "fills": fills,
    }


def fill_documents(
    events: Sequence[Event], order_id: int, instrument: Instrument
) -> list[Document]:
    """Return the members of a `FillOut` for each of the order's fills of this command.

    What it took, and what a stop that it had set off took from it once it rested.
    """
    quote = instrument.quote
    return [
        {
            "trade_id": str(event.trade_id),
            "price": instrument.price_text(event.price_ticks),
            "quantity": instrument.quantity_text(event.quantity_lots),
            "fee": quote.engine_text(
                event.taker_fee_units if event.taker_order_id == order_id else event.maker_fee_units
            ),
            "fee_asset": quote.code,
            "role": "taker" if event.taker_order_id == order_id else "maker",
        }
        for event in events
        if isinstance(event, Trade | PerpetualTrade)
        and order_id in (event.taker_order_id, event.maker_order_id)
    ]


def price_text(ticks: int, instrument: Instrument) -> str | None:
    """Return a price as text; an order that has none of this kind has 0."""
    return instrument.price_text(ticks) if ticks else None


def _average(filled_lots: int, quote_units: int | None, instrument: Instrument) -> str | None:
    """Return the quote paid for one whole of the base asset, rounded down to a quote unit."""
    if not filled_lots or quote_units is None:
        return None
    whole = 10**instrument.base.engine_decimals
    return instrument.quote.engine_text(quote_units * whole // instrument.base_units(filled_lots))
