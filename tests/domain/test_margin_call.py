"""Margin calls: at their lines, and never before a liquidation would be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.margin_call import is_call_over, is_called


def test_lines() -> None:
    """Below 1.25 x MM, strictly; over at 1.5 x MM. Without a margin nobody is called."""
    assert is_called(124, 100)
    assert not is_called(125, 100)
    assert is_called(-5, 100)
    assert not is_called(-5, 0)
    assert not is_call_over(149, 100)
    assert is_call_over(150, 100)


@given(st.integers(-(2**62), 2**62), st.integers(0, 2**61))
def test_they_are_the_exact_fractions(equity: int, maintenance: int) -> None:
    """Compared by multiplication, without a division."""
    assert is_called(equity, maintenance) == (maintenance > 0 and 4 * equity < 5 * maintenance)
    assert is_call_over(equity, maintenance) == (2 * equity >= 3 * maintenance)
