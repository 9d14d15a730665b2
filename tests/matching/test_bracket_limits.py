"""Brackets: what is refused, what counts, how many at a time, repeats and dry runs."""

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
    OrderArmed,
    OrderDuplicate,
    SymbolDelisted,
)
from domain.limits import MAX_EXPIRIES, TRIGGER_ROOM
from domain.order import ListKind, OrderType, Side, TimeInForce
from matching.codec import encode_command
from matching.engine import restore_engine
from tests.matching.desk import (
    ETH,
    ETH_USDT,
    LISTING,
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
LIMIT, STOP = OrderType.LIMIT, OrderType.STOP
EXITS = (1_050, 950)


REFUSED: list[tuple[str, dict[str, Any], R, int]] = [
    ("a stop as entry", {"entry_fields": {"order_type": STOP}}, R.INVALID_ORDER_LIST, 0),
    ("limit not post-only", {"profit": {"post_only": False}}, R.INVALID_ORDER_LIST, 0),
    ("two limits", {"loss": {"order_type": LIMIT}}, R.INVALID_ORDER_LIST, 0),
    ("two stops", {"profit": {"order_type": STOP}}, R.INVALID_ORDER_LIST, 0),
    ("one side", {"loss": {"side": BUY}}, R.INVALID_ORDER_LIST, 0),
    ("other size", {"loss": {"quantity_lots": 9}}, R.INVALID_ORDER_LIST, 0),
    ("other account", {"profit": {"account_id": 2}}, R.INVALID_ORDER_LIST, 0),
    ("other market", {"loss": {"symbol_id": 9}}, R.INVALID_ORDER_LIST, 0),
    ("one key", {"profit": {"client_key": 5}, "loss": {"client_key": 5}}, R.INVALID_ORDER_LIST, 0),
    ("no quantity", {"quantity_lots": 0}, R.INVALID_ORDER_LIST, 0),
    ("no price", {"entry_fields": {"price_ticks": -1}}, R.INVALID_PRICE, 1),
    ("outside the band", {"entry_fields": {"price_ticks": 1_101}}, R.PRICE_OUTSIDE_BAND, 1),
    ("unknown market", {"symbol_id": 7}, R.UNKNOWN_SYMBOL, 1),
    ("too poor", {"account_id": 77}, R.INSUFFICIENT_FUNDS, 1),
    ("too large", {"quantity_lots": 10**9 + 1}, R.QUANTITY_TOO_LARGE, 1),
    ("no profit", {"profit": {"price_ticks": 0}}, R.INVALID_PRICE, 2),
    ("immediate", {"profit": {"time_in_force": TimeInForce.IOC}}, R.INVALID_COMBINATION, 2),
    ("no trigger", {"loss": {"trigger_price_ticks": 0}}, R.INVALID_TRIGGER, 3),
    (
        "a limit too far",
        {"loss": {"order_type": OrderType.STOP_LIMIT, "price_ticks": 1}},
        R.PRICE_OUTSIDE_BAND,
        3,
    ),
    (
        "trailing too far",
        {
            "loss": {
                "order_type": OrderType.TRAILING_STOP,
                "trigger_price_ticks": 0,
                "trailing_offset_ticks": 990,
            }
        },
        R.INVALID_TRIGGER,
        3,
    ),
    (
        "past",
        {"loss": {"time_in_force": TimeInForce.GTD, "expires_at_us": 1}},
        R.EXPIRY_PASSED,
        3,
    ),
    ("profit at the entry", {"profit": {"price_ticks": 990}}, R.LIST_PRICES_CROSSED, 0),
    ("stop at the entry", {"loss": {"trigger_price_ticks": 990}}, R.LIST_PRICES_CROSSED, 0),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case[0])
def test_none_is_placed_when_one_may_not_be(
    desk: Desk, case: tuple[str, dict[str, Any], R, int]
) -> None:
    """The refusal names the order at fault, and nothing else has changed."""
    _, other, wanted, position = case
    before = desk.engine.balances(), desk.engine.open_orders(1), desk.engine.trades()
    (refused,) = desk.bracket(1, BUY, 990, EXITS, 10, **other)
    assert isinstance(refused, CommandRejected)
    assert (refused.reason, refused.list_position) == (wanted, position)
    assert (desk.engine.balances(), desk.engine.open_orders(1), desk.engine.trades()) == before


def test_a_market_entry_is_measured_by_the_last_price(desk: Desk) -> None:
    """Its children lie on both sides of it."""
    desk.sell(2, 1_001, 10)
    assert reason(desk.bracket(1, BUY, 0, (1_000, 950), 10)) is R.LIST_PRICES_CROSSED
    assert reason(desk.bracket(1, BUY, 0, (1_050, 1_000), 10)) is R.LIST_PRICES_CROSSED
    assert len(ids(desk.bracket(1, BUY, 0, (1_002, 999), 10))) == 3
    empty = desk.bracket(1, SELL, 0, (950, 1_050), 10)
    assert isinstance(empty[0], CommandRejected)
    assert (empty[0].reason, empty[0].list_position) == (R.NO_LIQUIDITY, 1)


def test_a_budget_has_no_bracket(desk: Desk) -> None:
    """Its quantity is not known."""
    fields = {"quantity_lots": 0, "quote_budget_units": 5_000}
    refused = desk.bracket(1, BUY, 0, EXITS, 0, entry_fields=fields)
    assert reason(refused) is R.INVALID_ORDER_LIST


def test_there_must_be_room_for_all() -> None:
    """Pending children count as open orders."""
    desk = Desk(listings=(replace(LISTING, max_open_orders=3),))
    desk.fund(1)
    lone = order_id(desk.sell(1, 1_080, 1))
    assert reason(desk.bracket(1, BUY, 990, EXITS, 1)) is R.TOO_MANY_OPEN_ORDERS
    desk.cancel(1, lone)
    desk.bracket(1, BUY, 990, EXITS, 1)
    assert reason(desk.sell(1, 1_080, 1)) is R.TOO_MANY_OPEN_ORDERS


def test_children_that_buy_count_once_they_are_armed() -> None:
    """A bound on the position is asked for them then, and counts one of the two."""
    desk = Desk(listings=(replace(LISTING, max_position_lots=10),))
    desk.credit(1, ETH, 6 * LOT)
    desk.fund(1, assets=(USDT,))
    desk.fund(2, assets=(USDT,))
    _, profit, loss = ids(desk.bracket(1, SELL, 1_010, (950, 1_050), 6))
    other = order_id(desk.buy(1, 900, 4))  # pending orders are not counted
    desk.cancel(1, other)
    events = desk.buy(2, 1_010, 6)
    assert [(a.order_id, a.refusal) for a in only(events, OrderArmed)] == [
        (profit, R.NONE),
        (loss, R.NONE),
    ]
    assert reason(desk.buy(1, 900, 5)) is R.POSITION_LIMIT
    desk.engine = restore_engine(desk.engine.snapshot())
    assert reason(desk.buy(1, 900, 5)) is R.POSITION_LIMIT
    assert len(ids(desk.buy(1, 900, 4))) == 1


def test_a_full_position_refuses_children_that_buy() -> None:
    """Both close, each with the reason in its event."""
    desk = Desk(listings=(replace(LISTING, max_position_lots=10),))
    desk.credit(1, ETH, 6 * LOT)
    desk.fund(1, 2, assets=(USDT,))
    desk.bracket(1, SELL, 1_010, (950, 1_050), 6)
    desk.buy(2, 1_010, 3)
    desk.buy(1, 900, 4)
    entry = desk.engine.open_orders(1)[0].order_id
    desk.amend(1, entry, quantity_lots=4)
    events = desk.buy(2, 1_010, 1)
    assert [a.refusal for a in only(events, OrderArmed)] == [R.NONE, R.NONE]
    desk.cancel_all(1)
    desk.credit(1, ETH, 2 * LOT)
    desk.bracket(1, SELL, 1_010, (950, 1_050), 4)
    desk.buy(2, 1_010, 3)
    desk.credit(1, ETH, 9 * LOT)
    events = desk.buy(2, 1_010, 1)
    assert [a.refusal for a in only(events, OrderArmed)] == [R.POSITION_LIMIT, R.POSITION_LIMIT]
    assert desk.engine.open_orders(1) == []


def test_the_dead_mans_switch_takes_whole_brackets() -> None:
    """Also where a command's room would end within one: two more at most."""
    desk = Desk(listings=(replace(LISTING, max_open_orders=10_000),))
    desk.fund(1)
    for _ in range(MAX_EXPIRIES // 3 + 2):
        desk.bracket(1, BUY, 990, EXITS, 1)
    desk.run(SetDeadMansSwitch(1, 1_000_000))
    desk.time_us += 2_000_000
    events = desk.run(Tick())
    taken = -(-(MAX_EXPIRIES - 1) // 3) * 3
    assert only(events, DeadMansSwitchFired)[0].closed_count == taken
    assert len(closes(events)) == taken
    rest = desk.run(Tick())
    assert len(closes(rest)) == (MAX_EXPIRIES // 3 + 2) * 3 - taken
    assert {why for _, why in closes(events + rest)} == {"DEAD_MANS_SWITCH"}
    assert desk.engine.open_orders(1) == []


def test_a_delisted_market_closes_all_of_it() -> None:
    """Each once, for the administrator's reason, and counted."""
    desk = Desk()
    desk.fund(1)
    placed = ids(desk.bracket(1, BUY, 990, EXITS, 10))
    events = desk.run(DelistSymbol(ETH_USDT, "ada", "it is over"))
    assert closes(events) == [(each, "CANCELLED_BY_ADMIN") for each in placed]
    assert only(events, SymbolDelisted)[0].closed_count == 3
    assert desk.engine.open_orders(1) == []


def test_many_ended_brackets_go_on_with_the_next_command() -> None:
    """One sweep ends more than its command may see to: the oldest first, the rest afterwards."""
    count = TRIGGER_ROOM // 4
    desk = Desk(listings=(replace(LISTING, max_open_orders=3 * count),))
    desk.fund(1, 2)
    desk.trade(1_000)
    entries = [ids(desk.bracket(1, BUY, 990, EXITS, 1))[0] for _ in range(count)]
    events = desk.sell(2, 990, count)
    assert len(fills(events)) == count
    armed = [a.order_id for a in only(events, OrderArmed)]
    assert armed[:2] == [entries[0] + 1, entries[0] + 2]
    assert 0 < len(armed) < 2 * count
    assert events[-1].index <= TRIGGER_ROOM + 4
    pending = [o for o in desk.engine.open_orders(1) if o.is_pending]
    assert len(pending) == 2 * count - len(armed)
    desk.engine = restore_engine(desk.engine.snapshot())
    for _ in range(3):
        armed += [a.order_id for a in only(desk.run(Tick()), OrderArmed)]
    assert armed == [entry + part for entry in entries for part in (1, 2)]
    assert desk.balance(1, ETH)[1] == count * LOT


def test_a_repeated_bracket_is_answered_again(desk: Desk) -> None:
    """All as they are now; another body, kind or number of orders is a conflict."""
    keys: dict[str, Any] = {
        "entry_fields": {"client_key": 70},
        "profit": {"client_key": 71},
        "loss": {"client_key": 72},
    }
    placed = ids(desk.bracket(1, BUY, 990, EXITS, 10, **keys))
    again = desk.bracket(1, BUY, 990, EXITS, 10, **keys)
    assert shape(again) == [OrderDuplicate] * 3
    told = only(again, OrderDuplicate)
    assert [(d.order_id, d.same_body, d.is_pending, d.is_waiting) for d in told] == [
        (placed[0], True, False, False),
        (placed[1], True, True, False),
        (placed[2], True, True, True),
    ]
    desk.sell(2, 990, 4)
    desk.cancel(1, placed[0])
    told = only(desk.bracket(1, BUY, 990, EXITS, 10, **keys), OrderDuplicate)
    assert [(d.same_body, d.quantity_lots, d.is_pending) for d in told] == [
        (True, 10, False),
        (True, 4, False),
        (True, 4, False),
    ]
    for other in (
        desk.bracket(1, BUY, 991, EXITS, 10, **keys),
        desk.bracket(1, BUY, 990, (1_051, 950), 10, **keys),
        desk.bracket(1, BUY, 990, (1_050, 0), 10, **keys),
        desk.bracket(1, BUY, 990, EXITS, 10, **{**keys, "loss": {"client_key": 73}}),
        desk.sell(1, 1_050, 10, client_key=71, post_only=True),
    ):
        assert {d.same_body for d in only(other, OrderDuplicate)} == {False}


def test_a_dry_run_of_a_bracket_is_what_happens(desk: Desk) -> None:
    """The hold of the entry, or the refusal and whose it is; nothing changes."""

    def record(kind: ListKind = ListKind.BRACKET, **other: Any) -> bytes:
        entry = PlaceOrder(1, 91, ETH_USDT, BUY, LIMIT, TimeInForce.GTC, 990, 7)
        profit = replace(entry, client_key=92, side=SELL, price_ticks=1_050, post_only=True)
        loss = replace(
            profit,
            client_key=93,
            order_type=STOP,
            post_only=False,
            price_ticks=0,
            trigger_price_ticks=950,
        )
        return encode_command(PlaceOrderList(kind, (entry, profit, replace(loss, **other))))

    before = desk.engine.snapshot()
    assert desk.engine.dry_run(record()) == (R.NONE, buy_hold(990, 7), 0)
    assert desk.engine.dry_run(record(trigger_price_ticks=995)) == (R.LIST_PRICES_CROSSED, 0, 0)
    assert desk.engine.dry_run(record(trigger_price_ticks=0)) == (R.INVALID_TRIGGER, 0, 3)
    assert desk.engine.dry_run(record(quantity_lots=8)) == (R.INVALID_ORDER_LIST, 0, 0)
    assert desk.engine.dry_run(record(ListKind.OCO)) == (R.MALFORMED_COMMAND, 0, 0)
    assert desk.engine.snapshot() == before
    assert len(only(desk.bracket(1, BUY, 990, EXITS, 7), OrderAccepted)) == 3
