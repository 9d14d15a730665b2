"""OCO: two orders of which one ends the other; what they hold, and every way they end."""

from __future__ import annotations

import pytest

from domain.commands import SetSymbolState, Tick
from domain.errors import RejectReason as R
from domain.events import (
    CancelAccepted,
    CommandRejected,
    OrderAccepted,
    OrderClosed,
    OrderRested,
    OrderTriggered,
    SelfTradePrevented,
    Trade,
)
from domain.order import (
    OrderType,
    SelfTrade,
    Side,
    StateCause,
    SymbolState,
    TimeInForce,
)
from matching.engine import restore_engine
from tests.matching.desk import (
    ETH,
    ETH_USDT,
    LISTING,
    RICH,
    USDT,
    Desk,
    buy_hold,
    closes,
    fills,
    only,
    order_id,
    pair,
    reason,
    shape,
)

pytestmark = pytest.mark.usefixtures("each_engine")
LOT = LISTING.base_units_per_lot
BUY, SELL = Side.BUY, Side.SELL
LIMIT, STOP, STOP_LIMIT = OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT
TAKE, TRAIL = OrderType.TAKE_PROFIT, OrderType.TRAILING_STOP
DONE = "ORDER_LIST_DONE"


def test_both_stand_under_one_hold(desk: Desk) -> None:
    """A sell holds its lots once; the stop's own part of it is nothing."""
    events = desk.oco(1, SELL, 1_050, 950, 10)
    first, second = pair(events)
    assert shape(events) == [OrderAccepted, OrderAccepted, OrderRested]
    assert [e.hold_units for e in only(events, OrderAccepted)] == [10 * LOT, 0]
    assert {e.list_id for e in only(events, OrderAccepted)} == {first}
    assert second == first + 1
    assert desk.balance(1, ETH) == (RICH, 10 * LOT)
    assert desk.engine.book(ETH_USDT, 5) == ([], [(1_050, 10)])
    listed = desk.engine.open_orders(1)
    assert [(o.order_id, o.terms.list_id, o.is_waiting) for o in listed] == [
        (first, first, False),
        (second, first, True),
    ]


def test_a_buy_holds_for_the_dearer(desk: Desk) -> None:
    """The stop of a buy is dearer: it adds the difference to what the limit order holds."""
    stop_limit = {"order_type": STOP_LIMIT, "price_ticks": 1_060}
    events = desk.oco(1, BUY, 950, 1_050, 7, second=stop_limit)
    low, high = buy_hold(950, 7), buy_hold(1_060, 7)
    assert [e.hold_units for e in only(events, OrderAccepted)] == [low, high - low]
    assert desk.balance(1, USDT)[1] == high
    desk.cancel(1, pair(events)[0])
    assert desk.balance(1, USDT)[1] == 0


def test_free_funds_for_the_larger_are_enough(desk: Desk) -> None:
    """An account with exactly the larger hold may place it, with a unit less it may not."""
    whole = buy_hold(1_060, 7)
    stop_limit = {"order_type": STOP_LIMIT, "price_ticks": 1_060}
    desk.credit(5, USDT, whole - 1)
    (refused,) = desk.oco(5, BUY, 950, 1_050, 7, second=stop_limit)
    assert isinstance(refused, CommandRejected)
    assert (refused.reason, refused.list_position) == (R.INSUFFICIENT_FUNDS, 2)
    assert desk.engine.open_orders(5) == []
    desk.credit(5, USDT, 1)
    assert len(only(desk.oco(5, BUY, 950, 1_050, 7, second=stop_limit), OrderAccepted)) == 2
    assert desk.balance(5, USDT) == (whole, whole)


def test_the_first_fill_ends_the_stop(desk: Desk) -> None:
    """A partial fill is enough; what remains of the limit order stands with its own hold."""
    first, second = pair(desk.oco(1, SELL, 1_050, 950, 10))
    events = desk.buy(2, 1_050, 4)
    assert shape(events) == [OrderAccepted, Trade, OrderClosed, OrderClosed]
    assert closes(events)[0] == (second, DONE)
    (closed, _) = only(events, OrderClosed)
    assert (closed.resting, closed.remaining_lots, closed.filled_lots) == (False, 10, 0)
    (left,) = desk.engine.open_orders(1)
    assert (left.order_id, left.filled_lots, left.terms.list_id) == (first, 4, first)
    assert desk.balance(1, ETH) == (RICH - 4 * LOT, 6 * LOT)
    desk.trade(949)  # nothing waits any more
    assert len(desk.engine.open_orders(1)) == 1


def test_a_whole_fill_ends_both(desk: Desk) -> None:
    """The stop closes before the limit order is filled, and nothing is held."""
    first, second = pair(desk.oco(1, SELL, 1_050, 950, 10))
    assert closes(desk.buy(2, 1_050, 10))[:2] == [(second, DONE), (first, "FILLED")]
    assert desk.balance(1, ETH) == (RICH - 10 * LOT, 0)


