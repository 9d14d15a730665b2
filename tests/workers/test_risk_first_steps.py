"""The monitor's first steps: taken once, told in full, found in the log when nobody could tell."""

from __future__ import annotations

import pytest

from domain.liquidation_story import RoundState
from domain.risk_commands import Liquidate
from domain.risk_picture import FrozenScope
from tests.activities.test_liquidation import advance
from tests.workflows.risk_rig import PERP, VICTIM, RiskDesk, fallen, without_bids
from workers.risk_first_steps import FirstSteps
from workers.risk_watch import RiskWatch


async def _frozen(desk: RiskDesk) -> list[FrozenScope]:
    """Let the monitor look once; return whom it froze."""
    await desk.news.tell()
    found = await RiskWatch(desk.news, desk).look()
    await desk.news.tell()
    return found


def _sent(desk: RiskDesk) -> list[Liquidate]:
    """Return what was asked of the engine after the freezes."""
    return [command for command in desk.asked if isinstance(command, Liquidate)]


async def test_the_first_slice_needs_no_workflow() -> None:
    """Sold at once and told with all its numbers; the workflow goes on with the second step."""
    desk = fallen()
    frozen = await _frozen(desk)
    first = FirstSteps(desk.news, desk)
    first.froze(frozen)
    taken = (await first.take(frozen))[frozen[0].key]
    (sold,) = taken.steps
    assert (sold.number, sold.kind, sold.refusal, sold.found) == (1, "reduce", "", False)
    assert sold.fills == [[956, sold.done_lots]]
    assert sold.book[0] == [956, 1_000]
    assert sold.marks == [[PERP, 958]]
    assert sold.before is not None
    assert sold.before.shortage_units > 0
    assert (taken.state.number, taken.state.slices) == (2, 1)
    found = await advance(desk, desk.request(), taken.state)
    assert found.next_stage == "released"
    assert [step.number for step in found.steps] == list(range(2, 2 + len(found.steps)))
    assert not any(step.found for step in found.steps)
    assert desk.is_conserved()


async def test_each_is_taken_once_and_only_by_who_froze_it() -> None:
    """Asked again it tells the same; of a scope that another process froze it knows nothing."""
    desk = fallen()
    frozen = await _frozen(desk)
    first = FirstSteps(desk.news, desk)
    assert await first.take(frozen) == {}
    assert _sent(desk) == []
    first.froze(frozen)
    taken = await first.take(frozen)
    assert await first.take(frozen) == taken
    assert len(_sent(desk)) == 1
    first.forget([])
    assert await first.take(frozen) == {}


@pytest.mark.parametrize("lost", ["lost_before", "lost_after"])
async def test_what_could_not_be_told_is_in_the_log(lost: str) -> None:
    """The engine did not answer: the workflow begins with nothing, and sells no lot twice."""
    calm = fallen()
    await _frozen(calm)
    await advance(calm, calm.request())
    desk = fallen()
    frozen = await _frozen(desk)
    setattr(desk, lost, {2})
    first = FirstSteps(desk.news, desk)
    first.froze(frozen)
    assert await first.take(frozen) == {}
    found = await advance(desk, desk.request(), RoundState())
    assert found.next_stage == "released"
    assert found.steps[0].found == (lost == "lost_after")
    assert desk.books() == calm.books()


async def test_scopes_that_begin_together_are_sold_together() -> None:
    """One request, the worst first; each has its own record."""
    desk = RiskDesk()
    for account, lots in ((11, 97), (12, 99), (13, 98)):
        desk.victim(lots, account=account)
    desk.move(956)
    desk.buy(90, 954, 1_000)
    frozen = await _frozen(desk)
    first = FirstSteps(desk.news, desk)
    first.froze(frozen)
    taken = await first.take(frozen[:2])
    sent = [command.account_id for command in _sent(desk)]
    assert sent == [12, 13]
    assert [taken[one.key].steps[0].refusal for one in frozen[:2]] == ["", ""]
    assert list(await first.take(frozen)) == [one.key for one in frozen]
    assert desk.is_conserved()


async def test_a_fund_that_refuses_is_remembered() -> None:
    """The workflow does not ask it again: it goes on to the other side."""
    desk = without_bids(945)
    frozen = await _frozen(desk)
    first = FirstSteps(desk.news, desk)
    first.froze(frozen)
    taken = (await first.take(frozen))[frozen[0].key]
    assert [step.refusal for step in taken.steps] == ["FUND_POOL_EMPTY"]
    found = await advance(desk, desk.request(), taken.state)
    assert (found.next_stage, found.steps) == ("deleveraging", [])


async def test_nobody_is_released_before_a_workflow_is_there() -> None:
    """Money has come meanwhile: the workflow releases, and there is a record of it."""
    desk = fallen()
    frozen = await _frozen(desk)
    desk.credit(VICTIM, 1, 10_000_000)
    await desk.news.tell()
    first = FirstSteps(desk.news, desk)
    first.froze(frozen)
    assert await first.take(frozen) == {}
    assert desk.engine.frozen() != []
