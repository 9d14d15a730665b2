"""Brackets: an entry and what closes the position it opens, from placing to every way it ends."""

from __future__ import annotations

import pytest

from domain.commands import SetSymbolState, Tick
from domain.errors import RejectReason as R
from domain.events import (
    CancelAccepted,
    OrderAccepted,
    OrderAmended,
    OrderArmed,
    OrderClosed,
    OrderRested,
    OrderTriggered,
    Trade,
)
from domain.order import OrderType, SelfTrade, Side, StateCause, SymbolState, TimeInForce
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
    ids,
    only,
    order_id,
    reason,
    shape,
)

pytestmark = pytest.mark.usefixtures("each_engine")
LOT = LISTING.base_units_per_lot
BUY, SELL = Side.BUY, Side.SELL
EXITS = (1_050, 950)
DONE, USER = "ORDER_LIST_DONE", "CANCELLED_BY_USER"
TRAIL = {"order_type": OrderType.TRAILING_STOP, "trigger_price_ticks": 0}


@pytest.fixture
def desk() -> Desk:
    """Give a market with funded accounts, whose last price is 1,000; account 5 has no ETH."""
    desk = Desk()
    desk.fund(1, 2, 3, 4)
    desk.fund(5, assets=(USDT,))
    desk.trade(1_000)
    return desk


def _set_state(desk: Desk, state: SymbolState) -> None:
    desk.run(SetSymbolState(ETH_USDT, state, StateCause.OPERATOR, "ada", "test"))


def test_the_children_are_pending_while_the_entry_stands(desk: Desk) -> None:
    """They hold nothing and stand nowhere, but are open orders that name their list and entry."""
    events = desk.bracket(5, BUY, 990, EXITS, 10)
    entry, profit, loss = ids(events)
    assert shape(events) == [OrderAccepted, OrderAccepted, OrderAccepted, OrderRested]
    accepted = only(events, OrderAccepted)
    assert [e.hold_units for e in accepted] == [buy_hold(990, 10), 0, 0]
    assert [e.list_id for e in accepted] == [entry] * 3
    assert [e.entry_order_id for e in accepted] == [0, entry, entry]
    assert (profit, loss) == (entry + 1, entry + 2)
    assert desk.engine.book(ETH_USDT, 5) == ([(990, 10)], [])
    assert desk.balance(5, USDT)[1] == buy_hold(990, 10)
    pending = [(o.order_id, o.is_pending, o.is_waiting) for o in desk.engine.open_orders(5)]
    assert pending == [(entry, False, False), (profit, True, False), (loss, True, True)]
    desk.trade(1_050)
    desk.trade(995)
    assert len(desk.engine.open_orders(5)) == 3  # no price sets a pending order off


def test_a_filled_entry_arms_both_under_one_hold(desk: Desk) -> None:
    """In the command that fills it: the take-profit rests, the stop waits, as an OCO."""
    entry, profit, loss = ids(desk.bracket(5, BUY, 990, EXITS, 10))
    events = desk.sell(2, 990, 10)
    assert shape(events) == [
        OrderAccepted, Trade, OrderClosed, OrderClosed, OrderArmed, OrderRested, OrderArmed
    ]  # fmt: skip
    assert closes(events)[0] == (entry, "FILLED")
    armed = [
        (a.order_id, a.quantity_lots, a.hold_units, a.refusal) for a in only(events, OrderArmed)
    ]
    assert armed == [(profit, 10, 10 * LOT, R.NONE), (loss, 10, 0, R.NONE)]
    assert desk.balance(5, ETH) == (10 * LOT, 10 * LOT)
    assert desk.engine.book(ETH_USDT, 5) == ([], [(1_050, 10)])
    taken = desk.buy(3, 1_050, 4)
    assert closes(taken)[0] == (loss, DONE)
    assert [o.order_id for o in desk.engine.open_orders(5)] == [profit]


