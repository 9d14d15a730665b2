"""The fixed limits: one place, the same in the C++ core."""

from __future__ import annotations

from domain import limits
from matching.core_engine import load_core


def test_the_core_has_the_same_limits() -> None:
    """Every limit has one number in both languages, and neither has one more."""
    core = load_core()
    assert core is not None
    assert dict(core.limits()) == limits.limits()


def test_limits_are_named_numbers() -> None:
    """What is shown are the limits, not helpers."""
    shown = limits.limits()
    assert shown["MAX_FEE_TIERS"] == limits.MAX_FEE_TIERS
    assert "HOUR_US" not in shown
    assert all(name.isupper() and number > 0 for name, number in shown.items())
