"""Looking at orders on perpetuals, their fills, and what positions have brought."""

from __future__ import annotations

from typing import Any

from api import order_answers as answers
from api.binance.call import Call
from api.binance.futures_words import CONDITIONAL, algo_order, futures_fill, futures_order
from api.binance.names import name_of, wanted
from api.binance.orders_found import (
    LARGEST_COUNT,
    Place,
    as_many,
    named_order,
    open_orders,
    past_fills,
    past_orders,
    past_rows,
    with_totals,
)
from api.errors import Problem
from api.schemas.orders import OrderOut
from domain.instrument import Instrument
from domain.market import Market
from domain.order_record import FillRecord
from domain.perpetual_record import PositionEvent, PositionEventKind

_INCOME_COUNT = 100
_FORCED_COUNT = 50
INCOME_TYPES = ("REALIZED_PNL", "FUNDING_FEE", "COMMISSION", "INSURANCE_CLEAR")
_INDEXES = 1_000_000  # events of one command: more than it can have


def chosen(call: Call) -> Market | None:
    """Return the perpetual that `symbol` names; None where all are wanted."""
    if call.parameters.text("symbol") is None:
        return None
    return wanted(call.services, call.parameters, perpetual=True)


async def order(call: Call) -> dict[str, Any]:
    """Return one order, open or closed."""
    market = wanted(call.services, call.parameters, perpetual=True)
    found = await named_order(call, market, call.parameters)
    if found is None:
        raise Problem("order_not_found")
    return futures_order(await with_totals(call, found), market.instrument)


async def open_order(call: Call) -> dict[str, Any]:
    """Return one order, if it is open."""
    market = wanted(call.services, call.parameters, perpetual=True)
    found = await named_order(call, market, call.parameters)
    if found is None or found.status != "open":
        raise Problem("order_not_found")
    return futures_order(await with_totals(call, found), market.instrument)


async def open_now(call: Call) -> list[dict[str, Any]]:
    """Return the open orders that do not wait for a trigger, of one market or of all."""
    found = await open_orders(call, perpetual=True, market=chosen(call))
    return [futures_order(one, _instrument(call, one)) for one in found if not one.waiting]


async def every_order(call: Call) -> list[dict[str, Any]]:
    """Return orders of a market that do not wait for a trigger, oldest first."""
    market = wanted(call.services, call.parameters, perpetual=True)
    found = await past_orders(call, market)
    return [futures_order(one, market.instrument) for one in found if not one.waiting]


async def algo(call: Call) -> dict[str, Any]:
    """Return one conditional order, open or closed; the market need not be named."""
    found = await named_order(call, chosen(call), call.parameters, "algoId", "clientAlgoId")
    if found is None or found.type not in CONDITIONAL:
        raise Problem("order_not_found")
    return algo_order(await with_totals(call, found), _instrument(call, found))


async def open_algos(call: Call) -> list[dict[str, Any]]:
    """Return the orders that wait for their trigger, of one market or of all."""
    found = await open_orders(call, perpetual=True, market=chosen(call))
    return [algo_order(one, _instrument(call, one)) for one in found if one.waiting]


async def every_algo(call: Call) -> list[dict[str, Any]]:
    """Return conditional orders of a market, open or closed, oldest first."""
    market = wanted(call.services, call.parameters, perpetual=True)
    found = await past_orders(call, market)
    return [algo_order(one, market.instrument) for one in found if one.type in CONDITIONAL]


async def user_trades(call: Call) -> list[dict[str, Any]]:
    """Return settled fills in a market, oldest first."""
    market = wanted(call.services, call.parameters, perpetual=True)
    return [futures_fill(one, market.instrument) for one in await past_fills(call, market)]


async def force_orders(call: Call) -> list[dict[str, Any]]:
    """Return the fills by which the caller was liquidated in the book, each as an order.

    They are known by what they paid to the insurance fund or took from it: one that did neither
    is not told.
    """
    limit = call.parameters.count("limit", _FORCED_COUNT, LARGEST_COUNT)
    if call.parameters.text("autoCloseType") not in (None, "LIQUIDATION"):
        return []
    found = await past_fills(call, chosen(call), LARGEST_COUNT)
    told = [
        _force_order(one, instrument)
        for one in found
        for instrument in (_traded(call, one),)
        if one.insurance_units and not one.is_maker and instrument.terms is not None
    ]
    return as_many(call.parameters, told, limit)


