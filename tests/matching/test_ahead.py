"""Work done ahead comes in order, with its errors, and leaves no thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from matching.ahead import ahead


def _numbers(drawn: list[int], fail_at: int = -1) -> Iterator[int]:
    for number in range(100):
        if number == fail_at:
            raise LookupError(number)
        drawn.append(number)
        yield number


def test_items_come_in_order() -> None:
    """All of them, and the thread is gone after the block."""
    before = threading.active_count()
    with ahead(_numbers([])) as items:
        assert list(items) == list(range(100))
    assert threading.active_count() == before


def test_an_error_comes_behind_the_items_before_it() -> None:
    """What was drawn before it is there first."""
    taken: list[int] = []
    with ahead(_numbers([], fail_at=40)) as items, pytest.raises(LookupError):
        taken.extend(items)
    assert taken == list(range(40))


def test_who_stops_early_waits_for_nobody() -> None:
    """A few items are drawn ahead, not all, and the rest stays with the caller."""
    drawn: list[int] = []
    source = _numbers(drawn)
    with ahead(source) as items:
        assert [next(items), next(items)] == [0, 1]
    assert len(drawn) < 50
    assert next(source) == len(drawn) - 1
