"""Margin: what a scope is worth and needs, whatever the order of its positions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.brackets import bracket_table
from domain.liquidation import bankruptcy_quote_units, liquidation_price_ticks
from domain.margin import (
    Commitment,
    Exposure,
    OpenInterest,
    Scope,
    fill_in,
    initial_rate_ppm,
    initial_units,
    is_liquidatable,
    margin_shortage_units,
    scaled_imr_ppm,
    withdrawable_units,
    worst_notional_units,
)
from domain.money import PPM
from domain.position import FLAT, Position
from tests.domain.risk_cases import exposures, scopes

FLAT_RATES = bracket_table([(0, 5_000, 10_000)], 10**15)
LONG = Exposure(1, Position(10, 900), 100, 1, FLAT_RATES)


def test_equity_is_cash_and_unrealised_profit() -> None:
    """10 lots that cost 900 are worth 1,000; a short's signs are the other way round."""
    short = Exposure(2, Position(-4, -400), 110, 1, FLAT_RATES)
    scope = Scope(50, (LONG, short))
    assert (LONG.value_units, LONG.notional_units, LONG.unrealised_units) == (1_000, 1_000, 100)
    assert (short.value_units, short.notional_units, short.unrealised_units) == (-440, 440, -40)
    assert (scope.equity_units, scope.notional_units) == (110, 1_440)
    assert (LONG.maintenance_units, short.maintenance_units, scope.maintenance_units) == (5, 3, 8)


def test_at_the_maintenance_margin_exactly_a_scope_is_safe() -> None:
    """Liquidation begins one unit below; without a position there is nothing to liquidate."""
    assert not is_liquidatable(Scope(-95, (LONG,)))
    assert is_liquidatable(Scope(-96, (LONG,)))
    assert not is_liquidatable(Scope(-1))
    assert margin_shortage_units(Scope(-95, (LONG,)), 2_000) == 2


@given(st.data(), scopes(), st.integers(1, 100), st.integers(0, 10**5))
def test_nothing_depends_on_the_order_of_positions(
    data: st.DataObject, scope: Scope, leverage: int, floor_ppm: int
) -> None:
    """Equity, margins, triggers, quotes and prices are those of any permutation."""
    other = replace(scope, exposures=tuple(data.draw(st.permutations(scope.exposures))))

    def initial(one: Scope) -> int:
        return sum(initial_units(Commitment(held, 3, 5, leverage)) for held in one.exposures)

    def all_of(one: Scope) -> list[object]:
        first = scope.exposures[0]
        return [
            one.equity_units,
            one.maintenance_units,
            initial(one),
            withdrawable_units(one, initial(one), floor_ppm),
            is_liquidatable(one),
            liquidation_price_ticks(one, first.symbol_id),
            bankruptcy_quote_units(one, first.symbol_id, -first.position.lots),
        ]

    assert all_of(other) == all_of(scope)


@given(exposures(), st.integers(0, 10**5), st.integers(0, 10**5), st.integers(1, 200))
def test_initial_margin_is_that_of_the_worse_side(
    exposure: Exposure, buys: int, sells: int, leverage: int
) -> None:
    """More orders never need less, it is above the maintenance margin, and leverage bounds it."""
    plain = Commitment(exposure, leverage=leverage)
    more = replace(plain, buy_lots=buys, sell_lots=sells)
    assert initial_units(more) >= initial_units(plain) >= exposure.maintenance_units
    mirrored = replace(exposure.position, lots=-exposure.position.lots)
    turned = Commitment(replace(exposure, position=mirrored), sells, buys, leverage)
    assert initial_units(turned) == initial_units(more)
    assert initial_units(more) * leverage >= worst_notional_units(more)


def test_worst_side_counts_one_side_at_a_time() -> None:
    """10 long with 5 buys and 30 sells could become 15 long or 20 short."""
    commitment = Commitment(LONG, 5, 30, leverage=50)
    assert worst_notional_units(commitment) == 2_000
    assert (initial_rate_ppm(commitment, 2_000), initial_units(commitment)) == (20_000, 40)
    assert initial_units(replace(commitment, leverage=3)) == 667
    crowded = replace(commitment, open_interest=OpenInterest(15, 10, 20))
    assert initial_rate_ppm(crowded, 2_000) == 505_000
    assert initial_units(Commitment(replace(LONG, position=FLAT))) == 0


@given(st.integers(1, PPM), st.integers(0, 10**15), st.integers(0, 10**15), st.integers(0, 10**15))
def test_crowding_raises_the_initial_rate_within_its_range(
    base: int, interest: int, lower: int, width: int
) -> None:
    """Between the base rate and 1, never falling with open interest; off without an upper end."""
    assume(lower + width > 0)
    found = scaled_imr_ppm(base, OpenInterest(interest, lower, lower + width))
    assert base <= found <= PPM
    assert scaled_imr_ppm(base, OpenInterest(interest + 1, lower, lower + width)) >= found
    assert scaled_imr_ppm(base, OpenInterest(interest)) == base


@given(scopes(), st.integers(0, 10**12), st.integers(0, 500_000))
def test_what_is_withdrawn_leaves_the_margin(scope: Scope, initial: int, floor_ppm: int) -> None:
    """Never more than cash, never below 0, and equity stays at the initial margin and the floor."""
    out = withdrawable_units(scope, initial, floor_ppm)
    assert 0 <= out <= max(0, scope.cash_units)
    if out:
        left = replace(scope, cash_units=scope.cash_units - out)
        assert left.equity_units >= initial
        assert left.equity_units * PPM >= scope.notional_units * floor_ppm


def test_unrealised_profit_does_not_leave() -> None:
    """Equity of 1,000 over a cash of 10: 10 may go, if the margin leaves it."""
    rich = Exposure(1, Position(10, 10), 100, 1, FLAT_RATES)
    assert withdrawable_units(Scope(10, (rich,)), 10, 0) == 10
    assert withdrawable_units(Scope(10, (rich,)), 10, PPM) == 0
    assert withdrawable_units(Scope(-5, (rich,)), 10, 0) == 0


def test_a_fill_goes_to_cash_and_a_closed_position_leaves() -> None:
    """Half of the long for 600 realises 150; the rest closes the exposure."""
    half = fill_in(Scope(0, (LONG,)), 1, -5, -600)
    assert half == Scope(150, (replace(LONG, position=Position(5, 450)),))
    assert fill_in(half, 1, -5, -450) == Scope(150)
    with pytest.raises(ValueError, match="no position in symbol 2"):
        fill_in(half, 2, 1, 1)