def _force_order(fill: FillRecord, instrument: Instrument) -> dict[str, Any]:
    price = instrument.price_text(fill.price_ticks)
    quantity = instrument.quantity_text(fill.quantity_lots)
    time_ms = fill.time_us // 1_000
    return {
        "orderId": fill.order_id,
        "symbol": name_of(instrument),
        "status": "FILLED",
        "clientOrderId": "",
        "price": price,
        "avgPrice": price,
        "origQty": quantity,
        "executedQty": quantity,
        "cumQuote": instrument.quote.engine_text(fill.quote_units),
        "timeInForce": "IOC",
        "type": "LIMIT",
        "reduceOnly": True,
        "closePosition": False,
        "side": fill.side.name,
        "positionSide": "BOTH",
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "origType": "LIMIT",
        "time": time_ms,
        "updateTime": time_ms,
    }


async def income(call: Call) -> list[dict[str, Any]]:
    """Return what fills and funding have brought and cost, oldest first, of one type or of all."""
    wanted_type = call.parameters.text("incomeType")
    if wanted_type is not None and wanted_type not in INCOME_TYPES:
        return []  # what the dialect knows and never happens here
    market = chosen(call)
    limit = call.parameters.count("limit", _INCOME_COUNT, LARGEST_COUNT)
    rows: list[tuple[Place, dict[str, Any]]] = [
        ((event.time_us, event.sequence, event.index, 0), _event_row(call, event))
        for event in await _events(call, market, wanted_type)
    ]
    if wanted_type != "FUNDING_FEE":
        for fill in await past_fills(call, market, LARGEST_COUNT):
            place = (fill.time_us, fill.sequence, fill.index)
            rows += [
                ((*place, number), row)
                for number, row in enumerate(_fill_rows(call, fill), start=1)
            ]
    found = [row for _, row in sorted(rows, key=lambda one: one[0])]
    fitting = [row for row in found if wanted_type in (None, row["incomeType"])]
    return as_many(call.parameters, fitting, limit)


async def _events(
    call: Call, market: Market | None, income_type: str | None
) -> list[PositionEvent]:
    if income_type in ("COMMISSION", "INSURANCE_CLEAR"):
        return []
    kind = PositionEventKind.FUNDING if income_type == "FUNDING_FEE" else None
    symbol_id = 0 if market is None else market.instrument.symbol_id

    async def page(before: Place | None) -> list[PositionEvent]:
        return await call.services.positions.events(
            call.caller.customer_id, symbol_id, kind, before, LARGEST_COUNT
        )

    def place(event: PositionEvent) -> Place:
        return event.time_us, event.shard, event.sequence, event.index

    return await past_rows(call.parameters, "", page, place, (0, 0, 0), LARGEST_COUNT)


def _event_row(call: Call, event: PositionEvent) -> dict[str, Any]:
    is_funding = event.kind is PositionEventKind.FUNDING
    instrument = answers.instrument_of(call.services.listings, event.symbol_id)
    return _income(
        instrument,
        "FUNDING_FEE" if is_funding else "REALIZED_PNL",
        event.amount_units,
        (event.time_us, event.sequence, event.index),
        info=event.kind.value,
    )


def _fill_rows(call: Call, fill: FillRecord) -> list[dict[str, Any]]:
    """Return the incomes of one fill on a perpetual; what came to 0 is none."""
    instrument = _traded(call, fill)
    if instrument.terms is None:
        return []
    parts = (
        ("REALIZED_PNL", fill.realised_units or 0),
        ("COMMISSION", -fill.fee_units),
        ("INSURANCE_CLEAR", -(fill.insurance_units or 0)),
    )
    place = (fill.time_us, fill.sequence, fill.index)
    return [
        _income(instrument, name, units, place, info=name, trade_id=str(fill.trade_id))
        for name, units in parts
        if units
    ]


def _income(
    instrument: Instrument,
    kind: str,
    units: int,
    place: tuple[int, int, int],
    *,
    info: str,
    trade_id: str = "",
) -> dict[str, Any]:
    """Return a row; `tranId` is its own among those of its type: the event's place in the log."""
    time_us, sequence, index = place
    return {
        "symbol": name_of(instrument),
        "incomeType": kind,
        "income": instrument.quote.engine_text(units),
        "asset": instrument.quote.code,
        "time": time_us // 1_000,
        "info": info,
        "tranId": sequence * _INDEXES + index,
        "tradeId": trade_id,
    }


def _traded(call: Call, fill: FillRecord) -> Instrument:
    return answers.instrument_of(call.services.listings, fill.symbol_id)


def _instrument(call: Call, found: OrderOut) -> Instrument:
    return call.services.market(found.symbol).instrument
