"""From the engine's numbers about perpetuals to the answers that a client gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from api.errors import Problem, refused
from api.schemas.orders import MarginPreviewOut
from api.schemas.perpetuals import (
    BracketOut,
    CrossMarginOut,
    FundingOut,
    FundOut,
    FundPositionOut,
    LeverageOut,
    MarginCallOut,
    MarginModeOut,
    MarginMoveOut,
    PastFundingOut,
    PerpetualTermsOut,
    PositionOut,
)
from domain.commands import PlaceOrder
from domain.errors import RejectReason
from domain.events import CommandRejected, Event, KeyDuplicate, LeverageSet, MarginModeSet
from domain.events import MarginMoved as Moved
from domain.instrument import Asset, Instrument
from domain.margin_call import MarginCall, is_called
from domain.order import Side
from domain.perpetual_account import (
    Preview,
    bankruptcy_ticks,
    entry_ticks,
    initial_of,
    margin_ratio_ppm,
    preview,
    scope_of,
)
from domain.perpetual_record import Holding, Holdings, PastFunding, PerpetualNow, ScopeMargin
from domain.perpetual_terms import PerpetualTerms
from domain.position import Position
from domain.risk_commands import MarginMode
from domain.trading_balance import TradingBalance

Markets = Mapping[int, Instrument]
_SECOND_US = 1_000_000


def terms(market: Instrument, found: PerpetualTerms) -> PerpetualTermsOut:
    """Return what a client should know of a perpetual market's terms."""
    money = market.quote.engine_text
    return PerpetualTermsOut(
        brackets=[
            BracketOut(
                floor=money(row.floor_units),
                maintenance_ppm=row.mmr_ppm,
                initial_ppm=row.imr_ppm,
            )
            for row in found.brackets
        ],
        largest_notional=money(found.cap_units),
        max_leverage=found.max_leverage,
        liquidation_fee_ppm=found.liquidation_fee_ppm,
        exit_buffer_ppm=found.exit_buffer_ppm,
        funding_interval_seconds=found.funding_interval_seconds,
        interest_ppm=found.interest_ppm,
        damper_ppm=found.damper_ppm,
        funding_cap_ppm=found.funding_cap_ppm,
        index_min_sources=found.index_min_sources,
        index_max_age_ms=found.index_max_age_us // 1_000,
    )


def position(
    market: Instrument,
    markets: Markets,
    holdings: Holdings,
    holding: Holding,
    now: PerpetualNow,
    realised_units: int | None,
    lights: int | None,
    sequence: int,
) -> PositionOut:
    """Return one position with all that tells how safe it is."""
    money = market.quote.engine_text
    scope = scope_of(holdings, markets, holding.scope)
    margin = holdings.scopes.get(holding.scope)
    isolated = holding.mode is MarginMode.ISOLATED
    equity = margin.equity_units if margin is not None else 0
    maintenance = margin.maintenance_units if margin is not None else 0
    entry = entry_ticks(Position(holding.lots, holding.cost_units), market.quote_units_per_tick_lot)
    value = holding.mark_ticks * market.quote_units_per_tick_lot * abs(holding.lots)
    return PositionOut(
        symbol=market.symbol,
        quantity=market.quantity_text(holding.lots),
        mode=mode_text(holding.mode),
        leverage=holding.leverage,
        entry_price=None if entry is None else market.price_text(entry),
        mark_price=price(market, holding.mark_ticks),
        mark_is_fresh=now.mark_is_fresh,
        notional=money(value),
        unrealised_profit=money(holding.unrealised_units),
        realised_profit=None if realised_units is None else money(realised_units),
        initial_margin=money(initial_of(market, holding, now.open_lots) if holding.lots else 0),
        maintenance_margin=money(holding.maintenance_units),
        margin=money(holding.margin_units) if isolated else None,
        margin_ratio_ppm=margin_ratio_ppm(maintenance, equity) if holding.lots else None,
        liquidation_price=price(market, holding.liquidation_ticks),
        bankruptcy_price=price(market, bankruptcy_ticks(scope, market.symbol_id) or 0),
        adl_lights=lights,
        margin_call=bool(holding.lots) and is_called(equity, maintenance),
        liquidating=margin is not None and margin.is_liquidating,
        sequence=sequence,
    )


