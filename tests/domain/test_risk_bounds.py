"""At the bounds of `domain.risk_bounds` every result is an int64, every intermediate an int128."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.auto_deleveraging import adl_score_ppm, score_in
from domain.brackets import Bracket, Brackets
from domain.funding import funding_units
from domain.insurance import takeover_lots
from domain.liquidation import (
    bankruptcy_quote_units,
    insurance_delta_units,
    limit_price_ticks,
    liquidation_price_ticks,
    partial_lots,
)
from domain.margin import (
    Commitment,
    Exposure,
    OpenInterest,
    Scope,
    initial_units,
    margin_shortage_units,
    withdrawable_units,
)
from domain.mark_price import Basis, FundingClock, impact_price, mark_ticks, premium_ppm
from domain.money import INT64_MAX, PPM
from domain.order import Side
from domain.position import Position, after_fill
from domain.risk_bounds import (
    MAX_CASH_UNITS,
    MAX_INTERVAL_SECONDS,
    MAX_POSITIONS_PER_SCOPE,
    MAX_PRICE_TICKS,
    MAX_RATE_PPM,
    MAX_VALUE_UNITS,
)

INT128_MAX = 2**127 - 1


class Wide(int):
    """An integer that refuses to leave 128 bits, and whose results are such integers, too."""

    def __new__(cls, value: int) -> Self:
        assert abs(value) <= INT128_MAX, value
        return super().__new__(cls, value)


def _widened(function: Callable[..., Any]) -> Callable[..., Any]:
    def compute(*numbers: int) -> object:
        found = function(*map(int, numbers))
        return tuple(map(Wide, found)) if isinstance(found, tuple) else Wide(found)

    return compute


for _name, _function in {
    **{name: getattr(operator, name) for name in ("add", "sub", "mul", "floordiv", "neg", "abs")},
    "divmod": divmod,
}.items():
    setattr(Wide, f"__{_name}__", _widened(_function))
    setattr(Wide, f"__r{_name}__", _widened(lambda one, other, call=_function: call(other, one)))


def _near(limit: int, lowest: int = 1) -> st.SearchStrategy[int]:
    edges = st.sampled_from((lowest, max(lowest, limit - 1), limit))
    return (edges | st.integers(lowest, limit)).map(Wide)


def _signed(limit: int) -> st.SearchStrategy[int]:
    return st.tuples(st.sampled_from((1, -1)), _near(limit, 0)).map(lambda pair: pair[0] * pair[1])


@st.composite
def exposures(draw: st.DrawFn, symbol_id: int) -> Exposure:
    """Return a position of any shape whose value at any mark of its market is within the bound."""
    factor = draw(_near(MAX_VALUE_UNITS // MAX_PRICE_TICKS))
    mark = draw(_near(MAX_PRICE_TICKS))
    lots = draw(_near(MAX_VALUE_UNITS // (factor * mark)))
    sign = draw(st.sampled_from((1, -1)))
    cost = draw(_near(MAX_VALUE_UNITS))
    mmr = draw(_near(PPM - 1))
    floor = draw(_near(MAX_VALUE_UNITS - 1))
    amount = Wide(floor * (PPM - 1 - mmr) // PPM)
    rows = (Bracket(Wide(0), mmr, Wide(PPM), Wide(0)), Bracket(floor, Wide(PPM - 1), PPM, amount))
    position = Position(sign * lots, sign * cost)
    return Exposure(symbol_id, position, mark, factor, Brackets(rows, MAX_VALUE_UNITS))


@st.composite
def scopes(draw: st.DrawFn) -> Scope:
    """Return a full scope: one position of any shape, the others equal to a second one."""
    first, second = draw(exposures(1)), draw(exposures(2))
    count = draw(st.sampled_from((1, 2, MAX_POSITIONS_PER_SCOPE)))
    others = [
        Exposure(n, second.position, second.mark_ticks, second.units_per_tick_lot, second.brackets)
        for n in range(2, count + 1)
    ]
    return Scope(draw(_signed(MAX_CASH_UNITS)), (first, *others))


def _fits(*results: object) -> None:
    for result in results:
        assert result is None or (isinstance(result, int) and abs(result) <= INT64_MAX), result


@given(scopes(), _near(MAX_RATE_PPM), _near(MAX_CASH_UNITS, 0), _near(MAX_RATE_PPM))
def test_scopes_stay_within_int64(scope: Scope, rate: int, balance: int, fee: int) -> None:
    """Equity, margins, quotes, prices, sizes and scores of a scope at its bounds."""
    first = scope.exposures[0]
    lots = first.position.lots
    _fits(scope.equity_units, scope.maintenance_units, scope.notional_units)
    _fits(margin_shortage_units(scope, PPM), withdrawable_units(scope, Wide(0), PPM))
    _fits(liquidation_price_ticks(scope, 1), score_in(scope, 1))
    quote = bankruptcy_quote_units(scope, 1, -lots)
    part = bankruptcy_quote_units(scope, 1, Wide(-1 if lots > 0 else 1))
    _fits(quote, part)
    assert isinstance(quote, int)
    side = Side.SELL if lots > 0 else Side.BUY
    _fits(limit_price_ticks(side, quote, abs(lots), first.units_per_tick_lot))
    _fits(insurance_delta_units(first.value_units, quote, fee))
    _fits(partial_lots(first, margin_shortage_units(scope, rate), rate, 0))
    _fits(takeover_lots(scope, 1, balance_units=balance, fund_lots=Wide(0), cap_ppm=PPM))
    _fits(funding_units(lots, first.mark_ticks, first.units_per_tick_lot, rate))
    interest = OpenInterest(balance, Wide(1), Wide(MAX_CASH_UNITS))
    _fits(initial_units(Commitment(first, leverage=Wide(1), open_interest=interest)))


@given(exposures(1), exposures(1))
def test_fills_stay_within_int64(held: Exposure, fill: Exposure) -> None:
    """Profit and basis after closing, adding to or turning a position."""
    change = after_fill(held.position, fill.position.lots, fill.position.cost_units)
    _fits(change.position.lots, change.position.cost_units, change.realised_units)


@given(
    _near(MAX_PRICE_TICKS),
    _near(MAX_PRICE_TICKS),
    _near(MAX_VALUE_UNITS // MAX_PRICE_TICKS),
    _near(MAX_VALUE_UNITS),
)
def test_premiums_stay_within_int64(index: int, price: int, factor: int, impact: int) -> None:
    """Of a book with one deep level, or with a level of one lot before it."""
    deep = Wide(MAX_VALUE_UNITS)
    for levels in ([(price, deep)], [(price, Wide(1)), (Wide(1), deep)]):
        found = impact_price(levels, impact, factor)
        assert found is not None
        _fits(premium_ppm(found, None, index, 10**18), premium_ppm(None, found, index, 10**18))


@given(
    _near(MAX_PRICE_TICKS),
    _signed(MAX_RATE_PPM),
    _near(MAX_INTERVAL_SECONDS),
    _signed(2 * MAX_PRICE_TICKS),
)
def test_marks_stay_within_int64(index: int, rate: int, seconds: int, half_ticks: int) -> None:
    """However far the funding rate and the basis are."""
    clock = FundingClock(rate, seconds, seconds)
    _fits(mark_ticks(index, clock, Basis(half_ticks * 150, 150), index))


def test_the_measure_itself_works() -> None:
    """A product beyond 128 bits is noticed wherever it is made."""
    huge = Wide(1 << 100)
    for factor in (huge, 2**100, -(1 << 27)):
        with pytest.raises(AssertionError):
            _ = huge * factor
        with pytest.raises(AssertionError):
            _ = factor * huge
    with pytest.raises(AssertionError):
        _ = sum([huge * 2**25] * 4)
    assert adl_score_ppm(huge // (1 << 50), Wide(1), Wide(1)) is not None
