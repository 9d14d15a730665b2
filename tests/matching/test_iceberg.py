"""Icebergs: what the book shows, where the next slice stands, and who counts what is hidden."""

from __future__ import annotations

from typing import Any

import pytest

from domain.errors import RejectReason as R
from domain.events import (
    OrderAccepted,
    OrderAmended,
    OrderClosed,
    OrderDuplicate,
    OrderRefilled,
    OrderRested,
)
from domain.limits import MAX_MAKERS, MAX_SLICES
from domain.order import OrderType, SelfTrade, Side, TimeInForce
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
from tests.matching.mirror import Mirror

pytestmark = pytest.mark.usefixtures("each_engine")
LOT = LISTING.base_units_per_lot


@pytest.fixture
def desk() -> Desk:
    """Give a market with four funded accounts."""
    desk = Desk()
    desk.fund(1, 2, 3, 4)
    return desk


def test_the_book_shows_a_slice(desk: Desk) -> None:
    """All of it is held, some of it is shown, and the rest event tells both."""
    events = desk.sell(1, 1_000, 25, display_lots=10)
    (accepted,), (rested,) = only(events, OrderAccepted), only(events, OrderRested)
    assert (accepted.quantity_lots, accepted.display_lots) == (25, 10)
    assert (rested.remaining_lots, rested.hidden_lots) == (25, 15)
    assert desk.engine.book(ETH_USDT, 5) == ([], [(1_000, 10)])
    assert desk.balance(1, ETH)[1] == 25 * LOT
    (view,) = desk.engine.open_orders(1)
    assert (view.quantity_lots, view.terms.display_lots, view.filled_lots) == (25, 10, 0)


def test_the_next_slice_stands_last(desk: Desk) -> None:
    """A slice that is traded away loses its place to those who came after it."""
    berg = order_id(desk.sell(1, 1_000, 25, display_lots=10))
    plain = order_id(desk.sell(2, 1_000, 5))
    events = desk.buy(3, 1_000, 12)
    assert fills(events) == [(berg, 1_000, 10), (plain, 1_000, 2)]
    (refilled,) = only(events, OrderRefilled)
    assert (refilled.remaining_lots, refilled.hidden_lots) == (15, 5)
    assert desk.engine.book(ETH_USDT, 5) == ([], [(1_000, 13)])
    assert fills(desk.buy(3, 1_000, 18)) == [
        (plain, 1_000, 3), (berg, 1_000, 10), (berg, 1_000, 5),
    ]  # fmt: skip
    assert desk.engine.book(ETH_USDT, 5) == ([], [])


def test_a_part_of_a_slice_keeps_its_place(desk: Desk) -> None:
    """Only an empty slice is refilled."""
    berg = order_id(desk.sell(1, 1_000, 25, display_lots=10))
    desk.sell(2, 1_000, 5)
    events = desk.buy(3, 1_000, 4)
    assert only(events, OrderRefilled) == []
    assert desk.engine.book(ETH_USDT, 5) == ([], [(1_000, 11)])
    assert fills(desk.buy(3, 1_000, 1)) == [(berg, 1_000, 1)]


def test_it_takes_as_a_whole_and_then_hides(desk: Desk) -> None:
    """As a taker it trades with all it has; what is left rests with its first slice."""
    desk.sell(1, 1_000, 7)
    events = desk.buy(2, 1_001, 30, display_lots=10)
    assert sum(fill[2] for fill in fills(events)) == 7
    (rested,) = only(events, OrderRested)
    assert (rested.remaining_lots, rested.hidden_lots) == (23, 13)
    assert desk.balance(2, USDT)[1] == 23 * 1_001 + 47  # the fee on 23,023 rounded up


