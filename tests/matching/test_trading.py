"""The rarer terms of an order: a quote budget, and a time at which it has to go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.commands import PlaceOrder, SetShardMode, Tick
from domain.errors import RejectReason as R
from domain.events import (
    CommandRejected,
    OrderAccepted,
    OrderClosed,
    OrderDuplicate,
    OrderRested,
    Ticked,
)
from domain.limits import MAX_EXPIRIES
from domain.money import INT64_MAX
from domain.order import OrderType, SelfTrade, ShardMode, Side, TimeInForce
from matching.codec import decode_events, encode_command
from matching.engine import restore_engine
from tests.matching.desk import (
    ETH,
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
GTD = TimeInForce.GTD


@pytest.fixture
def desk() -> Desk:
    """Give a market with four funded accounts."""
    desk = Desk()
    desk.fund(1, 2, 3, 4)
    return desk


def test_a_budget_buys_whole_lots_fee_included(desk: Desk) -> None:
    """It takes as many lots as the budget pays with the fee, over levels, and then is filled."""
    desk.sell(1, 1_000, 3)
    desk.sell(1, 1_010, 9)
    events = desk.spend(2, 5_036)
    assert [fill[1:] for fill in fills(events)] == [(1_000, 3), (1_010, 2)]
    (accepted,) = only(events, OrderAccepted)
    assert (accepted.quantity_lots, accepted.hold_units) == (0, 5_036)
    assert closes(events)[-1] == (accepted.order_id, "FILLED")
    assert desk.balance(2, USDT) == (RICH - 3_006 - 2_024, 0)
    view = desk.engine.order(2, accepted.order_id)
    assert view is not None
    assert (view.quantity_lots, view.filled_lots) == (5, 5)


@pytest.mark.parametrize("units", [1_001, 1_002, 5_009, 5_010, 5_011])
def test_a_budget_is_spent_to_the_last_lot(desk: Desk, units: int) -> None:
    """One lot more would cost more than the budget; what it costs is never above it."""
    desk.sell(1, 1_000, 9)
    events = desk.spend(2, units)
    lots = max(n for n in range(9) if n * 1_000 + n * 2 <= units)
    if lots == 0:
        assert reason(events) is R.BUDGET_TOO_SMALL
        return
    assert sum(fill[2] for fill in fills(events)) == lots
    assert RICH - desk.balance(2, USDT)[0] == lots * 1_002 <= units


def test_a_budget_ends_like_any_market_order(desk: Desk) -> None:
    """At the band, at an empty book, at an own order: the close says which."""
    assert reason(desk.spend(2, 10_000)) is R.NO_LIQUIDITY
    desk.sell(1, 1_000, 1)
    assert closes(desk.spend(2, 10_000))[-1][1] == "IOC_REMAINDER"
    desk.sell(1, 1_000, 1)
    desk.sell(1, 1_101, 1)
    assert closes(desk.spend(2, 10_000))[-1][1] == "BAND_REACHED"
    desk.sell(1, 1_000, 1)
    desk.sell(2, 1_001, 1)
    taker = SelfTrade.EXPIRE_TAKER
    assert closes(desk.spend(2, 10_000, self_trade=taker))[-1][1] == "SELF_TRADE"
    assert reason(desk.spend(2, 10_000, self_trade=taker)) is R.SELF_TRADE
    assert closes(desk.spend(2, 2_000))[0][1] == "SELF_TRADE"


@pytest.mark.parametrize(
    ("expected", "fields"),
    [
        (R.INVALID_COMBINATION, {"side": Side.SELL}),
        (R.INVALID_COMBINATION, {"order_type": OrderType.LIMIT, "price": 1_000}),
        (R.INVALID_COMBINATION, {"time_in_force": TimeInForce.FOK}),
        (R.INVALID_COMBINATION, {"self_trade": SelfTrade.DECREMENT}),
        (R.INVALID_QUANTITY, {"lots": 1}),
        (R.INVALID_QUANTITY, {"quote_budget_units": -1}),
        (R.INVALID_QUANTITY, {"quote_budget_units": 0}),
        (R.BUDGET_TOO_SMALL, {"quote_budget_units": 1_001}),
        (R.QUANTITY_TOO_LARGE, {"quote_budget_units": INT64_MAX}),
        (R.INSUFFICIENT_FUNDS, {"quote_budget_units": RICH + 1}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_budgets_that_are_refused(expected: R, fields: dict[str, Any]) -> None:
    """A budget is for market buys that take what there is, and has to be there."""
    desk = Desk(listings=(replace(LISTING, max_order_lots=10**13),))
    desk.fund(1, 2)
    desk.sell(1, 1_000, 5)
    whole: dict[str, Any] = {
        "side": Side.BUY, "price": 0, "lots": 0, "order_type": OrderType.MARKET,
        "time_in_force": TimeInForce.IOC, "quote_budget_units": 10_000, **fields,
    }  # fmt: skip
    events = desk.order(2, whole.pop("side"), whole.pop("price"), whole.pop("lots"), **whole)
    assert reason(events) is expected
    assert desk.balance(2, USDT) == (RICH, 0)


def test_terms_are_part_of_the_body(desk: Desk) -> None:
    """A retry has the same budget and expiry, before and after a restart."""
    later = desk.time_us + 10**9
    desk.buy(1, 990, 5, client_key=7, time_in_force=GTD, expires_at_us=later)
    for _ in range(2):
        same = desk.buy(1, 990, 5, client_key=7, time_in_force=GTD, expires_at_us=later)[0]
        other = desk.buy(1, 990, 5, client_key=7, time_in_force=GTD, expires_at_us=later + 1)[0]
        assert isinstance(same, OrderDuplicate)
        assert isinstance(other, OrderDuplicate)
        assert (same.same_body, other.same_body) == (True, False)
        desk.engine = restore_engine(desk.engine.snapshot())


def test_a_timed_order_goes_at_its_time(desk: Desk) -> None:
    """Not before; and before the command that finds it due acts, whose outcome stays first."""
    bid = order_id(desk.buy(1, 1_000, 5, time_in_force=GTD, expires_at_us=desk.time_us + 3))
    assert only(desk.run(Tick()), OrderClosed) == []
    events = desk.sell(2, 1_000, 5)
    assert [type(event) for event in events] == [OrderAccepted, OrderClosed, OrderRested]
    assert [event.index for event in events] == [0, 1, 2]
    assert closes(events) == [(bid, "TIME_EXPIRED")]
    assert desk.balance(1, USDT) == (RICH, 0)
    view = desk.engine.order(1, bid)
    assert view is not None
    assert view.status.name == "EXPIRED"


def test_due_orders_go_by_time_then_id(desk: Desk) -> None:
    """Several due at once close in one order, also after a restart, also in a halted shard."""
    at = desk.time_us + 100
    ids = [
        order_id(desk.buy(1, 990, 1, time_in_force=GTD, expires_at_us=at + late, client_text="t"))
        for late in (2, 1, 1, 0, 50)
    ]
    desk.amend(1, ids[1], price_ticks=991)
    gone = order_id(desk.buy(1, 990, 1, time_in_force=GTD, expires_at_us=at))
    desk.cancel(1, gone)
    desk.run(SetShardMode(ShardMode.HALTED))
    desk.engine = restore_engine(desk.engine.snapshot())
    desk.time_us = at + 10
    events = desk.cancel_all(1)
    assert isinstance(events[0], CommandRejected)
    assert [close[0] for close in closes(events)] == [ids[3], ids[1], ids[2], ids[0]]
    assert [view.order_id for view in desk.engine.open_orders(1)] == [ids[4]]


def test_a_cancel_that_comes_with_the_expiry_is_stale(desk: Desk) -> None:
    """At its time the order is gone: the cancel finds nothing, the close says why."""
    bid = order_id(desk.buy(1, 1_000, 5, time_in_force=GTD, expires_at_us=desk.time_us + 2))
    events = desk.cancel(1, bid)
    assert isinstance(events[0], CommandRejected)
    assert events[0].reason is R.ORDER_NOT_FOUND
    assert closes(events) == [(bid, "TIME_EXPIRED")]


def test_a_filled_timed_order_expires_no_more(desk: Desk) -> None:
    """Fills and cancels take the expiry with them; a taker that fills at once has none."""
    desk.sell(2, 1_000, 5)
    soon = desk.time_us + 5
    desk.buy(1, 1_000, 5, time_in_force=GTD, expires_at_us=soon)
    desk.buy(1, 1_000, 2, time_in_force=GTD, expires_at_us=soon)
    desk.sell(2, 1_000, 2)
    desk.time_us = soon
    assert [type(event) for event in desk.run(Tick())] == [Ticked]
    assert desk.balance(1, ETH) == (RICH + 7 * LISTING.base_units_per_lot, 0)


def test_many_expiries_take_several_commands() -> None:
    """A command closes as many as its events can name; the next ones close the others."""
    desk = Desk(listings=(replace(LISTING, max_open_orders=10_000),))
    desk.fund(1)
    at = desk.time_us + 10**6
    for _ in range(MAX_EXPIRIES + 3):
        desk.buy(1, 990, 1, time_in_force=GTD, expires_at_us=at)
    desk.time_us = at
    assert len(closes(desk.run(Tick()))) == MAX_EXPIRIES
    assert len(closes(desk.run(Tick()))) == 3
    assert desk.balance(1, USDT) == (RICH, 0)


@pytest.mark.parametrize(
    ("expected", "fields"),
    [
        (R.INVALID_COMBINATION, {"expires_at_us": 0}),
        (R.INVALID_COMBINATION, {"expires_at_us": -1}),
        (R.INVALID_COMBINATION, {"time_in_force": TimeInForce.GTC}),
        (R.EXPIRY_PASSED, {"expires_at_us": 1}),
    ],
)
def test_expiries_that_are_refused(desk: Desk, expected: R, fields: dict[str, Any]) -> None:
    """An expiry goes with GTD and lies ahead."""
    whole = {"time_in_force": GTD, "expires_at_us": desk.time_us + 10**6, **fields}
    assert reason(desk.buy(1, 1_000, 5, **whole)) is expected


def test_bytes_behind_the_terms_are_zero(desk: Desk) -> None:
    """A term that this engine does not know is refused, not passed over."""
    order = PlaceOrder(
        1, 9, 1, Side.BUY, OrderType.LIMIT, GTD, 1_000, 1, expires_at_us=desk.time_us + 10**6
    )
    raw = bytearray(
        encode_command(order, sequence=desk.engine.sequence + 1, time_us=desk.time_us + 1)
    )
    raw[-1] = 1
    assert reason(tuple(decode_events(desk.engine.apply(bytes(raw))))) is R.MALFORMED_COMMAND
