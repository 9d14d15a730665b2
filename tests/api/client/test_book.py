"""The book of the stream's client: the published rules, and every way to be out of step."""

from __future__ import annotations

import random

import pytest

from api.client.book import Book
from api.websocket.hub import FeedMessage
from domain.market_data import checksum

Lines = list[tuple[str, str]]


def message(
    kind: str, seq: int, bids: Lines, asks: Lines, *, after: int = 0, right: bool = True
) -> FeedMessage:
    """Return a message whose checksum is that of these levels, or a wrong one."""
    told = checksum(bids, asks) + (0 if right else 1)
    return FeedMessage("book", "E", kind, seq, after, bids, asks, told)


@pytest.fixture
def book() -> Book:
    """Give a book at 40 with a level on each side."""
    made = Book("E")
    assert not made.is_live
    assert made.take(message("snapshot", 40, [("99", "1")], [("101", "2")]))
    assert made.is_live
    return made


def test_a_delta_is_applied_once(book: Book) -> None:
    """The next one counts, an older one is ignored, quantity 0 removes."""
    delta = FeedMessage("book", "E", "delta", 43, 40, [("100", "3")], [("101", "0")], 0)
    delta.checksum = checksum([("100", "3"), ("99", "1")], [])
    assert book.take(delta)
    assert (book.bids(), book.asks()) == ([("100", "3"), ("99", "1")], [])
    assert book.take(message("delta", 42, [("100", "9")], [], after=40))
    assert book.bids(1) == [("100", "3")]
    assert book.sequence == 43


def test_a_gap_is_noticed_and_the_next_snapshot_heals_it(book: Book) -> None:
    """Nothing is applied in between; asking once is enough."""
    assert not book.take(message("delta", 47, [("98", "1")], [], after=45))
    assert not book.is_live
    assert (book.gap_count, book.mismatch_count) == (1, 0)
    assert book.take(message("delta", 48, [("98", "1")], [], after=47))
    assert (book.sequence, book.is_live) == (40, False)
    assert book.take(message("snapshot", 48, [("98", "1")], []))
    assert (book.sequence, book.is_live, book.asks()) == (48, True, [])


def test_a_wrong_checksum_is_noticed(book: Book) -> None:
    """A book that differs from the exchange's is not live."""
    assert not book.take(message("delta", 41, [("98", "1")], [], after=40, right=False))
    assert not book.is_live
    assert (book.gap_count, book.mismatch_count) == (0, 1)


def test_a_lost_connection_is_not_live(book: Book) -> None:
    """Until a snapshot comes, whatever comes."""
    book.lose()
    assert book.take(message("delta", 41, [("98", "1")], [], after=40))
    assert (book.is_live, book.sequence) == (False, 40)


def test_the_best_levels_are_by_value_not_by_text() -> None:
    """9.5 is below 10: prices are numbers; only ten of them are in the checksum."""
    chance = random.Random(1)
    prices = chance.sample(range(1, 2_000), 60)
    bids = sorted(((f"{one / 10:g}", "1") for one in prices), key=lambda it: -float(it[0]))
    book = Book("E")
    assert book.take(message("snapshot", 1, chance.sample(bids, len(bids)), [])) is False
    told = message("snapshot", 1, bids, [])
    told.bids = chance.sample(bids, len(bids))
    assert book.take(told)
    assert book.bids() == bids
