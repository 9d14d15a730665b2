"""Perpetual markets: your positions and margin, funding, the insurance fund, liquidations."""

from __future__ import annotations

import hashlib
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query

from api import perpetual_answers as answers
from api.account_state import positions_on
from api.edge import CallerDep, EdgeRoute, ServicesDep, access
from api.engine_calls import ask, submit
from api.errors import Problem
from api.refusals import closed
from api.schemas.common import decode_cursor, encode_cursor
from api.schemas.perpetuals import (
    FundingHistoryOut,
    InsuranceOut,
    LeverageIn,
    LeverageOut,
    LiquidationOut,
    LiquidationsOut,
    MarginModeIn,
    MarginModeOut,
    MarginMoveIn,
    MarginMoveOut,
    PositionsOut,
)
from api.services import Services
from api.trading_balances import collateral_of, perpetuals_of, with_margin
from domain.customer import Scope
from domain.instrument import Instrument
from domain.market import Market
from domain.money import DecimalTextError
from domain.perpetual_record import PerpetualNow
from domain.risk_commands import FUND_ACCOUNT, MarginMode, MoveMargin, SetLeverage, SetMarginMode

router = APIRouter(prefix="/v1", tags=["perpetuals"], route_class=EdgeRoute)

Answer = TypeVar("Answer")
Limit = Annotated[int, Query(ge=1, le=500)]
CursorText = Annotated[str | None, Query(max_length=200)]
SymbolQuery = Annotated[str, Query(max_length=32, examples=["ETH/USDT-PERP"])]


@router.get("/positions", response_model=PositionsOut)
@access(Scope.READ, weight=2)
async def positions(
    caller: CallerDep,
    services: ServicesDep,
    symbol: Annotated[str | None, Query(max_length=32)] = None,
) -> PositionsOut:
    """List your positions in perpetuals, valued at their marks, and what backs them.

    A market without a position is there when you chose a leverage or a mode for it.
    """
    wanted = perpetual(services, symbol).instrument.symbol_id if symbol else 0
    realised = await _realised(services, caller.customer_id)
    found, backing = [], []
    for shard, markets in perpetuals_of(services).items():
        door = services.door(shard)
        _, pairs = await ask(door.balances(caller.customer_id))
        sequence, holdings = await ask(door.holdings(caller.customer_id))
        _, now = await ask(door.perpetuals())
        shown = [one for one in now if wanted in (0, one.symbol_id)]
        found += await positions_on(
            services, markets, caller.customer_id, (sequence, holdings), shown, realised
        )
        quote = collateral_of(markets)
        balance = with_margin(pairs, quote, holdings)[quote.asset_id]
        backing.append(answers.cross(quote, shard, sequence, holdings.scopes[0], balance))
    return PositionsOut(positions=found, cross=backing)


@router.post("/leverage", response_model=LeverageOut)
@access(Scope.TRADE)
async def set_leverage(wanted: LeverageIn, caller: CallerDep, services: ServicesDep) -> LeverageOut:
    """Choose a market's leverage; repeating it changes nothing more."""
    market = perpetual(services, wanted.symbol)
    symbol_id = market.instrument.symbol_id
    command = SetLeverage(caller.customer_id, symbol_id, wanted.leverage)
    events = await submit(services.door(market.shard), command)
    return await _answer(services, market, answers.leverage_set(market.instrument, events))


@router.post("/margin-mode", response_model=MarginModeOut)
@access(Scope.TRADE)
async def set_margin_mode(
    wanted: MarginModeIn, caller: CallerDep, services: ServicesDep
) -> MarginModeOut:
    """Choose cross or isolated margin for a market, while you have nothing in it."""
    market = perpetual(services, wanted.symbol)
    symbol_id = market.instrument.symbol_id
    command = SetMarginMode(caller.customer_id, symbol_id, MarginMode[wanted.mode.upper()])
    events = await submit(services.door(market.shard), command)
    return await _answer(services, market, answers.mode_set(market.instrument, events))


