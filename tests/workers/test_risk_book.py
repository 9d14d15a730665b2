"""The scan of all scopes as arrays equals the exact formulas, one scope after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.brackets import Brackets, bracket_table
from domain.margin import Exposure, Scope, is_liquidatable
from domain.margin_call import is_call_over, is_called
from domain.position import Position
from domain.risk_bounds import MAX_CASH_UNITS, MAX_VALUE_UNITS
from domain.risk_picture import ScopeKey
from tests.examples import examples
from workers.risk_book import RiskBook

ONE = bracket_table([(0, 5_000, 10_000)], 1 << 50)
THREE = bracket_table(
    [(0, 4_000, 8_000), (50_000_000_000, 5_000, 10_000), (250_000_000_000, 10_000, 20_000)], 10**12
)
MARKETS: dict[int, tuple[int, Brackets]] = {1: (100, THREE), 2: (7, ONE), 3: (1, THREE)}


@dataclass
class PlainBook:
    """The same book as plain Python: scopes are `domain.margin.Scope`s, judged one by one."""

    cash: dict[ScopeKey, int] = field(default_factory=dict)
    positions: dict[ScopeKey, dict[int, Position]] = field(default_factory=dict)
    frozen: set[ScopeKey] = field(default_factory=set)
    called: set[ScopeKey] = field(default_factory=set)

    def scope(self, key: ScopeKey, marks: Mapping[int, int]) -> Scope | None:
        held = self.positions.get(key, {})
        if any(symbol_id not in marks for symbol_id in held):
            return None
        return Scope(
            self.cash.get(key, 0),
            tuple(
                Exposure(symbol_id, position, marks[symbol_id], *MARKETS[symbol_id])
                for symbol_id, position in held.items()
            ),
        )

    def scan(self, marks: Mapping[int, int]) -> tuple[list[ScopeKey], list[ScopeKey], int, int]:
        breached, called, unjudged, ruined = [], [], 0, 0
        for key in self.cash.keys() | self.positions.keys():
            scope = self.scope(key, marks)
            if scope is None:
                unjudged += 1
                continue
            equity, margin = scope.equity_units, scope.maintenance_units
            ruined += margin > 0 and equity < 0
            rank = (float(equity) / float(margin) if margin else 0, -margin, key)
            if is_liquidatable(scope):
                breached.append(rank)
            elif is_called(equity, margin) and key not in self.called:
                called.append(rank)
            if is_called(equity, margin):
                self.called.add(key)
            elif is_call_over(equity, margin):
                self.called.discard(key)
        shown = [
            [key for *_, key in sorted(found) if key not in self.frozen]
            for found in (breached, called)
        ]
        return shown[0], shown[1], unjudged, ruined


@dataclass
class Pair:
    """Both books, told the same."""

    arrays: RiskBook = field(default_factory=RiskBook)
    plain: PlainBook = field(default_factory=PlainBook)

    def __post_init__(self) -> None:
        for symbol_id, terms in MARKETS.items():
            self.arrays.set_market(symbol_id, *terms)

    def cash(self, key: ScopeKey, units: int) -> None:
        self.arrays.set_cash(key, units)
        self.plain.cash[key] = units

    def position(self, key: ScopeKey, symbol_id: int, position: Position) -> None:
        self.arrays.set_position(key, symbol_id, position)
        held = self.plain.positions.setdefault(key, {})
        if position.lots:
            held[symbol_id] = position
        else:
            held.pop(symbol_id, None)

    def check(self, marks: Mapping[int, int]) -> None:
        found = self.arrays.scan(marks)
        breached, called, unjudged, ruined = self.plain.scan(marks)
        assert [need.scope for need in found.breached] == breached
        assert [need.scope for need in found.called] == called
        assert (found.unjudged, found.ruined) == (unjudged, ruined)
        for need in (*found.breached, *found.called):
            scope = self.plain.scope(need.scope, marks)
            assert scope is not None
            assert need.equity_units == scope.equity_units
            assert need.maintenance_units == scope.maintenance_units


KEYS = st.builds(ScopeKey, st.integers(1, 12), st.sampled_from([0, 0, 0, 1]))
LOTS = st.one_of(st.integers(-30, 30), st.integers(-(10**6), 10**6))
STEPS = st.one_of(
    st.tuples(st.just("cash"), KEYS, st.integers(-(10**12), 10**12)),
    st.tuples(st.just("position"), KEYS, st.sampled_from([1, 2, 3]), LOTS, st.integers(1, 10**5)),
    st.tuples(st.just("freeze"), KEYS, st.booleans()),
    st.tuples(st.just("edge"), KEYS, st.integers(-1, 1)),
    st.tuples(st.just("scan"), st.integers(0, 10)),
)


@settings(max_examples=examples(150))
@given(
    st.lists(STEPS, min_size=3, max_size=60),
    st.fixed_dictionaries({}, optional={n: st.integers(1, 10**6) for n in MARKETS}),
)
def test_it_equals_the_plain_scan(steps: list[tuple[object, ...]], marks: dict[int, int]) -> None:
    """Any book, any changes, any marks; also scopes exactly at their margin and one unit off."""
    pair = Pair()
    for step in (*steps, ("scan", 0)):
        match step:
            case ("cash", ScopeKey() as key, int() as units):
                pair.cash(key, units)
            case ("position", ScopeKey() as key, int() as symbol_id, int() as lots, int() as price):
                cost = lots * price * MARKETS[symbol_id][0]
                pair.position(key, symbol_id, Position(lots, cost))
            case ("freeze", ScopeKey() as key, bool() as is_frozen):
                pair.cash(key, pair.plain.cash.get(key, 0))
                pair.arrays.set_frozen(key, is_frozen)
                (pair.plain.frozen.add if is_frozen else pair.plain.frozen.discard)(key)
            case ("edge", ScopeKey() as key, int() as off):
                scope = pair.plain.scope(key, marks)
                if scope is not None:
                    short = scope.maintenance_units - scope.equity_units
                    pair.cash(key, scope.cash_units + short + off)
            case ("scan", int() as moved):
                pair.check({n: mark + moved for n, mark in marks.items()})


@pytest.mark.parametrize("off", [-1, 0, 1])
@pytest.mark.parametrize("floor", [row.floor_units for row in THREE.rows[1:]])
def test_bracket_floors(floor: int, off: int) -> None:
    """At a floor, a lot below and above, of both sides, exactly at the margin and beside it."""
    pair = Pair()
    lots = floor // 100 + off  # market 1: a mark of 1 tick makes a lot 100 units
    for number, (side, edge) in enumerate([(s, e) for s in (1, -1) for e in (-1, 0, 1)], 1):
        key = ScopeKey(number)
        pair.position(key, 1, Position(side * lots, side * lots * 100))
        scope = pair.plain.scope(key, {1: 1})
        assert scope is not None
        pair.cash(key, scope.maintenance_units + edge)
    pair.check({1: 1})
    assert [need.scope.account_id for need in pair.arrays.scan({1: 1}).breached] == [1, 4]


def test_at_the_bounds_of_the_engine() -> None:
    """Thirty-two positions of the largest value and cash of the largest amount: still exact."""
    book = RiskBook()
    rates = bracket_table([(0, 999_999, 1_000_000)], MAX_VALUE_UNITS)
    key, lots = ScopeKey(1), 1 << 16
    for symbol_id in range(1, 33):
        book.set_market(symbol_id, 1 << 20, rates)
        book.set_position(key, symbol_id, Position(-lots, MAX_VALUE_UNITS))
    book.set_cash(key, -MAX_CASH_UNITS)
    (need,) = book.scan(dict.fromkeys(range(1, 33), 1 << 20)).breached
    assert need.equity_units == -MAX_CASH_UNITS - 64 * MAX_VALUE_UNITS
    assert need.maintenance_units == 32 * -(-MAX_VALUE_UNITS * 999_999 // 10**6)
    with pytest.raises(ValueError, match="beyond what the engine counts"):
        book.set_cash(key, MAX_CASH_UNITS + 1)


def test_a_market_without_a_lawful_mark_is_not_judged() -> None:
    """No mark, or one beyond the bound: who holds the market is left alone, and counted."""
    pair = Pair()
    for number, symbol_id in ((1, 1), (2, 2)):
        pair.position(ScopeKey(number), symbol_id, Position(10, 10**9))
    found = pair.arrays.scan({2: 5})
    assert [need.scope.account_id for need in found.breached] == [2]
    assert found.unjudged == 1
    assert pair.arrays.scan({1: 1 << 50, 2: 5}).unjudged == 1


def test_calls_are_told_once() -> None:
    """Again only after the scope was safe at 1.5 times its margin; a breach is no call."""
    pair, key = Pair(), ScopeKey(1)
    pair.position(key, 2, Position(1_000_000, 70_000_000))  # at 10: 70 USDT, a margin of 0.35
    told = []
    for cash in (500_000, 437_500, 437_499, 400_000, 500_000, 400_000, 525_000, 400_000, 349_999):
        pair.cash(key, cash)
        found = pair.arrays.scan({2: 10})
        told.append((len(found.called), len(found.breached)))
    assert told == [(0, 0), (0, 0), (1, 0), (0, 0), (0, 0), (0, 0), (0, 0), (1, 0), (0, 1)]


def test_room_grows_and_places_are_reused() -> None:
    """More scopes and positions than there was room for; closing one moves the last."""
    pair = Pair()
    for number in range(1, 2_501):
        pair.position(ScopeKey(number), 1, Position(number, number))
        pair.cash(ScopeKey(number), number)
    for number in range(1, 2_501, 2):
        pair.position(ScopeKey(number), 1, Position())
    assert (pair.arrays.scopes, pair.arrays.positions) == (2_500, 1_250)
    assert pair.arrays.position(ScopeKey(2_500), 1) == Position(2_500, 2_500)
    assert pair.arrays.position(ScopeKey(2_499), 1) == Position()
    assert pair.arrays.cash_units(ScopeKey(2_499)) == 2_499
    pair.check({1: 3})


def test_a_book_grows_whatever_is_told_first() -> None:
    """The scope that needs more room may come with its cash, its freeze or its call."""
    books = [RiskBook() for _ in range(3)]
    for account_id in range(1, 3_000):
        key = ScopeKey(account_id)
        books[0].set_cash(key, 7)
        books[1].set_frozen(key, True)
        books[2].set_called([key])
    assert [book.scopes for book in books] == [2_999] * 3
