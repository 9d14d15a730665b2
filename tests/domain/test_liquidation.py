"""Liquidation: prices at which it begins and at which an account is used up, fees, slices."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.brackets import bracket_table
from domain.liquidation import (
    RiskRefusal,
    SliceLimits,
    SliceRules,
    bankruptcy_quote_units,
    insurance_delta_units,
    limit_price_ticks,
    liquidation_price_ticks,
    partial_lots,
    reduction_order,
    slice_limits,
    slice_lots,
)
from domain.margin import Exposure, Scope, fill_in, is_liquidatable, margin_shortage_units
from domain.money import PPM, ceil_ppm, floor_ppm
from domain.order import Side
from domain.position import Position
from tests.domain.risk_cases import exposures, scopes

FLAT_RATES = bracket_table([(0, 100_000, 200_000)], 10**15)


def _at(scope: Scope, mark_ticks: int) -> Scope:
    first, *others = scope.exposures
    return replace(scope, exposures=(replace(first, mark_ticks=mark_ticks), *others))


@given(scopes())
def test_the_liquidation_price_is_the_last_safe_mark(scope: Scope) -> None:
    """There equity covers the margin; one tick further it does not; None means there is none."""
    first = scope.exposures[0]
    found = liquidation_price_ticks(scope, first.symbol_id)
    if found is None:
        is_long = first.position.lots > 0
        assert is_liquidatable(_at(scope, 1)) != is_long
        return
    worse = found - 1 if first.position.lots > 0 else found + 1
    assert not is_liquidatable(_at(scope, found))
    assert worse == 0 or is_liquidatable(_at(scope, worse))


@given(scopes())
def test_walking_from_bracket_to_bracket_ends_at_the_same_price(scope: Scope) -> None:
    """Solve, move to the bracket of the result, repeat: at most once a bracket, then it stands."""
    first, *others = scope.exposures
    found = liquidation_price_ticks(scope, first.symbol_id)
    assume(found is not None)
    rows = first.brackets.rows
    sign = 1 if first.position.lots > 0 else -1
    quantity = abs(first.position.lots) * first.units_per_tick_lot
    spare = scope.cash_units - first.position.cost_units
    spare += sum(one.unrealised_units - one.maintenance_units for one in others)
    row, price = first.brackets.of(first.notional_units), Fraction(0)
    for _ in range(len(rows) + 1):
        divisor = quantity * (Fraction(row.mmr_ppm, PPM) - sign)
        price = (spare + row.amount_units) / divisor
        notional = max(Fraction(0), price) * quantity
        following = [one for one in rows if one.floor_units <= notional][-1]
        if following == row:
            break
        row = following
    assert following == row
    assert found == (price.__ceil__() if sign > 0 else price.__floor__())


def test_there_may_be_no_liquidation_price() -> None:
    """A long that its cash covers whole, a scope without that position, a hopeless short."""
    exposure = Exposure(1, Position(10, 900), 100, 1, FLAT_RATES)
    assert liquidation_price_ticks(Scope(900, (exposure,)), 1) is None
    assert liquidation_price_ticks(Scope(899, (exposure,)), 1) == 1
    assert liquidation_price_ticks(Scope(900, (exposure,)), 2) is None
    short = replace(exposure, position=Position(-10, -900))
    assert liquidation_price_ticks(Scope(-900, (short,)), 1) is None
    assert liquidation_price_ticks(Scope(10**15, (short,)), 1) is None


@given(st.data(), scopes(most=3))
def test_closing_all_at_bankruptcy_leaves_exactly_nothing(
    data: st.DataObject, scope: Scope
) -> None:
    """In any slices and order; on the way equity never changes its sign nor grows worse."""
    start = scope.equity_units
    for _ in range(12):
        if not scope.exposures:
            break
        exposure = data.draw(st.sampled_from(scope.exposures))
        size = abs(exposure.position.lots)
        lots = data.draw(st.integers(1, size))
        scope = _close(scope, exposure, lots)
        assert min(0, start) <= scope.equity_units <= max(0, start)
    for exposure in scope.exposures:
        scope = _close(scope, exposure, abs(exposure.position.lots))
    assert scope == Scope(0)


def _close(scope: Scope, exposure: Exposure, lots: int) -> Scope:
    delta = -lots if exposure.position.lots > 0 else lots
    quote = bankruptcy_quote_units(scope, exposure.symbol_id, delta)
    assert not isinstance(quote, RiskRefusal)
    return fill_in(scope, exposure.symbol_id, delta, -quote)


@given(st.data(), scopes(), st.integers(0, 100_000))
def test_a_liquidation_fill_never_lowers_equity_over_margin(
    data: st.DataObject, scope: Scope, fee_ppm: int
) -> None:
    """Within its limit price; the fee is part of what the fill left above the bankruptcy quote."""
    exposure = scope.exposures[0]
    size, factor = abs(exposure.position.lots), exposure.units_per_tick_lot
    lots = data.draw(st.integers(1, size))
    is_long = exposure.position.lots > 0
    delta, side = (-lots, Side.SELL) if is_long else (lots, Side.BUY)
    bankruptcy = bankruptcy_quote_units(scope, exposure.symbol_id, delta)
    assert not isinstance(bankruptcy, RiskRefusal)
    limit = limit_price_ticks(side, bankruptcy, lots, factor)
    assume(limit is not None)
    assert limit is not None
    better = data.draw(st.integers(0, 10**5))
    price = limit + better if is_long else max(1, limit - better)
    fill = -delta * price * factor
    fee = insurance_delta_units(fill, bankruptcy, fee_ppm)
    assert 0 <= fee <= min(fill - bankruptcy, floor_ppm(abs(fill), fee_ppm))
    after = fill_in(scope, exposure.symbol_id, delta, -fill)
    after = replace(after, cash_units=after.cash_units - fee)
    before = scope.equity_units * after.maintenance_units
    assert after.equity_units * scope.maintenance_units >= before


@given(st.sampled_from((1, -1)), st.integers(-(10**9), 10**9), st.integers(1, 10**4))
def test_the_limit_price_is_the_worst_that_costs_the_fund_nothing(
    sign: int, quote: int, lots: int
) -> None:
    """At it the fund does not pay; a tick worse it would."""
    side = Side.SELL if sign > 0 else Side.BUY
    limit = limit_price_ticks(side, quote, lots, 10)
    if limit is None:
        assert -1 * lots * 10 < quote
        return
    assert insurance_delta_units(sign * limit * lots * 10, quote, 0) >= 0
    worse = limit - sign
    assert worse == 0 or insurance_delta_units(sign * worse * lots * 10, quote, 0) < 0


def test_when_the_fund_pays_the_account_gets_its_bankruptcy_quote() -> None:
    """A fill 5 below is topped up by 5; one 5 above pays a fee of at most 5."""
    assert insurance_delta_units(95, 100, 20_000) == -5
    assert insurance_delta_units(100, 100, 20_000) == 0
    assert insurance_delta_units(105, 100, 20_000) == 2
    assert insurance_delta_units(105, 100, PPM) == 5
    assert insurance_delta_units(-95, -100, 20_000) == 1


@pytest.mark.parametrize("delta", [0, 1, -11])
def test_only_what_closes_has_a_bankruptcy_quote(delta: int) -> None:
    """Not nothing, not more of the same, not beyond flat, not a position that there is not."""
    scope = Scope(0, (Exposure(1, Position(10, 900), 100, 1, FLAT_RATES),))
    assert bankruptcy_quote_units(scope, 1, delta) is RiskRefusal.INVALID_POSITION_DELTA
    assert bankruptcy_quote_units(scope, 2, -1) is RiskRefusal.INVALID_POSITION_DELTA


@given(exposures(), st.integers(0, 5_000), st.integers(0, 5_000), st.integers(0, 10**12))
def test_the_partial_size_ends_the_shortage(
    exposure: Exposure, buffer_ppm: int, fee_ppm: int, short_by: int
) -> None:
    """Closed at mark with its fee, what is left needs at most rounding; a lot less is too few."""
    rows = exposure.brackets.rows[:1]
    exposure = replace(exposure, brackets=replace(exposure.brackets, rows=rows))
    bare = Scope(0, (exposure,))
    cash = margin_shortage_units(bare, buffer_ppm) - 1 - short_by % exposure.maintenance_units
    scope = Scope(cash, (exposure,))
    shortage = margin_shortage_units(scope, buffer_ppm)
    lots = partial_lots(exposure, shortage, rows[0].mmr_ppm + buffer_ppm - fee_ppm, 0)
    assert 1 <= lots <= abs(exposure.position.lots)
    sign = 1 if exposure.position.lots > 0 else -1
    quote = sign * lots * exposure.mark_ticks * exposure.units_per_tick_lot
    after = fill_in(scope, 1, -sign * lots, -quote)
    after = replace(after, cash_units=after.cash_units - ceil_ppm(abs(quote), fee_ppm))
    assert margin_shortage_units(after, buffer_ppm) <= 3 or not after.exposures


def test_when_all_of_a_position_is_closed() -> None:
    """Where closing frees nothing, where it is below the least notional, where it is not enough."""
    exposure = Exposure(1, Position(-10, -900), 100, 1, FLAT_RATES)
    assert partial_lots(exposure, 1, 0, 0) == 10
    assert partial_lots(exposure, 1, 100_000, 1_001) == 10
    assert partial_lots(exposure, 1, 100_000, 1_000) == 1
    assert partial_lots(exposure, 999, 100_000, 0) == 10
    assert partial_lots(exposure, 0, 100_000, 0) == 0


def test_slices_keep_to_their_limits() -> None:
    """Small positions go whole, large ones in portions; dust goes along."""
    rules = SliceRules(min_units=250, whole_below_units=5_000, max_portion_ppm=200_000)
    small = Exposure(1, Position(10, 900), 100, 1, FLAT_RATES)
    large = replace(small, position=Position(-100, -900))
    assert slice_limits(1_000, 250, 200_000) == SliceLimits(250, 250)
    assert [slice_lots(small, wanted, rules) for wanted in (1, 5, 8, 10)] == [3, 5, 10, 10]
    assert [slice_lots(large, wanted, rules) for wanted in (1, 5, 90)] == [3, 5, 20]
    one = replace(small, position=Position(1, 90))
    assert slice_lots(one, 1, rules) == 1


@given(exposures(), st.integers(1, 10**6), st.integers(1, 10**9), st.integers(1, 10**9))
def test_a_slice_always_closes_something_and_never_too_much(
    exposure: Exposure, wanted: int, least: int, whole_below: int
) -> None:
    """A limit that is reached is "later", never "nothing"."""
    rules = SliceRules(least, whole_below, 200_000)
    assert 1 <= slice_lots(exposure, wanted, rules) <= abs(exposure.position.lots)


def test_the_largest_margin_is_reduced_first() -> None:
    """By maintenance margin, then notional, then symbol."""
    calm = bracket_table([(0, 1, 10)], 10**15)
    held = [
        Exposure(1, Position(10, 0), 100, 1, calm),
        Exposure(2, Position(-1, 0), 100, 1, FLAT_RATES),
        Exposure(3, Position(20, 0), 100, 1, calm),
        Exposure(4, Position(1, 0), 100, 1, FLAT_RATES),
    ]
    found = [one.symbol_id for one in reduction_order(Scope(0, tuple(held)))]
    assert found == [2, 4, 3, 1]
