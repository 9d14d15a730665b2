"""A spot fill takes no money that positions need: what an order holds is part of their equity."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.events import OrderTriggered, Trade
from domain.order import Side
from domain.risk_commands import MarginMode, MoveMargin, SetMarginMode
from tests.matching.desk import ETH, ETH_USDT, LISTING, USDT, closes, fills, only, order_id
from tests.matching.perpetual_desk import PERP, PerpetualDesk

pytestmark = pytest.mark.usefixtures("each_engine")

USDT_EUR, EUR = 3, 4


@pytest.fixture
def desk() -> PerpetualDesk:
    """Give account 5 a long of 50 lots at 1,000 and 100,000 of cash, account 1 ETH to sell."""
    desk = PerpetualDesk()
    desk.fund(1, 2)
    desk.fund(1, assets=(ETH,))
    desk.fund(5, units=100_000)
    desk.leverage(5, 10)
    desk.leverage(2, 10)
    desk.pair(5, 2, 50)
    return desk


def fall(desk: PerpetualDesk) -> None:
    """Let the mark fall to 850: 24,750 of equity are left, 4,250 of them are needed."""
    for price in (920, 850):
        desk.move(price)
    scope = desk.scope(5)
    assert (scope.equity_units, scope.maintenance_units) == (24_750, 4_250)


def list_euros(desk: PerpetualDesk) -> None:
    """Open a market that sells collateral, 1,000 of it a lot."""
    euros = replace(LISTING, symbol_id=USDT_EUR, base_asset_id=USDT, quote_asset_id=EUR)
    desk.run(replace(euros, base_units_per_lot=1_000))
    desk.fund(1, 2, assets=(EUR,))


def test_a_maker_keeps_what_its_position_needs(desk: PerpetualDesk) -> None:
    """Its buy was placed when there was enough; now the fill would leave less than the margin."""
    bought = order_id(desk.buy(5, 1_000, 40, symbol_id=ETH_USDT))
    fall(desk)
    events = desk.sell(1, 1_000, 40, symbol_id=ETH_USDT)
    assert (bought, "INSUFFICIENT_MARGIN") in closes(events)
    assert only(events, Trade) == []
    assert desk.scope(5).equity_units == 24_750
    assert desk.balance(5, USDT)[1] == 0


def test_what_leaves_the_margin_whole_is_filled(desk: PerpetualDesk) -> None:
    """20,480 may go, 20,500 may not: a maker pays 0.1 % beside the price."""
    more = order_id(desk.buy(5, 1_025, 20, symbol_id=ETH_USDT))
    just = order_id(desk.buy(5, 1_023, 20, symbol_id=ETH_USDT))
    fall(desk)
    events = desk.sell(1, 1_000, 40, symbol_id=ETH_USDT)
    assert closes(events)[0] == (more, "INSUFFICIENT_MARGIN")
    assert fills(events) == [(just, 1_023, 20)]
    scope = desk.scope(5)
    assert scope.equity_units == 24_750 - 20_460 - 20 >= scope.maintenance_units
    assert desk.is_conserved()


def test_a_taker_stops_before_its_position_is_uncovered(desk: PerpetualDesk) -> None:
    """A stop that was placed in better times is set off, and takes nothing."""
    stop = desk.stop(5, Side.BUY, 1_050, 30, symbol_id=ETH_USDT)
    fall(desk)
    desk.sell(1, 1_060, 40, symbol_id=ETH_USDT)
    desk.sell(1, 1_050, 1, symbol_id=ETH_USDT)
    events = desk.buy(2, 1_050, 1, symbol_id=ETH_USDT)
    assert [event.order_id for event in only(events, OrderTriggered)] == [stop]
    assert closes(events)[-1] == (stop, "INSUFFICIENT_MARGIN")
    assert len(only(events, Trade)) == 1


def test_collateral_may_be_what_a_market_sells(desk: PerpetualDesk) -> None:
    """Who sells USDT for EUR pays with collateral as well."""
    list_euros(desk)
    few = order_id(desk.sell(5, 1_001, 20, symbol_id=USDT_EUR))
    many = order_id(desk.sell(5, 1_000, 21, symbol_id=USDT_EUR))
    fall(desk)
    events = desk.buy(2, 1_010, 41, symbol_id=USDT_EUR)
    assert (many, "INSUFFICIENT_MARGIN") in closes(events)
    assert fills(events) == [(few, 1_001, 20)]
    assert desk.scope(5).equity_units == 4_750


def test_a_budget_passes_over_whom_it_would_ruin(desk: PerpetualDesk) -> None:
    """So does a market buy that spends a budget."""
    list_euros(desk)
    many = order_id(desk.sell(5, 1_000, 30, symbol_id=USDT_EUR))
    fall(desk)
    other = order_id(desk.sell(2, 1_000, 30, symbol_id=USDT_EUR))
    events = desk.spend(1, 30_060, symbol_id=USDT_EUR)
    assert (many, "INSUFFICIENT_MARGIN") in closes(events)
    assert fills(events) == [(other, 1_000, 30)]


def test_without_positions_all_that_is_held_may_be_spent(desk: PerpetualDesk) -> None:
    """Orders in a perpetual need no margin until they fill; then they are asked."""
    desk.fund(3, units=40_080)
    bought = order_id(desk.buy(3, 1_000, 40, symbol_id=ETH_USDT))
    events = desk.sell(1, 1_000, 40, symbol_id=ETH_USDT)
    assert fills(events) == [(bought, 1_000, 40)]


def test_an_isolated_position_has_its_own_cash(desk: PerpetualDesk) -> None:
    """What the account spends is not what backs it."""
    desk.fund(6, units=70_000)
    desk.run(SetMarginMode(6, PERP, MarginMode.ISOLATED))
    desk.leverage(6, 10)
    desk.run(MoveMargin(10**9, 6, PERP, 20_000, desk.time_us))
    desk.pair(6, 2, 10)
    bought = order_id(desk.buy(6, 1_000, 49, symbol_id=ETH_USDT))
    fall(desk)
    events = desk.sell(1, 1_000, 49, symbol_id=ETH_USDT)
    assert fills(events) == [(bought, 1_000, 49)]
