"""What went wrong at other venues, and what an engine has to say to it here.

More of them are elsewhere: the whole open interest in one fill, stale marks after a restart and
fills after a cancel in `test_liquidations`, wicks and missing sources in `test_perpetual_markets`,
haircuts over random books in `test_perpetual_properties`.
"""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import risk_commands as r
from domain.errors import RejectReason as R
from domain.events import FundingPaid, OrderClosed, PerpetualTrade, TakenOver
from domain.order import CloseReason, OrderType, Side, TimeInForce
from domain.perpetual_state import PerpetualState as S
from domain.risk_commands import FUND_ACCOUNT, Trigger
from tests.examples import examples
from tests.matching.desk import ETH_USDT, USDT, only
from tests.matching.liquidation_desk import Liquidation, below, sliced
from tests.matching.perpetual_desk import PERP, PerpetualDesk, refusal, terms
from tests.matching.perpetual_draw import OTHER
from tests.matching.test_perpetual_funding import HOUR_US, until

pytestmark = pytest.mark.usefixtures("each_engine")


def second(desk: PerpetualDesk) -> None:
    """List a second perpetual under the same collateral, quoted by account 90, with a mark."""
    desk.run(r.ListPerpetual(replace(desk.rules, symbol_id=OTHER, base_asset_id=2), terms()))
    desk.index(1_000, symbol_id=OTHER)
    desk.buy(90, 980, 500, symbol_id=OTHER)
    desk.sell(90, 1_020, 500, symbol_id=OTHER)
    for _ in range(32):
        desk.time_us += 5_000_000
        desk.index(1_000)
        desk.index(1_000, symbol_id=OTHER)


def test_nobody_withdraws_into_a_liquidation() -> None:
    """The whale of March 2025: a tenth of the notional stays, whatever the leverage allows."""
    desk = Liquidation()
    desk.fund(5, units=200_000)
    desk.leverage(5, 50)
    desk.pair(5, 2, 100)
    leaving = desk.scope(5).leaving_units
    assert refusal((desk.debit(5, USDT, leaving),)) is R.NONE
    left = desk.scope(5)
    assert left.equity_units >= 100_000 > left.maintenance_units
    assert refusal((desk.debit(5, USDT, 1),)) is R.INSUFFICIENT_FUNDS
    desk.move(960)
    assert refusal(desk.freeze()) is R.NOT_LIQUIDATABLE


def test_the_fund_stops_at_its_cap_and_deleveraging_begins() -> None:
    """JELLY, March 2025: a fund that took everything over could not be helped any more."""
    desk = sliced(fund_cap_ppm=100_000)
    desk.top_up(10**6)
    taken = desk.take_over(99)[0]
    assert isinstance(taken, TakenOver)
    notional = abs(taken.fund_lots) * desk.perpetual.mark_ticks * 10
    assert notional <= 100_000
    assert refusal(desk.take_over(1)) is R.FUND_AT_CAPACITY
    assert refusal(desk.deleverage(2, desk.lots(5))) is R.NONE
    assert desk.lots(5) == 0
    assert desk.is_conserved()


def test_with_insolvent_counterparties_only_nothing_is_half_done() -> None:
    """A shortfall: the pair is refused whole, the market restricted, then halted."""
    desk = Liquidation()
    second(desk)
    desk.fund(5, 6, units=50_000)
    for account in (5, 6):
        desk.leverage(account, 50)
        desk.run(r.SetLeverage(account, OTHER, 50))
    desk.pair(5, 6, 99)
    desk.cancel_all(90, OTHER)
    desk.sell(2, 1_000, 90, symbol_id=OTHER)
    desk.buy(6, 1_000, 90, symbol_id=OTHER)
    desk.move(945)
    desk.buy(90, 700, 10, symbol_id=OTHER)
    desk.sell(2, 700, 1, symbol_id=OTHER)
    desk.index(700, symbol_id=OTHER)
    desk.index(945)
    desk.cancel_all(90)
    assert desk.scope(6).equity_units < 0
    desk.freeze(5)
    desk.liquidate(1)
    before = desk.engine.seats(), desk.engine.balances()
    assert refusal(desk.deleverage(6, 99)) is R.COUNTERPARTY_WOULD_BE_INSOLVENT
    assert (desk.engine.seats(), desk.engine.balances()) == before
    phases = []
    for _ in range(2):
        desk.run(r.SetPerpetualState(PERP, Trigger.SHORTFALL, "risk", "nobody is left"))
        phases.append(desk.phase)
    assert phases == [S.REDUCE_ONLY, S.HALTED]
    assert refusal((desk.debit(1, USDT, 1),)) is R.COLLATERAL_GATED  # who has nothing to do with it


