"""The steps of a liquidation on the reference engine, with deaths between any two of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.auto_deleveraging import DeleveragingActivities
from activities.liquidation import LiquidationActivities
from domain.commands import Started
from domain.liquidation_story import (
    Advanced,
    AdvanceRequest,
    DeleverageRequest,
    DeleverageResult,
    LiquidationRequest,
    RoundState,
    StepRecord,
    advanced_of,
    advanced_text,
    line_of,
)
from domain.perpetual_state import PerpetualState
from domain.risk_commands import FUND_ACCOUNT, SetPerpetualState, Trigger
from matching import engine
from tests.domain.test_risk_picture import comparable
from tests.workflows.risk_rig import PERP, VICTIM, RiskDesk, fallen, without_bids
from workers.risk_news import RESCAN_SECONDS
from workers.risk_rebuild import picture_of_engine
from workers.risk_watch import RiskWatch


@pytest.fixture(autouse=True, params=["core", "reference"])
def _each_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run on the C++ core and on the specification."""
    if request.param == "reference":
        monkeypatch.setattr(engine, "load_core", lambda: None)
    assert engine.create_engine().kind == request.param


def _steps_of(desk: RiskDesk) -> LiquidationActivities:
    return LiquidationActivities(lambda _: (desk, desk.news), wait_seconds=0)


async def advance(
    desk: RiskDesk, request: LiquidationRequest, state: RoundState | None = None
) -> Advanced:
    asked = AdvanceRequest(request, state or RoundState())
    found: Advanced = await ActivityEnvironment().run(_steps_of(desk).advance, asked)
    return found


async def _deleverage(
    desk: RiskDesk, request: LiquidationRequest, state: RoundState
) -> DeleverageResult:
    activities = DeleveragingActivities(lambda _: (desk, desk.news))
    asked = DeleverageRequest(request, PERP, state.round, state.number, state.last_sequence)
    found: DeleverageResult = await ActivityEnvironment().run(activities.deleverage, asked)
    return found


async def _patiently(step: Callable[[], Any]) -> Any:
    """Run a step as Temporal does: again, without anything that the dead attempt remembered."""
    while True:
        try:
            return await step()
        except ConnectionError:
            continue


async def _to_the_end(desk: RiskDesk) -> list[StepRecord]:
    """Do what the workflow does, until the scope is released."""
    request, state = desk.request(), RoundState()
    steps: list[StepRecord] = []
    for _ in range(20):
        now = state
        found: Advanced = await _patiently(lambda now=now: advance(desk, request, now))  # type: ignore[misc]
        steps += found.steps
        state = found.state
        if found.next_stage in ("released", "over"):
            return steps
        if found.next_stage == "deleveraging":
            at = state
            result: DeleverageResult = await _patiently(
                lambda at=at: _deleverage(desk, request, at)  # type: ignore[misc]
            )
            steps += result.steps
            assert result.ended in ("done", "changed"), result
            last = max((step.sequence for step in result.steps), default=state.last_sequence)
            state = replace(
                state,
                round=state.round + 1,
                number=state.number + len(result.steps),
                last_sequence=last,
            )
    raise AssertionError([line_of(step) for step in steps])


# ---- read step by step ------------------------------------------------------------------------


async def test_a_slice_in_the_book_is_enough() -> None:
    """Frozen, a part sold at the bid, released: as little as the shortage needs."""
    desk = fallen()
    watch = await desk.watch()
    assert watch.frozen_count == 1
    found = await advance(desk, desk.request())
    *slices, released = found.steps
    sold, last = slices[0], slices[-1]
    assert found.next_stage == "released"
    assert (sold.kind, sold.refusal, sold.fills) == ("reduce", "", [[956, sold.done_lots]])
    assert 0 < last.done_lots < sold.done_lots
    assert sum(step.done_lots for step in slices) < 99
    assert sold.insurance_units > 0
    assert sold.book[0] == [956, 1_000]
    assert sold.marks == [[PERP, 958]]
    assert sold.before is not None
    assert sold.before.equity_units < sold.before.maintenance_units
    assert [step.after for step in slices[:-1]] == [step.before for step in slices[1:]]
    assert last.after is not None
    assert last.after.shortage_units <= 0
    assert released.kind == "release"
    assert desk.engine.frozen() == []
    assert desk.is_conserved()


async def test_below_zero_the_fund_takes_it_at_once() -> None:
    """Equity below 0: no slice; the fund buys at the bankruptcy quote what its cash covers."""
    desk = without_bids(945)
    desk.top_up(10**8)
    await desk.watch()
    found = await advance(desk, desk.request())
    assert [step.kind for step in found.steps] == ["take over", "release"]
    assert desk.lots(VICTIM) == 0
    assert desk.lots(FUND_ACCOUNT) == 99
    assert desk.engine.account_balances(VICTIM).get(1, (0, 0))[0] == 0
    assert desk.is_conserved()


