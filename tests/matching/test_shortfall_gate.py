"""A shortfall: until it is over no collateral leaves the shard, whoever's it is."""

from __future__ import annotations

import pytest

from domain import risk_commands as r
from domain.errors import RejectReason as R
from domain.events import Debited, KeyDuplicate, PerpetualStateSet
from domain.perpetual_state import PerpetualState as S
from domain.perpetual_state import StateTrigger
from domain.risk_commands import Trigger
from matching.engine import restore_engine
from tests.matching.desk import ETH, USDT
from tests.matching.liquidation_desk import Liquidation
from tests.matching.perpetual_desk import PERP, PerpetualDesk, refusal

pytestmark = pytest.mark.usefixtures("each_engine")

BYSTANDER = 6  # has no position, and trades no perpetual


@pytest.fixture
def desk() -> Liquidation:
    """Give a market with positions, and somebody who has nothing to do with it."""
    desk = Liquidation()
    desk.fund(5, BYSTANDER, units=50_000)
    desk.credit(BYSTANDER, ETH, 10**6)
    desk.leverage(5, 20)
    desk.pair(5, 2, 50)
    return desk


def told(desk: PerpetualDesk, trigger: Trigger) -> R:
    """Bring the market to another state; return why that was refused, or NONE."""
    return refusal(desk.run(r.SetPerpetualState(PERP, trigger, "risk", "a drill")))


def debit(desk: PerpetualDesk, asset: int = USDT, **other: int) -> R:
    """Return why the bystander's money does not leave, or NONE."""
    return refusal((desk.debit(BYSTANDER, asset, 100, **other),))


def test_no_collateral_leaves_until_an_operator_resumes(desk: Liquidation) -> None:
    """Of nobody; other assets leave, and money comes in. It stays so over a restart."""
    assert debit(desk) is R.NONE
    assert told(desk, Trigger.SHORTFALL) is R.NONE
    for _ in range(2):
        assert (debit(desk), debit(desk, ETH)) == (R.COLLATERAL_GATED, R.NONE)
        assert refusal((desk.credit(BYSTANDER, USDT, 100),)) is R.NONE
        assert desk.scope(BYSTANDER).is_gated
        desk.engine = restore_engine(desk.engine.snapshot())
    assert told(desk, Trigger.SHORTFALL) is R.NONE
    assert (desk.phase, debit(desk)) == (S.HALTED, R.COLLATERAL_GATED)
    assert told(desk, Trigger.RESUME) is R.NONE
    assert (desk.phase, debit(desk)) == (S.GUARDED, R.NONE)
    assert not desk.scope(BYSTANDER).is_gated


def test_what_stays_in_the_shard_moves(desk: Liquidation) -> None:
    """Spot trades with collateral, and margin to and from a position of one's own."""
    told(desk, Trigger.SHORTFALL)
    desk.fund(1, assets=(ETH,))
    desk.sell(1, 1_000, 1, symbol_id=1)
    assert refusal(desk.buy(BYSTANDER, 1_000, 1, symbol_id=1)) is R.NONE
    desk.run(r.SetMarginMode(BYSTANDER, PERP, r.MarginMode.ISOLATED))
    for key, units in ((900, 5_000), (901, -5_000)):
        moved = desk.run(r.MoveMargin(key, BYSTANDER, PERP, units, desk.time_us))
        assert refusal(moved) is R.NONE


def test_a_refusal_is_the_keys_outcome(desk: Liquidation) -> None:
    """Who sends the same debit again later is told what it was answered; a new one leaves."""
    told(desk, Trigger.SHORTFALL)
    created = desk.time_us
    assert debit(desk, key=777, created_at_us=created) is R.COLLATERAL_GATED
    told(desk, Trigger.RESUME)
    again = desk.debit(BYSTANDER, USDT, 100, key=777, created_at_us=created)
    assert isinstance(again, KeyDuplicate)
    assert (again.same_body, again.first_reason) == (True, R.COLLATERAL_GATED)
    assert isinstance(desk.debit(BYSTANDER, USDT, 100, key=778), Debited)


def test_a_market_that_an_operator_restricts_gates_nobody_else(desk: Liquidation) -> None:
    """Reducing only, or halted, without a loss: who has a position waits, the others do not."""
    for trigger in (Trigger.REDUCE, Trigger.HALT):
        assert told(desk, trigger) is R.NONE
        assert debit(desk) is R.NONE
    assert refusal((desk.debit(5, USDT, 1),)) is R.INSUFFICIENT_FUNDS


def test_a_shortfall_counts_in_a_halted_market(desk: Liquidation) -> None:
    """An operator was faster with the halt: the state stays, the gate closes, once."""
    told(desk, Trigger.HALT)
    (event,) = desk.run(r.SetPerpetualState(PERP, Trigger.SHORTFALL, "risk", "nobody is left"))
    assert isinstance(event, PerpetualStateSet)
    assert (event.previous_state, event.state) == (S.HALTED, S.HALTED)
    assert (event.trigger, event.actor) == (StateTrigger.SHORTFALL, "risk")
    assert debit(desk) is R.COLLATERAL_GATED
    assert told(desk, Trigger.SHORTFALL) is R.STATE_UNCHANGED


def test_a_market_that_ends_gates_until_its_last_position_is_settled(desk: Liquidation) -> None:
    """Nothing of it can be uncovered when nobody has a position there any more."""
    for trigger in (Trigger.SHORTFALL, Trigger.HALT, Trigger.SETTLE):
        assert told(desk, trigger) is R.NONE
    assert debit(desk) is R.COLLATERAL_GATED
    assert refusal(desk.run(r.SettleMarket(10**9, PERP))) is R.NONE
    assert (desk.perpetual.open_lots, debit(desk)) == (0, R.NONE)
    assert told(desk, Trigger.RESUME) is R.STATE_UNCHANGED
    assert desk.is_conserved()
