"""Liquidation step by step: freeze, reduce, take over, deleverage; isolated margin; the fund."""

from __future__ import annotations

import pytest

from domain import risk_commands as r
from domain.commands import Started
from domain.errors import RejectReason as R
from domain.events import (
    Deleveraged,
    KeyDuplicate,
    LiquidationPlaced,
    OrderClosed,
    PerpetualTrade,
    ScopeFrozen,
    ScopeState,
)
from domain.order import Side
from domain.risk_commands import FUND_ACCOUNT, Trigger
from matching.codec import encode_events
from matching.engine import restore_engine
from tests.matching.desk import ETH_USDT, USDT, closes, only, reason
from tests.matching.liquidation_desk import Liquidation, below, sliced
from tests.matching.perpetual_desk import PERP, refusal

pytestmark = pytest.mark.usefixtures("each_engine")


# -- freeze -----------------------------------------------------------------------------


def test_a_freeze_cancels_and_fences() -> None:
    """Below its margin a scope is frozen: its orders go, and it is told as it is."""
    desk = below()
    desk.sell(5, 1_050, 99)
    frozen, closed, told = desk.freeze()
    assert isinstance(frozen, ScopeFrozen)
    assert isinstance(closed, OrderClosed)
    assert isinstance(told, ScopeState)
    assert (frozen.closed_count, closed.reason.name) == (1, "CANCELLED_BY_LIQUIDATION")
    assert told.version == desk.engine.sequence
    assert told.equity_units == told.cash_units - 99 * 42 * 10
    assert told.maintenance_units == 99 * 958 * 10 // 100 + 1
    assert told.frozen
    assert reason(desk.sell(5, 960, 1, reduce_only=True)) is R.SCOPE_FROZEN
    assert reason(desk.buy(5, 900, 1, symbol_id=ETH_USDT)) is R.SCOPE_FROZEN
    assert reason((desk.debit(5, USDT, 1),)) is R.INSUFFICIENT_FUNDS
    assert refusal(desk.freeze()) is R.SCOPE_FROZEN
    assert [one.account_id for one in desk.engine.frozen()] == [5]


def test_only_who_is_below_margin_is_frozen() -> None:
    """At the margin exactly a scope is safe."""
    desk = below()
    assert reason(desk.freeze(1)) is R.NOT_LIQUIDATABLE
    assert reason(desk.freeze(3)) is R.NOT_LIQUIDATABLE
    assert reason(desk.freeze(0)) is R.MALFORMED_COMMAND
    assert reason(desk.freeze(FUND_ACCOUNT)) is R.MALFORMED_COMMAND
    assert reason(desk.freeze(5, PERP)) is R.NOT_ISOLATED
    assert reason(desk.freeze(5, ETH_USDT)) is R.NOT_A_PERPETUAL
    assert reason(desk.freeze(5, 99)) is R.UNKNOWN_SYMBOL


def test_a_deposit_saves_a_frozen_scope() -> None:
    """It is let go above margin and buffer, not before; its version moved with the deposit."""
    desk = below()
    desk.freeze()
    version = desk.version()
    assert refusal(desk.unfreeze()) is R.STILL_LIQUIDATABLE
    desk.credit(5, USDT, 5_000)
    assert desk.version() > version
    desk.key += 1
    stale, told = desk.run(r.Unfreeze(desk.key, 5, 0, version))
    assert refusal((stale,)) is R.SCOPE_CHANGED
    assert isinstance(told, ScopeState)
    assert told.version == desk.version()
    assert refusal(desk.unfreeze()) is R.NONE
    assert desk.engine.frozen() == []
    assert refusal(desk.sell(5, 1_000, 1)) is R.NONE


# -- the book ---------------------------------------------------------------------------


