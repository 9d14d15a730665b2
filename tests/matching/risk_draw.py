"""Scopes drawn along the bounds of `domain.risk_bounds`, and as the numbers the core reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple

from hypothesis import strategies as st

from domain.brackets import Bracket, Brackets, bracket_fault
from domain.margin import Exposure, Scope
from domain.money import PPM
from domain.order import Side
from domain.position import Position
from domain.risk_bounds import (
    MAX_CASH_UNITS,
    MAX_POSITIONS_PER_SCOPE,
    MAX_PRICE_TICKS,
    MAX_RATE_PPM,
    MAX_VALUE_UNITS,
)
from matching.core_engine import load_core


def core(name: str, *numbers: int) -> list[int]:
    """Return what a formula of the core makes of the numbers."""
    module = load_core()
    assert module is not None
    return list(module.risk_formula(name, [int(number) for number in numbers]))


def table_numbers(brackets: Brackets) -> list[int]:
    """Return the cap, then rows."""
    rows = [number for row in brackets.rows for number in astuple(row)]
    return [brackets.cap_units, len(brackets.rows), *rows]


def exposure_numbers(one: Exposure) -> list[int]:
    """Return symbol, position, mark, factor, brackets."""
    numbers = [one.symbol_id, *astuple(one.position), one.mark_ticks, one.units_per_tick_lot]
    return [*numbers, *table_numbers(one.brackets)]


def scope_numbers(scope: Scope) -> list[int]:
    """Return the cash, then exposures."""
    exposures = [number for one in scope.exposures for number in exposure_numbers(one)]
    return [scope.cash_units, len(scope.exposures), *exposures]


def maybe(found: int | None) -> list[int]:
    """Return a number, or none."""
    return [] if found is None else [found]


def row_numbers(rows: Iterable[Sequence[int]]) -> list[int]:
    """Return how many rows there are, then them."""
    listed = list(rows)
    return [len(listed), *(number for row in listed for number in row)]


# ---- what may be ------------------------------------------------------------------------------


def near(limit: int, lowest: int = 1) -> st.SearchStrategy[int]:
    """Return numbers of every size up to a limit, its edges often."""
    small = st.integers(lowest, max(lowest, min(limit, 1_000)))
    edges = st.sampled_from((lowest, max(lowest, limit - 1), limit))
    return small | edges | st.integers(lowest, limit)


def signed(limit: int) -> st.SearchStrategy[int]:
    """Return the same of both signs, and 0."""
    return st.tuples(st.sampled_from((1, -1)), near(limit, 0)).map(lambda pair: pair[0] * pair[1])


@st.composite
def tables(draw: st.DrawFn) -> Brackets:
    """Return sound brackets: rising floors and rates, exact amounts."""
    count = draw(st.integers(1, 5))
    rates = sorted(draw(st.sets(near(PPM - 1), min_size=count, max_size=count)))
    floors = sorted(draw(st.sets(near(MAX_VALUE_UNITS // PPM - 1), min_size=count, max_size=count)))
    rows = [Bracket(0, rates[0], PPM, 0)]
    for floor, mmr in zip(floors[1:], rates[1:], strict=True):
        amount = floor * (mmr - rows[-1].mmr_ppm) + rows[-1].amount_units
        rows.append(Bracket(floor * PPM, mmr, PPM, amount))
    rows[0] = Bracket(0, rates[0], draw(st.integers(rates[0] + 1, PPM)), 0)
    found = Brackets(tuple(rows), MAX_VALUE_UNITS)
    assert bracket_fault(found) is None
    return found


@st.composite
def exposures(draw: st.DrawFn, symbol_id: int) -> Exposure:
    """Return a position whose value at its mark is within the bound."""
    factor = draw(near(MAX_VALUE_UNITS // MAX_PRICE_TICKS))
    mark = draw(near(MAX_PRICE_TICKS))
    lots = draw(near(MAX_VALUE_UNITS // (factor * mark)))
    sign = draw(st.sampled_from((1, -1)))
    position = Position(sign * lots, sign * draw(near(MAX_VALUE_UNITS)))
    return Exposure(symbol_id, position, mark, factor, draw(tables()))


@st.composite
def scopes(draw: st.DrawFn) -> Scope:
    """Return a scope with one to as many positions as there may be."""
    kinds = [draw(exposures(number)) for number in range(1, draw(st.integers(1, 4)) + 1)]
    many = draw(st.sampled_from((False, False, True)))
    more = range(len(kinds) + 1, MAX_POSITIONS_PER_SCOPE + 1) if many else range(0)
    last = kinds[-1]
    kinds += [
        Exposure(n, last.position, last.mark_ticks, last.units_per_tick_lot, last.brackets)
        for n in more
    ]
    return Scope(draw(signed(MAX_CASH_UNITS)), tuple(kinds))


sides = st.sampled_from(Side)
rates = near(MAX_RATE_PPM, 0)
cash = near(MAX_CASH_UNITS, 0)
