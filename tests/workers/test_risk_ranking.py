"""The bounds of the ranking over arrays: nobody who comes first is ever left out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from domain.auto_deleveraging import Ranked, adl_lights, rank, score_in
from domain.brackets import bracket_table
from domain.margin import Exposure, Scope
from domain.position import Position
from domain.risk_picture import ScopeKey
from tests.examples import examples
from workers.risk_book import RiskBook

TABLE = bracket_table([(0, 4_000, 8_000), (50_000_000_000, 5_000, 10_000)], 10**12)
UNITS = {1: 100, 2: 7}
MARKS = {1: 40_000, 2: 900}


@dataclass(frozen=True)
class Holder:
    """An account: its cash, and lots and entry price in each market."""

    cash: int
    lots: dict[int, int]
    entry: dict[int, int]

    def scope(self) -> Scope:
        exposures = tuple(
            Exposure(name, self.position(name), MARKS[name], UNITS[name], TABLE)
            for name, lots in self.lots.items()
            if lots
        )
        return Scope(self.cash, exposures)

    def position(self, name: int) -> Position:
        return Position(self.lots[name], self.lots[name] * self.entry[name] * UNITS[name])


def _entries(name: int) -> st.SearchStrategy[int]:
    mark = MARKS[name]
    return st.one_of(st.integers(mark // 2, mark * 2), st.integers(mark - 3, mark + 3))


HOLDERS = st.builds(
    Holder,
    st.one_of(st.integers(-(10**9), 10**12), st.integers(-5, 5)),
    st.fixed_dictionaries({1: st.integers(-(10**6), 10**6), 2: st.integers(-50, 50)}),
    st.fixed_dictionaries({1: _entries(1), 2: _entries(2)}),
)


def _book(holders: list[Holder]) -> RiskBook:
    book = RiskBook()
    for name, units in UNITS.items():
        book.set_market(name, units, TABLE)
    for number, holder in enumerate(holders, 1):
        book.set_cash(ScopeKey(number), holder.cash)
        for name in UNITS:
            book.set_position(ScopeKey(number), name, holder.position(name))
    return book


def _ranked(holders: list[Holder], *, longs: bool) -> list[Ranked]:
    """Return the exact ranking of one side of market 1."""
    found = []
    for number, holder in enumerate(holders, 1):
        scope = holder.scope()
        exposure, score = scope.of(1), score_in(scope, 1) if scope.of(1) else None
        if exposure is None or score is None or (exposure.position.lots > 0) != longs:
            continue
        size = abs(exposure.position.lots)
        found.append(Ranked(number, size, exposure.notional_units, score))
    return rank(found)


@settings(max_examples=examples(300))
@given(st.lists(HOLDERS, max_size=40), st.integers(1, 8), st.booleans())
def test_the_first_are_among_those_who_are_looked_at(
    holders: list[Holder], most: int, longs: bool
) -> None:
    """Against a long, shorts: whoever the exact ranking puts first is named, whatever the cash."""
    exact = _ranked(holders, longs=longs)
    accounts, is_all = _book(holders).counterparties(1, -1 if longs else 1, most, MARKS)
    assert {one.account_id for one in exact[:most]} <= set(accounts)
    if is_all:
        assert {one.account_id for one in exact} <= set(accounts)


def test_of_many_few_are_looked_at() -> None:
    """Ten thousand with scores apart: no more than are wanted, and one or two beside."""
    holders = [Holder(10**9 + number * 10**5, {1: -100, 2: 0}, {1: 41_000 + number, 2: 900})
               for number in range(10_000)]  # fmt: skip
    accounts, is_all = _book(holders).counterparties(1, 5, 200, MARKS)
    assert not is_all
    assert 200 <= len(accounts) <= 210


@settings(max_examples=examples(100))
@given(st.lists(HOLDERS, min_size=1, max_size=4), st.integers(1, 5), st.booleans())
def test_of_those_who_are_alike_the_first_are_looked_at(
    kinds: list[Holder], most: int, longs: bool
) -> None:
    """Every kind many times over: nobody who comes first is left out, most of the others are."""
    holders = kinds * 20
    exact = _ranked(holders, longs=longs)
    accounts, is_all = _book(holders).counterparties(1, -1 if longs else 1, most, MARKS)
    assert {one.account_id for one in exact[:most]} <= set(accounts)
    if len(exact) > most:
        assert len(accounts) <= most * len(kinds)
        assert not is_all


def test_without_a_mark_everybody_is_looked_at() -> None:
    """Nothing can be said of them, so nobody is left out."""
    holders = [Holder(10**9, {1: -100, 2: 3}, {1: 41_000, 2: 900}) for _ in range(20)]
    accounts, is_all = _book(holders).counterparties(1, 5, 3, {1: MARKS[1]})
    assert (len(accounts), is_all) == (20, True)


@settings(max_examples=examples(200))
@given(st.lists(HOLDERS, max_size=30))
def test_lights_are_the_exact_rankings(holders: list[Holder]) -> None:
    """Of everybody who can be closed, where no two scores are as good as equal."""
    accounts, lights = _book(holders).lights(1, MARKS)
    found = dict(zip(accounts.tolist(), lights.tolist(), strict=True))
    sides = [_ranked(holders, longs=longs) for longs in (True, False)]
    exact = {one.account_id: one.lights for side in sides for one in adl_lights(side)}
    assert found.keys() == exact.keys()
    gaps = [
        first.score_ppm - second.score_ppm - abs(first.score_ppm) // 10**9
        for side in sides
        for first, second in pairwise(side)
    ]
    assume(all(gap > 3 for gap in gaps))
    assert found == exact