def test_a_market_entry_arms_at_once(desk: Desk) -> None:
    """It takes what there is, and its children are for that."""
    desk.sell(2, 1_001, 6)
    events = desk.bracket(5, BUY, 0, EXITS, 10)
    entry, profit, loss = ids(events)
    assert closes(events)[1:] == [(entry, "IOC_REMAINDER")]
    assert [(a.order_id, a.quantity_lots, a.previous_quantity_lots)
            for a in only(events, OrderArmed)] == [(profit, 6, 10), (loss, 6, 10)]  # fmt: skip
    assert [(o.order_id, o.quantity_lots) for o in desk.engine.open_orders(5)] == [
        (profit, 6),
        (loss, 6),
    ]


def test_a_bracket_sells_first_too(desk: Desk) -> None:
    """The children of a sell buy: they hold quote, for the dearer of the two."""
    desk.credit(6, ETH, 10 * LOT)
    desk.credit(6, USDT, 2_000)
    limit = {"order_type": OrderType.STOP_LIMIT, "price_ticks": 1_060}
    ids(desk.bracket(6, SELL, 1_010, (950, 1_050), 10, loss=limit))
    events = desk.buy(2, 1_010, 10)
    low, high = buy_hold(950, 10), buy_hold(1_060, 10)
    assert [a.hold_units for a in only(events, OrderArmed)] == [low, high - low]
    assert desk.balance(6, USDT)[1] == high


@pytest.mark.parametrize("part", ["profit", "loss"])
def test_one_child_is_enough(desk: Desk, part: str) -> None:
    """Alone it is an order like any other once it is armed."""
    exits = (1_050, 0) if part == "profit" else (0, 950)
    _, child = ids(desk.bracket(5, BUY, 990, exits, 10))
    desk.sell(2, 990, 10)
    (left,) = desk.engine.open_orders(5)
    assert (left.order_id, left.is_pending, left.is_waiting) == (child, False, part == "loss")
    assert desk.balance(5, ETH) == (10 * LOT, 10 * LOT)
    changed = {"price_ticks": 1_040} if part == "profit" else {"trigger_price_ticks": 940}
    assert len(only(desk.amend(5, child, **changed), OrderAmended)) == 1


def test_a_part_arms_nothing_until_the_entry_ends(desk: Desk) -> None:
    """What is filled is free in between; the cancel of the rest arms the children for it."""
    entry, profit, loss = ids(desk.bracket(5, BUY, 990, EXITS, 10))
    assert only(desk.sell(2, 990, 4), OrderArmed) == []
    assert desk.balance(5, ETH) == (4 * LOT, 0)
    events = desk.cancel(5, entry)
    assert only(events, CancelAccepted)[0].closed_count == 1
    assert closes(events) == [(entry, USER)]
    assert [(a.order_id, a.quantity_lots) for a in only(events, OrderArmed)] == [
        (profit, 4),
        (loss, 4),
    ]
    assert desk.balance(5, ETH) == (4 * LOT, 4 * LOT)


def test_the_cancel_of_an_untouched_entry_takes_its_children(desk: Desk) -> None:
    """All close for the user's reason, and the outcome counts them."""
    placed = ids(desk.bracket(5, BUY, 990, EXITS, 10))
    events = desk.cancel(5, placed[0])
    assert only(events, CancelAccepted)[0].closed_count == 3
    assert closes(events) == [(each, USER) for each in placed]
    assert desk.balance(5, USDT) == (RICH, 0)
    assert desk.engine.open_orders(5) == []


@pytest.mark.parametrize("filled", [0, 3])
def test_an_expiry_of_the_entry(desk: Desk, filled: int) -> None:
    """With a part filled it arms, with nothing filled its children are done."""
    timed = {"time_in_force": TimeInForce.GTD, "expires_at_us": desk.time_us + 5_000_000}
    entry, profit, loss = ids(desk.bracket(5, BUY, 990, EXITS, 10, entry_fields=timed))
    if filled:
        desk.sell(2, 990, filled)
    desk.time_us += 6_000_000
    events = desk.run(Tick())
    assert closes(events)[0] == (entry, "TIME_EXPIRED")
    if filled:
        assert [a.quantity_lots for a in only(events, OrderArmed)] == [filled, filled]
    else:
        assert closes(events)[1:] == [(profit, DONE), (loss, DONE)]
        assert [c.remaining_lots for c in only(events, OrderClosed)] == [10, 10, 10]


