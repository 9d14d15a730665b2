"""The insurance fund: takeover, its bounds, funding, unwinding; isolated margin; the end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain import risk_commands as r
from domain.errors import RejectReason as R
from domain.events import (
    Deleveraged,
    FundingPaid,
    FundingSettled,
    MarketSettled,
    PerpetualTrade,
    PositionSettled,
    ScopeState,
    TakenOver,
)
from domain.risk_commands import FUND_ACCOUNT, MarginMode, Trigger
from tests.matching.desk import ETH_USDT, USDT, only, reason
from tests.matching.liquidation_desk import below, isolated, sliced
from tests.matching.perpetual_desk import PERP, refusal, terms
from tests.matching.test_perpetual_funding import HOUR_US, until

pytestmark = pytest.mark.usefixtures("each_engine")


# -- the fund ---------------------------------------------------------------------------


def test_the_fund_takes_over_what_it_can() -> None:
    """Whole lots within its cash; it has the position then, the account nothing."""
    desk = sliced()
    desk.top_up(10**6)
    taken, told = desk.take_over(99)
    assert isinstance(taken, TakenOver)
    assert isinstance(told, ScopeState)
    assert (taken.delta_lots, taken.lots, taken.fund_lots) == (-99, 0, 99)
    assert taken.fund_cost_units == taken.quote_units
    assert (told.cash_units, told.equity_units) == (0, 0)
    assert desk.lots(FUND_ACCOUNT) == 99
    assert desk.balance(FUND_ACCOUNT, USDT)[0] == 10**6
    assert refusal(desk.unfreeze()) is R.NONE
    assert desk.is_conserved()


def test_the_fund_is_bounded_by_cash_and_cap() -> None:
    """An empty one takes nothing, a small one some; the rest is for deleveraging."""
    desk = sliced()
    assert refusal(desk.take_over(99)) is R.FUND_POOL_EMPTY
    desk.top_up(200_000)
    taken = desk.take_over(99)[0]
    assert isinstance(taken, TakenOver)
    assert -99 < taken.delta_lots < 0
    assert refusal(desk.take_over(1)) is R.FUND_AT_CAPACITY
    assert refusal(desk.deleverage(2, 1)) is R.NONE
    assert desk.is_conserved()


def test_a_drawdown_stops_the_fund() -> None:
    """30 % below its highest of eight hours; a top-up brings it back above 25 %."""
    desk = sliced()
    desk.top_up(3 * 10**6)
    desk.take_over(99)
    desk.move(800)
    desk.unwind(99)
    while desk.lots(FUND_ACCOUNT):
        desk.move(desk.perpetual.mark_ticks - 50)
        desk.unwind(desk.lots(FUND_ACCOUNT))
    assert desk.is_conserved()
    assert desk.balance(FUND_ACCOUNT, USDT)[0] < 3 * 10**6


def test_the_fund_pays_funding_or_is_deleveraged_first() -> None:
    """Before its cash would go below 0, its position ends at its own bankruptcy price."""
    desk = sliced(
        funding_interval_seconds=3_600, interest_ppm=7_000, damper_ppm=7_000, fund_cap_ppm=4_000_000
    )
    desk.top_up(250_000)
    taken = desk.take_over(99)[0]
    assert isinstance(taken, TakenOver)
    assert desk.lots(FUND_ACCOUNT) == 99
    desk.buy(90, 925, 1_000)
    desk.sell(90, 965, 1_000)
    instant = (desk.time_us // HOUR_US + 1) * HOUR_US
    key = 10**7
    pairs = 0
    for _ in range(60):
        until(desk, instant, 945)
        key += 1
        events = desk.run(r.SettleFunding(key, PERP, instant))
        header = events[0]
        assert isinstance(header, FundingSettled)
        paid = only(events, FundingPaid)
        assert sum(e.amount_units for e in paid) + header.rounding_units == 0
        assert desk.balance(FUND_ACCOUNT, USDT)[0] >= 0
        assert desk.is_conserved()
        pairs = len(only(events, Deleveraged))
        instant += HOUR_US
        if pairs:
            break
    assert pairs
    assert desk.lots(FUND_ACCOUNT) == 0


def test_unwinding_ends_by_deleveraging_where_cash_ends() -> None:
    """A fill that the fund could not pay for is not made."""
    desk = sliced()
    desk.top_up(60_000)
    desk.run(r.SetRiskParameters(PERP, terms(max_slices=1, fund_cap_ppm=4_000_000)))
    desk.run(r.SetRiskParameters(PERP, terms(max_slices=1, fund_cap_ppm=4_194_304)))
    taken = desk.take_over(99)[0]
    assert isinstance(taken, TakenOver)
    lots = desk.lots(FUND_ACCOUNT)
    desk.buy(3, 860, 10)
    events = desk.unwind(lots)
    assert desk.balance(FUND_ACCOUNT, USDT)[0] >= 0
    assert desk.is_conserved()
    kinds = {type(event) for event in events}
    assert kinds & {PerpetualTrade, Deleveraged}


def test_top_up_and_sweep() -> None:
    """Only the collateral, once per key; dust that is not there is not swept."""
    desk = below()
    assert refusal((desk.top_up(0),)) is R.INVALID_AMOUNT
    assert refusal((desk.top_up(5),)) is R.NONE
    assert refusal(desk.run(r.TopUpFund(10**8, 77, 5, desk.time_us))) is R.UNKNOWN_ASSET
    assert refusal(desk.run(r.SweepDust(10**8 + 1, USDT, desk.time_us))) is R.NO_DUST
    assert desk.balance(FUND_ACCOUNT, USDT) == (5, 0)
    assert refusal(desk.unwind(1)) is R.INVALID_POSITION_DELTA


# -- isolated margin --------------------------------------------------------------------


def test_an_isolated_position_has_cash_of_its_own() -> None:
    """Its margin, profit and fees are its own; the account's cash is not touched."""
    desk = isolated()
    assert desk.balance(5, USDT)[0] == 950_000
    assert desk.scope(5, PERP).cash_units == 50_000 - 495
    assert reason(desk.buy(5, 1_000, 1)) is R.INSUFFICIENT_MARGIN
    assert reason(desk.run(r.SetMarginMode(5, PERP, MarginMode.CROSS))) is R.POSITION_OPEN
    assert desk.is_conserved()


