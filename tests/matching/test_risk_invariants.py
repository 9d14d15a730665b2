"""The invariants from events alone: they hold on any stream, and each notices what breaks it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import events as e
from domain import risk_commands as r
from domain.checker_positions import RUIN
from domain.risk_invariants import (
    CLEARING,
    DEBT,
    FUND,
    FUNDING,
    FUNDING_ONCE,
    HAIRCUT,
    NUMBERS,
    PAIRS,
    POSITIONS,
    ROUNDING,
    STEPS,
    TOLD,
    RiskInvariants,
)
from domain.risk_picture import RiskPicture
from matching.codec import by_command
from tests.examples import examples
from tests.matching.desk import ETH, ETH_USDT, USDT
from tests.matching.liquidation_desk import Liquidation, below, sliced
from tests.matching.perpetual_desk import PERP, PerpetualDesk
from tests.matching.perpetual_draw import Draw, drawn_desk
from tests.matching.test_perpetual_funding import HOUR_US, until

pytestmark = pytest.mark.usefixtures("each_engine")


def held_against(events: list[e.Event]) -> RiskInvariants:
    """Return the invariants after these events of whole commands."""
    invariants = RiskInvariants(RiskPicture())
    for command in by_command(events):
        invariants.command(command)
    return invariants


@settings(max_examples=examples(25))
@given(st.integers(0, 2**32))
def test_they_hold_on_any_stream(seed: int) -> None:
    """And from the middle of it, where the picture is the one of an engine."""
    chance = random.Random(seed)
    desk = drawn_desk(chance)
    draw = Draw(desk, chance)
    for _ in range(60):
        for command in draw.next():
            desk.run(command)
    invariants = held_against(desk.events)
    assert invariants.findings.report().violations == ()
    assert invariants.rounding_units == desk.engine.dust()
    assert invariants.open_lots(PERP) == desk.perpetual.open_lots


def story() -> PerpetualDesk:
    """Return a desk where one is liquidated in the book, one taken over, one deleveraged."""
    desk = below(funding_interval_seconds=3_600, interest_ppm=500)
    desk.top_up(10**6)
    instant = (desk.time_us // HOUR_US + 1) * HOUR_US
    until(desk, instant, 958)
    desk.run(r.SettleFunding(10**9, PERP, instant))
    desk.freeze()
    desk.liquidate(99)
    desk.unfreeze()
    return desk


def deleveraged() -> Liquidation:
    """Return a desk where the fund has taken a lot and the other side the rest."""
    desk = sliced(fund_cap_ppm=100_000)
    desk.top_up(10**6)
    desk.take_over(99)
    desk.deleverage(2, desk.lots(5))
    return desk


Change = Callable[[Any], Any]
MUTATIONS: list[tuple[type[e.Event], Change, str]] = [
    (e.PerpetualTrade, lambda one: replace(one, taker_lots=one.taker_lots + 1), POSITIONS),
    (
        e.PerpetualTrade,
        lambda one: replace(one, maker_cost_units=one.maker_cost_units + 1),
        CLEARING,
    ),
    (e.PerpetualTrade, lambda one: replace(one, quote_units=one.quote_units + 1), TOLD),
    (e.PerpetualTrade, lambda one: replace(one, taker_fee_units=10**12), RUIN),
    (e.PerpetualTrade, lambda one: replace(one, taker_fee_units=one.taker_fee_units + 1), TOLD),
    (e.PerpetualTrade, lambda one: replace(one, maker_fee_units=one.maker_fee_units - 1), TOLD),
    (e.PerpetualTrade, lambda one: replace(one, insurance_units=one.insurance_units - 1), TOLD),
    (e.Trade, lambda one: replace(one, taker_fee_units=one.taker_fee_units + 1), TOLD),
    (e.IndexSet, lambda one: replace(one, open_lots=one.open_lots + 1), POSITIONS),
    (e.FundingSettled, lambda one: replace(one, rounding_units=one.rounding_units - 9), ROUNDING),
    (e.FundingSettled, lambda one: replace(one, rounding_units=one.rounding_units + 1), FUNDING),
    (e.FundingSettled, lambda one: replace(one, entries=one.entries + 1), FUNDING_ONCE),
    (e.FundingPaid, lambda one: replace(one, amount_units=one.amount_units + 1), TOLD),
    (e.ScopeState, lambda one: replace(one, equity_units=one.equity_units + 1), TOLD),
    (e.ScopeState, lambda one: replace(one, cash_units=one.cash_units - 10**7), STEPS),
    (e.TakenOver, lambda one: replace(one, fund_realised_units=-(10**7)), FUND),
    (e.Deleveraged, lambda one: replace(one, haircut_units=one.haircut_units + 2), HAIRCUT),
    (e.Deleveraged, lambda one: replace(one, delta_lots=-one.delta_lots), PAIRS),
    (
        e.Deleveraged,
        lambda one: replace(one, counterparty_realised_units=-(10**12)),
        PAIRS,
    ),
    (e.Debited, lambda one: replace(one, amount_units=one.amount_units + 10**12), DEBT),
]


@pytest.mark.parametrize(("kind", "change", "rule"), MUTATIONS)
def test_each_rule_notices(kind: type[e.Event], change: Change, rule: str) -> None:
    """One number of one event is another one: the rule that it breaks is named, with its place."""
    for desk in (story(), deleveraged()):
        desk.fund(77, units=500)
        desk.debit(77, USDT, 200)
        desk.fund(78, assets=(USDT, ETH))
        desk.sell(78, 1_000, 1, symbol_id=ETH_USDT)
        desk.buy(90, 1_000, 1, symbol_id=ETH_USDT)
        events = list(desk.events)
        places = [place for place, event in enumerate(events) if type(event) is kind]
        if not places:
            continue
        place = places[-1]
        events[place] = change(events[place])
        report = held_against(events).findings.report()
        if rule in {violation.invariant for violation in report.violations}:
            return
    pytest.fail(f"{rule} has noticed nothing")


def test_every_rule_has_a_mutation() -> None:
    """A rule that nothing breaks is decoration."""
    assert {rule for _, _, rule in MUTATIONS} == set(NUMBERS)