def test_an_entry_refused_by_a_self_trade_ends_its_children(desk: Desk) -> None:
    """As a maker that gives way, with nothing filled."""
    entry, profit, loss = ids(desk.bracket(1, BUY, 990, EXITS, 10))
    events = desk.sell(1, 990, 10, self_trade=SelfTrade.EXPIRE_MAKER)
    assert closes(events) == [(entry, "SELF_TRADE"), (profit, DONE), (loss, DONE)]


def test_a_child_expires_alone(desk: Desk) -> None:
    """What is pending depends on the entry only: the other child stays."""
    timed = {"time_in_force": TimeInForce.GTD, "expires_at_us": desk.time_us + 5_000_000}
    entry, profit, loss = ids(desk.bracket(5, BUY, 990, EXITS, 10, profit=timed))
    desk.time_us += 6_000_000
    assert closes(desk.run(Tick())) == [(profit, "TIME_EXPIRED")]
    assert [o.order_id for o in desk.engine.open_orders(5)] == [entry, loss]


def test_a_pending_child_is_cancelled_alone(desk: Desk) -> None:
    """Who does without a take-profit keeps the stop; without both the entry is a plain order."""
    entry, profit, loss = ids(desk.bracket(5, BUY, 990, EXITS, 10))
    events = desk.cancel(5, profit)
    assert only(events, CancelAccepted)[0].closed_count == 1
    assert closes(events) == [(profit, USER)]
    armed = only(desk.sell(2, 990, 10), OrderArmed)
    assert [(a.order_id, a.hold_units) for a in armed] == [(loss, 10 * LOT)]
    entry, profit, loss = ids(desk.bracket(5, BUY, 990, EXITS, 10))
    for child in (loss, profit):
        desk.cancel(5, child)
    events = desk.sell(2, 990, 10)
    assert only(events, OrderArmed) == []
    assert closes(events)[0] == (entry, "FILLED")


def test_an_armed_pair_is_cancelled_together(desk: Desk) -> None:
    """From then on the two are an OCO."""
    _, profit, loss = ids(desk.bracket(5, BUY, 990, EXITS, 10))
    desk.sell(2, 990, 10)
    assert reason(desk.amend(5, loss, trigger_price_ticks=940)) is R.ORDER_IN_LIST
    events = desk.cancel(5, loss)
    assert only(events, CancelAccepted)[0].closed_count == 2
    assert closes(events) == [(loss, USER), (profit, USER)]
    assert desk.balance(5, ETH) == (10 * LOT, 0)


@pytest.mark.parametrize("side", [None, BUY, SELL])
def test_cancel_all_takes_what_it_names(desk: Desk, side: Side | None) -> None:
    """All sides: everything, for the user's reason. A side: a cancelled entry's children follow."""
    placed = ids(desk.bracket(5, BUY, 990, EXITS, 10))
    desk.sell(2, 990, 4)
    events = desk.cancel_all(5, side=side)
    if side is None:
        assert closes(events) == [(each, USER) for each in placed]
    elif side is SELL:
        assert closes(events) == [(each, USER) for each in placed[1:]]
    else:
        assert closes(events) == [(placed[0], USER)]
        assert [a.quantity_lots for a in only(events, OrderArmed)] == [4, 4]


def test_money_spent_meanwhile_refuses_the_children(desk: Desk) -> None:
    """What a part of the entry bought is its owner's; sold before the end, nothing can be armed."""
    entry, profit, loss = ids(desk.bracket(5, BUY, 990, EXITS, 10))
    desk.sell(2, 990, 4)
    desk.buy(3, 995, 4)
    desk.sell(5, 995, 1)
    events = desk.cancel(5, entry)
    assert [(a.order_id, a.hold_units, a.refusal) for a in only(events, OrderArmed)] == [
        (profit, 0, R.INSUFFICIENT_FUNDS),
        (loss, 0, R.INSUFFICIENT_FUNDS),
    ]
    assert closes(events)[1:] == [(profit, "REFUSED_AT_TRIGGER"), (loss, "REFUSED_AT_TRIGGER")]
    assert desk.balance(5, ETH) == (3 * LOT, 0)


