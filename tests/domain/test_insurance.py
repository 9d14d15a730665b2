"""The insurance fund: never below 0, never beyond its cap, and it stops in time."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from domain.brackets import bracket_table
from domain.insurance import (
    AdlReason,
    drawdown_ppm,
    drawdown_stop,
    has_resumed,
    is_taken_over,
    may_pay,
    takeover_lots,
)
from domain.liquidation import RiskRefusal, bankruptcy_quote_units
from domain.margin import Exposure, Scope
from domain.money import PPM
from domain.position import Position
from tests.domain.risk_cases import scopes

RATES = bracket_table([(0, 100_000, 200_000)], 10**15)


def _loss(scope: Scope, lots: int) -> int:
    first = scope.exposures[0]
    delta = -lots if first.position.lots > 0 else lots
    quote = bankruptcy_quote_units(scope, first.symbol_id, delta)
    assert not isinstance(quote, RiskRefusal)
    return quote + delta * first.mark_ticks * first.units_per_tick_lot


@given(scopes(), st.integers(0, 10**12), st.integers(-(10**5), 10**5), st.integers(0, 10**8))
def test_the_fund_takes_as_much_as_it_can_and_no_lot_more(
    scope: Scope, balance: int, fund_lots: int, cap_ppm: int
) -> None:
    """Loss within cash and notional within the cap; one lot more breaks one of them."""
    first = scope.exposures[0]
    size, sign = abs(first.position.lots), 1 if first.position.lots > 0 else -1
    taken = takeover_lots(
        scope, first.symbol_id, balance_units=balance, fund_lots=fund_lots, cap_ppm=cap_ppm
    )
    assert not isinstance(taken, RiskRefusal)
    assert 0 <= taken <= size

    def fits(lots: int) -> bool:
        held = sign * fund_lots + lots
        notional = held * first.mark_ticks * first.units_per_tick_lot
        return _loss(scope, lots) <= balance and notional * PPM <= balance * cap_ppm

    assert taken == 0 or fits(taken)
    assert taken == size or not fits(taken + 1)


def test_lots_against_the_funds_own_always_fit_the_cap() -> None:
    """A fund that is short 4 takes 4 long and then what its cap allows."""
    scope = Scope(-1_000, (Exposure(1, Position(10, 0), 100, 1, RATES),))
    take = {"balance_units": 300, "cap_ppm": PPM}
    assert takeover_lots(scope, 1, fund_lots=0, **take) == 3
    assert takeover_lots(scope, 1, fund_lots=-4, **take) == 7
    assert takeover_lots(scope, 1, fund_lots=3, **take) == 0
    assert takeover_lots(scope, 1, fund_lots=0, balance_units=-1, cap_ppm=PPM) == 0
    assert takeover_lots(scope, 2, fund_lots=0, **take) is RiskRefusal.INVALID_POSITION_DELTA


def test_a_scope_is_taken_over_late_or_under_water() -> None:
    """Below 0 at once; below two thirds of its margin when no slice is left."""
    rules = {"threshold_ppm": 666_666}
    assert is_taken_over(-1, 300, slices_left=5, **rules)
    assert not is_taken_over(0, 300, slices_left=1, **rules)
    assert is_taken_over(199, 300, slices_left=0, **rules)
    assert not is_taken_over(200, 300, slices_left=0, **rules)


def test_the_fund_may_pay_down_to_zero() -> None:
    """A debit that would cross 0 is refused; a credit is always taken."""
    assert may_pay(10, -10)
    assert not may_pay(10, -11)
    assert may_pay(-5, 0)


def test_drawdown_is_measured_from_the_highest_and_rounded_down() -> None:
    """700,000 of 1,000,000 are -30 %; one unit less is below it, not equal."""
    assert drawdown_ppm(700_000, 1_000_000) == -300_000
    assert drawdown_ppm(2, 3) == -333_334
    assert drawdown_ppm(5, 5) == 0
    assert drawdown_ppm(0, 0) == 0


def test_the_fund_stops_at_the_drawdown_and_resumes_above_it() -> None:
    """30 % stops, equality included; below 25 % it takes over again."""
    rules = {"threshold_units": 1, "stop_ppm": -300_000}
    assert drawdown_stop(1_000, -299_999, **rules) is None
    assert drawdown_stop(1_000, -300_000, **rules) is AdlReason.DRAWDOWN
    assert drawdown_stop(1, -300_000, **rules) is None
    assert drawdown_stop(0, 0, **rules) is AdlReason.POOL_EMPTY
    assert not has_resumed(1_000, -250_000, resume_ppm=-250_000)
    assert has_resumed(1_000, -249_999, resume_ppm=-250_000)
    assert not has_resumed(0, 0, resume_ppm=-250_000)


def test_a_solvent_scope_costs_the_fund_nothing() -> None:
    """Its share of equity comes along with the position: only the cap bounds it."""
    scope = Scope(50, (replace(Exposure(1, Position(10, 1_000), 100, 1, RATES)),))
    assert takeover_lots(scope, 1, balance_units=10**6, fund_lots=0, cap_ppm=PPM) == 10
