"""The formulas of liquidation in the C++ core against their originals in domain/."""

from __future__ import annotations

from dataclasses import astuple

from hypothesis import given
from hypothesis import strategies as st

from domain import auto_deleveraging as adl
from domain import insurance
from domain.liquidation import (
    RiskRefusal,
    SliceRules,
    bankruptcy_quote_units,
    insurance_delta_units,
    limit_price_ticks,
    liquidation_price_ticks,
    partial_lots,
    reduction_order,
    slice_lots,
)
from domain.margin import (
    Exposure,
    Scope,
)
from domain.money import PPM
from domain.order import Side
from domain.position import Position
from domain.risk_bounds import (
    MAX_CASH_UNITS,
    MAX_RATE_PPM,
    MAX_VALUE_UNITS,
)
from tests.matching.risk_draw import (
    cash,
    core,
    exposure_numbers,
    exposures,
    maybe,
    near,
    rates,
    row_numbers,
    scope_numbers,
    scopes,
    signed,
)

_REFUSALS = [None, *RiskRefusal]
_STOPS = [None, *insurance.AdlReason]


@given(scopes(), near(MAX_RATE_PPM), st.data())
def test_liquidations(scope: Scope, fee: int, data: st.DataObject) -> None:
    """Liquidation price, score, quotes, limit, fee and the order of reduction of a scope."""
    first, flat = scope.exposures[0], scope_numbers(scope)
    lots = first.position.lots
    assert core("liquidation_price", *flat) == maybe(liquidation_price_ticks(scope, 1))
    assert core("adl_score", *flat) == maybe(adl.score_in(scope, 1))
    ordered = [one.symbol_id for one in reduction_order(scope)]
    assert core("reduction_order", *flat) == ordered
    delta = data.draw(st.sampled_from((0, lots, -lots, -2 * lots)) | near(abs(lots)))
    delta = delta if delta == 0 or abs(delta) > abs(lots) or lots < 0 else -abs(delta)
    quote = bankruptcy_quote_units(scope, 1, delta)
    if isinstance(quote, RiskRefusal):
        assert core("bankruptcy_quote", *flat, delta) == []
        return
    assert core("bankruptcy_quote", *flat, delta) == [quote]
    side = Side.SELL if delta < 0 else Side.BUY
    limit = limit_price_ticks(side, quote, abs(delta), first.units_per_tick_lot)
    assert core("limit_price", side, quote, abs(delta), first.units_per_tick_lot) == maybe(limit)
    for fill in (quote, quote - 1, quote + 10**6, -first.value_units):
        expected = insurance_delta_units(fill, quote, fee)
        assert core("insurance_delta", fill, quote, fee) == [expected]


@given(exposures(1), signed(MAX_CASH_UNITS), signed(MAX_RATE_PPM), cash, cash, near(PPM))
def test_slices(
    exposure: Exposure, shortage: int, rate: int, least: int, whole_below: int, portion: int
) -> None:
    """How much a shortage asks for, and how much of it a slice closes."""
    rules = SliceRules(least, whole_below, portion)
    wanted = partial_lots(exposure, shortage, rate, least)
    numbers = (shortage, rate, least, whole_below, portion)
    expected = [wanted, slice_lots(exposure, wanted, rules)]
    assert core("slice", *exposure_numbers(exposure), *numbers) == expected


@given(scopes(), cash, signed(MAX_VALUE_UNITS), rates)
def test_takeovers(scope: Scope, balance: int, fund_lots: int, cap: int) -> None:
    """As many lots as cash and cap allow."""
    expected = insurance.takeover_lots(
        scope, 1, balance_units=balance, fund_lots=fund_lots, cap_ppm=cap
    )
    assert core("takeover_lots", *scope_numbers(scope), balance, fund_lots, cap) == [expected]


@given(signed(MAX_CASH_UNITS), near(MAX_CASH_UNITS), st.integers(0, 2), rates)
def test_takeovers_begin(equity: int, maintenance: int, left: int, threshold: int) -> None:
    """At once below 0, or below the threshold with the slices used up."""
    expected = insurance.is_taken_over(
        equity, maintenance, slices_left=left, threshold_ppm=threshold
    )
    assert core("is_taken_over", equity, maintenance, left, threshold) == [expected]


@given(cash, cash, cash, signed(PPM), signed(PPM), signed(MAX_CASH_UNITS))
def test_funds(
    balance: int, highest: int, threshold: int, stop: int, resume: int, delta: int
) -> None:
    """Drawdown, stop, return, and whether a payment is covered."""
    highest = max(highest, balance)
    drawdown = insurance.drawdown_ppm(balance, highest)
    stopped = insurance.drawdown_stop(balance, drawdown, threshold_units=threshold, stop_ppm=stop)
    assert core("fund", balance, highest, threshold, stop, resume, delta) == [
        drawdown,
        _STOPS.index(stopped),
        insurance.has_resumed(balance, drawdown, resume_ppm=resume),
        insurance.may_pay(balance, delta),
    ]


@given(scopes(), scopes(), st.booleans(), st.data())
def test_pairs(one: Scope, other: Scope, at_mark: bool, data: st.DataObject) -> None:
    """Both scopes, the quote and the haircut after a pair; or the refusal."""
    first = one.exposures[0]
    lots = first.position.lots
    delta = -data.draw(st.sampled_from((lots, 1 if lots > 0 else -1, -lots, 0)))
    opposite = Position(-2 * lots, data.draw(signed(MAX_VALUE_UNITS)))
    against = Exposure(1, opposite, first.mark_ticks, first.units_per_tick_lot, first.brackets)
    counterparty = Scope(other.cash_units, (against, *other.exposures[1:]))
    for scope in (counterparty, other):
        found = adl.settle_pair(one, scope, 1, delta, at_mark=at_mark)
        got = core("settle_pair", *scope_numbers(one), *scope_numbers(scope), 1, delta, at_mark)
        assert _REFUSALS[got[0]] is (found if isinstance(found, RiskRefusal) else None)
        if isinstance(found, adl.Pair):
            after = [
                number
                for each in (found.liquidated, found.counterparty)
                for number in (
                    each.cash_units,
                    *(n for e in each.exposures for n in (e.symbol_id, *astuple(e.position))),
                )
            ]
            assert got[1:] == [found.quote_units, found.haircut_units, *after]


@given(st.lists(st.tuples(near(99), near(3), near(3), signed(3)), unique_by=lambda row: row[0]))
def test_ranks(rows: list[tuple[int, int, int, int]]) -> None:
    """Score falling, notional falling, account rising."""
    expected = [one.account_id for one in adl.rank([adl.Ranked(*row) for row in rows])]
    assert core("rank", *row_numbers(rows)) == expected
