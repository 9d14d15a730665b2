"""Trailing stops: triggers that follow the best price, and never back."""

from __future__ import annotations

import pytest

from domain.events import OrderTriggered
from domain.order import OrderType, Side
from matching.engine import restore_engine
from tests.matching.desk import USDT, Desk, only, triggered

pytestmark = pytest.mark.usefixtures("each_engine")
TRAIL = OrderType.TRAILING_STOP
BUY, SELL = Side.BUY, Side.SELL


def test_a_trailing_stop_follows_the_best_price(desk: Desk) -> None:
    """It moves with the price, never back, and is set off when the price comes the offset."""
    stop = desk.stop(1, SELL, 0, 5, order_type=TRAIL, trailing_offset_ticks=10)
    for price in (1_005, 998, 1_007, 998):
        assert triggered(desk.trade(price)) == []
    desk.engine = restore_engine(desk.engine.snapshot())
    desk.buy(2, 960, 5)
    (event,) = only(desk.trade(996), OrderTriggered)
    assert (event.order_id, event.trigger_price_ticks, event.reached_price_ticks) == (
        stop, 997, 996,
    )  # fmt: skip


def test_a_trailing_buy_follows_down(desk: Desk) -> None:
    """A buy waits for a rise from the lowest price; its hold is that of its first trigger."""
    stop = desk.stop(1, BUY, 0, 1, order_type=TRAIL, trailing_offset_ticks=10)
    edge = 1_010 * 11 // 10
    assert desk.balance(1, USDT)[1] == edge + 3
    for price in (990, 999, 985, 994):
        assert triggered(desk.trade(price)) == []
    assert desk.balance(1, USDT)[1] == edge + 3
    assert triggered(desk.trade(995)) == [stop]


def test_a_trail_moves_once_a_command(desk: Desk) -> None:
    """First the prices against where triggers are, then triggers after the extreme, then the last.

    A sweep up to 1,009 moves the trigger to 999; a later fall in the same command meets it there.
    """
    trail = desk.stop(1, SELL, 0, 1, order_type=TRAIL, trailing_offset_ticks=10)
    desk.stop(2, BUY, 1_009, 1)
    desk.sell(3, 1_009, 2)
    desk.buy(3, 998, 1)
    assert triggered(desk.buy(4, 1_009, 1))[-1] != trail
    (event,) = only(desk.sell(4, 998, 1), OrderTriggered)
    assert (event.order_id, event.trigger_price_ticks) == (trail, 999)
