"""Amends: what keeps its place, what is checked anew, what is stale. The dead-man's switch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.commands import AmendOrder, SetDeadMansSwitch, SetShardMode, SetSymbolState, Tick
from domain.errors import RejectReason as R
from domain.events import (
    CancelAccepted,
    DeadMansSwitchFired,
    DeadMansSwitchSet,
    OrderAmended,
    OrderClosed,
    OrderDuplicate,
    OrderRested,
)
from domain.limits import MAX_EXPIRIES
from domain.order import SelfTrade, ShardMode, Side, SymbolState
from matching.engine import restore_engine
from tests.matching.desk import (
    ETH,
    ETH_USDT,
    LISTING,
    RICH,
    USDT,
    Desk,
    closes,
    fills,
    only,
    order_id,
    reason,
)

pytestmark = pytest.mark.usefixtures("each_engine")


@pytest.fixture
def desk() -> Desk:
    """Give a market with four funded accounts."""
    desk = Desk()
    desk.fund(1, 2, 3, 4)
    return desk


def test_a_smaller_quantity_keeps_the_place(desk: Desk) -> None:
    """Nothing but the size changes, and what is no longer needed is released."""
    first = order_id(desk.sell(1, 1_000, 10))
    second = order_id(desk.sell(2, 1_000, 10))
    events = desk.amend(1, first, quantity_lots=4)
    (amended,) = only(events, OrderAmended)
    assert (amended.kept_place, amended.quantity_lots, len(events)) == (True, 4, 1)
    assert desk.balance(1, ETH)[1] == 4 * LISTING.base_units_per_lot
    assert desk.engine.book(ETH_USDT, 5) == ([], [(1_000, 14)])
    assert fills(desk.buy(3, 1_000, 6)) == [(first, 1_000, 4), (second, 1_000, 2)]


@pytest.mark.parametrize("terms", [{"quantity_lots": 11}, {"price_ticks": 1_001}])
def test_anything_else_loses_the_place(desk: Desk, terms: dict[str, int]) -> None:
    """A larger quantity or another price puts the order last at its level, under its own id."""
    order = order_id(desk.sell(1, 1_000, 10, client_key=7))
    other = order_id(desk.sell(2, 1_000, 10))
    later = order_id(desk.sell(3, 1_001, 10))
    events = desk.amend(1, order, **terms)
    (amended,) = only(events, OrderAmended)
    assert (amended.kept_place, amended.client_key) == (False, 7)
    (rested,) = only(events, OrderRested)
    assert rested.order_id == order
    met = [fill[0] for fill in fills(desk.buy(4, 1_001, 31))]
    price = terms.get("price_ticks", 1_000)
    assert met == ([other, order, later] if price == 1_000 else [other, later, order])


def test_into_cross_trades_at_the_makers_price(desk: Desk) -> None:
    """An amended price that crosses takes; the makers' prices count and the rest stands."""
    maker = order_id(desk.sell(1, 1_005, 4))
    bid = order_id(desk.buy(2, 1_000, 10))
    events = desk.amend(2, bid, price_ticks=1_010)
    assert fills(events) == [(maker, 1_005, 4)]
    assert only(events, OrderRested)[0].remaining_lots == 6
    assert desk.balance(2, USDT)[1] == 6 * 1_010 + 13
    last = desk.amend(2, bid, quantity_lots=4, price_ticks=1_010)
    assert reason(last) is R.QUANTITY_BELOW_FILLED
    assert closes(desk.cancel(2, bid)) == [(bid, "CANCELLED_BY_USER")]
    assert desk.balance(2, USDT)[1] == 0


def test_an_amended_order_may_fill_whole(desk: Desk) -> None:
    """It closes as a taker, outside the book, and is out of its account's open orders."""
    older = order_id(desk.buy(2, 999, 1))
    bid = order_id(desk.buy(2, 1_000, 3))
    newer = order_id(desk.buy(2, 998, 1))
    desk.sell(1, 1_005, 4)
    (close,) = only(desk.amend(2, bid, price_ticks=1_005), OrderClosed)
    assert (close.order_id, close.resting, close.filled_lots) == (bid, False, 3)
    assert [view.order_id for view in desk.engine.open_orders(2)] == [older, newer]
    assert reason(desk.amend(2, bid, quantity_lots=9)) is R.ORDER_NOT_FOUND


def test_amended_orders_stay_in_id_order(desk: Desk) -> None:
    """A requeued order keeps its place in its account's list, also over a restart."""
    ids = [order_id(desk.buy(1, 990, 5)) for _ in range(3)]
    desk.amend(1, ids[0], price_ticks=991)
    desk.amend(1, ids[1], quantity_lots=9)
    assert [view.order_id for view in desk.engine.open_orders(1)] == ids
    desk.engine = restore_engine(desk.engine.snapshot())
    assert [close[0] for close in closes(desk.cancel_all(1))] == ids