def test_the_trigger_ends_the_limit_order(desk: Desk) -> None:
    """The stop acts with what the limit order held, in the command whose trade reached it."""
    desk.buy(3, 940, 10)
    first, second = pair(desk.oco(1, SELL, 1_050, 945, 10))
    events = desk.trade(944)
    assert [type(e) for e in events[2:]] == [
        OrderClosed, OrderClosed, OrderTriggered, OrderClosed, Trade, OrderClosed, OrderClosed
    ]  # fmt: skip
    assert closes(events)[2] == (first, DONE)
    assert fills(events)[-1][1:] == (940, 10)
    assert closes(events)[-1] == (second, "FILLED")
    assert desk.engine.open_orders(1) == []
    assert desk.balance(1, ETH) == (RICH - 10 * LOT, 0)


def test_a_refused_trigger_ends_the_list_too(desk: Desk) -> None:
    """A stop that finds nobody closes, and the limit order is gone as well: one decision, once."""
    first, second = pair(desk.oco(1, SELL, 1_050, 945, 10))
    events = desk.trade(944)
    assert closes(events)[-2:] == [(first, DONE), (second, "REFUSED_AT_TRIGGER")]
    assert desk.balance(1, ETH)[1] == 0


def test_a_stop_limit_that_was_set_off_is_an_order_of_its_own(desk: Desk) -> None:
    """It rests with its whole hold, keeps the list's id, and may be amended again."""
    stop_limit = {"order_type": STOP_LIMIT, "price_ticks": 1_060}
    _, second = pair(desk.oco(1, BUY, 950, 1_050, 7, second=stop_limit))
    desk.sell(98, 1_062, 1)
    desk.buy(99, 1_062, 1)
    (left,) = desk.engine.open_orders(1)
    assert (left.order_id, left.is_waiting) == (second, False)
    assert desk.balance(1, USDT)[1] == buy_hold(1_060, 7)
    desk.amend(1, second, price_ticks=1_055)
    assert desk.balance(1, USDT)[1] == buy_hold(1_055, 7)


@pytest.mark.parametrize("named", [0, 1])
def test_cancelling_one_cancels_both(desk: Desk, named: int) -> None:
    """Both close for the user's reason, the named one first, and the outcome counts two."""
    ids = pair(desk.oco(1, SELL, 1_050, 950, 10))
    events = desk.cancel(1, ids[named])
    assert shape(events) == [CancelAccepted, OrderClosed, OrderClosed]
    assert only(events, CancelAccepted)[0].closed_count == 2
    user = "CANCELLED_BY_USER"
    assert closes(events) == [(ids[named], user), (ids[1 - named], user)]
    assert desk.balance(1, ETH) == (RICH, 0)
    assert reason(desk.cancel(1, ids[1 - named])) is R.ORDER_NOT_FOUND


@pytest.mark.parametrize("side", [None, SELL])
def test_cancel_all_counts_each_once(desk: Desk, side: Side | None) -> None:
    """Lists go with all other orders, in the order of ids."""
    before = order_id(desk.sell(1, 1_080, 1))
    ids = pair(desk.oco(1, SELL, 1_050, 950, 10))
    bought = pair(desk.oco(1, BUY, 950, 1_050, 3))
    events = desk.cancel_all(1, side=side)
    gone = [before, *ids, *bought] if side is None else [before, *ids]
    assert [closed for closed, _ in closes(events)] == gone
    assert only(events, CancelAccepted)[0].closed_count == len(gone)


def test_an_expiry_of_one_ends_both(desk: Desk) -> None:
    """A list ends as a whole, also when only one of its orders had a date."""
    timed = {"time_in_force": TimeInForce.GTD, "expires_at_us": desk.time_us + 5_000_000}
    first, second = pair(desk.oco(1, SELL, 1_050, 950, 10, second=timed))
    desk.time_us += 6_000_000
    events = desk.run(Tick())
    assert closes(events) == [(second, "TIME_EXPIRED"), (first, DONE)]
    assert [event.index for event in events] == [0, 1, 2]
    assert desk.balance(1, ETH)[1] == 0
    both = desk.oco(1, SELL, 1_050, 950, 10, **{**timed, "expires_at_us": desk.time_us + 1_000})
    desk.time_us += 2_000
    assert closes(desk.run(Tick())) == [(pair(both)[0], "TIME_EXPIRED"), (pair(both)[1], DONE)]


@pytest.mark.parametrize("mode", [SelfTrade.EXPIRE_MAKER, SelfTrade.EXPIRE_BOTH])
def test_a_prevented_self_trade_ends_the_list(desk: Desk, mode: SelfTrade) -> None:
    """The maker expires, and its stop with it."""
    first, second = pair(desk.oco(1, SELL, 1_050, 950, 10))
    events = desk.buy(1, 1_050, 4, self_trade=mode)
    assert closes(events)[:2] == [(first, "SELF_TRADE"), (second, DONE)]
    assert desk.balance(1, ETH)[1] == 0