def test_a_unit_of_dust_does_not_stop_a_liquidation() -> None:
    """One unit of cash left over, one lot: frozen, taken over and let go like any other."""
    desk = Liquidation()
    desk.fund(5, units=206)
    desk.leverage(5, 50)
    desk.pair(5, 2, 1)
    assert desk.scope(5).cash_units == 201
    desk.move(979)
    desk.cancel_all(90)
    desk.top_up(100_000)
    assert refusal(desk.freeze()) is R.NONE
    desk.liquidate(1)
    assert refusal(desk.take_over(1)) is R.NONE
    assert refusal(desk.unfreeze()) is R.NONE
    assert desk.scope(5).cash_units == 0
    assert desk.is_conserved()


@pytest.mark.parametrize("first", [PERP, OTHER])
def test_admission_does_not_depend_on_the_order_of_positions(first: int) -> None:
    """A check that assigned instead of added depended on a map's order: here all markets count."""
    desk = PerpetualDesk()
    second(desk)
    desk.fund(5, units=100_000)
    for symbol in (PERP, OTHER):
        desk.run(r.SetLeverage(5, symbol, 20))
    then = OTHER if first == PERP else PERP
    assert refusal(desk.buy(5, 985, 100, symbol_id=first)) is R.NONE
    assert refusal(desk.buy(5, 985, 100, symbol_id=then)) is R.INSUFFICIENT_MARGIN
    assert refusal(desk.buy(5, 985, 95, symbol_id=then)) is R.NONE
    assert desk.scope(5).required_units == 97_500


def test_two_accounts_cannot_trade_an_insolvency_into_each_other() -> None:
    """At the band's edge one would win what the other does not have: the fill is not made."""
    desk = PerpetualDesk()
    desk.fund(1, units=10**6)
    desk.fund(5, units=25_000)
    desk.leverage(5, 50)
    desk.leverage(1, 50)
    desk.pair(5, 1, 100)
    desk.cancel_all(90)
    desk.buy(1, 905, 100)
    events = desk.sell(5, 905, 100, reduce_only=True, time_in_force=TimeInForce.IOC)
    assert only(events, PerpetualTrade) == []
    (closed,) = only(events, OrderClosed)
    assert closed.reason is CloseReason.INSUFFICIENT_MARGIN
    assert desk.scope(5).equity_units > 0


def test_a_resting_order_through_the_mark_cannot_ruin_its_owner() -> None:
    """The mark has moved since it was placed: it is cancelled when somebody wants to meet it."""
    desk = PerpetualDesk()
    desk.fund(1, units=10**7)
    desk.fund(5, units=25_000)
    desk.leverage(5, 50)
    desk.leverage(1, 50)
    desk.cancel_all(90)
    desk.sell(5, 1_005, 100)
    desk.index(1_095)
    desk.buy(1, 1_004, 1)
    for _ in range(40):
        desk.time_us += 5_000_000
        desk.index(1_095)
    events = desk.buy(1, 1_005, 100)
    closed = [e for e in only(events, OrderClosed) if e.account_id == 5]
    traded = only(events, PerpetualTrade)
    assert len(closed) == 1
    assert bool(traded) is (closed[0].reason is CloseReason.FILLED)
    assert desk.scope(5).equity_units >= 0
    assert desk.is_conserved()


def test_lost_collateral_is_not_spent_a_second_time() -> None:
    """What a position has lost a spot order no longer holds: the youngest goes first."""
    desk = PerpetualDesk()
    desk.fund(1, units=10**6)
    desk.fund(5, units=150_000)
    desk.leverage(5, 20)
    desk.leverage(1, 50)
    desk.pair(5, 1, 100)
    desk.buy(5, 995, 20, symbol_id=ETH_USDT)
    desk.buy(5, 990, 20, symbol_id=ETH_USDT)
    held = desk.balance(5, USDT)[1]
    assert held == 19_940 + 19_840
    for price in (940, 890):
        desk.move(price)
    desk.buy(1, 890, 100)
    events = desk.sell(5, 890, 100, reduce_only=True, time_in_force=TimeInForce.IOC)
    (closed,) = (e for e in only(events, OrderClosed) if e.symbol_id == ETH_USDT)
    assert (closed.price_ticks, closed.reason) == (990, CloseReason.INSUFFICIENT_MARGIN)
    total, held = desk.balance(5, USDT)
    assert 19_940 == held <= total
    assert desk.is_conserved()