@router.post("/margin", response_model=MarginMoveOut)
@access(Scope.TRADE)
async def move_margin(
    wanted: MarginMoveIn, caller: CallerDep, services: ServicesDep
) -> MarginMoveOut:
    """Move cash into or out of an isolated position; the same `move_id` moves it once."""
    market = perpetual(services, wanted.symbol)
    instrument = market.instrument
    amount = _amount(wanted.amount, instrument)
    command = MoveMargin(
        key=_move_key(caller.customer_id, wanted.move_id),
        account_id=caller.customer_id,
        symbol_id=instrument.symbol_id,
        amount_units=amount if wanted.direction == "in" else -amount,
        created_at_us=wanted.created_at_us,
    )
    events = await submit(services.door(market.shard), command)
    return await _answer(services, market, answers.moved(instrument, events))


@router.get("/funding", response_model=FundingHistoryOut)
@access(None, weight=2)
async def funding(
    symbol: SymbolQuery, services: ServicesDep, limit: Limit = 100, cursor: CursorText = None
) -> FundingHistoryOut:
    """Return a market's mark, its funding with the countdown, and the fundings that were paid."""
    market = perpetual(services, symbol)
    instrument = market.instrument
    before = decode_cursor("funding", cursor, 1)
    sequence, found = await ask(services.door(market.shard).perpetuals())
    now = _one(found, instrument)
    past = await services.funding.fundings(instrument.symbol_id, before, limit)
    following = None
    if len(past) == limit:
        following = encode_cursor("funding", (past[-1].funding_time_us,))
    return FundingHistoryOut(
        now=answers.funding(instrument, now, services.now_ms() * 1_000, sequence),
        history=[answers.past_funding(instrument, one) for one in past],
        next=following,
    )


@router.get("/insurance", response_model=InsuranceOut)
@access(None, weight=2)
async def insurance(services: ServicesDep) -> InsuranceOut:
    """Return the insurance funds: what pays where a liquidation did not bring enough."""
    funds = []
    for shard, markets in perpetuals_of(services).items():
        sequence, holdings = await ask(services.door(shard).holdings(FUND_ACCOUNT))
        quote = collateral_of(markets)
        funds.append(answers.fund(quote, markets, shard, sequence, holdings))
    return InsuranceOut(funds=funds)


@router.get("/liquidations", response_model=LiquidationsOut)
@access(None, weight=2)
async def liquidations(
    symbol: SymbolQuery,
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> LiquidationsOut:
    """Return the newest steps of liquidations in a market, newest first."""
    instrument = perpetual(services, symbol).instrument
    recent = list(services.hub.feed(instrument.symbol).liquidations)[-limit:][::-1]
    return LiquidationsOut(
        symbol=instrument.symbol, liquidations=[LiquidationOut(**one) for one in recent]
    )


def perpetual(services: Services, symbol: str) -> Market:
    """Return the perpetual market called `symbol`, or raise its `Problem`."""
    market = services.market(symbol)
    if market.instrument.terms is None:
        raise Problem("not_a_perpetual", f"{market.instrument.symbol} is a spot market.")
    return market


async def _realised(services: Services, customer_id: int) -> dict[int, int] | None:
    """Return realised profits by market; None while PostgreSQL is away: positions are not."""
    try:
        return await services.positions.realised(customer_id)
    except ConnectionError:
        return None


def _one(found: list[PerpetualNow], instrument: Instrument) -> PerpetualNow:
    for one in found:
        if one.symbol_id == instrument.symbol_id:
            return one
    raise Problem("market_data_unavailable", "The market is being listed; try again.")


async def _answer(services: Services, market: Market, answer: Answer | Problem) -> Answer:
    if isinstance(answer, Problem):
        raise await closed(services, answer, market.shard, market.instrument.symbol_id)
    return answer


def _amount(text: str, instrument: Instrument) -> int:
    quote = instrument.quote
    try:
        units = quote.engine_units(text)
    except DecimalTextError as error:
        hint = f"write it like 100.5, with at most {quote.engine_decimals} decimals"
        raise Problem("invalid_number", f"The amount is {text[:40]!r}; {hint}.") from error
    if not 0 < units < 2**62:
        raise Problem("invalid_amount", "The amount must be positive, and not that large.")
    return units


def _move_key(customer_id: int, move_id: str) -> int:
    """Return the engine's key of a move: never another customer's."""
    digest = hashlib.sha256(f"margin-move:{customer_id}:{move_id}".encode()).digest()
    return int.from_bytes(digest[:16], "little") | 1
