"""What a liquidation does next, from how things are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.liquidation_plan import (
    MarketView,
    Progress,
    Situation,
    StepKind,
    command_key,
    freeze_key,
    next_step,
    scope_name,
)
from domain.margin import Exposure, Scope
from domain.order_guards import price_band
from domain.perpetual_state import PerpetualState
from domain.perpetual_terms import BracketRow, PerpetualTerms
from domain.position import Position
from domain.risk_picture import FrozenScope, ScopeKey

TERMS = PerpetualTerms((BracketRow(0, 10_000, 20_000),), 10**12, 50_000, 50, slice_min_units=1_000)
MARK = 1_000
KEY = ScopeKey(5)


def _situation(cash: int, lots: int = 100, cost: int = 1_000_000, mark: int = MARK) -> Situation:
    exposures = (Exposure(7, Position(lots, cost), mark, 10, TERMS.table()),) if lots else ()
    market = MarketView(PerpetualState.OPEN, True, price_band(mark, 100_000), TERMS)
    frozen = FrozenScope(KEY, 1, 10, 0)
    return Situation(10, 10, frozen, Scope(cash, exposures), {7: market})


def _market(now: Situation, **changed: object) -> Situation:
    return replace(now, markets={7: replace(now.markets[7], **changed)})  # type: ignore[arg-type]


def test_it_is_over_when_nothing_is_frozen() -> None:
    """Somebody has released it."""
    assert next_step(replace(_situation(0), frozen=None), Progress()).kind is StepKind.OVER


@pytest.mark.parametrize(
    ("cash", "lots", "kind"),
    [
        (0, 0, StepKind.RELEASE),
        (12_000, 100, StepKind.RELEASE),  # MM 10,000 and a buffer of 2,000: exactly
        (11_999, 100, StepKind.REDUCE),
        (9_999, 100, StepKind.REDUCE),
        (-1, 100, StepKind.TAKE_OVER),
    ],
)
def test_equity_decides(cash: int, lots: int, kind: StepKind) -> None:
    """At margin and buffer it is let go, below it is reduced, below zero taken over."""
    assert next_step(_situation(cash, lots), Progress()).kind is kind


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"mark_is_fresh": False}, "stale"),
        ({"state": PerpetualState.HALTED}, "halted"),
        ({"state": PerpetualState.SETTLEMENT}, "settled"),
    ],
)
def test_what_holds_it(changed: dict[str, object], word: str) -> None:
    """A stale mark, a halt or a settlement pauses every step that closes, whatever equity is."""
    for cash in (5_000, -1, 10**6):
        step = next_step(_market(_situation(cash), **changed), Progress())
        assert step.kind is StepKind.WAIT
        assert word in step.why


def test_a_slice_is_as_large_as_the_shortage_needs_and_no_worse_than_bankruptcy() -> None:
    """3,000 short: each lot of 10,000 frees 0.7 % (rate and buffer less fee); 43 lots."""
    step = next_step(_situation(9_000), Progress())
    assert (step.symbol_id, step.lots) == (7, 43)
    assert step.limit_ticks == 991  # 9,000 of equity over 100 lots of 10: 9 ticks below the mark


def test_used_up_slices_pause_unless_equity_is_low() -> None:
    """Slices without effect are no insolvency: above two thirds of MM it goes on later."""
    used_up = Progress(slices=TERMS.max_slices)
    assert next_step(_situation(6_667), used_up).kind is StepKind.PAUSE
    assert next_step(_situation(6_666), used_up).kind is StepKind.TAKE_OVER
    late = Progress(time_is_over=True)
    assert next_step(_situation(6_667), late).kind is StepKind.PAUSE


def test_who_refuses_is_not_asked_again_this_round() -> None:
    """A fund that takes no more leaves the rest to the other side; a takeover too early waits."""
    now = _situation(-1)
    step = next_step(now, Progress(fund_refused=frozenset({7})))
    assert (step.kind, step.lots) == (StepKind.DELEVERAGE, 100)
    early = Progress(slices=TERMS.max_slices, early=frozenset({7}))
    assert next_step(_situation(100), early).kind is StepKind.PAUSE


def test_the_larger_margin_goes_first() -> None:
    """Of two positions the one with the larger maintenance margin is reduced."""
    now = _situation(0)
    other = Exposure(8, Position(-200, -2_000_000), MARK, 10, TERMS.table())
    both = replace(
        now,
        scope=Scope(20_000, (*now.scope.exposures, other)),
        markets={**now.markets, 8: now.markets[7]},
    )
    step = next_step(both, Progress())
    assert (step.kind, step.symbol_id) == (StepKind.REDUCE, 8)
    assert step.limit_ticks > MARK  # a short is bought back


def test_keys_and_names() -> None:
    """A key for each part of its name; a scope's name tells cross from isolated."""
    assert command_key("liq", "ab", 7, 1) != command_key("liq", "ab", 71)
    assert 0 < freeze_key(0, KEY, 10) < 1 << 128
    assert freeze_key(0, KEY, 10) != freeze_key(0, KEY, 11)
    assert (scope_name(0, KEY), scope_name(1, ScopeKey(5, 7))) == ("0-5", "1-5-7")