async def test_an_empty_fund_leaves_it_to_the_other_side() -> None:
    """The fund refuses, and the most profitable and leveraged short is closed at bankruptcy."""
    desk = without_bids(945)
    await desk.watch()
    request = desk.request()
    found = await advance(desk, request)
    assert found.next_stage == "deleveraging"
    assert [step.refusal for step in found.steps] == ["FUND_POOL_EMPTY"]
    result = await _deleverage(desk, request, found.state)
    assert result.ended == "done"
    (pair,) = result.steps
    assert (pair.counterparty_id, pair.done_lots) == (2, 99)
    assert pair.ranks[0][:2] == [2, 99]
    assert desk.lots(2) == desk.lots(VICTIM) == 0
    assert desk.is_conserved()


async def test_a_record_survives_a_heartbeat() -> None:
    """What a heartbeat carries is the record, number for number."""
    desk = fallen()
    await desk.watch()
    found = await advance(desk, desk.request())
    assert advanced_of(advanced_text(found)) == found


async def test_who_could_not_be_frozen_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine was away and the mark stands: a second later he is frozen."""
    desk = fallen()
    await desk.news.tell()
    watch = RiskWatch(desk.news, desk)
    desk.lost_before = {1}
    with pytest.raises(ConnectionError):
        await watch.look()
    assert not desk.news.is_scan_due()
    later = time.monotonic() + RESCAN_SECONDS
    monkeypatch.setattr("workers.risk_news.time.monotonic", lambda: later)
    assert desk.news.is_scan_due()
    (frozen,) = await watch.look()
    assert frozen.scope.account_id == VICTIM


# ---- deaths -----------------------------------------------------------------------------------

_SCENES: dict[str, Callable[[], RiskDesk]] = {
    "book": fallen,
    "book in slices": lambda: fallen(max_slices=5, slice_whole_below_units=1_000),
    "fund": lambda: _with_fund(10**8),
    "fund in part, then the other side": lambda: _with_fund(20_000),
    "other side": lambda: without_bids(945),
}


def _with_fund(units: int) -> RiskDesk:
    desk = without_bids(945)
    desk.top_up(units)
    return desk


@pytest.mark.parametrize("scene", _SCENES)
async def test_a_death_at_any_boundary_changes_nothing(scene: str) -> None:
    """Killed before each command and after it, unreported: the same books, no step twice."""
    desk = _SCENES[scene]()
    await desk.watch()
    told = await _to_the_end(desk)
    wanted, first = desk.books(), len(desk.asked)
    assert first > 1
    for number in range(2, first + 1):
        for boundary in ("lost_before", "lost_after"):
            again = _SCENES[scene]()
            await again.watch()
            setattr(again, boundary, {number})
            steps = await _to_the_end(again)
            assert again.books() == wanted, (number, boundary)
            seen = comparable(picture_of_engine(again.engine))
            assert comparable(again.news.picture) == seen, (number, boundary)
            took = [step for step in steps if not step.refusal]
            assert [step.done_lots for step in took if step.done_lots] == [
                step.done_lots for step in told if step.done_lots
            ], (number, boundary)
            assert len({step.sequence for step in took}) == len(took)


async def test_a_step_that_nobody_reported_is_found_in_the_log() -> None:
    """Its numbers are in the record although the process that sent it died."""
    desk = fallen()
    await desk.watch()
    desk.lost_after = {2}
    request = desk.request()
    with pytest.raises(ConnectionError):
        await advance(desk, request)
    found = await advance(desk, request)
    sold = found.steps[0]
    assert sold.found
    assert sold.done_lots > 0
    assert sold.fills == [[956, sold.done_lots]]
    assert "found in the log" in line_of(sold)


# ---- incidents --------------------------------------------------------------------------------


async def test_a_stale_mark_pauses_everything_that_closes() -> None:
    """Frozen and cancelled all the same; nothing is closed until the mark is fresh."""
    desk = fallen()
    await desk.watch()
    lots = desk.lots(VICTIM)
    desk.time_us += 60_000_000
    found = await advance(desk, desk.request())
    assert (found.next_stage, found.steps) == ("waiting", [])
    assert "stale" in found.why
    assert desk.lots(VICTIM) == lots
    desk.stand(958)
    assert {step.kind for step in await _to_the_end(desk)} == {"reduce", "release"}


async def test_after_a_start_nobody_is_liquidated_until_the_mark_is_fresh() -> None:
    """A restart makes everything stale for a whole window of the basis: zero liquidations."""
    desk = fallen()
    desk.run(Started(2, 0))
    desk.index(958)
    watch = await desk.watch()
    assert watch.frozen_count == 0
    assert watch.unjudged > 0
    desk.stand(958)
    assert (await desk.watch()).frozen_count == 1


async def test_a_halted_market_pauses_and_a_deposit_saves() -> None:
    """Nothing is closed while halted; money that comes releases the scope without a sale."""
    desk = fallen()
    await desk.watch()
    desk.run(SetPerpetualState(PERP, Trigger.HALT, "marta", "a look"))
    found = await advance(desk, desk.request())
    assert (found.next_stage, found.steps) == ("waiting", [])
    assert "halted" in found.why
    desk.run(SetPerpetualState(PERP, Trigger.RESUME, "marta", "seen"))
    desk.stand(958)
    desk.credit(VICTIM, 1, 10_000_000)
    await desk.news.tell()
    found = await advance(desk, desk.request(), found.state)
    assert [step.kind for step in found.steps] == ["release"]
    assert desk.lots(VICTIM) == 99


async def test_a_step_computed_on_an_old_version_is_computed_again() -> None:
    """Money arrives between the plan and the command: refused, told, computed anew."""
    desk = fallen()
    await desk.watch()
    asked = desk.submit

    async def late(command: Any) -> Any:
        desk.submit = asked  # type: ignore[method-assign]
        desk.credit(VICTIM, 1, 1)
        return await asked(command)

    desk.submit = late  # type: ignore[method-assign]
    found = await advance(desk, desk.request())
    assert found.steps[0].refusal == "SCOPE_CHANGED"
    assert found.next_stage == "released"


async def test_used_up_slices_mean_later_and_never_insolvent() -> None:
    """A book too thin for the slices of a round: it pauses, goes on, and nobody takes over."""
    desk = RiskDesk(max_slices=2, takeover_ppm=1)
    desk.victim()
    desk.move(958)
    desk.buy(90, 956, 1)
    await desk.watch()
    found = await advance(desk, desk.request())
    assert found.next_stage == "later"
    assert found.state.slices == 0
    assert found.state.round == 2
    assert all(step.kind == "reduce" for step in found.steps)
    assert desk.lots(FUND_ACCOUNT) == 0


async def test_two_scopes_share_one_counterparty() -> None:
    """Both are deleveraged against the same short, at the same time: never more than he has."""
    desk = RiskDesk()
    desk.victim(60, account=5, against=2)
    desk.victim(60, account=6, against=2)
    desk.cancel_all(90)
    desk.buy(90, 880, 10)
    desk.sell(90, 1_020, 10)
    desk.move(910)
    await desk.watch()
    assert len(desk.engine.frozen()) == 2
    requests = [desk.request(account) for account in (5, 6)]
    advanced = [await advance(desk, request) for request in requests]
    assert {one.next_stage for one in advanced} == {"deleveraging"}
    results = await asyncio.gather(
        *(
            _deleverage(desk, request, one.state)
            for request, one in zip(requests, advanced, strict=True)
        )
    )
    assert [result.ended for result in results] == ["done", "done"]
    assert desk.lots(2) == desk.lots(5) == desk.lots(6) == 0
    assert desk.is_conserved()


async def test_only_insolvent_counterparties_leave_a_shortfall_and_nothing_half_done() -> None:
    """Nobody can take it: no pair is applied, the position stands, the scope stays frozen."""
    desk = insolvent_everywhere()
    await desk.watch()
    request = desk.request()
    found = await advance(desk, request)
    assert found.next_stage == "deleveraging", found
    state = found.state
    for _ in range(3):
        before = desk.books()
        result = await _deleverage(desk, request, state)
        if result.ended == "shortfall":
            break
        last = max(step.sequence for step in result.steps)
        number = state.number + len(result.steps)
        state = replace(state, round=state.round + 1, number=number, last_sequence=last)
    assert result.ended == "shortfall", result
    assert result.left_lots == abs(desk.lots(VICTIM)) > 0
    assert {step.refusal for step in result.steps} <= {"COUNTERPARTY_WOULD_BE_INSOLVENT"}
    assert desk.books() == before
    assert desk.news.picture.markets[PERP].state is not PerpetualState.SETTLEMENT


def insolvent_everywhere() -> RiskDesk:
    """Return a desk where the only short began below the victim's bankruptcy price, on little."""
    desk = RiskDesk()
    desk.victim()
    desk.move(920)
    desk.fund(6, units=20_000)
    desk.leverage(6, 50)
    desk.pair(2, 6, 99, 920)
    desk.index(918)
    return desk
