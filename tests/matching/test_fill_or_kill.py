"""All or nothing where fills may be refused: a sweep is played through before it is made."""

from __future__ import annotations

from typing import Any

import pytest

from domain.errors import RejectReason as R
from domain.events import Event, OrderAccepted, OrderClosed, PerpetualTrade, Trade
from domain.order import CloseReason, SelfTrade, Side, TimeInForce
from tests.matching.desk import ETH, ETH_USDT, only
from tests.matching.perpetual_desk import PerpetualDesk, refusal

pytestmark = pytest.mark.usefixtures("each_engine")

FOK: dict[str, Any] = {"time_in_force": TimeInForce.FOK}


def losing() -> PerpetualDesk:
    """Return a desk where account 5 sells 100 lots at 1,005, too cheap for it by now."""
    desk = PerpetualDesk()
    desk.fund(1, 2, 3, units=10**7)
    desk.fund(5, units=21_000)
    for account in (1, 2, 3, 5):
        desk.leverage(account, 50)
    desk.cancel_all(90)
    desk.sell(5, 1_005, 100)
    desk.index(1_095)
    assert desk.perpetual.mark_ticks > 1_011
    return desk


def lots(events: tuple[Event, ...]) -> int:
    """Return how much was traded."""
    return sum(event.quantity_lots for event in only(events, PerpetualTrade))


def test_a_maker_that_would_be_closed_does_not_count() -> None:
    """It is passed over in the sweep, and so in the sweep that is only played."""
    desk = losing()
    desk.sell(2, 1_006, 100)
    assert refusal(desk.buy(1, 1_006, 101, **FOK)) is R.FOK_NOT_FILLABLE
    events = desk.buy(1, 1_006, 100, **FOK)
    assert lots(events) == 100
    assert [(e.account_id, e.reason) for e in only(events, OrderClosed)] == [
        (5, CloseReason.INSUFFICIENT_MARGIN),
        (2, CloseReason.FILLED),
        (1, CloseReason.FILLED),
    ]


def test_a_taker_that_could_not_bear_all_of_it_is_refused() -> None:
    """It would stop in the middle, with less than nothing: refused before the first fill."""
    desk = PerpetualDesk()
    desk.fund(1, 2, units=10**7)
    desk.fund(5, units=25_000)
    for account in (1, 2, 5):
        desk.leverage(account, 50)
    desk.pair(5, 1, 100)
    desk.cancel_all(90)
    desk.buy(2, 999, 50)
    desk.buy(2, 920, 50)
    events = desk.sell(5, 920, 100, reduce_only=True, **FOK)
    assert refusal(events) is R.FOK_NOT_FILLABLE
    assert lots(desk.sell(5, 920, 50, reduce_only=True, **FOK)) == 50


def test_reduce_only_orders_that_would_be_trimmed_do_not_count() -> None:
    """Of two that close the same position, the first to trade ends the second."""
    desk = PerpetualDesk()
    desk.fund(1, 2, 5, units=10**7)
    desk.pair(5, 1, 10)
    desk.cancel_all(90)
    desk.sell(5, 1_001, 10, reduce_only=True)
    desk.sell(5, 1_002, 10, reduce_only=True)
    assert refusal(desk.buy(2, 1_002, 11, **FOK)) is R.FOK_NOT_FILLABLE
    desk.sell(1, 1_003, 5)
    events = desk.buy(2, 1_003, 15, **FOK)
    assert lots(events) == 15
    assert desk.lots(5) == 0


def test_part_of_a_trimmed_position_counts() -> None:
    """What is left of a position is what the farther order may still close."""
    desk = PerpetualDesk()
    desk.fund(1, 2, 5, units=10**7)
    desk.pair(5, 1, 10)
    desk.cancel_all(90)
    desk.sell(5, 1_001, 4, reduce_only=True)
    desk.sell(5, 1_002, 6, reduce_only=True)
    assert lots(desk.buy(2, 1_002, 10, **FOK)) == 10


def test_hidden_lots_of_a_closed_iceberg_do_not_count() -> None:
    """An iceberg that is closed for its owner's sake takes what it hides along."""
    desk = losing()
    desk.cancel_all(5)
    desk.index(1_000)
    desk.sell(5, 1_005, 100, display_lots=10)
    desk.index(1_095)
    assert refusal(desk.buy(1, 1_005, 100, **FOK)) is R.FOK_NOT_FILLABLE


def test_an_order_of_ones_own_in_the_way() -> None:
    """It is passed over or ends the order, as its self-trade prevention says."""
    desk = PerpetualDesk()
    desk.fund(1, 2, units=10**7)
    desk.cancel_all(90)
    desk.sell(1, 1_001, 5)
    desk.sell(2, 1_002, 5)
    refused = desk.buy(1, 1_002, 5, self_trade=SelfTrade.EXPIRE_BOTH, **FOK)
    assert refusal(refused) is R.FOK_NOT_FILLABLE
    assert lots(desk.buy(1, 1_002, 5, self_trade=SelfTrade.EXPIRE_MAKER, **FOK)) == 5


def test_a_spot_order_counts_no_maker_whose_position_needs_the_money() -> None:
    """The same on a spot market, of a buyer whose loss is not realised yet."""
    desk = PerpetualDesk()
    desk.fund(1, 2)
    desk.fund(1, assets=(ETH,))
    desk.fund(5, units=100_000)
    desk.leverage(5, 10)
    desk.leverage(2, 10)
    desk.pair(5, 2, 50)
    desk.buy(5, 1_000, 40, symbol_id=ETH_USDT)
    desk.buy(2, 999, 60, symbol_id=ETH_USDT)
    for price in (920, 850):
        desk.move(price)
    refused = desk.sell(1, 999, 70, symbol_id=ETH_USDT, **FOK)
    assert refusal(refused) is R.FOK_NOT_FILLABLE
    events = desk.sell(1, 999, 60, symbol_id=ETH_USDT, **FOK)
    assert [(e.maker_account_id, e.quantity_lots) for e in only(events, Trade)] == [(2, 60)]


def test_whoever_has_no_money_is_refused_too() -> None:
    """An account that the engine has never seen cannot even pay the fee."""
    desk = PerpetualDesk()
    assert refusal(desk.buy(77, 1_020, 1, **FOK)) is R.FOK_NOT_FILLABLE
    assert isinstance(desk.order(90, Side.BUY, 980, 1)[0], OrderAccepted)
    assert desk.lots(77) == 0