def cross(
    quote: Any, shard: int, sequence: int, found: ScopeMargin, balance: TradingBalance
) -> CrossMarginOut:
    """Return what backs the cross positions of an account on a shard."""
    money = quote.engine_text
    return CrossMarginOut(
        shard=shard,
        asset=quote.code,
        cash=money(found.cash_units),
        equity=money(found.equity_units),
        maintenance_margin=money(found.maintenance_units),
        required_margin=money(found.required_units),
        available=money(balance.available_units),
        withdrawable=money(balance.withdrawable_units),
        margin_ratio_ppm=margin_ratio_ppm(found.maintenance_units, found.equity_units),
        margin_call=is_called(found.equity_units, found.maintenance_units),
        liquidating=found.is_liquidating,
        sequence=sequence,
    )


def margin_call(quote: Asset, market: Instrument | None, call: MarginCall) -> MarginCallOut:
    """Return a margin call, of the cross margin where there is no market."""
    return MarginCallOut(
        shard=call.shard,
        symbol=None if market is None else market.symbol,
        asset=quote.code,
        equity=quote.engine_text(call.equity_units),
        maintenance_margin=quote.engine_text(call.maintenance_units),
        margin_ratio_ppm=margin_ratio_ppm(call.maintenance_units, call.equity_units),
        time_us=call.time_us,
        sequence=call.sequence,
    )


def leverage_set(market: Instrument, events: Sequence[Event]) -> LeverageOut | Problem:
    """Return the leverage that was chosen, or why it was refused."""
    outcome = events[0]
    if isinstance(outcome, CommandRejected):
        return _refused(outcome.reason, market)
    assert isinstance(outcome, LeverageSet), outcome
    return LeverageOut(
        symbol=market.symbol,
        leverage=outcome.leverage,
        previous_leverage=outcome.previous_leverage,
        sequence=outcome.sequence,
        time_us=outcome.time_us,
    )


def mode_set(market: Instrument, events: Sequence[Event]) -> MarginModeOut | Problem:
    """Return the mode that was chosen, or why it was refused."""
    outcome = events[0]
    if isinstance(outcome, CommandRejected):
        return _refused(outcome.reason, market)
    assert isinstance(outcome, MarginModeSet), outcome
    return MarginModeOut(
        symbol=market.symbol,
        mode=mode_text(outcome.mode),
        released=market.quote.engine_text(outcome.released_units),
        sequence=outcome.sequence,
        time_us=outcome.time_us,
    )


def moved(market: Instrument, events: Sequence[Event]) -> MarginMoveOut | Problem:
    """Return what was moved, that it was moved before, or why it was refused."""
    outcome = events[0]
    if isinstance(outcome, CommandRejected):
        return _refused(outcome.reason, market)
    if isinstance(outcome, KeyDuplicate):
        if not outcome.same_body:
            text = "This move_id was used for another move."
            return Problem("idempotency_conflict", text)
        if outcome.first_reason is not RejectReason.NONE:
            return _refused(outcome.first_reason, market)
        sequence = outcome.first_sequence
        return MarginMoveOut(symbol=market.symbol, margin=None, sequence=sequence, duplicate=True)
    assert isinstance(outcome, Moved), outcome
    return MarginMoveOut(
        symbol=market.symbol,
        margin=market.quote.engine_text(outcome.margin_units),
        sequence=outcome.sequence,
    )


