"""Auto-deleveraging: who is first, what a pair moves, and that haircuts never exceed the need."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.auto_deleveraging import (
    Lights,
    Pair,
    Ranked,
    adl_lights,
    adl_score_ppm,
    allocate,
    deleverage,
    rank,
    score_in,
    settle_pair,
)
from domain.brackets import bracket_table
from domain.liquidation import RiskRefusal
from domain.margin import Exposure, Scope
from domain.position import Position
from tests.domain.risk_cases import scopes

RATES = bracket_table([(0, 100_000, 200_000)], 10**15)


def _account(lots: int, cost: int, cash: int, mark: int = 100) -> Scope:
    return Scope(cash, (Exposure(1, Position(lots, cost), mark, 1, RATES),))


def test_scores_put_profit_and_leverage_first() -> None:
    """20 % at 2x is 0.4; a loss of 25 % at 5x is -0.05, so leverage makes it later, not first."""
    assert adl_score_ppm(-80, -100, 40) == 400_000
    assert adl_score_ppm(-125, -100, 25) == -50_000
    assert adl_score_ppm(100, 100, 10) == 0
    assert adl_score_ppm(100, 50, 0) is None
    assert adl_score_ppm(100, 50, -1) is None
    assert adl_score_ppm(100, 0, 5) is None
    assert score_in(_account(10, 500, 0), 1) == 2_000_000  # +100 % at 2x
    assert score_in(_account(10, 500, 0), 2) is None


@given(st.integers(1, 2**56), st.integers(1, 2**56), st.integers(1, 2**62))
def test_a_score_is_an_int64(value: int, cost: int, share: int) -> None:
    """However absurd the profit and the leverage."""
    for sign in (1, -1):
        score = adl_score_ppm(sign * value, sign * cost, share)
        assert score is not None
        assert abs(score) < 2**61
        assert (score > 0) <= (sign * (value - cost) > 0)


def test_the_rank_breaks_ties_by_notional_then_account() -> None:
    """Score falling, notional falling, account rising."""
    rows = [Ranked(3, 1, 50, 7), Ranked(1, 1, 50, 7), Ranked(2, 1, 90, 7), Ranked(9, 1, 1, 8)]
    assert [one.account_id for one in rank(rows)] == [9, 2, 1, 3]
    assert adl_lights(rank(rows)) == [
        Lights(9, 40, 4),
        Lights(2, 60, 3),
        Lights(1, 80, 2),
        Lights(3, 100, 1),
    ]
    assert adl_lights([]) == []


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=30), st.integers(0, 10**10))
def test_an_allocation_is_whole_and_in_order(sizes: list[int], lots: int) -> None:
    """Closed and unallocated are the quantity; only the last one is closed in part."""
    ranked = [Ranked(place, size, size, 0) for place, size in enumerate(sizes)]
    closed, left = allocate(ranked, lots)
    assert sum(part for _, part in closed) + left == lots
    assert left == max(0, lots - sum(sizes))
    assert [place for place, _ in closed] == list(range(len(closed)))
    assert all(part == sizes[place] for place, part in closed[:-1])
    shown = adl_lights(ranked)
    assert [one.lights for one in shown] == sorted((one.lights for one in shown), reverse=True)
    assert (shown[-1].percentile, shown[-1].lights) == (100, 1)


@given(scopes(most=3), st.lists(st.tuples(st.integers(1, 10**5), st.integers(0, 10**9))))
def test_a_run_conserves_cash_and_bounds_haircuts(
    liquidated: Scope, others: list[tuple[int, int]]
) -> None:
    """Each pair's cash sums to 0, sizes to what was closed, nobody ends insolvent or is crossed."""
    first = liquidated.exposures[0]
    sign = 1 if first.position.lots > 0 else -1
    candidates = [
        (account_id, _opposite(first, -sign * lots, cash))
        for account_id, (lots, cash) in enumerate(others)
    ]
    run = deleverage(liquidated, first.symbol_id, -first.position.lots, candidates)
    by_id = dict(candidates)
    assert run.is_within_bound
    assert run.unallocated_lots + sum(pair.lots for _, pair in run.pairs) == abs(
        first.position.lots
    )
    for account_id, pair in run.pairs:
        before = by_id[account_id]
        assert pair.counterparty.equity_units >= 0
        assert pair.counterparty.equity_units - before.equity_units == -pair.haircut_units
        left = pair.counterparty.of(first.symbol_id)
        assert left is None or (left.position.lots > 0) == (sign < 0)
    gained = run.liquidated.equity_units - liquidated.equity_units
    assert gained == run.haircut_units
    if run.unallocated_lots == 0 and len(liquidated.exposures) == 1:
        assert run.liquidated == Scope(0)
    assert len({*dict(run.pairs), *dict(run.skipped)}) == len(run.pairs) + len(run.skipped)