def test_a_take_profit_that_would_take_leaves_the_stop(desk: Desk) -> None:
    """One child refused, the other stands alone."""
    entry, profit, loss = ids(desk.bracket(1, BUY, 990, (1_020, 950), 10))
    desk.sell(2, 990, 4)
    desk.buy(3, 1_030, 1)  # the market is above the take-profit by now
    events = desk.cancel(1, entry)
    assert [(a.order_id, a.refusal) for a in only(events, OrderArmed)] == [
        (profit, R.POST_ONLY_WOULD_TRADE),
        (loss, R.NONE),
    ]
    assert closes(events)[1:] == [(profit, "REFUSED_AT_TRIGGER")]
    assert desk.balance(1, ETH)[1] == 4 * LOT


def test_a_stop_that_is_reached_acts_at_once(desk: Desk) -> None:
    """The last price is through it when it is armed: it is set off in the same command."""
    desk.buy(3, 940, 10)
    entry, profit, loss = ids(desk.bracket(5, BUY, 990, (1_050, 985), 10))
    events = desk.sell(2, 940, 12)  # through the entry, and on to 940
    assert fills(events)[0] == (entry, 990, 10)
    (triggered,) = only(events, OrderTriggered)
    assert (triggered.order_id, triggered.reached_price_ticks) == (loss, 940)
    assert (profit, DONE) in closes(events)
    assert fills(events)[-1][1:] == (940, 8)


def test_earlier_prices_do_not_set_a_child_off(desk: Desk) -> None:
    """It is held against the last price of the command that arms it, not against those before."""
    desk.buy(3, 1_002, 1)
    take = {"order_type": OrderType.TAKE_PROFIT, "price_ticks": 0, "post_only": False}
    entry, profit, _ = ids(
        desk.bracket(5, BUY, 990, (1_001, 950), 10, profit={**take, "trigger_price_ticks": 1_001})
    )
    desk.stop(4, BUY, 1_090, 1)  # so that prices are looked at
    events = desk.sell(2, 990, 11)  # 1,002 first, then the entry at 990
    assert [price for _, price, _ in fills(events)] == [1_002, 990]
    assert only(events, OrderTriggered) == []
    assert [o.order_id for o in desk.engine.open_orders(5)] == [profit, profit + 1]
    assert entry + 1 == profit


def test_a_trailing_child_starts_from_the_price_of_its_arming(desk: Desk) -> None:
    """Its first trigger is as far from the last price then as it says."""
    trail = {**TRAIL, "trailing_offset_ticks": 20}
    _, loss = ids(desk.bracket(5, BUY, 990, (0, 1), 10, loss=trail))
    desk.trade(1_040)
    desk.sell(2, 990, 10)
    (left,) = desk.engine.open_orders(5)
    assert (left.order_id, left.terms.trigger_price_ticks) == (loss, 970)


def test_the_entry_may_be_amended_between_its_children(desk: Desk) -> None:
    """Its price and quantity; a pending child may not be changed."""
    entry, profit, loss = ids(desk.bracket(5, BUY, 990, EXITS, 10))
    assert reason(desk.amend(5, profit, price_ticks=1_060)) is R.ORDER_IN_LIST
    assert reason(desk.amend(5, loss, quantity_lots=5)) is R.ORDER_IN_LIST
    assert reason(desk.amend(5, entry, price_ticks=950)) is R.LIST_PRICES_CROSSED
    assert reason(desk.amend(5, entry, price_ticks=1_050)) is R.LIST_PRICES_CROSSED
    desk.amend(5, entry, price_ticks=980, quantity_lots=7)
    events = desk.sell(2, 980, 7)
    assert [a.quantity_lots for a in only(events, OrderArmed)] == [7, 7]


