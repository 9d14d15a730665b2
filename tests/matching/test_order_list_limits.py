"""OCO: what is refused, what counts, how many at a time, repeats and dry runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.commands import DelistSymbol, PlaceOrder, PlaceOrderList, SetDeadMansSwitch, Tick
from domain.errors import RejectReason as R
from domain.events import (
    CommandRejected,
    DeadMansSwitchFired,
    OrderAccepted,
    OrderDuplicate,
    SymbolDelisted,
)
from domain.limits import MAX_EXPIRIES, MAX_MAKERS
from domain.order import (
    ListKind,
    OrderType,
    Side,
    TimeInForce,
)
from matching.codec import encode_command
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


def test_the_dead_mans_switch_takes_whole_lists() -> None:
    """Also where a command's room would end between the two: one more rather than half a list."""
    desk = Desk(listings=(replace(LISTING, max_open_orders=10_000),))
    desk.fund(1)
    lone = order_id(desk.sell(1, 1_080, 1))
    lists = [pair(desk.oco(1, SELL, 1_050, 950, 1)) for _ in range(MAX_EXPIRIES // 2 + 1)]
    assert len(desk.engine.open_orders(1)) == MAX_EXPIRIES + 3
    desk.run(SetDeadMansSwitch(1, 1_000_000))
    desk.time_us += 2_000_000
    events = desk.run(Tick())
    # the switch's own event takes a place of the 5,000; the 4,999th order is the first of two
    taken = [lone, *(each for ids in lists[: (MAX_EXPIRIES - 2) // 2] for each in ids)]
    assert len(taken) == MAX_EXPIRIES - 1
    assert [closed for closed, _ in closes(events)] == taken
    assert only(events, DeadMansSwitchFired)[0].closed_count == len(taken)
    rest = desk.run(Tick())
    assert len(closes(rest)) == 4
    assert {why for _, why in closes(events + rest)} == {"DEAD_MANS_SWITCH"}
    assert desk.balance(1, ETH)[1] == 0


def test_the_switch_may_take_one_more_than_its_room() -> None:
    """Without a lone order in front the room ends between two of one list: both go."""
    desk = Desk(listings=(replace(LISTING, max_open_orders=10_000),))
    desk.fund(1)
    for _ in range(MAX_EXPIRIES // 2 + 1):
        desk.oco(1, SELL, 1_050, 950, 1)
    desk.run(SetDeadMansSwitch(1, 1_000_000))
    desk.time_us += 2_000_000
    events = desk.run(Tick())
    assert only(events, DeadMansSwitchFired)[0].closed_count == MAX_EXPIRIES
    assert len(closes(events)) == MAX_EXPIRIES
    assert len(closes(desk.run(Tick()))) == 2


def test_a_delisted_market_closes_both() -> None:
    """Each once, for the administrator's reason, and counted."""
    desk = Desk()
    desk.fund(1)
    lone = order_id(desk.sell(1, 1_080, 1))
    ids = pair(desk.oco(1, SELL, 1_050, 950, 10))
    events = desk.run(DelistSymbol(ETH_USDT, "ada", "it is over"))
    assert closes(events) == [(each, "CANCELLED_BY_ADMIN") for each in (lone, *ids)]
    (told,) = only(events, SymbolDelisted)
    assert (told.closed_count, told.open_orders) == (3, 0)
    assert desk.balance(1, ETH) == (RICH, 0)


def test_a_sweep_of_lists_fits_into_the_events() -> None:
    """The most makers that one command meets, each with another order to close."""
    desk = Desk(listings=(replace(LISTING, max_open_orders=2 * MAX_MAKERS + 2),))
    desk.fund(1, 2)
    for _ in range(MAX_MAKERS + 1):
        desk.oco(1, SELL, 1_000, 950, 1)
    events = desk.buy(2, 1_000, MAX_MAKERS + 5)
    assert len(fills(events)) == MAX_MAKERS
    assert len(closes(events)) == 2 * MAX_MAKERS + 1
    assert closes(events)[-1][1] == "SWEEP_LIMIT"
    assert events[-1].index == 3 * MAX_MAKERS + 1 < 2**16 - MAX_EXPIRIES
    assert len(desk.engine.open_orders(1)) == 2


def test_lots_to_buy_count_once_for_the_position() -> None:
    """Only one of the two will buy, so a bound on the position counts one."""
    desk = Desk(listings=(replace(LISTING, max_position_lots=10),))
    desk.fund(1, assets=(USDT,))
    desk.fund(98, 99)
    desk.trade(1_000)
    assert len(only(desk.oco(1, BUY, 950, 1_050, 10), OrderAccepted)) == 2
    assert reason(desk.buy(1, 900, 1)) is R.POSITION_LIMIT
    restored = restore_engine(desk.engine.snapshot())
    desk.engine = restored
    assert reason(desk.buy(1, 900, 1)) is R.POSITION_LIMIT
    desk.cancel_all(1)
    assert len(only(desk.buy(1, 900, 10), OrderAccepted)) == 1


def test_there_must_be_room_for_two() -> None:
    """Both count as open orders."""
    desk = Desk(listings=(replace(LISTING, max_open_orders=2),))
    desk.fund(1)
    desk.sell(1, 1_080, 1)
    assert reason(desk.oco(1, SELL, 1_050, 950, 1)) is R.TOO_MANY_OPEN_ORDERS
    desk.cancel_all(1)
    desk.oco(1, SELL, 1_050, 950, 1)
    assert reason(desk.sell(1, 1_080, 1)) is R.TOO_MANY_OPEN_ORDERS


REFUSED: list[tuple[str, dict[str, Any], R, int]] = [
    ("limit not post-only", {"first": {"post_only": False}}, R.INVALID_ORDER_LIST, 0),
    ("two limits", {"second": {"order_type": LIMIT}}, R.INVALID_ORDER_LIST, 0),
    ("two stops", {"first": {"order_type": STOP}}, R.INVALID_ORDER_LIST, 0),
    ("other side", {"second": {"side": BUY}}, R.INVALID_ORDER_LIST, 0),
    ("other size", {"second": {"quantity_lots": 9}}, R.INVALID_ORDER_LIST, 0),
    ("other account", {"second": {"account_id": 2}}, R.INVALID_ORDER_LIST, 0),
    ("other market", {"second": {"symbol_id": 9}}, R.INVALID_ORDER_LIST, 0),
    ("one key", {"first": {"client_key": 5}, "second": {"client_key": 5}}, R.INVALID_ORDER_LIST, 0),
    ("no price", {"first": {"price_ticks": 0}}, R.INVALID_PRICE, 1),
    ("no trigger", {"second": {"trigger_price_ticks": 0}}, R.INVALID_TRIGGER, 2),
    ("taking first", {"first": {"price_ticks": 990}}, R.POST_ONLY_WOULD_TRADE, 1),
    ("reached stop", {"second": {"trigger_price_ticks": 1_000}}, R.WOULD_TRIGGER_IMMEDIATELY, 2),
    ("too large", {"quantity_lots": 10**9 + 1}, R.QUANTITY_TOO_LARGE, 1),
    ("unknown market", {"symbol_id": 7}, R.UNKNOWN_SYMBOL, 1),
    ("too poor", {"account_id": 77}, R.INSUFFICIENT_FUNDS, 1),
    ("past", {"time_in_force": TimeInForce.GTD, "expires_at_us": 1}, R.EXPIRY_PASSED, 1),
    ("immediate", {"first": {"time_in_force": TimeInForce.IOC}}, R.INVALID_COMBINATION, 1),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case[0])
def test_none_is_placed_when_one_may_not_be(
    desk: Desk, case: tuple[str, dict[str, Any], R, int]
) -> None:
    """The refusal names the order at fault, and nothing else has changed."""
    _, other, wanted, position = case
    desk.buy(3, 990, 1)
    before = desk.engine.balances(), desk.engine.open_orders(1), desk.engine.trades()
    (refused,) = desk.oco(1, SELL, 1_050, 950, 10, **other)
    assert isinstance(refused, CommandRejected)
    assert (refused.reason, refused.list_position) == (wanted, position)
    assert (desk.engine.balances(), desk.engine.open_orders(1), desk.engine.trades()) == before
    assert order_id(desk.sell(1, 1_050, 1)) == desk.engine.open_orders(3)[0].order_id + 1


def test_the_better_price_lies_beyond_the_stop(desk: Desk) -> None:
    """Both alone may stand where the book is far from the last price; as a list they are a slip."""
    desk.trade(1_000)
    crossed = desk.oco(1, SELL, 940, 950, 10)
    assert reason(crossed) is R.LIST_PRICES_CROSSED
    assert reason(desk.oco(1, BUY, 1_060, 1_050, 10)) is R.LIST_PRICES_CROSSED
    assert reason(desk.oco(1, SELL, 950, 950, 10)) is R.LIST_PRICES_CROSSED


def test_a_repeated_list_is_answered_again(desk: Desk) -> None:
    """Both as they are now; another body under a key of it is a conflict, alone or in a list."""
    keys: dict[str, Any] = {"first": {"client_key": 71}, "second": {"client_key": 72}}
    ids = pair(desk.oco(1, SELL, 1_050, 950, 10, **keys))
    desk.buy(2, 1_050, 4)
    again = desk.oco(1, SELL, 1_050, 950, 10, **keys)
    assert shape(again) == [OrderDuplicate, OrderDuplicate]
    told = only(again, OrderDuplicate)
    assert [(d.order_id, d.same_body, d.filled_lots) for d in told] == [
        (ids[0], True, 4),
        (ids[1], True, 0),
    ]
    assert [d.status.name for d in told] == ["OPEN", "EXPIRED"]
    for other in (
        desk.oco(1, SELL, 1_051, 950, 10, **keys),
        desk.oco(1, SELL, 1_050, 951, 10, **keys),
        desk.oco(1, SELL, 1_050, 950, 10, **{**keys, "second": {"client_key": 73}}),
        desk.oco(1, SELL, 1_050, 950, 10, **{**keys, "first": {"client_key": 73}}),
        desk.sell(1, 1_050, 10, client_key=71, post_only=True),
    ):
        assert {d.same_body for d in only(other, OrderDuplicate)} == {False}
    desk.sell(1, 1_080, 1, client_key=80)
    half = desk.oco(1, SELL, 1_050, 950, 10, first={"client_key": 80}, second={"client_key": 81})
    assert [(d.client_key, d.same_body) for d in only(half, OrderDuplicate)] == [(80, False)]


def test_a_dry_run_of_a_list_is_what_happens(desk: Desk) -> None:
    """The hold of the larger, or the refusal and whose it is; nothing changes."""

    def record(**other: Any) -> bytes:
        first = PlaceOrder(1, 91, ETH_USDT, BUY, LIMIT, TimeInForce.GTC, 950, 7, post_only=True)
        second = replace(
            first,
            client_key=92,
            order_type=STOP_LIMIT,
            post_only=False,
            price_ticks=1_060,
            trigger_price_ticks=1_050,
        )
        return encode_command(PlaceOrderList(ListKind.OCO, (first, replace(second, **other))))

    before = desk.engine.snapshot()
    assert desk.engine.dry_run(record()) == (R.NONE, buy_hold(1_060, 7), 0)
    reached = desk.engine.dry_run(record(trigger_price_ticks=1_000))
    assert reached == (R.WOULD_TRIGGER_IMMEDIATELY, 0, 2)
    assert desk.engine.dry_run(record(quantity_lots=8)) == (R.INVALID_ORDER_LIST, 0, 0)
    assert desk.engine.snapshot() == before
    desk.sell(1, 1_080, 1, client_key=92)
    assert desk.engine.dry_run(record()) == (R.DUPLICATE_CLIENT_ORDER_ID, 0, 2)
