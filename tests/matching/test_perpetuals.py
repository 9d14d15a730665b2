"""Perpetuals: positions, margin, and what an order has to pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain import risk_commands as r
from domain.commands import AmendOrder, DelistSymbol, Started
from domain.errors import RejectReason as R
from domain.events import (
    Event,
    OrderAccepted,
    OrderTriggered,
    PerpetualTrade,
)
from domain.fees import flat_fees
from domain.order import Side, TimeInForce
from tests.matching.desk import BTC, ETH_USDT, USDT, closes, only, order_id, reason
from tests.matching.perpetual_desk import PERP, RULES, PerpetualDesk, refusal, terms

pytestmark = pytest.mark.usefixtures("each_engine")


@pytest.fixture
def desk() -> PerpetualDesk:
    """Return an open perpetual; accounts 1 to 3 have 1,000 USDT each, at a leverage of 20."""
    made = PerpetualDesk()
    made.fund(1, 2, 3)
    for account in (1, 2, 3):
        made.leverage(account, 20)
    return made


# -- positions --------------------------------------------------------------------------


def test_a_fill_opens_two_positions(desk: PerpetualDesk) -> None:
    """Both legs, cost and fees; nothing of the base asset moves, nothing is held."""
    desk.sell(2, 1_000, 10)
    accepted, trade, *_ = desk.buy(1, 1_000, 10)
    assert isinstance(accepted, OrderAccepted)
    assert isinstance(trade, PerpetualTrade)
    assert accepted.hold_units == 0
    assert (trade.quote_units, trade.maker_fee_units, trade.taker_fee_units) == (100_000, 20, 50)
    assert (trade.taker_lots, trade.taker_cost_units) == (10, 100_000)
    assert (trade.maker_lots, trade.maker_cost_units) == (-10, -100_000)
    assert desk.balance(1, USDT) == (10**9 - 50, 0)
    assert desk.balance(1, BTC) == (0, 0)
    assert desk.perpetual.open_lots == 10
    assert desk.is_conserved()


def test_profit_is_realised_with_the_fill_that_closes(desk: PerpetualDesk) -> None:
    """Part of the cost goes with each part that closes, the rest with the last; equal any way."""
    desk.pair(1, 2, 3, 1_000)
    desk.pair(1, 2, 4, 1_007)
    profits = []
    for lots in (2, 2, 3):
        desk.buy(3, 1_010, lots)
        (trade,) = only(desk.sell(1, 1_010, lots), PerpetualTrade)
        profits.append(trade.taker_realised_units)
    assert sum(profits) == 7 * 1_010 * 10 - (3 * 1_000 + 4 * 1_007) * 10
    assert desk.lots(1) == 0
    assert desk.is_conserved()


def test_a_fill_may_turn_a_position(desk: PerpetualDesk) -> None:
    """What is beyond the position opens the other side at the fill's price."""
    desk.pair(1, 2, 5)
    desk.buy(3, 1_010, 12)
    (trade,) = only(desk.sell(1, 1_010, 12), PerpetualTrade)
    assert (trade.taker_lots, trade.taker_cost_units) == (-7, -70_700)
    assert trade.taker_realised_units == 500
    assert desk.is_conserved()


def test_a_rebate_is_paid_out_of_the_takers_fee() -> None:
    """A negative maker rate works as on a spot market."""
    desk = PerpetualDesk(rules=replace(RULES, fees=flat_fees(-100, 500)))
    desk.fund(1, 2)
    desk.pair(1, 2, 10)
    assert desk.balance(2, USDT) == (10**9 + 10, 0)
    assert desk.is_conserved()


# -- margin -----------------------------------------------------------------------------


def test_the_margin_bounds_a_position(desk: PerpetualDesk) -> None:
    """At a leverage of 20 a twentieth of the notional, and the fee, must be covered."""
    desk.fund(5, units=50_000)
    desk.leverage(5, 20)
    assert reason(desk.buy(5, 1_000, 100)) is R.INSUFFICIENT_MARGIN
    assert refusal(desk.buy(5, 1_000, 99)) is R.NONE  # 49,500 + 495
    assert reason(desk.buy(5, 1_000, 1)) is R.INSUFFICIENT_MARGIN
    assert desk.scope(5).required_units == 49_500


