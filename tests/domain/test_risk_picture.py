"""The picture of a shard, kept from events alone, is the engine's own state."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain import risk_commands as r
from domain.commands import Command, Started
from domain.events import Event
from domain.risk_commands import FUND_ACCOUNT
from domain.risk_picture import RiskPicture, ScopeKey
from domain.risk_record import picture_of, record_of
from matching import engine
from tests.examples import examples
from tests.matching.desk import BTC, USDT
from tests.matching.perpetual_desk import PERP, PRICE, PerpetualDesk
from workers.risk_rebuild import picture_of_engine

PEOPLE = (1, 2, 3)


@pytest.fixture(autouse=True, params=["core", "reference"])
def _each_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run on the C++ core and on the specification."""
    if request.param == "reference":
        monkeypatch.setattr(engine, "load_core", lambda: None)
    assert engine.create_engine().kind == request.param


class WatchedDesk(PerpetualDesk):
    """A desk whose every event is also shown to a picture."""

    def __init__(self, **options: Any) -> None:
        self.picture = RiskPicture()
        super().__init__(**options)

    def run(self, command: Command) -> tuple[Event, ...]:
        """Run a command, and let the picture hear of it."""
        events = super().run(command)
        for event in events:
            self.picture.apply(event)
        return events


def assert_same(desk: WatchedDesk) -> None:
    """Check cash, positions, marks and states of a picture against the engine's answers."""
    picture, core = desk.picture, desk.engine
    view = desk.perpetual
    market = picture.markets[PERP]
    assert (market.mark_ticks, market.index_ticks) == (view.mark_ticks, view.index_ticks)
    assert market.state is view.phase
    for account_id in {account for account, _ in core.balances()} | {FUND_ACCOUNT}:
        total = core.account_balances(account_id).get(USDT, (0, 0))[0]
        assert picture.cash.get(ScopeKey(account_id), 0) == total
        position = desk.position(account_id)
        held = picture.position(account_id, PERP)
        assert (held.lots, held.cost_units) == (
            (position.lots, position.cost_units) if position else (0, 0)
        )
        scope = picture.scope(ScopeKey(account_id))
        seen = desk.scope(account_id)
        assert (scope.cash_units, scope.equity_units, scope.maintenance_units) == (
            seen.cash_units,
            seen.equity_units,
            seen.maintenance_units,
        )


def comparable(picture: RiskPicture) -> dict[str, Any]:
    """Return what a picture from events and one from an engine must both know."""
    record = record_of(picture)
    record.pop("versions")  # only frozen scopes have one in the engine
    record.pop("steps")  # the engine forgets them
    record["cash"] = [line for line in record["cash"] if line[2]]
    for market in record["markets"]:
        market.pop("said")
    return record


def _trading_desk() -> WatchedDesk:
    desk = WatchedDesk()
    for account in PEOPLE:
        desk.fund(account, units=10**8, assets=(USDT, BTC))
        desk.leverage(account, 10)
    return desk


def test_it_begins_with_what_was_credited_before_there_were_perpetuals() -> None:
    """Collateral is known only with the first perpetual; credits before it count."""
    desk = _trading_desk()
    assert desk.picture.collateral == USDT
    assert_same(desk)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(50))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(PEOPLE),
            st.booleans(),
            st.integers(PRICE - 30, PRICE + 30),
            st.integers(1, 40),
            st.integers(PRICE - 40, PRICE + 40),
        ),
        max_size=25,
    )
)
def test_it_follows_whatever_is_traded(steps: list[tuple[int, bool, int, int, int]]) -> None:
    """Positions, cost bases, cash and marks are the engine's after every command."""
    desk = _trading_desk()
    for account, buys, price, lots, index in steps:
        (desk.buy if buys else desk.sell)(account, price, lots)
        desk.move(index, wait=5)
        assert_same(desk)


def test_a_record_is_the_whole_picture() -> None:
    """What is read back knows the same, and goes on the same."""
    desk = _trading_desk()
    desk.pair(1, 2, 30)
    text = json.dumps(record_of(desk.picture))
    again = picture_of(json.loads(text))
    assert record_of(again) == record_of(desk.picture)
    desk.picture = again
    desk.pair(2, 1, 10)
    assert_same(desk)


def test_a_second_engine_gives_the_same_picture() -> None:
    """A monitor without its file knows what the one that followed every event knows."""
    desk = _trading_desk()
    desk.run(r.SetMarginMode(3, PERP, r.MarginMode.ISOLATED))
    desk.run(r.MoveMargin(77, 3, PERP, 10**6, desk.time_us))
    desk.pair(1, 2, 30)
    desk.pair(3, 2, 5)
    assert comparable(picture_of_engine(desk.engine)) == comparable(desk.picture)


def test_a_mark_is_stale_after_a_start_and_with_age() -> None:
    """No step acts on a mark from before a start, or on one that nobody renewed."""
    desk = _trading_desk()
    market = desk.picture.markets[PERP]
    assert market.is_fresh(desk.time_us)
    assert not market.is_fresh(desk.time_us + market.terms.index_max_age_us + 1)
    desk.run(Started(2, 0))
    assert not market.is_fresh(desk.time_us)


def test_isolated_cash_is_a_scope_of_its_own() -> None:
    """Moving margin moves it between two scopes."""
    desk = _trading_desk()
    assert ScopeKey(1, PERP) not in desk.picture.cash
    before = desk.picture.cash[ScopeKey(1)]
    desk.run(r.SetMarginMode(1, PERP, r.MarginMode.ISOLATED))
    assert desk.picture.markets[PERP].scope_of(1) in (ScopeKey(1, PERP), ScopeKey(1))
    assert desk.picture.cash[ScopeKey(1)] == before
