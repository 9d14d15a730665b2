"""Divisions round as their names say, on both sides of zero."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from domain.rounding import ceil_div, clamp, half_even_div, truncate_div


@given(st.integers(), st.integers(1))
def test_divisions_round_as_they_are_called(numerator: int, divisor: int) -> None:
    """Against exact fractions: up, toward zero, to the nearest with ties to the even one."""
    exact = Fraction(numerator, divisor)
    assert ceil_div(numerator, divisor) == exact.__ceil__()
    assert truncate_div(numerator, divisor) == exact.__trunc__()
    assert half_even_div(numerator, divisor) == round(exact)


def test_halves_go_to_the_even_neighbour() -> None:
    """1.5 and 2.5 are both 2, -0.5 is 0 and -1.5 is -2."""
    assert [half_even_div(n, 2) for n in (3, 5, -1, -3)] == [2, 2, 0, -2]


def test_clamp_keeps_to_its_range() -> None:
    """Ends included."""
    assert [clamp(value, -2, 3) for value in (-9, -2, 0, 3, 9)] == [-2, -2, 0, 3, 3]