def _opposite(exposure: Exposure, lots: int, cash: int) -> Scope:
    cost = lots * exposure.mark_ticks * exposure.units_per_tick_lot
    return Scope(cash, (replace(exposure, position=Position(lots, cost)),))


@pytest.mark.parametrize(
    ("liquidated", "counterparty", "delta", "reason"),
    [
        (_account(-10, -900, 0), _account(10, 900, 0), 0, RiskRefusal.INVALID_POSITION_DELTA),
        (_account(-10, -900, 0), _account(10, 900, 0), -1, RiskRefusal.INVALID_POSITION_DELTA),
        (_account(-10, -900, 0), _account(10, 900, 0), 11, RiskRefusal.INVALID_POSITION_DELTA),
        (_account(-10, -900, 0), _account(5, 900, 0), 6, RiskRefusal.INVALID_POSITION_DELTA),
        (_account(-10, -900, 0), _account(-9, 900, 0), 1, RiskRefusal.INVALID_POSITION_DELTA),
        (_account(-10, -900, 0), Scope(10**6), 1, RiskRefusal.INVALID_POSITION_DELTA),
        (
            _account(-10, -900, 0),
            _account(10, 1_000, 99),
            10,
            RiskRefusal.COUNTERPARTY_WOULD_BE_INSOLVENT,
        ),
    ],
)
def test_pairs_are_refused_by_name(
    liquidated: Scope, counterparty: Scope, delta: int, reason: RiskRefusal
) -> None:
    """Wrong sizes and sides, and a counterparty that would pay with what it has not."""
    assert settle_pair(liquidated, counterparty, 1, delta) is reason


def test_a_pair_settles_at_the_bankruptcy_quote_or_at_mark() -> None:
    """A short that is 100 under water costs its counterparty 100; at mark only the solvent go."""
    under, rich = _account(-10, -900, 0), _account(10, 1_000, 150)
    pair = settle_pair(under, rich, 1, 10)
    assert pair == Pair(Scope(0), Scope(50), 10, -900, 100)
    refused = settle_pair(under, rich, 1, 10, at_mark=True)
    assert refused is RiskRefusal.LIQUIDATED_INSOLVENT_AT_MARK
    solvent = replace(under, cash_units=100)
    assert settle_pair(solvent, rich, 1, 10, at_mark=True) == Pair(
        Scope(0), Scope(150), 10, -1_000, 0
    )


def test_insolvent_counterparties_alone_leave_a_shortfall() -> None:
    """Nothing is applied half: the scope is as it was, and all lots are unallocated."""
    under = _account(-10, -900, 0)
    poor = [(7, _account(10, 1_000, 0)), (8, Scope(5))]
    run = deleverage(under, 1, 10, poor)
    assert (run.liquidated, run.pairs, run.unallocated_lots) == (under, (), 10)
    assert run.skipped == (
        (7, RiskRefusal.COUNTERPARTY_WOULD_BE_INSOLVENT),
        (8, RiskRefusal.INVALID_POSITION_DELTA),
    )
    assert (run.shortfall_units, run.haircut_units) == (100, 0)


@given(scopes(most=1), st.integers(1, 9))
def test_two_counterparties_lose_no_more_than_one(liquidated: Scope, parts: int) -> None:
    """The shortfall is the same however many share it: no overshoot by a price kept too long."""
    assume(liquidated.equity_units < 0)
    first = liquidated.exposures[0]
    size, sign = abs(first.position.lots), 1 if first.position.lots > 0 else -1
    cuts = [size // parts] * (parts - 1)
    cuts = [cut for cut in [*cuts, size - sum(cuts)] if cut]
    rich = 10**18
    sides = [(n, _opposite(first, -sign * cut, rich)) for n, cut in enumerate(cuts)]
    run = deleverage(liquidated, 1, -first.position.lots, sides)
    assert run.unallocated_lots == 0
    assert run.haircut_units == -liquidated.equity_units