def test_the_worse_side_counts(desk: PerpetualDesk) -> None:
    """Orders of both sides need the margin of one; what reduces needs none."""
    desk.fund(5, units=50_100)
    desk.leverage(5, 20)
    desk.buy(5, 990, 99)
    assert refusal(desk.sell(5, 1_015, 99)) is R.NONE
    assert reason(desk.sell(5, 1_015, 2)) is R.INSUFFICIENT_MARGIN


def test_an_order_pays_its_open_loss(desk: PerpetualDesk) -> None:
    """What it would lose at once against the mark must be there beside the margin."""
    desk.cancel_all(90)
    desk.fund(5, units=50_000)
    desk.leverage(5, 20)
    assert reason(desk.buy(5, 1_050, 90)) is R.INSUFFICIENT_MARGIN
    assert refusal(desk.buy(5, 1_050, 45)) is R.NONE
    assert desk.scope(5).required_units == 45 * 500 + 45 * 500
    assert reason(desk.buy(5, 1_050, 10)) is R.INSUFFICIENT_MARGIN


def test_unrealised_profit_backs_orders_and_never_leaves(desk: PerpetualDesk) -> None:
    """Equity counts for margin; only cash can be debited, and what the margin leaves of it."""
    desk.fund(5, units=100_000)
    desk.leverage(5, 20)
    desk.pair(5, 2, 100)
    desk.move(1_050)
    scope = desk.scope(5)
    assert scope.equity_units > scope.cash_units
    assert scope.leaving_units == min(scope.cash_units, scope.equity_units - 100_000 * 105 // 100)
    assert reason((desk.debit(5, USDT, scope.leaving_units + 1),)) is R.INSUFFICIENT_FUNDS
    assert refusal((desk.debit(5, USDT, scope.leaving_units),)) is R.NONE


def test_one_pot_with_spot(desk: PerpetualDesk) -> None:
    """What a spot order holds backs no position, what a margin needs buys no coins."""
    desk.fund(5, units=100_000)
    desk.leverage(5, 20)
    spot = {"symbol_id": ETH_USDT}
    desk.buy(5, 1_000, 50, **spot)  # holds 50,100
    assert reason(desk.buy(5, 1_000, 100)) is R.INSUFFICIENT_MARGIN
    assert refusal(desk.buy(5, 990, 98)) is R.NONE
    assert reason(desk.buy(5, 1_000, 1, **spot)) is R.INSUFFICIENT_FUNDS


def test_a_stale_mark_lets_nothing_out(desk: PerpetualDesk) -> None:
    """Who has a position waits for a fresh mark; others do not."""
    desk.pair(1, 2, 10)
    desk.run(Started(2, 7))
    assert reason((desk.debit(1, USDT, 1),)) is R.INSUFFICIENT_FUNDS
    assert refusal((desk.debit(3, USDT, 1),)) is R.NONE


def test_leverage(desk: PerpetualDesk) -> None:
    """It is bounded by the market, and lowered only where the margin allows."""
    for leverage in (0, 51, -1):
        assert reason(desk.leverage(1, leverage)) is R.INVALID_LEVERAGE
    desk.fund(5, units=50_000)
    desk.leverage(5, 20)
    desk.buy(5, 990, 90)
    assert reason(desk.leverage(5, 10)) is R.INSUFFICIENT_MARGIN
    assert refusal(desk.leverage(5, 50)) is R.NONE
    assert desk.scope(5).required_units == 18_000
    assert reason(desk.run(r.SetLeverage(5, ETH_USDT, 2))) is R.NOT_A_PERPETUAL


def test_a_crowded_market_needs_more_margin() -> None:
    """Open interest raises the initial rate, not the maintenance rate."""
    desk = PerpetualDesk(terms(oi_lower_units=10**6, oi_upper_units=3 * 10**6))
    desk.fund(1, 2, 3)
    for account in (1, 2):
        desk.leverage(account, 20)
    desk.pair(1, 2, 150)
    before = desk.scope(1)
    desk.pair(3, 90, 50)
    assert desk.scope(1).maintenance_units == before.maintenance_units == 15_000
    assert desk.scope(1).required_units == 1_500_000 * 51 // 100


# -- limits, band, reduce-only ----------------------------------------------------------


def test_position_limits() -> None:
    """The cap of the brackets, the rules' own bound, and a share of open interest."""
    desk = PerpetualDesk(
        terms(cap_units=60_000_000, share_ppm=500_000, share_free_units=1_000_000),
        replace(RULES, max_position_lots=300),
    )
    desk.fund(1, 2, 3)
    for account in (1, 2, 3):
        desk.leverage(account, 20)
    assert reason(desk.buy(1, 990, 101)) is R.POSITION_LIMIT
    desk.pair(1, 2, 100)
    desk.pair(3, 90, 100)
    desk.pair(3, 90, 1)
    assert reason(desk.buy(1, 990, 1)) is R.POSITION_LIMIT
    assert refusal(desk.sell(1, 1_010, 100)) is R.NONE
    desk.run(r.SetRiskParameters(PERP, terms(cap_units=60_000_000)))
    assert reason(desk.buy(1, 990, 201)) is R.POSITION_LIMIT


def test_the_band_follows_the_mark(desk: PerpetualDesk) -> None:
    """Beyond it a limit is refused, a passive one is not, a market order stops there."""
    assert reason(desk.buy(1, 1_101, 1)) is R.PRICE_OUTSIDE_BAND
    assert reason(desk.sell(1, 899, 1)) is R.PRICE_OUTSIDE_BAND
    assert refusal(desk.buy(1, 1, 1)) is R.NONE
    desk.move(1_030)
    assert desk.perpetual.mark_ticks > 1_000
    assert refusal(desk.buy(1, 1_101, 1)) is R.NONE


def test_reduce_only_is_cut_to_the_position(desk: PerpetualDesk) -> None:
    """It trades what there is to close, and never without a position."""
    assert reason(desk.sell(1, 1_000, 1, reduce_only=True)) is R.NOTHING_TO_REDUCE
    desk.pair(1, 2, 5)
    assert reason(desk.buy(1, 1_000, 1, reduce_only=True)) is R.NOTHING_TO_REDUCE
    accepted, *_ = desk.sell(1, 1_000, 9, reduce_only=True)
    assert isinstance(accepted, OrderAccepted)
    assert (accepted.quantity_lots, accepted.reduce_only) == (5, True)
    desk.buy(3, 1_000, 9)
    assert (desk.lots(1), desk.lots(3)) == (0, 5)


def test_reduce_only_needs_no_margin(desk: PerpetualDesk) -> None:
    """An account without any spare equity can close."""
    desk.fund(5, units=50_000)
    desk.leverage(5, 20)
    desk.pair(5, 2, 99)
    desk.move(980)
    assert desk.scope(5).equity_units < desk.scope(5).required_units
    assert reason(desk.buy(5, 980, 1)) is R.INSUFFICIENT_MARGIN
    assert refusal(desk.sell(5, 985, 99, reduce_only=True)) is R.NONE


def test_resting_reduce_only_orders_shrink_with_the_position(desk: PerpetualDesk) -> None:
    """Whole orders go, farthest from the mark first, of equally far ones the youngest."""
    desk.pair(1, 2, 5)
    near = order_id(desk.sell(1, 1_005, 3, reduce_only=True))
    far = order_id(desk.sell(1, 1_015, 2, reduce_only=True))
    young = order_id(desk.sell(1, 1_015, 2, reduce_only=True))
    desk.buy(3, 1_000, 1)
    events = desk.sell(1, 1_000, 1)
    trimmed = [closed for closed, why in closes(events) if why == "NOTHING_TO_REDUCE"]
    assert trimmed == [young, far]
    events = desk.buy(3, 1_005, 3)
    assert desk.lots(1) == 1
    assert near in [closed for closed, _ in closes(events)]


def test_a_sweep_meets_only_what_still_reduces(desk: PerpetualDesk) -> None:
    """Two resting orders of one position: the second goes when the first has closed it."""
    desk.pair(1, 2, 5)
    desk.sell(1, 1_005, 5, reduce_only=True)
    desk.sell(1, 1_006, 5, reduce_only=True)
    trades = only(desk.buy(3, 1_010, 10), PerpetualTrade)
    assert [trade.quantity_lots for trade in trades] == [5]
    assert desk.lots(1) == 0
    assert desk.is_conserved()


def test_close_position(desk: PerpetualDesk) -> None:
    """It names no quantity, and closes all there is when it acts."""
    desk.pair(1, 2, 5)
    stop = desk.stop(
        1, Side.SELL, 990, 0, close_position=True, symbol_id=PERP, time_in_force=TimeInForce.GTC
    )
    desk.pair(1, 2, 3)
    desk.buy(3, 990, 1)
    desk.buy(3, 985, 20)
    events = desk.sell(2, 985, 1)
    (set_off,) = only(events, OrderTriggered)
    assert (set_off.order_id, set_off.refusal) == (stop, R.NONE)
    assert desk.lots(1) == 0
    assert reason(desk.market(1, Side.SELL, 0, close_position=True)) is R.NOTHING_TO_REDUCE
    assert reason(desk.sell(1, 1_000, 1, close_position=True)) is R.INVALID_COMBINATION
    assert reason(desk.market(1, Side.SELL, 2, close_position=True)) is R.INVALID_QUANTITY


def test_a_stop_passes_margin_when_it_acts(desk: PerpetualDesk) -> None:
    """While it waits it needs none; what is not covered then closes it."""
    desk.fund(5, units=1_000)
    stop = desk.stop(5, Side.BUY, 1_010, 50, symbol_id=PERP, time_in_force=TimeInForce.GTC)
    desk.sell(3, 1_010, 1)
    (set_off,) = only(desk.buy(2, 1_010, 1), OrderTriggered)
    assert (set_off.order_id, set_off.refusal) == (stop, R.INSUFFICIENT_MARGIN)
    assert desk.lots(5) == 0


def test_flags_of_perpetuals_mean_nothing_on_a_spot_market(desk: PerpetualDesk) -> None:
    """They are refused there, and a budget in a perpetual."""
    desk.credit(1, 2, 10**9)
    spot = {"symbol_id": ETH_USDT}
    assert reason(desk.sell(1, 1_000, 1, reduce_only=True, **spot)) is R.INVALID_COMBINATION
    assert reason(desk.spend(1, 500)) is R.INVALID_COMBINATION
    assert reason(desk.buy(r.FUND_ACCOUNT, 1_000, 1)) is R.MALFORMED_COMMAND
    assert reason((desk.credit(r.FUND_ACCOUNT, USDT, 5),)) is R.MALFORMED_COMMAND


def test_an_amend_passes_what_a_new_order_passes(desk: PerpetualDesk) -> None:
    """More lots need more margin; a reduce-only order grows only as far as it can close."""
    desk.fund(5, units=50_000)
    desk.leverage(5, 20)
    order = order_id(desk.buy(5, 990, 90))
    assert reason(_amend(desk, 5, order, quantity_lots=120)) is R.INSUFFICIENT_MARGIN
    assert refusal(_amend(desk, 5, order, quantity_lots=95)) is R.NONE
    assert desk.scope(5).required_units == 95 * 500
    desk.pair(1, 2, 5)
    order = order_id(desk.sell(1, 1_010, 3, reduce_only=True))
    assert reason(_amend(desk, 1, order, quantity_lots=6)) is R.NOTHING_TO_REDUCE
    assert refusal(_amend(desk, 1, order, quantity_lots=5)) is R.NONE


def _amend(desk: PerpetualDesk, account: int, order: int, **changed: int) -> tuple[Event, ...]:
    return desk.run(AmendOrder(account, PERP, order, **changed))


def test_a_list_reduces(desk: PerpetualDesk) -> None:
    """Take profit and stop loss of a position, as an OCO, need no margin and end each other."""
    desk.pair(1, 2, 5)
    events = desk.oco(1, Side.SELL, 1_010, 990, 5, symbol_id=PERP, reduce_only=True)
    first, second = (e.order_id for e in only(events, OrderAccepted))
    events = desk.buy(3, 1_010, 5)
    assert dict(closes(events))[second] == "ORDER_LIST_DONE"
    assert first in dict(closes(events))
    assert desk.lots(1) == 0


def test_delisting_waits_for_positions(desk: PerpetualDesk) -> None:
    """A market with positions cannot be closed for ever."""
    desk.pair(1, 2, 5)
    assert reason(desk.run(DelistSymbol(PERP, "ada", "over"))) is R.POSITION_OPEN
