"""From the native book messages to the dialect's depth updates; pure.

The native feed numbers books by the engine's sequence, which jumps from change to change. Events of
the dialect tile those numbers: each begins (`U`) one after the last (`u`) of the event before, so
exactly one event contains the number after a REST book's `lastUpdateId`. Where the feed itself has
lost something it starts again with a whole book; what differs from the book before is told at once
with that book's number alone, so that every client sees the gap and asks REST again: levels that
came and went in between are not known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Level = tuple[str, str]  # (price, quantity) in decimal text; quantity "0" removes the level


@dataclass(frozen=True, slots=True)
class BookDiff:
    """The levels that changed after update `before_id`, up to and with `last_id`."""

    before_id: int
    last_id: int
    bids: list[Level]
    asks: list[Level]


class BookDiffs:
    """One market's book as a stream has told it, and what it has not told yet."""

    def __init__(self) -> None:
        self._bids: dict[str, str] = {}
        self._asks: dict[str, str] = {}
        self._changed_bids: set[str] = set()
        self._changed_asks: set[str] = set()
        self._told_id = -1  # nothing was told: the first whole book is where it begins
        self._last_id = -1

    def start(self, sequence: int, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Take a whole book; one that is not newer than what is known is left alone."""
        if sequence <= self._last_id:
            return
        self._changed_bids |= _replace(self._bids, dict(bids))
        self._changed_asks |= _replace(self._asks, dict(asks))
        if self._told_id < 0:
            self._told_id = sequence
            self._changed_bids.clear()
            self._changed_asks.clear()
        else:
            self._told_id = sequence - 1
        self._last_id = sequence

    def change(self, sequence: int, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        """Take a delta, which the feed has checked to follow what was before."""
        if self._told_id < 0 or sequence <= self._last_id:
            return
        for side, changed, levels in (
            (self._bids, self._changed_bids, bids),
            (self._asks, self._changed_asks, asks),
        ):
            for price, quantity in levels:
                changed.add(price)
                if quantity == "0":
                    side.pop(price, None)
                else:
                    side[price] = quantity
        self._last_id = sequence

    def take(self) -> BookDiff | None:
        """Return what has changed since the last call, or None."""
        if self._last_id == self._told_id:
            return None
        diff = BookDiff(
            before_id=self._told_id,
            last_id=self._last_id,
            bids=[(price, self._bids.get(price, "0")) for price in self._changed_bids],
            asks=[(price, self._asks.get(price, "0")) for price in self._changed_asks],
        )
        self._told_id = self._last_id
        self._changed_bids.clear()
        self._changed_asks.clear()
        return diff


def _replace(levels: dict[str, str], new: dict[str, str]) -> set[str]:
    """Make `levels` the new ones; return the prices whose quantity differs."""
    changed = {price for price in levels.keys() | new.keys() if levels.get(price) != new.get(price)}
    levels.clear()
    levels.update(new)
    return changed