def funding(market: Instrument, now: PerpetualNow, now_us: int, sequence: int) -> FundingOut:
    """Return a market's mark and funding; the countdown is by the exchange's clock."""
    assert market.terms is not None
    interval = market.terms.funding_interval_seconds
    seconds_left = interval - now_us // _SECOND_US % interval
    return FundingOut(
        symbol=market.symbol,
        state=now.phase.name.lower(),
        index_price=price(market, now.index_ticks),
        mark_price=price(market, now.mark_ticks),
        mark_is_fresh=now.mark_is_fresh,
        sources=now.sources,
        open_interest=market.quantity_text(now.open_lots),
        last_rate_ppm=now.rate_ppm,
        last_funding_us=now.funding_time_us,
        next_funding_us=(now_us // _SECOND_US + seconds_left) * _SECOND_US,
        seconds_left=seconds_left,
        interval_seconds=interval,
        sequence=sequence,
    )


def past_funding(market: Instrument, found: PastFunding) -> PastFundingOut:
    """Return a funding that was paid."""
    return PastFundingOut(
        funding_time_us=found.funding_time_us,
        rate_ppm=found.rate_ppm,
        premium_ppm=found.premium_ppm,
        mark_price=market.price_text(found.mark_ticks),
        positions=found.entries,
        sequence=found.sequence,
    )


def fund(quote: Any, markets: Markets, shard: int, sequence: int, holdings: Holdings) -> FundOut:
    """Return a shard's insurance fund."""
    margin = holdings.scopes[0]
    return FundOut(
        shard=shard,
        asset=quote.code,
        cash=quote.engine_text(margin.cash_units),
        equity=quote.engine_text(margin.equity_units),
        positions=[
            FundPositionOut(
                symbol=markets[one.symbol_id].symbol,
                quantity=markets[one.symbol_id].quantity_text(one.lots),
                notional=quote.engine_text(_value(markets[one.symbol_id], one)),
                unrealised_profit=quote.engine_text(one.unrealised_units),
            )
            for one in holdings.positions
            if one.lots and one.symbol_id in markets
        ],
        sequence=sequence,
    )


def margin_preview(
    command: PlaceOrder,
    market: Instrument,
    markets: Markets,
    holdings: Holdings,
    now: PerpetualNow,
) -> MarginPreviewOut:
    """Return what a whole fill of an order would do, at its limit or else the mark."""
    holding = holding_of(holdings, market, now)
    direction = 1 if command.side is Side.BUY else -1
    lots = abs(holding.lots) if command.close_position else command.quantity_lots
    if command.reduce_only:
        closable = max(0, -direction * holding.lots)
        lots = min(lots, closable)
    found: Preview = preview(
        market,
        holdings,
        markets,
        holding,
        lots=direction * lots,
        price_ticks=command.price_ticks or command.trigger_price_ticks or now.mark_ticks,
        open_lots=now.open_lots,
    )
    money = market.quote.engine_text
    return MarginPreviewOut(
        price=market.price_text(found.price_ticks),
        quantity=market.quantity_text(lots),
        position=market.quantity_text(found.lots),
        previous_position=market.quantity_text(holding.lots),
        leverage=found.leverage,
        initial_margin=money(found.initial_units),
        maintenance_margin=money(found.maintenance_units),
        fee=money(found.fee_units),
        liquidation_price=price(market, found.liquidation_ticks or 0),
        previous_liquidation_price=price(market, holding.liquidation_ticks),
    )


def holding_of(holdings: Holdings, market: Instrument, now: PerpetualNow) -> Holding:
    """Return what an account has in a market; a flat one where it has and chose nothing."""
    for one in holdings.positions:
        if one.symbol_id == market.symbol_id:
            return one
    return Holding(market.symbol_id, 0, 0, 1, MarginMode.CROSS, 0, now.mark_ticks, 0, 0, 0)


def price(market: Instrument, ticks: int) -> str | None:
    """Return a price as text; 0 is none."""
    return market.price_text(ticks) if ticks else None


def mode_text(mode: MarginMode) -> Any:
    """Return a margin mode as the schemas write it."""
    return mode.name.lower()


def _value(market: Instrument, holding: Holding) -> int:
    return holding.mark_ticks * market.quote_units_per_tick_lot * abs(holding.lots)


def _refused(reason: RejectReason, market: Instrument) -> Problem:
    """Return a refusal of a margin command, with what helps."""
    detail = ""
    if reason is RejectReason.INVALID_LEVERAGE and market.terms is not None:
        detail = f"{market.symbol} takes a leverage from 1 to {market.terms.max_leverage}."
    if reason is RejectReason.INSUFFICIENT_MARGIN:
        detail = "What stays behind would not cover the margin of your positions and orders."
    if reason is RejectReason.INSUFFICIENT_FUNDS:
        detail = "No more may leave where it is now: the rest backs positions and orders."
    return refused(reason, detail)
