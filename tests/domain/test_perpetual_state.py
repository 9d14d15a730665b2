"""The states of a perpetual market: every move, and what each state allows."""

from __future__ import annotations

from itertools import product

import pytest

from domain.perpetual_state import (
    TRANSITIONS,
    FundingMode,
    Liquidations,
    NewOrders,
    PerpetualState,
    StateTrigger,
    Withdrawals,
    band_ppm_in,
    gated_units,
    liquidations_in,
    next_state,
    rules_of,
)

S, T = PerpetualState, StateTrigger


def test_open_is_reached_through_guarded_only() -> None:
    """Nothing trades freely again before its mark is fresh; settlement is the end."""
    for state, trigger in product(S, T):
        after = next_state(state, trigger)
        if after is S.OPEN and state is not S.OPEN:
            assert (state, trigger) == (S.GUARDED, T.CALM)
        if state is S.SETTLEMENT:
            assert after is S.SETTLEMENT
        if after is S.SETTLEMENT and state is not S.SETTLEMENT:
            assert (state, trigger) == (S.HALTED, T.SETTLE)
    assert all(before is not after for (before, _), after in TRANSITIONS.items())


def test_two_shortfalls_halt_and_an_operator_brings_it_back() -> None:
    """OPEN, REDUCE_ONLY, HALTED; resumed it is guarded, and open once it is calm."""
    state, seen = S.OPEN, []
    for trigger in (T.SHORTFALL, T.SHORTFALL, T.CALM, T.RESUME, T.CALM, T.STARTED):
        state = next_state(state, trigger)
        seen.append(state)
    assert seen == [S.REDUCE_ONLY, S.HALTED, S.HALTED, S.GUARDED, S.OPEN, S.GUARDED]


def test_a_start_or_the_breaker_never_eases_a_state() -> None:
    """Only calm and an operator's resume do."""
    for state, trigger in product(S, set(T) - {T.CALM, T.RESUME}):
        assert next_state(state, trigger) >= state


def test_what_states_allow() -> None:
    """The published table, row by row."""
    table = {
        state: (rules.new_orders, rules.liquidations, rules.funding, rules.withdrawals)
        for state, rules in ((state, rules_of(state)) for state in S)
    }
    run, on = Liquidations.RUN, FundingMode.ON
    zero = FundingMode.SAMPLE_ZERO
    assert table == {
        S.OPEN: (NewOrders.ALL, run, on, Withdrawals.FREE),
        S.GUARDED: (NewOrders.LIMIT, run, zero, Withdrawals.CASH_LESS_INITIAL),
        S.REDUCE_ONLY: (NewOrders.REDUCING, run, on, Withdrawals.FREE),
        S.HALTED: (NewOrders.NONE, Liquidations.PAUSED, zero, Withdrawals.GATED),
        S.SETTLEMENT: (
            NewOrders.NONE,
            Liquidations.FINAL,
            FundingMode.LAST,
            Withdrawals.GATED,
        ),
    }
    assert [band_ppm_in(state, 50_001) for state in S] == [50_001, 25_000, 50_001, 50_001, 50_001]


def test_a_stale_mark_stops_liquidations_before_anything_is_closed() -> None:
    """Detecting, freezing, settling and cancelling go on; a halt and a settlement stay so."""
    for state in (S.OPEN, S.GUARDED, S.REDUCE_ONLY):
        assert liquidations_in(state, mark_is_fresh=True) is Liquidations.RUN
        assert liquidations_in(state, mark_is_fresh=False) is Liquidations.PREPARE
    assert liquidations_in(S.HALTED, mark_is_fresh=False) is Liquidations.PAUSED
    assert liquidations_in(S.SETTLEMENT, mark_is_fresh=False) is Liquidations.FINAL


@pytest.mark.parametrize(
    ("gates", "liquidating", "fresh", "units"),
    [
        ([], False, True, 100),
        ([Withdrawals.FREE], False, True, 100),
        ([Withdrawals.FREE, Withdrawals.CASH_LESS_INITIAL], False, True, 70),
        ([Withdrawals.CASH_LESS_INITIAL, Withdrawals.GATED], False, True, 0),
        ([Withdrawals.FREE], True, True, 0),
        ([Withdrawals.FREE], False, False, 0),
    ],
)
def test_the_strictest_gate_holds(
    gates: list[Withdrawals], liquidating: bool, fresh: bool, units: int
) -> None:
    """Of 100 that margin leaves, with a cash of 120 and an initial margin of 50."""
    found = gated_units(100, 120, 50, gates, is_liquidating=liquidating, marks_are_fresh=fresh)
    assert found == units