@pytest.mark.parametrize("funding_first", [True, False])
def test_funding_and_liquidation_in_the_same_instant(funding_first: bool) -> None:
    """Who has a position when the command comes pays; either way nothing is lost."""
    desk = below(funding_interval_seconds=3_600, interest_ppm=500)
    desk.top_up(10**6)
    instant = (desk.time_us // HOUR_US + 1) * HOUR_US
    until(desk, instant, 958)
    funding = r.SettleFunding(10**9, PERP, instant)
    paid: list[int] = []
    if funding_first:
        paid = [e.account_id for e in only(desk.run(funding), FundingPaid)]
    desk.freeze()
    desk.liquidate(99)
    if not funding_first:
        paid = [e.account_id for e in only(desk.run(funding), FundingPaid)]
    assert (5 in paid) is funding_first
    assert desk.lots(5) == 0
    assert desk.scope(5).cash_units >= 0
    assert desk.is_conserved()


def test_margin_does_not_jump_at_a_brackets_floor() -> None:
    """One lot more at the floor costs about what one lot less does."""
    desk = PerpetualDesk()
    desk.fund(1, 2, units=10**9)
    desk.leverage(1, 20)
    desk.leverage(2, 20)
    desk.pair(1, 2, 4_999)
    margins = []
    for _ in range(3):
        margins.append(desk.scope(1).maintenance_units)
        desk.pair(1, 2, 1)
    assert [after - before for before, after in pairwise(margins)] == [100, 200]


def test_an_order_type_that_waits_holds_nothing_and_adds_nothing() -> None:
    """A stop is no risk before it acts, so that closing is never in the way of margin."""
    desk = PerpetualDesk()
    desk.fund(5, units=1_000)
    before = desk.scope(5)
    desk.stop(5, Side.BUY, 1_015, 500, symbol_id=PERP, order_type=OrderType.STOP)
    assert desk.scope(5) == before
    assert desk.balance(FUND_ACCOUNT, USDT) == (0, 0)


def test_the_whole_open_interest_in_one_liquidation_without_the_fund() -> None:
    """dYdX, October 2025: an isolated market closed as a whole; here nothing is left, and zero."""
    desk = below()
    desk.sell(92, 958, 1)  # what moved the price goes first
    desk.buy(91, 958, 1)
    assert desk.perpetual.open_lots == 99
    desk.buy(2, 956, 99)
    desk.cancel_all(90)
    desk.freeze()
    (trade,) = only(desk.liquidate(99), PerpetualTrade)
    assert (trade.quantity_lots, trade.maker_account_id) == (99, 2)
    assert trade.insurance_units > 0
    assert desk.perpetual.open_lots == desk.lots(5) == desk.lots(2) == 0
    assert desk.scope(5).cash_units >= 0
    assert desk.is_conserved()


def test_with_two_sources_liquidations_pause() -> None:
    """Binance, October 2025: a collapsing source is no reason to sell somebody out."""
    desk = below()
    desk.freeze()
    for _ in range(3):
        desk.time_us += 5_000_000
        desk.index(958, 620)
    assert desk.phase is S.GUARDED
    assert refusal(desk.liquidate(10)) is R.MARK_STALE
    desk.index(958, 957, 958)
    assert refusal(desk.liquidate(10)) is R.NONE


def test_a_shortfall_stops_one_market_only() -> None:
    """One venue stopped as a whole for a check that failed in one of its markets."""
    desk = sliced()
    second(desk)
    for _ in range(2):
        desk.run(r.SetPerpetualState(PERP, Trigger.SHORTFALL, "risk", "nobody is left"))
    assert desk.phase is S.HALTED
    assert refusal(desk.buy(3, 1_019, 1)) is R.MARKET_HALTED
    assert refusal(desk.buy(3, 1_000, 1, symbol_id=OTHER)) is R.NONE
    assert refusal(desk.buy(3, 900, 1, symbol_id=ETH_USDT)) is R.NONE


def _crowd(upper_units: int) -> int:
    """Let twenty accounts buy the same; return the open interest that they reach, in units."""
    lower_units = 10**6 if upper_units else 0
    desk = PerpetualDesk(terms(oi_lower_units=lower_units, oi_upper_units=upper_units))
    desk.fund(1, units=10**9)
    desk.leverage(1, 20)
    for account in range(11, 31):
        desk.fund(account, units=60_000)
        desk.leverage(account, 20)
        desk.sell(1, 1_000, 100)
        desk.buy(account, 1_000, 100)
        desk.cancel_all(1)
    return int(desk.perpetual.open_lots * desk.perpetual.mark_ticks * 10)


def test_a_crowd_with_little_money_cannot_fill_a_market() -> None:
    """YFI, November 2023: a hundred wallets took open interest from 0.8 to 67 M on one idea."""
    assert _crowd(0) == 20_000_000
    assert _crowd(3_000_000) < 3_000_000


def test_two_liquidations_never_close_more_than_a_counterparty_has() -> None:
    """The second one is priced and bounded by what the first has left of him."""
    desk = Liquidation()
    for account, units in ((5, 33_000), (6, 22_000)):
        desk.fund(account, units=units)
        desk.leverage(account, 20)
    desk.pair(5, 2, 60)
    desk.pair(6, 2, 40)
    desk.move(940)
    desk.cancel_all(90)
    for account in (5, 6):
        desk.freeze(account)
    desk.liquidate(1)
    assert refusal(desk.deleverage(2, 60)) is R.NONE
    desk.key += 1
    step = r.Deleverage(desk.key, 6, PERP, 2, 41, desk.version(6))
    assert refusal(desk.run(step)) is R.INVALID_POSITION_DELTA
    assert (desk.lots(5), desk.lots(6), desk.lots(2)) == (0, 40, -40)
    assert desk.is_conserved()


holdings = st.lists(
    st.tuples(st.sampled_from((PERP, OTHER)), st.sampled_from(Side), st.integers(1, 40)),
    min_size=2,
    max_size=5,
)


@settings(max_examples=examples(15))
@given(holdings, st.randoms(use_true_random=False), st.sampled_from((PERP, OTHER)))
def test_admission_is_the_same_under_any_permutation(
    held: list[tuple[int, Side, int]], chance: random.Random, symbol: int
) -> None:
    """exchange-core: free margin was assigned instead of added, so a map's order decided."""
    found = []
    for order in (held, chance.sample(held, len(held))):
        desk = PerpetualDesk()
        second(desk)
        desk.fund(5, units=125_000)  # enough for all that is held, which is at most 200 lots
        desk.fund(1)
        for account in (1, 5):
            for market in (PERP, OTHER):
                desk.run(r.SetLeverage(account, market, 20))
        for market, side, lots in order:
            desk.order(1, side.opposite, 1_000, lots, symbol_id=market)
            desk.order(5, side, 1_000, lots, symbol_id=market, time_in_force=TimeInForce.IOC)
            desk.cancel_all(1)
        last = refusal(desk.buy(5, 1_000, 60, symbol_id=symbol))
        found.append((desk.scope(5).required_units, last, desk.lots(5)))
    assert found[0] == found[1]


@settings(max_examples=examples(15))
@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(985, 1_015)), min_size=1, max_size=4),
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.sampled_from(Side),
)
def test_profit_is_the_same_for_any_split_of_a_close(
    fills: list[tuple[int, int]], parts: list[int], side: Side
) -> None:
    """exchange-core: what a partial close earned stayed inside the average entry."""
    earned = []
    for pieces in (parts, []):
        desk = PerpetualDesk()
        desk.fund(1, 5)
        for lots, price in fills:
            desk.order(1, side.opposite, price, lots)
            desk.order(5, side, price, lots)
        realised, left = 0, sum(lots for lots, _ in fills)
        for piece in [*pieces, left]:
            lots = min(piece, left)
            if lots:
                desk.order(1, side, 1_003, lots)
                for trade in only(desk.order(5, side.opposite, 1_003, lots), PerpetualTrade):
                    realised += trade.taker_realised_units
                left -= lots
        assert desk.lots(5) == 0
        earned.append(realised)
    assert earned[0] == earned[1]
