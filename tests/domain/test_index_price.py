"""The index: fresh sources only, none far off, never fewer than it takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.index_price import IndexRules, SourcePrice, index_ticks, used_sources

NOW = 100_000_000
RULES = IndexRules()


def _index(*prices: int, ages_us: tuple[int, ...] = ()) -> int | None:
    ages = [*ages_us, *[0] * len(prices)]
    sources = [SourcePrice(n, price, NOW - ages[n]) for n, price in enumerate(prices)]
    return index_ticks(sources, NOW, RULES)


def test_the_median_of_three_sources() -> None:
    """Of an even number the middle of two, half-even: 1000.5 is 1000 and 1001.5 is 1002."""
    assert _index(1_010, 1_000, 990) == 1_000
    assert _index(990, 1_000, 1_001, 1_010) == 1_000
    assert _index(990, 1_001, 1_002, 1_010) == 1_002


def test_too_few_sources_give_no_index() -> None:
    """Stale ones do not count, up to the limit they do."""
    limit = RULES.max_age_us
    assert _index() is None
    assert _index(1_000, 1_000) is None
    assert _index(1_000, 1_000, 1_000, ages_us=(limit,)) == 1_000
    assert _index(1_000, 1_000, 1_000, ages_us=(limit + 1,)) is None


def test_a_source_far_off_is_dropped() -> None:
    """35 % below is dropped and the rest must be enough; 5 % exactly counts."""
    assert _index(650, 1_000, 1_000, 1_001) == 1_000
    assert _index(650, 1_000, 1_001) is None
    assert _index(950, 1_000, 1_050) == 1_000
    assert _index(949, 1_000, 1_000) is None


@given(st.lists(st.integers(1, 10**9), max_size=9))
def test_the_index_lies_within_its_sources(prices: list[int]) -> None:
    """And what counts does not depend on the order in which sources are named."""
    sources = [SourcePrice(n, price, NOW) for n, price in enumerate(prices)]
    used = used_sources(sources, NOW, RULES)
    assert used == used_sources(sources[::-1], NOW, RULES)
    found = index_ticks(sources, NOW, RULES)
    assert (found is None) == (len(used) < RULES.min_sources)
    if found is not None:
        assert used[0].price_ticks <= found <= used[-1].price_ticks