def test_the_first_body_stays_the_body(desk: Desk) -> None:
    """A retry of the placement is a duplicate of the same body, whatever was amended since."""
    order = order_id(desk.buy(1, 990, 5, client_key=7))
    desk.run(AmendOrder(1, ETH_USDT, 0, 7, 991, 6))
    desk.engine = restore_engine(desk.engine.snapshot())
    again, other = desk.buy(1, 990, 5, client_key=7)[0], desk.buy(1, 991, 6, client_key=7)[0]
    assert isinstance(again, OrderDuplicate)
    assert isinstance(other, OrderDuplicate)
    assert (again.order_id, again.same_body, other.same_body) == (order, True, False)
    (now,) = desk.engine.open_orders(1)
    assert (again.price_ticks, again.quantity_lots, again.filled_lots) == (991, 6, 0)
    assert (again.accepted_sequence, again.accepted_at_us) == (
        now.accepted_sequence,
        now.accepted_at_us,
    )


def test_its_own_hold_counts_as_free() -> None:
    """An order may grow up to what its account has; one lot more is refused without effect."""
    desk = Desk()
    desk.fund(1, units=10_020)
    order = order_id(desk.buy(1, 1_000, 9))
    assert reason(desk.amend(1, order, quantity_lots=11)) is R.INSUFFICIENT_FUNDS
    assert desk.balance(1, USDT) == (10_020, 9_018)
    assert only(desk.amend(1, order, quantity_lots=10), OrderRested)
    assert desk.balance(1, USDT) == (10_020, 10_020)


def test_order_rules_hold_for_amended_orders(desk: Desk) -> None:
    """Post-only stays post-only, and the self-trade mode is the order's."""
    maker = order_id(desk.sell(1, 1_005, 4))
    bid = order_id(desk.buy(2, 1_000, 1, post_only=True))
    assert reason(desk.amend(2, bid, price_ticks=1_005)) is R.POST_ONLY_WOULD_TRADE
    own = order_id(desk.buy(1, 1_000, 1, self_trade=SelfTrade.EXPIRE_TAKER))
    assert reason(desk.amend(1, own, price_ticks=1_005)) is R.SELF_TRADE
    mine = order_id(desk.buy(1, 1_000, 1))
    assert closes(desk.amend(1, mine, price_ticks=1_005)) == [(maker, "SELF_TRADE")]
    assert desk.balance(1, ETH) == (RICH, 0)