def test_an_amend_that_takes_arms_too(desk: Desk) -> None:
    """The entry ends by its own amend."""
    entry, *_ = ids(desk.bracket(5, BUY, 990, EXITS, 10))
    desk.sell(2, 1_005, 10)
    events = desk.amend(5, entry, price_ticks=1_005)
    assert len(only(events, OrderArmed)) == 2


def test_a_halted_market_arms_nothing(desk: Desk) -> None:
    """The entry expires while it is halted; what follows happens when the market opens."""
    timed = {"time_in_force": TimeInForce.GTD, "expires_at_us": desk.time_us + 5_000_000}
    _, profit, loss = ids(desk.bracket(5, BUY, 990, EXITS, 10, entry_fields=timed))
    desk.sell(2, 990, 4)
    _set_state(desk, SymbolState.HALTED)
    desk.time_us += 6_000_000
    assert len(closes(desk.run(Tick()))) == 1
    assert [o.is_pending for o in desk.engine.open_orders(5)] == [True, True]
    desk.engine = restore_engine(desk.engine.snapshot())
    _set_state(desk, SymbolState.OPEN)
    armed = only(tuple(desk.events[-4:]), OrderArmed)
    assert [(a.order_id, a.quantity_lots) for a in armed] == [(profit, 4), (loss, 4)]


def test_one_trade_leads_to_the_next(desk: Desk) -> None:
    """A stop of one bracket fills the entry of another, which is armed and reached in turn."""
    first = ids(desk.bracket(5, BUY, 990, (1_050, 985), 10))
    second = ids(desk.bracket(1, BUY, 980, (1_060, 975), 5))
    below = order_id(desk.buy(3, 970, 20))
    events = desk.sell(2, 980, 11)  # the first entry, and one lot of the second: 980 is through 985
    assert fills(events) == [
        (first[0], 990, 10),
        (second[0], 980, 1),
        (second[0], 980, 4),  # the first stop sells the rest of the second entry its lots,
        (below, 970, 6),  # and what is left of them at 970, which is through 975:
        (below, 970, 5),  # the second stop
    ]
    assert [each.order_id for each in only(events, OrderTriggered)] == [first[2], second[2]]
    assert desk.balance(5, ETH) == (0, 0)


def test_a_child_that_ended_alone_stays_ended_in_a_restored_engine(desk: Desk) -> None:
    """The other child stands alone; it ends without a look at the one that is only remembered."""
    _, profit, loss = ids(desk.bracket(5, BUY, 990, EXITS, 10))
    desk.cancel(5, profit)
    desk.sell(2, 990, 10)
    desk.engine = restore_engine(desk.engine.snapshot())
    assert closes(desk.cancel(5, loss)) == [(loss, USER)]


@pytest.mark.parametrize("moment", ["pending", "armed"])
@pytest.mark.parametrize("ending", ["fill", "cancel", "spend"])
def test_a_restored_bracket_goes_on_the_same_way(desk: Desk, moment: str, ending: str) -> None:
    """All of it is in the snapshot: events and state of both are equal."""
    entry, *_ = ids(desk.bracket(5, BUY, 990, EXITS, 10))
    desk.sell(2, 990, 10 if moment == "armed" else 4)
    other = Desk(listings=())
    other.engine = restore_engine(desk.engine.snapshot())
    other.time_us = desk.time_us
    assert other.engine.digest() == desk.engine.digest()
    outcomes = []
    for each in (desk, other):
        if ending == "fill":
            outcomes.append(each.sell(2, 990, 6, client_key=7))
        elif ending == "cancel":
            outcomes.append(each.cancel(5, entry if moment == "pending" else entry + 2))
        else:
            outcomes.append(each.buy(3, 1_050, 5, client_key=8))
    assert outcomes[0] == outcomes[1]
    assert other.engine.digest() == desk.engine.digest()
