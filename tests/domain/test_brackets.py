"""Margin brackets: lawful tables only, and a maintenance margin without a jump."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.brackets import Bracket, BracketFault, Brackets, bracket_fault, bracket_table
from domain.brackets import maintenance_units as maintenance
from domain.money import PPM
from domain.risk_bounds import MAX_VALUE_UNITS
from tests.domain.risk_cases import brackets

LAWFUL = bracket_table([(0, 4_000, 8_000), (50_000_000_000, 5_000, 10_000)], 10**12)


@given(brackets())
def test_the_margin_is_continuous_at_each_floor(table: Brackets) -> None:
    """Both brackets' formulas agree at a floor, and one unit further adds at most one unit."""
    for low, high in pairwise(table.rows):
        floor = high.floor_units
        assert floor * low.mmr_ppm - low.amount_units * PPM == (
            floor * high.mmr_ppm - high.amount_units * PPM
        )
        steps = [maintenance(floor + step, table) for step in (-1, 0, 1)]
        assert 0 <= steps[1] - steps[0] <= 1
        assert 0 <= steps[2] - steps[1] <= 1


@given(brackets(), st.integers(0, 10**14))
def test_the_margin_is_the_sum_over_the_brackets(table: Brackets, notional: int) -> None:
    """Each part of the notional times the rate of its own bracket, rounded up once."""
    ends = [*(row.floor_units for row in table.rows[1:]), MAX_VALUE_UNITS]
    exact = sum(
        Fraction(max(0, min(notional, end) - row.floor_units) * row.mmr_ppm, PPM)
        for row, end in zip(table.rows, ends, strict=True)
    )
    assert maintenance(notional, table) == exact.__ceil__()


@given(brackets(), st.integers(1, 10**14), st.integers(0, 10**14))
def test_the_margin_rises_with_the_notional(table: Brackets, notional: int, more: int) -> None:
    """It is at least 1 for any notional, below the notional, and never falls."""
    assert 1 <= maintenance(notional, table) <= notional
    assert maintenance(notional + more, table) >= maintenance(notional, table)
    row = table.of(notional)
    assert row.mmr_ppm < row.imr_ppm


def _with(place: int, **changes: int) -> Brackets:
    rows = list(LAWFUL.rows)
    rows[place] = replace(rows[place], **changes)
    return replace(LAWFUL, rows=tuple(rows))


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (LAWFUL, None),
        (Brackets((), 1), BracketFault.EMPTY),
        (_with(0, floor_units=1), BracketFault.FIRST_FLOOR),
        (_with(0, amount_units=1), BracketFault.FIRST_FLOOR),
        (_with(1, floor_units=0), BracketFault.FLOORS),
        (replace(LAWFUL, cap_units=50_000_000_000), BracketFault.CAP),
        (replace(LAWFUL, cap_units=MAX_VALUE_UNITS + 1), BracketFault.CAP),
        (_with(0, mmr_ppm=0), BracketFault.RATES),
        (_with(1, imr_ppm=PPM + 1), BracketFault.RATES),
        (_with(1, mmr_ppm=4_000), BracketFault.MMR_FALLS),
        (_with(1, imr_ppm=7_999), BracketFault.IMR_FALLS),
        (_with(0, imr_ppm=4_000), BracketFault.MMR_ABOVE_IMR),
        (_with(1, amount_units=49_999_999), BracketFault.AMOUNT),
        (_with(1, floor_units=50_000_000_001), BracketFault.AMOUNT),
    ],
)
def test_unlawful_tables_are_refused_by_name(table: Brackets, fault: BracketFault | None) -> None:
    """Each rule of a table has a fault of its own."""
    assert bracket_fault(table) == fault


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([(0, 1, 2), (1, 2, 3)], BracketFault.AMOUNT),  # an amount of 10**-6 units
        ([(0, 2, 3), (PPM, 1, 3)], BracketFault.MMR_FALLS),
        ([], BracketFault.EMPTY),
    ],
)
def test_making_a_table_checks_it(rows: list[tuple[int, int, int]], fault: BracketFault) -> None:
    """What cannot be a table raises with the fault's sentence."""
    with pytest.raises(ValueError, match=fault):
        bracket_table(rows, 10**12)


def test_amounts_follow_from_the_floors() -> None:
    """Binance's first step: 50,000 x (0.5 % - 0.4 %) = 50."""
    assert LAWFUL.rows[1] == Bracket(50_000_000_000, 5_000, 10_000, 50_000_000)
    assert LAWFUL.of(49_999_999_999) == LAWFUL.rows[0]
    assert LAWFUL.of(50_000_000_000) == LAWFUL.rows[1]