def test_a_slice_in_the_book_pays_its_fee_to_the_fund() -> None:
    """At most the rate and what the fill left above bankruptcy; equity / MM does not fall."""
    desk = below()
    desk.freeze()
    before = desk.scope(5)
    placed, trade, *_, told = desk.liquidate(50)
    assert isinstance(placed, LiquidationPlaced)
    assert isinstance(trade, PerpetualTrade)
    assert isinstance(told, ScopeState)
    assert (placed.side, trade.price_ticks, trade.quantity_lots) == (Side.SELL, 956, 50)
    left = 99 * 958 * 10 // 100 + 1 - (49 * 958 * 10 // 100 + 1)
    bankruptcy = 50 * 958 * 10 - before.equity_units * left // before.maintenance_units
    assert trade.insurance_units == min(956 * 500 * 5 // 1_000, 956 * 500 - bankruptcy) > 0
    assert trade.taker_fee_units == 0
    assert desk.balance(FUND_ACCOUNT, USDT)[0] == trade.insurance_units
    assert told.equity_units * before.maintenance_units >= (
        before.equity_units * told.maintenance_units - told.maintenance_units
    )
    assert desk.lots(5) == 49
    assert desk.is_conserved()


def test_a_slice_is_never_worse_than_bankruptcy_or_the_band() -> None:
    """The fund pays nothing unless it is asked to; then it does as long as it can."""
    desk = below(952)
    desk.cancel_all(90)
    desk.buy(90, 900, 1_000)
    desk.freeze()
    placed, told = desk.liquidate(99)
    assert isinstance(placed, LiquidationPlaced)
    assert placed.limit_ticks > 900
    assert isinstance(told, ScopeState)
    placed, told = desk.liquidate(99, fund_may_pay=True)
    assert isinstance(placed, LiquidationPlaced)
    assert placed.limit_ticks == 857  # the band's edge
    desk.top_up(10**6)
    events = desk.liquidate(99, fund_may_pay=True)
    (trade,) = only(events, PerpetualTrade)
    assert trade.insurance_units < 0
    assert desk.scope(5).cash_units == 0
    assert refusal(desk.unfreeze()) is R.NONE
    assert desk.is_conserved()


def test_the_whole_open_interest_in_one_fill_with_the_fund_paying() -> None:
    """Another venue halted for hours on it: here the credit is checked before the fill."""
    desk = Liquidation()
    desk.fund(5, units=50_000)
    desk.leverage(5, 20)
    desk.pair(5, 2, 99)
    desk.move(955)
    desk.cancel_all(90)
    desk.buy(2, 930, 99)  # the other position takes its own end
    desk.freeze()
    events = desk.liquidate(99, fund_may_pay=True)
    assert only(events, PerpetualTrade) == []  # the fund is empty
    desk.top_up(10**6)
    (trade,) = only(desk.liquidate(99, fund_may_pay=True), PerpetualTrade)
    assert trade.quantity_lots == 99
    assert desk.lots(5) == desk.lots(2) == 0
    assert desk.scope(5).cash_units == 0
    assert desk.is_conserved()


def test_steps_are_refused_by_name() -> None:
    """What is asked has to be there; a refused step changes nothing but its key's record."""
    desk = below()
    assert reason(desk.liquidate(10)) is R.SCOPE_NOT_FROZEN
    desk.freeze()
    before = desk.scope(5), desk.engine.positions(5)
    for events, why in (
        (desk.liquidate(0), R.INVALID_POSITION_DELTA),
        (desk.liquidate(100), R.INVALID_POSITION_DELTA),
        (desk.liquidate(-1), R.INVALID_POSITION_DELTA),
        (desk.liquidate(10, -1), R.INVALID_PRICE),
        (desk.liquidate(10, key=0), R.MALFORMED_COMMAND),
        (desk.liquidate(10, expected_scope_version=3), R.SCOPE_CHANGED),
        (desk.take_over(10), R.TAKEOVER_TOO_EARLY),
        (desk.deleverage(2, 10), R.TAKEOVER_TOO_EARLY),
    ):
        assert refusal(events) is why
        if why is not R.MALFORMED_COMMAND:
            assert isinstance(events[-1], ScopeState)
    assert (desk.scope(5), desk.engine.positions(5)) == before


def test_a_repeated_step_is_taken_once() -> None:
    """The key is answered with the first outcome, however the scope has changed."""
    desk = below()
    desk.freeze()
    first = desk.liquidate(10)
    (again,) = desk.run(r.Liquidate(desk.key, 5, PERP, 10, 0, first[-1].version - 1))  # type: ignore[union-attr]
    assert isinstance(again, KeyDuplicate)
    assert desk.lots(5) == 89


def test_a_stale_mark_closes_nothing() -> None:
    """After a restart scopes are frozen, and nothing is closed before a whole fresh window."""
    desk = below()
    desk.run(Started(2, 7))
    assert refusal(desk.freeze()) is R.NONE
    assert refusal(desk.liquidate(10)) is R.MARK_STALE
    assert refusal(desk.take_over(10)) is R.MARK_STALE
    assert refusal(desk.deleverage(2, 10)) is R.MARK_STALE
    desk.stand(960)
    assert refusal(desk.liquidate(10)) is R.NONE


def test_a_halted_market_pauses_liquidations() -> None:
    """Nothing is closed in it; the scope stays frozen."""
    desk = below()
    desk.freeze()
    desk.run(r.SetPerpetualState(PERP, Trigger.HALT))
    assert refusal(desk.liquidate(10)) is R.MARKET_HALTED


# -- the other side ---------------------------------------------------------------------


def test_a_pair_closes_at_the_bankruptcy_quote() -> None:
    """The counterparty's orders go, it ends no poorer than it may, the account at 0."""
    desk = sliced()
    desk.buy(2, 900, 5)
    told, *_, scope = desk.deleverage(2, 99)
    assert isinstance(told, Deleveraged)
    assert isinstance(scope, ScopeState)
    assert (told.delta_lots, told.lots, told.counterparty_lots) == (-99, 0, 0)
    assert told.haircut_units > 0
    assert scope.cash_units == 0
    assert [why for _, why in closes(desk.events[-5:])] == ["CANCELLED_BY_LIQUIDATION"]  # type: ignore[arg-type]
    assert refusal(desk.unfreeze()) is R.NONE
    assert desk.is_conserved()


def test_only_the_opposite_and_the_solvent_are_counterparties() -> None:
    """Who has no opposite position is not touched; nor who would end with less than nothing."""
    desk = sliced()
    assert refusal(desk.deleverage(1, 1)) is R.INVALID_POSITION_DELTA
    assert refusal(desk.deleverage(90, 999)) is R.INVALID_POSITION_DELTA
    assert refusal(desk.deleverage(5, 1)) is R.INVALID_POSITION_DELTA


def test_liquidations_survive_snapshots() -> None:
    """Frozen scopes, their slices and the fund's history are part of the state."""
    desk = sliced()
    desk.top_up(10**6)
    copy = restore_engine(desk.engine.snapshot())
    assert copy.snapshot() == desk.engine.snapshot()
    assert copy.frozen() == desk.engine.frozen()
    assert encode_events(desk.events) == bytes(desk.raw)


def test_a_slice_is_within_its_limits() -> None:
    """At the mark as it is: at most a fifth of a large position, and no less than the least."""
    desk = below(
        slice_min_units=3 * 958 * 10, slice_whole_below_units=1_000, slice_max_portion_ppm=200_000
    )
    desk.freeze()
    before = desk.lots(5)
    assert refusal(desk.liquidate(20)) is R.OUTSIDE_SLICE_LIMITS
    assert refusal(desk.liquidate(2)) is R.OUTSIDE_SLICE_LIMITS
    assert desk.lots(5) == before == 99
    assert refusal(desk.liquidate(19)) is R.NONE
    assert desk.lots(5) == 80


def test_the_fund_chooses_nothing() -> None:
    """Its account is no customer's: neither leverage nor margin mode, and no orders."""
    desk = below()
    assert reason(desk.leverage(FUND_ACCOUNT, 5)) is R.MALFORMED_COMMAND
    mode = r.SetMarginMode(FUND_ACCOUNT, PERP, r.MarginMode.ISOLATED)
    assert reason(desk.run(mode)) is R.MALFORMED_COMMAND
    assert reason(desk.buy(FUND_ACCOUNT, 950, 1)) is R.MALFORMED_COMMAND
