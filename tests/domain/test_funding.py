"""Funding: the rate, and batches that sum to zero with the dust on the exchange's side."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from domain.funding import (
    funding_batch,
    funding_cap_ppm,
    funding_rate_ppm,
    funding_since,
    funding_units,
)
from domain.money import PPM

RATES = st.integers(-750_000, 750_000)


@given(RATES, st.integers(-1_000, 1_000), st.integers(0, 5_000), st.integers(0, 100_000))
def test_the_rate_follows_the_premium_beyond_the_damper(
    premium: int, interest: int, damper: int, cap: int
) -> None:
    """Within the damper it is the interest; otherwise the premium less the damper; capped."""
    free = funding_rate_ppm(premium, interest, damper)
    if abs(interest - premium) <= damper:
        assert free == interest
    else:
        assert abs(free - premium) == damper
    assert funding_rate_ppm(premium, interest, damper, cap) == max(-cap, min(cap, free))


def test_the_cap_keeps_a_position_above_its_maintenance_margin() -> None:
    """Three quarters of what lies between 1 % and 0.5 %, rounded down."""
    assert funding_cap_ppm(750_000, 10_000, 5_000) == 3_750
    assert funding_cap_ppm(750_000, 10_001, 5_000) == 3_750
    assert funding_cap_ppm(750_000, 5_000, 5_000) == 0


@given(
    st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=30),
    st.integers(1, 10**6),
    st.sampled_from((1, 10, 1_000)),
    RATES,
)
def test_a_batch_sums_to_zero_and_its_dust_is_never_negative(
    lots: list[int], mark: int, factor: int, rate: int
) -> None:
    """The last position closes the market; the dust is less than a unit a position."""
    positions = [*enumerate(lots), (len(lots), -sum(lots))]
    batch = funding_batch(positions, mark, factor, rate)
    assert sum(units for _, units in batch.entries) + batch.rounding_units == 0
    assert 0 <= batch.rounding_units < len(positions)
    assert [account_id for account_id, _ in batch.entries] == [one for one, _ in positions]
    for (_, size), (_, units) in zip(positions, batch.entries, strict=True):
        exact = Fraction(-size * mark * factor * rate, PPM)
        assert exact - 1 < units <= exact


def test_longs_pay_shorts_when_the_rate_is_positive() -> None:
    """The payer's fraction is rounded up, the receiver's down."""
    assert funding_units(3, 100, 1, 5_000) == -2
    assert funding_units(-3, 100, 1, 5_000) == 1
    assert funding_units(3, 100, 1, -5_000) == 1
    assert funding_units(0, 100, 1, 5_000) == 0


@given(st.integers(-(10**6), 10**6), st.lists(st.tuples(st.integers(1, 10**6), RATES), max_size=9))
def test_the_cumulative_index_is_the_sum_without_the_dust(
    lots: int, times: list[tuple[int, int]]
) -> None:
    """Over any number of fundings it differs from the entries by less than a unit each."""
    index = sum(mark * rate for mark, rate in times)
    entries = sum(funding_units(lots, mark, 1, rate) for mark, rate in times)
    assert 0 <= Fraction(funding_since(lots, 0, index), PPM) - entries <= len(times)
