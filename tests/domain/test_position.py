"""Positions: exact cost, no drift over partial closes, and books that add up over both sides."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from domain.position import FLAT, Position, PositionChange, after_fill

FACTOR = 10
PRICES = st.integers(1, 10**6)
LOTS = st.integers(1, 10**4)
SIGNS = st.sampled_from((1, -1))


def _fill(position: Position, lots: int, price: int) -> PositionChange:
    return after_fill(position, lots, lots * price * FACTOR)


def _cut(data: st.DataObject, lots: int) -> list[int]:
    """Return up to nine pieces of some lots."""
    cuts = sorted(data.draw(st.sets(st.integers(1, lots), max_size=8)) | {0, lots})
    return [high - low for low, high in pairwise(cuts)]


def test_open_increase_close_and_flip() -> None:
    """By hand: 3 for 30, 1 more for 20, 2 sold for 30, 5 sold at 10 turn 2 long into 3 short."""
    grown = after_fill(after_fill(FLAT, 3, 30).position, 1, 20)
    assert grown == PositionChange(Position(4, 50), 0, 0)
    part = after_fill(grown.position, -2, -30)
    assert part == PositionChange(Position(2, 25), 5, 2)
    assert after_fill(part.position, -5, -50) == PositionChange(Position(-3, -30), -5, 2)
    assert after_fill(Position(-3, -30), 3, 24) == PositionChange(FLAT, 6, 3)


def test_a_partial_close_truncates_toward_zero() -> None:
    """10 for 3 lots: one third is 3, for a short as for a long; the last lot takes the rest."""
    for sign in (1, -1):
        first = after_fill(Position(3 * sign, 10 * sign), -sign, 0)
        second = after_fill(first.position, -sign, 0)
        last = after_fill(second.position, -sign, 0)
        removed = [-sign * change.realised_units for change in (first, second, last)]
        assert (removed, last.position) == ([3, 3, 4], FLAT)


@given(st.data(), SIGNS, LOTS, PRICES, PRICES)
def test_any_split_of_a_whole_close_earns_the_same(
    data: st.DataObject, sign: int, lots: int, entry: int, out: int
) -> None:
    """Closed in one piece or in many at the same price: the profit is proceeds less cost."""
    position, earned = _fill(FLAT, sign * lots, entry).position, 0
    for part in _cut(data, lots):
        change = _fill(position, -sign * part, out)
        position, earned = change.position, earned + change.realised_units
    assert (position, earned) == (FLAT, sign * lots * (out - entry) * FACTOR)


@given(st.data(), SIGNS, LOTS, st.integers(1, 10**12), PRICES)
def test_a_split_of_a_partial_close_moves_no_value(
    data: st.DataObject, sign: int, lots: int, cost: int, out: int
) -> None:
    """Profit and remaining basis together are the same; the profit by less than a unit a piece."""
    closing = data.draw(st.integers(1, lots))
    start = Position(sign * lots, sign * cost)
    whole = _fill(start, -sign * closing, out)
    position, earned = start, 0
    parts = _cut(data, closing)
    for part in parts:
        change = _fill(position, -sign * part, out)
        position, earned = change.position, earned + change.realised_units
    assert position.lots == whole.position.lots
    assert earned - position.cost_units == whole.realised_units - whole.position.cost_units
    assert abs(earned - whole.realised_units) < len(parts) + 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), LOTS, PRICES), max_size=40))
def test_positions_and_costs_of_a_market_add_up(trades: list[tuple[int, int, int, int]]) -> None:
    """Over all accounts lots sum to 0, costs to what was realised, and equity to nothing."""
    books, realised = [FLAT] * 4, [0] * 4
    for buyer, seller, lots, price in trades:
        for account, signed in ((buyer, lots), (seller, -lots)):
            change = _fill(books[account], signed, price)
            books[account] = change.position
            realised[account] += change.realised_units
    assert sum(book.lots for book in books) == 0
    assert sum(book.cost_units for book in books) == sum(realised)
    for mark in (1, 777):
        unrealised = sum(book.lots * mark * FACTOR - book.cost_units for book in books)
        assert sum(realised) + unrealised == 0
    assert all(book.cost_units == 0 for book in books if book.lots == 0)


@given(SIGNS, LOTS, st.integers(1, 10**9), LOTS, st.integers(1, 10**9))
def test_a_flip_by_quote_loses_nothing(
    sign: int, lots: int, cost: int, beyond: int, quote: int
) -> None:
    """A fill without a price of its own is cut in two; the two parts are the whole."""
    start = Position(sign * lots, sign * cost)
    change = after_fill(start, -sign * (lots + beyond), -sign * quote)
    assert change.position.lots == -sign * beyond
    assert change.closed_lots == lots
    assert change.position.cost_units == start.cost_units - sign * quote + change.realised_units
