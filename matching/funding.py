"""Funding, as the reference engine samples and pays it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain import risk_events as e
from domain.auto_deleveraging import Deleveraging
from domain.errors import RejectReason
from domain.funding import funding_rate_ppm, funding_units
from domain.mark_price import impact_price, premium_average_ppm, premium_ppm
from domain.opcode import Opcode
from domain.perpetual_state import FundingMode, rules_of
from domain.perpetual_terms import MINUTE_US
from domain.risk_commands import FUND_ACCOUNT
from matching.command_keys import answered, content_of, remember
from matching.deleveraging import apply_pairs, plan_for_fund
from matching.fund_capacity import fund_units
from matching.perpetual import SECOND_US, Perpetual, Seat
from matching.scopes import add_cash, perpetual_for_key, scope_symbol

if TYPE_CHECKING:
    from matching.administration import Head
    from matching.book import Market
    from matching.engine_state import EngineState
    from matching.trading import Trading


def take_sample(state: EngineState, market: Market, perpetual: Perpetual) -> None:
    """Take the premium's sample of this minute, once; 0 where it says nothing.

    That is with a side too thin, a stale mark, or in a market that is guarded or halted.
    """
    minute = state.time_us // MINUTE_US
    if minute == perpetual.premium_minute:
        return
    perpetual.premium_minute = minute
    perpetual.premium_count += 1
    if rules_of(perpetual.phase).funding is not FundingMode.ON:
        return
    if not perpetual.is_fresh(state.time_us):
        return
    impact, unit = perpetual.terms.impact_units, perpetual.units_per_tick_lot
    bid, ask = (impact_price(side.depth(len(side.ranks)), impact, unit) for side in market.sides)
    most = perpetual.terms.max_premium_ppm
    perpetual.premium_ppm += premium_ppm(bid, ask, perpetual.index_ticks, most)


def settle_funding(engine: Trading, head: Head, batch: bytes, offset: int) -> None:
    """Pay a funding: all positions of a market in account order, at one mark and rate."""
    state, events, symbol_id, instant_us = engine.state, engine.events, head[6], head[10]
    content = content_of(head, batch, offset)
    if answered(state, events, head, content):
        return
    market = state.markets.get(symbol_id)
    reason = _refuse_funding(state, market, head)
    plan: Deleveraging | None = None
    if not reason and market is not None and market.perpetual is not None:
        rate, premium = _rate_ppm(market.perpetual)
        reason, plan = _plan_for_fund(state, market, market.perpetual, rate)
    remember(state, reason, head, content)
    if reason or market is None or market.perpetual is None:
        events.rejected(Opcode.SETTLE_FUNDING, reason, 0, head[9], symbol_id)
        return
    _pay(engine, market, market.perpetual, (instant_us, rate, premium), plan)


def _refuse_funding(state: EngineState, market: Market | None, head: Head) -> RejectReason:
    instant_us = head[10]
    found = perpetual_for_key(state, market, head[9])
    if isinstance(found, RejectReason):
        return found
    _, perpetual = found
    if perpetual.mark_ticks == 0:
        return RejectReason.MARK_UNKNOWN
    interval_us = perpetual.terms.funding_interval_seconds * SECOND_US
    is_due = perpetual.funding_time_us < instant_us <= state.time_us
    if not is_due or instant_us % interval_us:
        return RejectReason.FUNDING_NOT_DUE
    return RejectReason.NONE


def _rate_ppm(perpetual: Perpetual) -> tuple[int, int]:
    """Return the rate of the samples so far, and their mean; missing ones are 0."""
    terms = perpetual.terms
    expected = terms.funding_interval_seconds * SECOND_US // MINUTE_US
    samples = [(perpetual.premium_ppm, 1), (0, perpetual.premium_count - 1)]
    premium = premium_average_ppm(samples, expected)
    rate = funding_rate_ppm(premium, terms.interest_ppm, terms.damper_ppm, terms.funding_cap_ppm)
    return rate, premium


def _plan_for_fund(
    state: EngineState, market: Market, perpetual: Perpetual, rate_ppm: int
) -> tuple[RejectReason, Deleveraging | None]:
    """Return how the fund's position ends first, where it could not pay its funding."""
    seat = perpetual.look(FUND_ACCOUNT)
    if fund_units(state) + _amount(perpetual, seat, rate_ppm) >= 0:
        return RejectReason.NONE, None
    plan = plan_for_fund(state, market, perpetual)
    if plan.unallocated_lots:
        return RejectReason.FUND_CANNOT_PAY, None
    return RejectReason.NONE, plan


def _amount(perpetual: Perpetual, seat: Seat, rate_ppm: int) -> int:
    return funding_units(seat.lots, perpetual.mark_ticks, perpetual.units_per_tick_lot, rate_ppm)


def _pay(
    engine: Trading,
    market: Market,
    perpetual: Perpetual,
    at: tuple[int, int, int],
    plan: Deleveraging | None,
) -> None:
    """Pay all entries at (instant, rate, premium); the fund's position ends first by `plan`."""
    instant_us, rate_ppm, premium = at
    closing = plan.lots_by_account(FUND_ACCOUNT) if plan else {}
    entries = []
    for account_id, seat in sorted(perpetual.seats.items()):
        lots = seat.lots + closing.get(account_id, 0)
        if lots:
            entries.append((seat, lots))
    amounts = [
        funding_units(lots, perpetual.mark_ticks, perpetual.units_per_tick_lot, rate_ppm)
        for _, lots in entries
    ]
    rounding = -sum(amounts)
    engine.events.say(
        e.FundingSettled,
        symbol_id=market.rules.symbol_id,
        funding_time_us=instant_us,
        rate_ppm=rate_ppm,
        premium_ppm=premium,
        mark_ticks=perpetual.mark_ticks,
        rounding_units=rounding,
        entries=len(entries),
    )
    if plan is not None:
        apply_pairs(engine, market, FUND_ACCOUNT, plan)
    for (seat, lots), units in zip(entries, amounts, strict=True):
        add_cash(engine.state, market, seat, units)
        engine.note_scope(seat.account_id, scope_symbol(market, seat.account_id))
        engine.events.say(
            e.FundingPaid,
            symbol_id=market.rules.symbol_id,
            account_id=seat.account_id,
            lots=lots,
            amount_units=units,
            isolated=seat.is_isolated,
        )
    engine.state.fund.rounding_units += rounding
    perpetual.rate_ppm, perpetual.funding_time_us = rate_ppm, instant_us
    perpetual.premium_ppm = perpetual.premium_count = 0