@pytest.mark.parametrize(
    ("expected", "fields"),
    [
        (R.MALFORMED_COMMAND, {"account_id": 0}),
        (R.MALFORMED_COMMAND, {"order_id": 0}),
        (R.INVALID_COMBINATION, {"price_ticks": 0, "quantity_lots": 0}),
        (R.INVALID_PRICE, {"price_ticks": -1}),
        (R.INVALID_QUANTITY, {"quantity_lots": -1}),
        (R.UNKNOWN_SYMBOL, {"symbol_id": 9}),
        (R.ORDER_NOT_FOUND, {"order_id": 99}),
        (R.ORDER_NOT_FOUND, {"account_id": 2}),
        (R.QUANTITY_BELOW_FILLED, {"quantity_lots": 3}),
        (R.PRICE_OUTSIDE_BAND, {"price_ticks": 1_101}),
        (R.QUANTITY_TOO_LARGE, {"quantity_lots": 1_000_000_001}),
        (R.OVERFLOW, {"quantity_lots": 10**15}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_each_refusal_changes_nothing(expected: R, fields: dict[str, Any]) -> None:
    """A refused amend says why and leaves the order where it was."""
    large = expected is R.OVERFLOW
    desk = Desk(listings=(replace(LISTING, max_order_lots=10**16 if large else 10**9),))
    desk.fund(1, 2)
    bid = order_id(desk.buy(1, 1_000, 10))
    desk.sell(2, 1_000, 3)
    before, book = desk.engine.balances(), desk.engine.book(ETH_USDT, 5)
    whole = AmendOrder(1, ETH_USDT, bid, 0, 1_001, 20)
    assert reason(desk.run(replace(whole, **fields))) is expected
    assert (desk.engine.balances(), desk.engine.book(ETH_USDT, 5)) == (before, book)


def test_closed_markets_take_no_amends(desk: Desk) -> None:
    """Shard before symbol, as for orders; cancels go on."""
    bid = order_id(desk.buy(1, 1_000, 10))
    for state, expected in (
        (SymbolState.CANCEL_ONLY, R.SYMBOL_CANCEL_ONLY),
        (SymbolState.HALTED, R.SYMBOL_HALTED),
    ):
        desk.run(SetSymbolState(ETH_USDT, state))
        assert reason(desk.amend(1, bid, quantity_lots=5)) is expected
    for mode, expected in (
        (ShardMode.CANCEL_ONLY, R.SHARD_CANCEL_ONLY),
        (ShardMode.HALTED, R.SHARD_HALTED),
    ):
        desk.run(SetShardMode(mode))
        assert reason(desk.amend(1, bid, quantity_lots=5)) is expected
        assert reason(desk.amend(1, 99, quantity_lots=5)) is expected
    assert desk.engine.book(ETH_USDT, 1)[Side.BUY] == [(1_000, 10)]


def test_a_dead_mans_switch_cancels_all_at_its_deadline(desk: Desk) -> None:
    """Every open order of the account closes, the oldest first, and the switch is gone."""
    ids = [order_id(desk.buy(1, 990 - i, 1)) for i in range(3)]
    other = order_id(desk.buy(2, 990, 1))
    (armed,) = only(desk.run(SetDeadMansSwitch(1, 5)), DeadMansSwitchSet)
    assert armed.deadline_us == armed.time_us + 5
    for _ in range(4):
        assert len(desk.run(Tick())) == 1
    events = desk.cancel_all(1)
    assert [event.index for event in events] == list(range(5))
    assert only(events, CancelAccepted)[0].closed_count == 0
    assert only(events, DeadMansSwitchFired)[0].closed_count == 3
    assert closes(events) == [(order, "DEAD_MANS_SWITCH") for order in ids]
    assert desk.balance(1, USDT) == (RICH, 0)
    assert [view.order_id for view in desk.engine.open_orders(2)] == [other]
    assert only(desk.run(Tick()), DeadMansSwitchFired) == []


def test_a_switch_may_be_set_again_or_off(desk: Desk) -> None:
    """Only the last deadline counts, also over a restart; 0 disarms."""
    bid = order_id(desk.buy(1, 990, 1))
    desk.run(SetDeadMansSwitch(1, 3))
    desk.run(SetDeadMansSwitch(1, 5))
    desk.engine = restore_engine(desk.engine.snapshot())
    for _ in range(4):
        assert only(desk.run(Tick()), DeadMansSwitchFired) == []
    assert only(desk.run(SetDeadMansSwitch(2, 1)), DeadMansSwitchFired)[0].account_id == 1
    assert [view.order_id for view in desk.engine.open_orders(1)] == []
    assert desk.engine.order(1, bid) is not None
    (off,) = only(desk.run(SetDeadMansSwitch(1, 0)), DeadMansSwitchSet)
    assert off.deadline_us == 0


def test_switches_fire_by_deadline_then_account_and_in_a_halt(desk: Desk) -> None:
    """Halted markets and shards do not keep the orders of a client that is gone."""
    for account in (3, 1, 2):
        desk.buy(account, 990, 1)
    at = desk.time_us + 10
    for account, late in ((3, 1), (2, 1), (1, 2)):
        desk.run(SetDeadMansSwitch(account, at + late - desk.time_us - 1))
    desk.run(SetShardMode(ShardMode.HALTED))
    desk.time_us = at + 5
    fired = only(desk.run(Tick()), DeadMansSwitchFired)
    assert [event.account_id for event in fired] == [2, 3, 1]


@pytest.mark.parametrize(
    ("expected", "account", "timeout_us"),
    [
        (R.MALFORMED_COMMAND, 0, 5),
        (R.INVALID_TIMEOUT, 1, -1),
        (R.INVALID_TIMEOUT, 1, 24 * 3_600_000_000 + 1),
    ],
)
def test_switches_that_are_refused(desk: Desk, expected: R, account: int, timeout_us: int) -> None:
    """A switch belongs to somebody and lies within a day."""
    assert reason(desk.run(SetDeadMansSwitch(account, timeout_us))) is expected


def test_a_switch_with_too_many_orders_fires_again() -> None:
    """What one command may not close, the next one does."""
    desk = Desk(listings=(replace(LISTING, max_open_orders=10_000),))
    desk.fund(1)
    for _ in range(MAX_EXPIRIES + 3):
        desk.buy(1, 990, 1)
    desk.run(SetDeadMansSwitch(1, 1))
    first, second = desk.run(Tick()), desk.run(Tick())
    assert [len(closes(events)) for events in (first, second)] == [MAX_EXPIRIES - 1, 4]
    assert desk.balance(1, USDT) == (RICH, 0)
    assert len(desk.run(Tick())) == 1
