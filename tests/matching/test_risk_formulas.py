"""Each risk formula of the C++ core against its original in domain/, along the bounds."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import order_guards, risk_bounds
from domain.brackets import Bracket, BracketFault, Brackets, bracket_fault
from domain.circuit_breaker import BreakerRules, MarkSample, moved_too_far
from domain.funding import funding_cap_ppm, funding_rate_ppm, funding_units
from domain.index_price import IndexRules, SourcePrice, index_ticks, used_sources
from domain.margin import (
    Commitment,
    Exposure,
    OpenInterest,
    Scope,
    initial_rate_ppm,
    initial_units,
    is_liquidatable,
    margin_shortage_units,
    withdrawable_units,
    worst_notional_units,
)
from domain.mark_price import (
    Basis,
    FundingClock,
    impact_price,
    mark_ticks,
    premium_average_ppm,
    premium_ppm,
)
from domain.money import PPM
from domain.order import Side
from domain.perpetual_state import PerpetualState, StateTrigger, next_state
from domain.position import Position, after_fill
from domain.risk_bounds import (
    MAX_INTERVAL_SECONDS,
    MAX_PRICE_TICKS,
    MAX_RATE_PPM,
    MAX_VALUE_UNITS,
)
from matching.core_engine import load_core
from tests.matching.risk_draw import (
    cash,
    core,
    exposure_numbers,
    exposures,
    maybe,
    near,
    rates,
    row_numbers,
    scope_numbers,
    scopes,
    sides,
    signed,
    table_numbers,
    tables,
)

_FAULTS = [None, *BracketFault]


# ---- margin -----------------------------------------------------------------------------------


def test_every_formula_is_compared() -> None:
    """A formula that the core has and nobody compares is none."""
    module = load_core()
    assert module is not None
    told = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*_formulas.py"))
    assert [name for name in module.risk_formulas() if f'core("{name}"' not in told] == []
    bounds = {name: number for name, number in vars(risk_bounds).items() if name.isupper()}
    assert dict(module.risk_bounds()) == bounds


@given(exposures(1), exposures(1))
def test_fills(held: Exposure, fill: Exposure) -> None:
    """What a fill does to a position that is flat, grows, shrinks, closes or turns."""
    for position in (held.position, Position()):
        change = after_fill(position, fill.position.lots, fill.position.cost_units)
        found = core("after_fill", *astuple(position), *astuple(fill.position))
        left = change.position
        assert found == [left.lots, left.cost_units, change.realised_units, change.closed_lots]
    part = fill.position.lots % abs(held.position.lots) or held.position.lots
    closing = -part if (part > 0) == (held.position.lots > 0) else part
    change = after_fill(held.position, closing, closing * 7)
    left = change.position
    assert core("after_fill", *astuple(held.position), closing, closing * 7) == [
        left.lots,
        left.cost_units,
        change.realised_units,
        change.closed_lots,
    ]


@given(tables(), st.data())
def test_tables(table: Brackets, data: st.DataObject) -> None:
    """The same fault, of a sound table and of one with any number changed."""
    assert core("bracket_fault", *table_numbers(table)) == [0]
    numbers = table_numbers(table)
    at = data.draw(st.sampled_from([0, *range(2, len(numbers))]))
    numbers[at] = data.draw(
        st.sampled_from((0, -1, 1, numbers[at] + 1, MAX_VALUE_UNITS, 2**63 - 1))
    )
    rows = tuple(Bracket(*numbers[n : n + 4]) for n in range(2, len(numbers), 4))
    fault = bracket_fault(Brackets(rows, numbers[0]))
    assert _FAULTS[core("bracket_fault", *numbers)[0]] is fault
    assert _FAULTS[core("bracket_fault", MAX_VALUE_UNITS, 0)[0]] is BracketFault.EMPTY


@given(scopes(), near(PPM, 0), cash)
def test_margins(scope: Scope, rate: int, initial: int) -> None:
    """Equity, margins, what is short and what may leave."""
    assert core("margin", *scope_numbers(scope), rate, initial, rate) == [
        scope.equity_units,
        scope.maintenance_units,
        scope.notional_units,
        is_liquidatable(scope),
        margin_shortage_units(scope, rate),
        withdrawable_units(scope, initial, rate),
    ]


@given(
    exposures(1), near(MAX_VALUE_UNITS, 0), near(MAX_VALUE_UNITS, 0), near(PPM), cash, cash, cash
)
def test_initial_margins(  # one argument a number of the formula
    exposure: Exposure, buys: int, sells: int, leverage: int, interest: int, lower: int, upper: int
) -> None:
    """The worse side, its rate, its margin."""
    lot_units = exposure.mark_ticks * exposure.units_per_tick_lot
    most = MAX_VALUE_UNITS // lot_units
    buys, sells = buys % (most + 1), sells % (most + 1)
    open_interest = OpenInterest(interest, *sorted((lower, upper)))
    it = Commitment(exposure, buys, sells, leverage, open_interest)
    worst = worst_notional_units(it)
    numbers = (buys, sells, leverage, *astuple(open_interest))
    expected = [worst, initial_rate_ppm(it, worst), initial_units(it)]
    assert core("initial", *exposure_numbers(exposure), *numbers) == expected


# ---- prices -----------------------------------------------------------------------------------

_close = st.integers(900, 1_100) | near(MAX_PRICE_TICKS)
_sources = st.lists(st.tuples(st.integers(1, 9), _close, st.integers(0, 30)), max_size=7)


@given(_sources, st.integers(0, 40), st.integers(1, 4), st.sampled_from((0, 50_000, PPM)))
def test_indices(sources: list[tuple[int, int, int]], now: int, least: int, reach: int) -> None:
    """How many sources count, and their median when they are enough."""
    rules = IndexRules(least, 10, reach)
    listed = [SourcePrice(*source) for source in sources]
    expected = [
        len(used_sources(listed, now, rules)),
        *maybe(index_ticks(listed, now, rules)),
    ]
    assert core("index", *row_numbers(sources), now, *astuple(rules)) == expected


@given(
    near(MAX_PRICE_TICKS),
    signed(MAX_RATE_PPM),
    near(MAX_INTERVAL_SECONDS),
    near(MAX_INTERVAL_SECONDS),
    signed(300 * MAX_PRICE_TICKS),
    st.integers(0, 150),
    near(MAX_PRICE_TICKS, 0),
)
def test_marks(  # one argument a number of the formula
    index: int, rate: int, left: int, interval: int, half_ticks: int, count: int, last: int
) -> None:
    """The median of three, half-even; a last price of 0 is none."""
    clock = FundingClock(rate, min(left, interval), interval)
    expected = mark_ticks(index, clock, Basis(half_ticks, count), last or None)
    assert core("mark", index, *astuple(clock), half_ticks, count, last) == [expected]


_depth = st.lists(st.tuples(st.integers(900, 1_100), st.integers(1, 50)), max_size=4)


@given(_depth, _depth, st.integers(1, 10**5), st.integers(1, 9), st.integers(900, 1_100))
def test_premiums(
    bids: list[tuple[int, int]], asks: list[tuple[int, int]], impact: int, factor: int, index: int
) -> None:
    """Of a deep book, a thin one and none."""
    bid, ask = impact_price(bids, impact, factor), impact_price(asks, impact, factor)
    sides_of = [*(impact, factor, *row_numbers(bids)), *(impact, factor, *row_numbers(asks))]
    for most in (PPM, 1_000, 0):
        expected = premium_ppm(bid, ask, index, most)
        assert core("premium", *sides_of, index, most) == [expected]


@given(near(MAX_PRICE_TICKS), near(MAX_PRICE_TICKS), near(MAX_VALUE_UNITS // MAX_PRICE_TICKS))
def test_premiums_at_the_bounds(index: int, price: int, factor: int) -> None:
    """One level as deep as can be."""
    for impact in (1, MAX_VALUE_UNITS):
        found = impact_price([(price, MAX_VALUE_UNITS)], impact, factor)
        expected = premium_ppm(found, None, index, 10**18) + premium_ppm(None, found, index, 10**18)
        side = (impact, factor, 1, price, MAX_VALUE_UNITS)
        above = core("premium", *side, impact, factor, 0, index, 10**18)
        below = core("premium", impact, factor, 0, *side, index, 10**18)
        assert above[0] + below[0] == expected


@given(st.lists(st.tuples(signed(MAX_RATE_PPM), st.integers(1, 99)), max_size=9), near(500))
def test_premium_averages(samples: list[tuple[int, int]], expected_count: int) -> None:
    """Missing samples count as 0."""
    taken, total = sum(count for _, count in samples), sum(p * count for p, count in samples)
    expected = premium_average_ppm(samples, expected_count)
    assert core("premium_average", total, taken, expected_count) == [expected]


@given(st.lists(_close, min_size=1, max_size=5), rates)
def test_moves(marks: list[int], most: int) -> None:
    """Whether the newest mark is too far from the extremes of the window."""
    samples = [MarkSample(0, mark) for mark in marks]
    expected = moved_too_far(samples, 0, BreakerRules(max_move_ppm=most))
    assert core("moved_too_far", marks[-1], min(marks), max(marks), most) == [expected]


@given(signed(MAX_RATE_PPM), signed(MAX_RATE_PPM), rates, rates, near(PPM), near(PPM))
def test_funding_rates(
    premium: int, interest: int, damper: int, factor: int, imr: int, mmr: int
) -> None:
    """The rate and the cap it is within."""
    imr, mmr = max(imr, mmr), min(imr, mmr)
    cap = funding_cap_ppm(factor, imr, mmr)
    expected = [cap, funding_rate_ppm(premium, interest, damper, cap)]
    assert core("funding_rate", premium, interest, damper, factor, imr, mmr) == expected


@given(exposures(1), signed(MAX_RATE_PPM))
def test_funding(exposure: Exposure, rate: int) -> None:
    """Rounded down for both signs of everything."""
    lots, mark, factor = exposure.position.lots, exposure.mark_ticks, exposure.units_per_tick_lot
    assert core("funding", lots, mark, factor, rate) == [funding_units(lots, mark, factor, rate)]


# ---- guards and states ------------------------------------------------------------------------


@given(near(MAX_PRICE_TICKS), near(MAX_RATE_PPM, 0))
def test_bands(mark: int, width: int) -> None:
    """Rounded inward, within what a price may be."""
    assert core("price_band", mark, width) == list(astuple(order_guards.price_band(mark, width)))


@given(signed(100), sides, st.integers(1, 100), st.integers(0, 100))
def test_reducing(position: int, side: Side, lots: int, resting: int) -> None:
    """What can be closed, and whether an order only closes."""
    assert core("is_reducing", position, side, lots, resting) == [
        order_guards.closable_lots(position, side),
        order_guards.is_reducing(position, side, lots, resting),
    ]


@given(sides, exposures(1), near(MAX_PRICE_TICKS))
def test_open_losses(side: Side, exposure: Exposure, price: int) -> None:
    """Against the mark, for every price that an order of that size may have."""
    factor, mark = exposure.units_per_tick_lot, exposure.mark_ticks
    lots = min(abs(exposure.position.lots), MAX_VALUE_UNITS // (factor * max(price, mark)))
    expected = order_guards.open_loss_units(side, lots, price, mark, factor)
    assert core("open_loss", side, lots, price, mark, factor) == [expected]


@given(near(MAX_VALUE_UNITS), tables(), cash, near(PPM, 0), cash)
def test_position_limits(
    side_units: int, brackets: Brackets, interest: int, ppm: int, free: int
) -> None:
    """The cap of the brackets, and the share of the open interest."""
    share = order_guards.PositionShare(ppm, free)
    numbers = (side_units, *table_numbers(brackets), interest, ppm, free)
    expected = order_guards.is_within_position_limit(side_units, brackets, interest, share)
    assert core("position_limit", *numbers) == [expected]


@given(
    st.lists(st.tuples(near(99), st.integers(90, 110), near(9)), unique_by=lambda row: row[0]),
    st.integers(0, 60),
    st.integers(90, 110),
)
def test_trims(orders: list[tuple[int, int, int]], closable: int, mark: int) -> None:
    """Which reduce-only orders go, and in which order."""
    resting = [order_guards.RestingReduceOnly(*order) for order in orders]
    expected = order_guards.reduce_only_trim(resting, closable, mark)
    assert core("reduce_only_trim", *row_numbers(orders), closable, mark) == expected


@pytest.mark.parametrize("state", PerpetualState)
def test_states(state: PerpetualState) -> None:
    """Every trigger in every state."""
    for number, trigger in enumerate(StateTrigger):
        assert core("next_state", state, number) == [next_state(state, trigger)]
