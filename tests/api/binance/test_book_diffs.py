"""Depth updates: whoever follows the dialect's rules has our book at each of its numbers."""

from __future__ import annotations

import random
from typing import Any

from api.binance.best_prices import BestPrices
from api.binance.book_diffs import BookDiff, BookDiffs

Book = tuple[dict[str, str], dict[str, str]]


class Source:
    """A book that changes at random; remembers what it was at each sequence."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.sequence = 100
        self.book: Book = ({}, {})
        self.past: dict[int, Book] = {}
        self._remember()

    def change(self) -> tuple[int, list[tuple[str, str]], list[tuple[str, str]]]:
        """Change some levels; return (sequence, bids, asks) as the native feed tells it."""
        self.sequence += self.random.randint(1, 4)
        told = []
        for side, base in zip(self.book, (90, 110), strict=True):
            changes = {}
            for _ in range(self.random.randint(0, 3)):
                price = str(base + self.random.randint(0, 5))
                changes[price] = self.random.choice(["0", "1", "2.5"])
            for price, quantity in changes.items():
                if quantity == "0":
                    side.pop(price, None)
                else:
                    side[price] = quantity
            told.append(list(changes.items()))
        self._remember()
        return self.sequence, told[0], told[1]

    def _remember(self) -> None:
        self.past[self.sequence] = (dict(self.book[0]), dict(self.book[1]))

    def whole(self) -> tuple[int, Any, Any]:
        """Return (sequence, bids, asks) of the whole book."""
        return self.sequence, list(self.book[0].items()), list(self.book[1].items())


def events_of(source: Source, steps: int) -> tuple[list[BookDiff], set[int]]:
    """Return what a stream tells of a changing book, and the numbers that its feed has lost."""
    diffs = BookDiffs()
    diffs.start(*source.whole())
    found = []
    lost: set[int] = set()
    is_lost = False
    for _ in range(steps):
        change = source.change()
        is_lost = is_lost or source.random.random() < 0.1
        if not is_lost:
            diffs.change(*change)
        elif source.random.random() < 0.5:
            diffs.start(*source.whole())  # the feed has healed
            is_lost = False
        else:
            lost.add(change[0])
        if source.random.random() < 0.4:
            diff = diffs.take()
            if diff is not None:
                found.append(diff)
    return found, lost


def applied(book: Book, event: BookDiff) -> Book:
    """Return a book after an event, as a client applies it."""
    sides = (dict(book[0]), dict(book[1]))
    for side, changes in zip(sides, (event.bids, event.asks), strict=True):
        for price, quantity in changes:
            side[price] = quantity
            if quantity == "0":
                del side[price]
    return sides


def test_a_client_has_our_book_at_each_number_or_sees_a_gap() -> None:
    """From any REST book that this gateway gives, by the rules of spot and of futures."""
    gaps = 0
    for seed in range(20):
        source = Source(seed)
        events, lost = events_of(source, 60)
        for start in source.past.keys() - lost:
            book, nonce = source.past[start], start
            for event in [one for one in events if one.last_id > start]:
                if event.before_id > nonce:
                    gaps += 1
                    book = source.past[event.last_id]  # REST again
                else:
                    book = applied(book, event)
                nonce = event.last_id
                assert book == source.past[nonce]
    assert gaps > 0


def test_without_losses_events_tile_the_numbers() -> None:
    """Each begins after the last of the one before; exactly one holds the number after a book's."""
    source, diffs = Source(3), BookDiffs()
    diffs.start(*source.whole())
    last = source.sequence
    for step in range(60):
        diffs.change(*source.change())
        if step % 3 == 0:
            diff = diffs.take()
            assert diff is not None
            assert (diff.before_id, diff.last_id) == (last, source.sequence)
            last = diff.last_id


def test_nothing_is_told_before_a_whole_book_and_nothing_twice() -> None:
    """A change without a beginning is no book; an old one changes nothing."""
    diffs = BookDiffs()
    diffs.change(5, [("1", "1")], [])
    assert diffs.take() is None
    diffs.start(7, [("1", "1")], [])
    assert diffs.take() is None
    diffs.change(7, [("1", "9")], [])
    diffs.start(6, [], [])
    assert diffs.take() is None
    diffs.change(9, [("1", "2")], [("3", "1")])
    assert diffs.take() == BookDiff(7, 9, [("1", "2")], [("3", "1")])
    assert diffs.take() is None


def test_the_best_prices_are_those_of_the_sorted_book() -> None:
    """Kept from changes alone, whatever levels come and go."""
    for seed in range(20):
        source, best = Source(seed), BestPrices()
        best.start(*source.whole()[1:])
        for _ in range(60):
            _, bids, asks = source.change()
            before = best.book()
            differs = best.change(bids, asks, *source.book)
            wanted = tuple(
                [(price, side[price])] if side else []
                for side, choose in zip(source.book, (max, min), strict=True)
                for price in [choose(side, default="")]
            )
            assert best.book() == wanted
            assert differs == (before != best.book())