def test_a_decrement_is_a_loss_of_quantity(desk: Desk) -> None:
    """It counts like a fill: the two would no longer be of one size."""
    first, second = pair(desk.oco(1, SELL, 1_050, 950, 10))
    events = desk.buy(1, 1_050, 4, self_trade=SelfTrade.DECREMENT)
    assert shape(events) == [OrderAccepted, SelfTradePrevented, OrderClosed, OrderClosed]
    assert closes(events)[0] == (second, DONE)
    assert [o.order_id for o in desk.engine.open_orders(1)] == [first]
    assert desk.balance(1, ETH)[1] == 6 * LOT


def test_a_halted_market_keeps_the_list(desk: Desk) -> None:
    """Nothing is set off and nothing cancelled; afterwards both work as before."""
    first, second = pair(desk.oco(1, SELL, 1_050, 950, 10))
    desk.run(SetSymbolState(ETH_USDT, SymbolState.HALTED, StateCause.OPERATOR, "ada", "test"))
    assert reason(desk.cancel(1, second)) is R.SYMBOL_HALTED
    assert closes(desk.cancel_all(1)) == []
    assert reason(desk.oco(1, SELL, 1_050, 950, 10)) is R.SYMBOL_HALTED
    desk.run(SetSymbolState(ETH_USDT, SymbolState.CANCEL_ONLY, StateCause.OPERATOR, "ada", ""))
    assert [closed for closed, _ in closes(desk.cancel(1, second))] == [second, first]


def test_an_amend_is_refused_while_both_stand(desk: Desk) -> None:
    """It would have to change both; it changes nothing."""
    first, second = pair(desk.oco(1, SELL, 1_050, 950, 10))
    before = desk.engine.open_orders(1), desk.balance(1, ETH)
    assert reason(desk.amend(1, first, quantity_lots=5)) is R.ORDER_IN_LIST
    assert reason(desk.amend(1, second, trigger_price_ticks=940)) is R.ORDER_IN_LIST
    assert (desk.engine.open_orders(1), desk.balance(1, ETH)) == before
    desk.buy(2, 1_050, 4)
    desk.amend(1, first, quantity_lots=8)
    assert desk.balance(1, ETH)[1] == 4 * LOT


def test_two_that_wait(desk: Desk) -> None:
    """A take-profit instead of the limit order: both wait, and the first one set off ends both."""
    take = {"order_type": TAKE, "price_ticks": 0, "trigger_price_ticks": 1_050, "post_only": False}
    first, second = pair(desk.oco(1, BUY, 0, 1_060, 10, first={**take, "trigger_price_ticks": 940}))
    assert desk.engine.book(ETH_USDT, 1) == ([], [])
    edge = 1_060 * 11 // 10
    assert desk.balance(1, USDT)[1] == buy_hold(edge, 10)
    desk.sell(3, 945, 10)
    events = desk.trade(939)
    assert only(events, OrderTriggered)[0].order_id == first
    assert closes(events)[-3:][0] == (second, DONE)
    assert desk.balance(1, USDT)[1] == 0


def test_a_trailing_stop_follows_beside_the_limit_order(desk: Desk) -> None:
    """Its hold stays that of its first trigger, covered by the limit order's."""
    trail = {"order_type": TRAIL, "trigger_price_ticks": 0, "trailing_offset_ticks": 20}
    first, second = pair(desk.oco(1, SELL, 1_080, 0, 10, second=trail))
    desk.trade(1_030)
    assert desk.balance(1, ETH)[1] == 10 * LOT
    assert len(desk.engine.open_orders(1)) == 2
    events = desk.trade(1_009)
    assert only(events, OrderTriggered)[0].trigger_price_ticks == 1_010
    assert closes(events)[-2:] == [(first, DONE), (second, "REFUSED_AT_TRIGGER")]


@pytest.mark.parametrize("ending", ["fill", "trigger", "cancel"])
def test_a_restored_list_ends_the_same_way(desk: Desk, ending: str) -> None:
    """The link is in the snapshot: restored in the middle, the events and the state are equal."""
    _, second = pair(desk.oco(1, BUY, 950, 1_050, 10))
    desk.oco(2, SELL, 1_080, 900, 5)
    other = Desk(listings=())
    other.engine = restore_engine(desk.engine.snapshot())
    assert other.engine.digest() == desk.engine.digest()
    other.time_us, outcomes = desk.time_us, []
    for each in (desk, other):
        if ending == "fill":
            outcomes.append(each.sell(3, 950, 4, client_key=5))
        elif ending == "trigger":
            each.sell(3, 1_055, 1, client_key=6)
            outcomes.append(each.buy(4, 1_055, 1, client_key=7))
        else:
            outcomes.append(each.cancel(1, second))
    assert outcomes[0] == outcomes[1]
    assert len(only(outcomes[0], OrderClosed)) >= 2
    assert other.engine.digest() == desk.engine.digest()
