"""The circuit breaker: each of its three reasons, exactly at its limit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from domain.circuit_breaker import BreakerRules, MarkSample, Trip, moved_too_far, trip

RULES = BreakerRules()
NOW = 200_000_000


def _marks(*marks: int, first_age_us: int = 60_000_000) -> list[MarkSample]:
    times = [NOW - first_age_us, *[NOW] * len(marks)]
    return [MarkSample(time, mark) for time, mark in zip(times, marks, strict=False)]


def test_the_mark_may_move_ten_percent_in_a_minute() -> None:
    """Up or down, from any mark of the window; older marks do not count."""
    assert not moved_too_far(_marks(1_000, 1_100), NOW, RULES)
    assert moved_too_far(_marks(1_000, 1_101), NOW, RULES)
    assert not moved_too_far(_marks(1_000, 900), NOW, RULES)
    assert moved_too_far(_marks(1_000, 899), NOW, RULES)
    assert moved_too_far(_marks(1_000, 1_200, 1_010), NOW, RULES)
    assert not moved_too_far(_marks(1_000, 1_101, first_age_us=60_000_001), NOW, RULES)
    assert not moved_too_far([], NOW, RULES)


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=9))
def test_the_extremes_of_a_window_are_enough(marks: list[int]) -> None:
    """Comparing with the lowest and the highest is comparing with all."""
    newest = marks[-1]
    far = any(abs(newest - other) * 10 > other for other in marks)
    assert moved_too_far(_marks(*marks, first_age_us=0), NOW, RULES) == far


def test_each_reason_by_name() -> None:
    """A mark that moved, too few sources, a side that is empty for ten seconds; or nothing."""

    def found(sources: int = 3, empty_for_us: int | None = None, mark: int = 1_000) -> Trip | None:
        since = None if empty_for_us is None else NOW - empty_for_us
        marks = _marks(1_000, mark)
        return trip(marks, NOW, sources=sources, empty_since_us=since, rules=RULES)

    assert found() is None
    assert found(mark=1_101) is Trip.MARK_MOVED
    assert found(sources=2) is Trip.TOO_FEW_SOURCES
    assert found(empty_for_us=9_999_999) is None
    assert found(empty_for_us=10_000_000) is Trip.SIDE_EMPTY
    assert found(2, 10_000_000, 1_101) is Trip.MARK_MOVED
