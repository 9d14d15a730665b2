"""Allow-list, cooling-off and limits: pure rules, to the cent and to the microsecond."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pytest

from domain.withdrawal import policy_refusal
from domain.withdrawal_limits import (
    LIMITS_CENTS,
    WINDOW_SPAN,
    Allowance,
    Tier,
    Window,
    allowance_checks,
    value_cents,
    within,
)

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
FREE = Allowance(NOW, NOW, Tier.BASIC, 1, dict.fromkeys(Window, 0))
TICK = dt.timedelta(microseconds=1)


def _refusal(allowance: Allowance) -> str | None:
    return policy_refusal(allowance_checks(allowance))


def test_an_address_is_usable_from_its_moment_on() -> None:
    """Not listed, a microsecond too early, on time."""
    assert _refusal(replace(FREE, usable_at=None)) == "destination_is_listed"
    assert _refusal(replace(FREE, usable_at=NOW + TICK)) == "destination_has_cooled_off"
    assert _refusal(FREE) is None


@pytest.mark.parametrize("tier", list(Tier))
@pytest.mark.parametrize("window", list(Window))
def test_each_windows_limit_is_exact_and_named(tier: Tier, window: Window) -> None:
    """The last cent passes, one more is refused by that window's own name."""
    earlier = dict.fromkeys(Window, 0) | {window: LIMITS_CENTS[tier][window] - 500}
    full = replace(FREE, tier=tier, earlier_cents=earlier, value_cents=500)
    assert _refusal(full) is None
    assert full.left_cents(window) == 500
    assert _refusal(replace(full, value_cents=501)) == within(window)


def test_limits_grow_with_window_and_tier() -> None:
    """A longer window allows no less than a shorter one, a better known customer more."""
    for limits in LIMITS_CENTS.values():
        by_span = sorted(Window, key=lambda window: WINDOW_SPAN[window])
        amounts = [limits[window] for window in by_span]
        assert amounts == sorted(amounts)
    for less, more in zip(list(Tier), list(Tier)[1:], strict=False):
        assert all(LIMITS_CENTS[less][one] < LIMITS_CENTS[more][one] for one in Window)


def test_what_is_not_known_is_refused() -> None:
    """No price, or a tier that a later version wrote: nothing passes by accident."""
    assert _refusal(replace(FREE, value_cents=None)) == "value_is_known"
    strange = replace(FREE, tier="of a later version")
    assert _refusal(strange) == within(Window.HOUR)
    assert strange.left_cents(Window.DAY) == 0
    spent = replace(FREE, earlier_cents=dict.fromkeys(Window, 10**12))
    assert spent.left_cents(Window.MONTH) == 0


@pytest.mark.parametrize(
    ("amount", "decimals", "price", "cents"),
    [
        (20_500_000, 6, "1", 2_050),
        (1, 6, "1", 1),
        (10_000, 6, "1", 1),
        (10_001, 6, "1", 2),
        (10**18, 18, "2500.01", 250_001),
        (1, 18, "2500.01", 1),
        (3 * 10**8, 8, "64999.999", 19_500_000),
        (0, 8, "64999.999", 0),
    ],
)
def test_values_are_rounded_up_to_the_cent(
    amount: int, decimals: int, price: str, cents: int
) -> None:
    """Many small withdrawals never count for less than they are worth."""
    assert value_cents(amount, decimals, Decimal(price)) == cents
