"""The circuit breaker of a perpetual: what makes a market guarded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.money import PPM


class Trip(StrEnum):
    """What tripped the breaker."""

    MARK_MOVED = "the mark moved too far in a short time"
    TOO_FEW_SOURCES = "the index has too few sources"
    SIDE_EMPTY = "one side of the book has been empty for too long"


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """How far a mark may move in a window, how many sources count, how long a side is empty."""

    max_move_ppm: int = 100_000
    window_us: int = 60_000_000
    min_sources: int = 3
    max_empty_us: int = 10_000_000


@dataclass(frozen=True, slots=True)
class MarkSample:
    """A mark and when it was adopted."""

    time_us: int
    mark_ticks: int


def moved_too_far(marks: Sequence[MarkSample], now_us: int, rules: BreakerRules) -> bool:
    """Return whether the newest mark is more than `max_move_ppm` from any other of the window.

    `marks` are oldest first. |newest - other| x 10**6 > max move x other; exact, at the limit it
    has not moved too far. An engine compares with the window's lowest and highest only: they are
    the extremes of the quotient as well.
    """
    inside = [one.mark_ticks for one in marks if now_us - one.time_us <= rules.window_us]
    if not inside:
        return False
    newest = inside[-1]
    return any(
        abs(newest - other) * PPM > rules.max_move_ppm * other
        for other in (min(inside), max(inside))
    )


def trip(
    marks: Sequence[MarkSample],
    now_us: int,
    *,
    sources: int,
    empty_since_us: int | None,
    rules: BreakerRules,
) -> Trip | None:
    """Return what trips the breaker now, or None; checked in the order of `Trip`.

    `sources` is how many the index counted, `empty_since_us` since when a side has been empty.
    """
    if moved_too_far(marks, now_us, rules):
        return Trip.MARK_MOVED
    if sources < rules.min_sources:
        return Trip.TOO_FEW_SOURCES
    if empty_since_us is not None and now_us - empty_since_us >= rules.max_empty_us:
        return Trip.SIDE_EMPTY
    return None
