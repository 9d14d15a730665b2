"""Random brackets, positions and scopes for the properties of the risk formulas."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import strategies as st

from domain.brackets import Brackets, bracket_table
from domain.margin import Exposure, Scope
from domain.money import PPM
from domain.position import Position

CAP_UNITS = 1 << 55


@st.composite
def brackets(draw: st.DrawFn, most: int = 6) -> Brackets:
    """Return a lawful table: floors in whole millions of units, so that amounts are whole."""
    count = draw(st.integers(1, most))
    floors = [0, *accumulate(draw(st.integers(1, 10**6)) * PPM for _ in range(count - 1))]
    rates = draw(
        st.lists(st.integers(1, PPM - 1), min_size=count, max_size=count, unique=True).map(sorted)
    )
    rows, imr = [], 0
    for floor, mmr in zip(floors, rates, strict=True):
        imr = draw(st.integers(max(imr, mmr + 1), PPM))
        rows.append((floor, mmr, imr))
    return bracket_table(rows, CAP_UNITS)


@st.composite
def exposures(draw: st.DrawFn, symbol_id: int = 1) -> Exposure:
    """Return a long or a short that was opened near its mark, or far from it."""
    lots = draw(st.integers(1, 10**5)) * draw(st.sampled_from((1, -1)))
    factor = draw(st.sampled_from((1, 10, 1_000)))
    entry, mark = draw(st.integers(1, 10**5)), draw(st.integers(1, 10**5))
    cost = lots * entry * factor
    return Exposure(symbol_id, Position(lots, cost), mark, factor, draw(brackets()))


@st.composite
def scopes(draw: st.DrawFn, most: int = 4) -> Scope:
    """Return a scope whose equity is near its maintenance margin, above or below."""
    count = draw(st.integers(1, most))
    held = tuple(draw(exposures(symbol_id)) for symbol_id in range(1, count + 1))
    bare = Scope(0, held)
    reach = 2 * bare.maintenance_units
    return Scope(draw(st.integers(-reach, reach)) - bare.equity_units, held)
