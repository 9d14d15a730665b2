"""What your positions have been through beside their fills, and what became of the fund."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api import order_answers as answers
from api.account_state import called
from api.edge import CallerDep, EdgeRoute, ServicesDep, access
from api.errors import Problem
from api.routes.perpetuals import perpetual
from api.schemas.common import decode_cursor, encode_cursor
from api.schemas.perpetuals import (
    EventText,
    FundChangeOut,
    FundHistoryOut,
    MarginCallsOut,
    PositionEventOut,
    PositionHistoryOut,
)
from api.trading_balances import collateral_of, perpetuals_of
from domain.customer import Scope
from domain.instrument import Instrument
from domain.perpetual_record import PositionEvent, PositionEventKind

router = APIRouter(prefix="/v1", tags=["perpetuals"], route_class=EdgeRoute)

Limit = Annotated[int, Query(ge=1, le=500)]
CursorText = Annotated[str | None, Query(max_length=200)]


@router.get("/positions/history", response_model=PositionHistoryOut)
@access(Scope.READ, weight=5)
async def position_history(
    caller: CallerDep,
    services: ServicesDep,
    symbol: Annotated[str | None, Query(max_length=32)] = None,
    kind: EventText | None = None,
    limit: Limit = 100,
    cursor: CursorText = None,
) -> PositionHistoryOut:
    """List fundings, takeovers, deleveragings and final settlements of your positions.

    Fills, those of a liquidation too, are at `/v1/fills`. What settlement has not booked yet is
    not there.
    """
    symbol_id = perpetual(services, symbol).instrument.symbol_id if symbol else 0
    before = decode_cursor("positions/history", cursor, 4)
    wanted = PositionEventKind(kind) if kind else None
    found = await services.positions.events(caller.customer_id, symbol_id, wanted, before, limit)
    following = None
    if len(found) == limit:
        last = found[-1]
        place = (last.time_us, last.shard, last.sequence, last.index)
        following = encode_cursor("positions/history", place)
    listings = services.listings
    return PositionHistoryOut(
        events=[_event(answers.instrument_of(listings, one.symbol_id), one) for one in found],
        next=following,
    )


@router.get("/margin-calls", response_model=MarginCallsOut)
@access(Scope.READ, weight=5)
async def margin_calls(
    caller: CallerDep, services: ServicesDep, limit: Limit = 100, cursor: CursorText = None
) -> MarginCallsOut:
    """List the warnings that you were told before liquidations.

    One is told when equity falls below 1.25 x maintenance margin, and again only after it was at
    1.5 x. Whether you are below now is in `/v1/positions`.
    """
    before = decode_cursor("margin-calls", cursor, 4)
    found = await services.margin_calls.of(caller.customer_id, before, limit)
    following = None
    if len(found) == limit:
        last = found[-1]
        place = (last.time_us, last.sequence, last.shard, last.symbol_id)
        following = encode_cursor("margin-calls", place)
    return MarginCallsOut(margin_calls=[called(services, one) for one in found], next=following)


@router.get("/insurance/history", response_model=FundHistoryOut)
@access(None, weight=5)
async def fund_history(
    services: ServicesDep,
    shard: Annotated[int, Query(ge=0, le=32_767)] = 0,
    limit: Limit = 100,
    cursor: CursorText = None,
) -> FundHistoryOut:
    """List what the ledger has booked for and against a shard's insurance fund."""
    markets = perpetuals_of(services).get(shard)
    if markets is None:
        raise Problem("not_found", f"Shard {shard} has no perpetual market, and so no fund.")
    quote = collateral_of(markets)
    before = decode_cursor("insurance/history", cursor, 1)
    found = await services.positions.fund_changes(shard, quote.code, before, limit)
    following = None
    if len(found) == limit:
        following = encode_cursor("insurance/history", (found[-1].journal_id,))
    return FundHistoryOut(
        shard=shard,
        asset=quote.code,
        changes=[
            FundChangeOut(
                change=quote.chain_text(one.change),
                cash=quote.chain_text(one.cash),
                kind=one.kind,
                time_us=one.time_us,
            )
            for one in found
        ],
        next=following,
    )


def _event(market: Instrument, event: PositionEvent) -> PositionEventOut:
    role = None
    if event.kind in (PositionEventKind.TAKEOVER, PositionEventKind.DELEVERAGING):
        role = "counterparty" if event.is_counterparty else "liquidated"
    return PositionEventOut(
        symbol=market.symbol,
        kind=event.kind.value,
        role=role,
        amount=market.quote.engine_text(event.amount_units),
        asset=market.quote.code,
        quantity=market.quantity_text(event.lots),
        funding_rate_ppm=event.rate_ppm,
        time_us=event.time_us,
        sequence=event.sequence,
    )