def test_margin_moves_both_ways() -> None:
    """In from what is free, out of what the position does not need."""
    desk = isolated()
    out = r.MoveMargin(5010, 5, PERP, -1_000, desk.time_us)
    assert reason(desk.run(out)) is R.INSUFFICIENT_FUNDS
    assert refusal(desk.run(replace(out, key=5020, amount_units=60_000))) is R.NONE
    assert reason(desk.run(replace(out, key=5030, amount_units=900_000))) is R.INSUFFICIENT_FUNDS
    assert refusal(desk.run(replace(out, key=5040))) is R.NONE
    assert desk.scope(5, PERP).cash_units == 50_000 - 495 + 60_000 - 1_000
    assert reason(desk.run(replace(out, key=5050, account_id=1))) is R.NOT_ISOLATED
    assert reason(desk.run(replace(out, key=5060, amount_units=0))) is R.INVALID_AMOUNT
    assert desk.is_conserved()


def test_an_isolated_liquidation_leaves_the_rest_alone() -> None:
    """Only the position is frozen and closed; the account trades on."""
    desk = isolated()
    desk.move(945)
    desk.cancel_all(90)
    assert refusal(desk.freeze(5)) is R.NOT_LIQUIDATABLE
    assert refusal(desk.freeze(5, PERP)) is R.NONE
    assert refusal(desk.buy(5, 950, 1, symbol_id=ETH_USDT)) is R.NONE
    assert refusal((desk.debit(5, USDT, 900_000),)) is R.NONE
    version = desk.version(5, PERP)
    assert refusal(desk.run(r.Liquidate(10**8, 5, PERP, 1, 0, version))) is R.NONE
    desk.top_up(10**6)
    version = desk.version(5, PERP)
    taken = desk.run(r.TakeOver(10**8 + 1, 5, PERP, 99, version))[0]
    assert isinstance(taken, TakenOver)
    assert taken.isolated
    assert desk.scope(5, PERP).cash_units == 0
    assert refusal(desk.unfreeze(5, PERP)) is R.NONE
    assert refusal(desk.run(r.SetMarginMode(5, PERP, MarginMode.CROSS))) is R.NONE
    assert desk.is_conserved()


# -- the end of a market ----------------------------------------------------------------


def test_final_settlement() -> None:
    """Orders go, insolvent scopes close at bankruptcy first, all others at the final index."""
    desk = below(940)
    desk.run(r.SetPerpetualState(PERP, Trigger.HALT))
    desk.run(r.SetPerpetualState(PERP, Trigger.SETTLE, "ada", "the end"))
    settled, *rest = desk.run(r.SettleMarket(10**8, PERP))
    assert isinstance(settled, MarketSettled)
    assert settled.price_ticks == 940
    assert only(tuple(rest), Deleveraged)
    assert len(only(tuple(rest), PositionSettled)) == settled.entries
    assert desk.perpetual.open_lots == 0
    assert desk.scope(5).cash_units >= 0
    assert desk.is_conserved()
    cash = sum(t for (_, asset), (t, _) in desk.engine.balances().items() if asset == USDT)
    assert desk.engine.issued()[USDT] == cash + desk.engine.fees()[USDT]
    assert refusal(desk.buy(1, 940, 1)) is R.MARKET_SETTLING


def test_settlement_waits_for_its_state_and_for_orders() -> None:
    """Only a halted market is settled."""
    desk = below()
    assert reason(desk.run(r.SettleMarket(10**8, PERP))) is R.NOT_SETTLING
    assert reason(desk.run(r.SettleMarket(0, PERP))) is R.MALFORMED_COMMAND
