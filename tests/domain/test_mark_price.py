"""The mark price: the median of its parts, to the even tick; stale until a window has passed."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.mark_price import (
    Basis,
    BasisSample,
    FundingClock,
    ImpactPrice,
    basis_of,
    basis_sample,
    impact_price,
    is_mark_fresh,
    mark_ticks,
    premium_average_ppm,
    premium_ppm,
)
from domain.money import PPM

WINDOW_US = 150_000_000
DAY = FundingClock(100, 14_400, 28_800)
LEVELS = st.lists(
    st.tuples(st.integers(1, 10**6), st.integers(1, 10**4)), max_size=6, unique_by=lambda x: x[0]
)


@given(LEVELS, st.integers(1, 10**10), st.sampled_from((1, 10)))
def test_the_impact_price_is_the_exact_average(
    levels: list[tuple[int, int]], impact: int, factor: int
) -> None:
    """What an exact walk in fractions of a lot pays on average; None when the side is too thin."""
    asks = sorted(levels)
    found = impact_price(asks, impact, factor)
    rest, quantity = Fraction(impact), Fraction(0)
    for price, lots in asks:
        taken = min(Fraction(lots), rest / (price * factor))
        rest -= taken * price * factor
        quantity += taken
    if found is None:
        assert rest > 0
    else:
        assert rest == 0
        assert Fraction(found.numerator, found.divisor) == impact / (quantity * factor)
        assert asks[0][0] <= found.ticks <= asks[-1][0]


@given(st.integers(2, 10**6), st.integers(2, 10**6), st.integers(0, 10**5), st.integers(1, PPM))
def test_premium_is_zero_inside_the_book_and_truncated_outside(
    index: int, bid: int, spread: int, most: int
) -> None:
    """Positive when the bids are above the index, negative when the asks are below, clamped."""
    bids, asks = ImpactPrice(bid * 3, 3), ImpactPrice((bid + spread) * 7, 7)
    exact = Fraction(max(0, bid - index) - max(0, index - bid - spread), index) * PPM
    assert premium_ppm(bids, asks, index, most) == max(-most, min(most, int(exact)))


def test_a_thin_side_counts_as_no_premium() -> None:
    """Nobody moves funding with a few lots."""
    assert premium_ppm(None, None, 100, PPM) == 0
    assert premium_ppm(ImpactPrice(110, 1), None, 100, PPM) == 100_000
    assert premium_ppm(None, ImpactPrice(90, 1), 100, PPM) == -100_000
    assert premium_ppm(None, ImpactPrice(90, 1), 100, 50) == -50
    assert impact_price([], 1, 1) is None


def test_missing_samples_count_as_zero_and_the_mean_is_truncated() -> None:
    """-7 over 2 is -3; nothing at all is 0."""
    assert premium_average_ppm([(-7, 1)], 2) == -3
    assert premium_average_ppm([(7, 1)], 2) == 3
    assert premium_average_ppm([], 480) == 0
    assert premium_average_ppm([(10, 3)], 1) == 10


def test_the_basis_is_the_mean_of_its_window() -> None:
    """In half ticks; a sample as old as the window has left it."""
    assert basis_sample(5, 99, 102, 100) == BasisSample(5, 1)
    samples = [BasisSample(0, 50), BasisSample(1, 3), BasisSample(WINDOW_US, 4)]
    assert basis_of(samples, WINDOW_US, WINDOW_US) == Basis(7, 2)
    assert basis_of(samples, WINDOW_US, 5) == Basis(4, 1)
    assert basis_of([], 5, 5) == Basis()


@pytest.mark.parametrize(
    ("basis", "last", "mark"),
    [
        (Basis(20, 1), 100_000, 50_010),  # the last price is above both
        (Basis(20, 1), 50_005, 50_005),
        (Basis(20, 1), 1, 50_002),  # index and funding: 50,002.5 is even at 50,002
        (Basis(5, 1), 60_000, 50_002),  # both references are 50,002.5
        (Basis(-7, 2), None, 50_000),  # never traded, and a basis of -1.75
    ],
)
def test_the_mark_is_the_median_of_three(basis: Basis, last: int | None, mark: int) -> None:
    """Index with funding to come, index with basis, last price; half-even to the tick."""
    assert mark_ticks(50_000, DAY, basis, last) == mark


@given(
    st.integers(1, 10**9),
    st.integers(-750_000, 750_000),
    st.integers(0, 28_800),
    st.integers(-(10**9), 10**9),
    st.integers(1, 150),
    st.integers(1, 10**9),
)
def test_rounding_each_part_is_rounding_the_median(
    index: int, rate: int, seconds: int, half_ticks: int, count: int, last: int
) -> None:
    """Against the exact median of three fractions."""
    parts = [
        index * (1 + Fraction(rate * seconds, PPM * 28_800)),
        index + Fraction(half_ticks, 2 * count),
        Fraction(last),
    ]
    found = mark_ticks(index, FundingClock(rate, seconds, 28_800), Basis(half_ticks, count), last)
    assert found == max(1, round(sorted(parts)[1]))


def test_a_mark_is_at_least_one_tick() -> None:
    """Where funding and basis would leave nothing of the price."""
    assert mark_ticks(1, FundingClock(-750_000, 28_800, 28_800), Basis(-10, 1), 1) == 1


def test_one_book_alone_cannot_move_the_mark() -> None:
    """A wick of 35 % in the last price and in the book: the index with funding holds the mark."""
    wick = Basis(2 * -17_500, 1)
    assert mark_ticks(50_000, DAY, wick, 32_500) < 33_000
    assert mark_ticks(50_000, DAY, Basis(2 * -17_500 + 149 * 2 * 3, 150), 32_500) == 49_886


def test_a_mark_is_fresh_after_one_window_with_a_fresh_index() -> None:
    """No index, an old one, or a window that has not passed since the start: stale."""
    now = WINDOW_US + 10
    assert is_mark_fresh(now, now - 5, 10, 5, WINDOW_US)
    assert not is_mark_fresh(now, None, 10, 5, WINDOW_US)
    assert not is_mark_fresh(now, now - 6, 10, 5, WINDOW_US)
    assert not is_mark_fresh(now, now, 11, 5, WINDOW_US)
    assert is_mark_fresh(now, now, now - 8, 5, 8)
    assert not is_mark_fresh(now, now, now - 7, 5, 8)