@pytest.mark.parametrize("take", [1, 9, 10, 11, 20, 24])
def test_the_hold_is_that_of_all_that_remains(desk: Desk, take: int) -> None:
    """Slices do not round on their own: the hold is price and fee of the remainder, once."""
    desk.buy(1, 1_003, 25, display_lots=10)
    desk.sell(2, 1_003, take)
    quote = (25 - take) * 1_003
    assert desk.balance(1, USDT)[1] == quote + -(-quote * 2_000 // 10**6)


def test_fill_or_kill_counts_what_is_hidden(desk: Desk) -> None:
    """An order that only hidden lots can fill is filled; one lot more is refused."""
    desk.sell(1, 1_000, 25, display_lots=10)
    desk.sell(2, 1_001, 5)
    fok = TimeInForce.FOK
    assert reason(desk.buy(3, 1_001, 31, time_in_force=fok)) is R.FOK_NOT_FILLABLE
    assert reason(desk.buy(3, 1_000, 26, time_in_force=fok)) is R.FOK_NOT_FILLABLE
    assert closes(desk.buy(3, 1_001, 30, time_in_force=fok))[-1][1] == "FILLED"
    assert desk.engine.book(ETH_USDT, 5) == ([], [])


def test_every_slice_is_a_meeting(each_engine: str) -> None:
    """A sweep meets each slice anew; fill-or-kill knows exactly how far a sweep comes."""
    desk = Desk()
    desk.fund(2)
    bergs, slices = MAX_MAKERS // MAX_SLICES, MAX_SLICES
    for account in range(10, 10 + bergs + 1):
        desk.fund(account, assets=(ETH,))
        desk.sell(account, 1_000, slices, display_lots=1)
    lots, fok = bergs * slices, TimeInForce.FOK
    assert reason(desk.buy(2, 1_000, lots + 1, time_in_force=fok)) is R.FOK_NOT_FILLABLE
    events = desk.buy(2, 1_000, lots + 1)
    assert sum(fill[2] for fill in fills(events)) == lots
    assert closes(events)[-1][1] == "SWEEP_LIMIT"
    assert events[-1].index < 2**16 - 5_000
    del each_engine


def test_an_amend_takes_from_what_is_hidden_first(desk: Desk) -> None:
    """A smaller quantity keeps the place; the slice shrinks when nothing hidden is left."""
    berg = order_id(desk.sell(1, 1_000, 25, display_lots=10))
    desk.buy(2, 1_000, 2)
    (amended,) = only(desk.amend(1, berg, quantity_lots=15), OrderAmended)
    assert (amended.kept_place, amended.hidden_lots, amended.previous_hidden_lots) == (True, 5, 15)
    assert desk.engine.book(ETH_USDT, 5) == ([], [(1_000, 8)])
    (amended,) = only(desk.amend(1, berg, quantity_lots=6), OrderAmended)
    assert amended.hidden_lots == 0
    assert desk.engine.book(ETH_USDT, 5) == ([], [(1_000, 4)])
    assert desk.balance(1, ETH)[1] == 4 * LOT


def test_an_amend_that_moves_shows_a_fresh_slice(desk: Desk) -> None:
    """Another price or more quantity acts like a new iceberg."""
    berg = order_id(desk.sell(1, 1_000, 25, display_lots=10))
    desk.buy(2, 1_000, 8)
    events = desk.amend(1, berg, price_ticks=1_001)
    (rested,) = only(events, OrderRested)
    assert (rested.remaining_lots, rested.hidden_lots) == (17, 7)
    assert desk.engine.book(ETH_USDT, 5) == ([], [(1_001, 10)])
    assert reason(desk.amend(1, berg, quantity_lots=1_001)) is R.TOO_MANY_SLICES


def test_a_close_releases_what_is_hidden(desk: Desk) -> None:
    """Cancel: nothing stays held, and the close says how much the book did not show."""
    berg = order_id(desk.buy(1, 1_000, 25, display_lots=10))
    desk.sell(2, 1_000, 3)
    (close,) = only(desk.cancel(1, berg), OrderClosed)
    assert (close.remaining_lots, close.hidden_lots, close.filled_lots) == (22, 15, 3)
    assert desk.balance(1, USDT)[1] == 0
    assert desk.engine.book(ETH_USDT, 5) == ([], [])
    view = desk.engine.order(1, berg)
    assert view is not None
    assert (view.quantity_lots, view.filled_lots) == (25, 3)


def test_self_trades_meet_slices(desk: Desk) -> None:
    """Decrement takes from the slice shown, then the next is shown; an expired maker goes whole."""
    berg = order_id(desk.sell(1, 1_000, 25, display_lots=10))
    events = desk.buy(1, 1_000, 12, self_trade=SelfTrade.DECREMENT)
    (refilled,) = only(events, OrderRefilled)
    assert (refilled.remaining_lots, refilled.hidden_lots) == (15, 5)
    assert desk.engine.book(ETH_USDT, 5) == ([], [(1_000, 8)])
    assert desk.balance(1, ETH)[1] == 13 * LOT
    (close,) = [c for c in only(desk.buy(1, 1_000, 5), OrderClosed) if c.order_id == berg]
    assert (close.remaining_lots, close.hidden_lots) == (13, 5)
    assert desk.balance(1, ETH) == (RICH, 0)


def test_a_retry_names_the_same_slice(desk: Desk) -> None:
    """The display quantity is part of the body, before and after a restart."""
    desk.sell(1, 1_000, 25, display_lots=10, client_key=7)
    desk.buy(2, 1_000, 14)
    for _ in range(2):
        (same,) = only(desk.sell(1, 1_000, 25, display_lots=10, client_key=7), OrderDuplicate)
        (other,) = only(desk.sell(1, 1_000, 25, display_lots=9, client_key=7), OrderDuplicate)
        assert (same.same_body, other.same_body, same.filled_lots) == (True, False, 14)
        assert desk.engine.book(ETH_USDT, 5) == ([], [(1_000, 6)])
        desk.engine = restore_engine(desk.engine.snapshot())


def test_a_timed_iceberg_expires_whole(desk: Desk) -> None:
    """Expiry closes what is shown and what is hidden."""
    at = desk.time_us + 2
    desk.buy(1, 1_000, 9, display_lots=2, time_in_force=TimeInForce.GTD, expires_at_us=at)
    desk.wait(1)
    assert desk.balance(1, USDT) == (RICH, 0)
    assert desk.engine.book(ETH_USDT, 5) == ([], [])


@pytest.mark.parametrize(
    ("expected", "fields"),
    [
        (R.INVALID_COMBINATION, {"time_in_force": TimeInForce.IOC}),
        (R.INVALID_COMBINATION, {"time_in_force": TimeInForce.FOK}),
        (
            R.INVALID_COMBINATION,
            {"order_type": OrderType.MARKET, "price": 0, "time_in_force": TimeInForce.IOC},
        ),
        (R.INVALID_QUANTITY, {"display_lots": -1}),
        (R.INVALID_QUANTITY, {"display_lots": 1_001}),
        (R.TOO_MANY_SLICES, {"display_lots": 9}),
    ],
)
def test_icebergs_that_are_refused(desk: Desk, expected: R, fields: dict[str, Any]) -> None:
    """An iceberg is a limit order that rests and shows a fair part of what it has."""
    whole: dict[str, Any] = {"price": 1_000, "display_lots": 10, **fields}
    events = desk.order(1, Side.SELL, whole.pop("price"), 1_000, **whole)
    assert reason(events) is expected
    assert desk.balance(1, ETH) == (RICH, 0)


def test_events_alone_tell_all_of_it(desk: Desk) -> None:
    """Book, queue and holds rebuilt from events are the engine's after every slice."""
    mirror = Mirror()
    mirror.read(desk.events)
    mirror.read(desk.sell(1, 1_000, 25, display_lots=4))
    mirror.read(desk.sell(2, 1_000, 3))
    mirror.read(desk.sell(4, 1_000, 9, display_lots=2))
    for lots in (1, 5, 2, 9, 3, 8, 9):
        mirror.read(desk.buy(3, 1_000, lots))
        assert mirror.depth(ETH_USDT) == desk.engine.book(ETH_USDT, 9)
        assert mirror.balances() == desk.engine.balances()
