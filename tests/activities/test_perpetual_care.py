"""Funding, unwinding, the end of a market and dust, on the reference engine."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.perpetual_care import PerpetualCareActivities
from domain.perpetual_care import (
    DustRequest,
    Funded,
    FundingInstant,
    MarketOfShard,
    SettleRequest,
    Unwound,
    instant_of,
)
from domain.risk_commands import FUND_ACCOUNT, SetPerpetualState, Trigger
from matching import engine
from tests.activities.test_liquidation import advance
from tests.workflows.risk_rig import PERP, RiskDesk, without_bids

HOUR_US = 3_600_000_000


@pytest.fixture(autouse=True, params=["core", "reference"])
def _each_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run on the C++ core and on the specification."""
    if request.param == "reference":
        monkeypatch.setattr(engine, "load_core", lambda: None)
    assert engine.create_engine().kind == request.param


def _care(desk: RiskDesk) -> PerpetualCareActivities:
    doors = lambda _: (desk, desk.news)  # noqa: E731 - both roles are this desk
    return PerpetualCareActivities(doors, doors, pause_seconds=0)


async def _run(step: Any, request: Any) -> Any:
    return await ActivityEnvironment().run(step, request)


def _with_positions() -> RiskDesk:
    desk = RiskDesk(funding_interval_seconds=3_600)
    desk.pair(1, 2, 50)
    return desk


async def test_a_funding_is_paid_once() -> None:
    """A repeat, and one whose answer was lost, is the first one's result."""
    desk = _with_positions()
    instant = instant_of(desk.time_us + HOUR_US, 3_600)
    early: Funded = await _run(_care(desk).fund, FundingInstant(0, PERP, instant))
    assert early.refusal == "FUNDING_NOT_DUE"
    desk.time_us = instant + 1
    desk.stand(1_000)
    desk.lost_after = {len(desk.asked) + 1}
    request = FundingInstant(0, PERP, instant + HOUR_US)
    desk.time_us = instant + HOUR_US
    desk.index(1_000)
    with pytest.raises(ConnectionError):
        await _run(_care(desk).fund, request)
    books = desk.books()
    paid: Funded = await _run(_care(desk).fund, request)
    assert paid.refusal == ""
    assert paid.entries == 2
    assert desk.books() == books
    assert await _run(_care(desk).fund, request) == paid
    assert desk.is_conserved()


async def test_the_fund_sells_in_slices_within_the_band() -> None:
    """What it took over goes back to the book, as far as there is one; then it is flat."""
    desk = without_bids(945, slice_whole_below_units=1_000)
    desk.top_up(10**8)
    watch = await desk.watch()
    assert watch.frozen_count == 1
    request = desk.request()
    await advance(desk, request)
    assert desk.lots(FUND_ACCOUNT) == 99
    desk.cancel_all(90)
    state = Unwound(0, PERP, desk.engine.sequence)
    state = await _run(_care(desk).unwind, state)
    assert (state.state, state.closed_lots) == ("waiting", 0)
    desk.buy(90, 940, 1_000)
    for _ in range(60):
        state = await _run(_care(desk).unwind, state)
        if state.state == "ended":
            break
    assert (state.state, state.why) == ("ended", "flat")
    assert state.closed_lots == 99
    assert state.slices > 2
    assert desk.lots(FUND_ACCOUNT) == 0
    assert desk.is_conserved()


async def test_a_market_ends_at_its_last_index() -> None:
    """Not before it is in settlement; then every position is closed, and a repeat says the same."""
    desk = _with_positions()
    place = MarketOfShard(0, PERP)
    with pytest.raises(ApplicationError, match="NOT_SETTLING"):
        await _run(_care(desk).settle, SettleRequest(place, 1))
    for trigger in (Trigger.HALT, Trigger.SETTLE):
        desk.run(SetPerpetualState(PERP, trigger, "marta", "the end"))
    ended = await _run(_care(desk).settle, SettleRequest(place, 2))
    assert ended.entries == 2
    assert desk.lots(1) == desk.lots(2) == 0
    assert await _run(_care(desk).settle, SettleRequest(place, 2)) == ended
    assert desk.is_conserved()


async def test_dust_goes_to_the_fund_once_a_day() -> None:
    """Nothing to sweep is no error."""
    desk = _with_positions()
    assert await _run(_care(desk).sweep, DustRequest(0, desk.time_us)) == 0
