"""Doing a thing once: client order ids and command keys."""

from __future__ import annotations

import random

import pytest

from domain.errors import RejectReason
from domain.events import Credited, Debited, Event, KeyDuplicate, OrderAccepted, OrderDuplicate
from domain.limits import CLOSED_FOR_US, CLOSED_PER_ACCOUNT, KEY_FOR_US
from domain.order import OrderStatus, TimeInForce
from matching.engine import restore_engine
from tests.matching.desk import ETH, USDT, Desk, only, order_id, reason, why

pytestmark = pytest.mark.usefixtures("each_engine")

DAY = 24 * 3_600


@pytest.fixture
def desk() -> Desk:
    """Give a market with two funded accounts."""
    desk = Desk()
    desk.fund(1, 2)
    return desk


def _duplicate(events: tuple[Event, ...]) -> OrderDuplicate:
    (outcome,) = only(events, OrderDuplicate)
    return outcome


def test_a_repeat_gets_the_orders_state(desk: Desk) -> None:
    """The same body again is answered with the order as it is now, and does nothing."""
    first = desk.sell(1, 1_000, 10, client_key=7)
    desk.buy(2, 1_000, 4)
    again = _duplicate(desk.sell(1, 1_000, 10, client_key=7))
    assert (again.same_body, again.status, again.filled_lots) == (True, OrderStatus.OPEN, 4)
    assert (again.order_id, again.accepted_sequence) == (order_id(first), first[0].sequence)
    desk.buy(2, 1_000, 6)
    assert _duplicate(desk.sell(1, 1_000, 10, client_key=7)).status is OrderStatus.FILLED
    assert desk.engine.trades() == 2


@pytest.mark.parametrize(
    "fields", [{"price": 1_001}, {"lots": 11}, {"post_only": True}, {"symbol_id": 9}]
)
def test_another_body_is_a_conflict(desk: Desk, fields: dict[str, int]) -> None:
    """The same key with anything changed is told apart, before every other check."""
    desk.sell(1, 1_000, 10, client_key=7)
    fields = {"price": 1_000, "lots": 10, **fields}
    events = desk.sell(1, fields.pop("price"), fields.pop("lots"), client_key=7, **fields)
    assert not _duplicate(events).same_body


def test_nothing_is_forgotten_while_the_index_grows(desk: Desk) -> None:
    """Found while it is carried over, half of it forgotten then, and its ids are free again."""
    chance = random.Random(4)
    growths = (512, 1_024, 2_048)
    half_gone = 2_048 + 20  # in the middle of the last
    for key in range(1, 2_200):
        ioc = {"time_in_force": TimeInForce.IOC}
        assert isinstance(desk.sell(1, 1_000, 1, client_key=key, **ioc)[0], OrderAccepted)
        if any(0 <= key - growth < 40 for growth in growths):
            known = chance.randint(1 if key <= half_gone else 1_001, key)
            assert _duplicate(desk.sell(1, 1_000, 1, client_key=known, **ioc)).same_body
        if key == 1_000:
            desk.wait(DAY // 2)
        elif key == half_gone:
            desk.wait(DAY // 2)  # the first thousand
    for key in (*range(1, 1_001, 9), *range(1_001, 2_200, 9)):
        events = desk.sell(1, 1_000, 1, client_key=key, time_in_force=TimeInForce.IOC)
        assert isinstance(events[0], OrderAccepted) == (key <= 1_000)


def test_keys_belong_to_their_account(desk: Desk) -> None:
    """Two accounts may use the same client order id."""
    desk.sell(1, 1_000, 1, client_key=7)
    assert isinstance(desk.sell(2, 1_000, 1, client_key=7)[0], OrderAccepted)


def test_a_refused_order_does_not_occupy_its_id(desk: Desk) -> None:
    """Only accepted orders are remembered: a refused one may be sent again."""
    assert reason(desk.sell(1, 0, 1, client_key=7)) is RejectReason.INVALID_PRICE
    assert isinstance(desk.sell(1, 1_000, 1, client_key=7)[0], OrderAccepted)


def test_closed_orders_are_forgotten_after_a_day(desk: Desk) -> None:
    """A closed order's id is free after 24 h of engine time; an open one's never is."""
    desk.sell(1, 1_000, 1, client_key=7)
    desk.cancel(1, client_key=7)
    desk.sell(1, 1_000, 1, client_key=8)
    desk.wait(DAY - 1)
    assert _duplicate(desk.sell(1, 1_000, 1, client_key=7)).status is OrderStatus.CANCELLED
    desk.wait(2)
    assert isinstance(desk.sell(1, 1_000, 1, client_key=7)[0], OrderAccepted)
    assert _duplicate(desk.sell(1, 1_000, 1, client_key=8)).status is OrderStatus.OPEN


def test_windows_end_to_the_microsecond(desk: Desk) -> None:
    """After exactly 24 h an order's id and after exactly 48 h a key is still known, later not."""
    desk.credit(1, USDT, 5, key=99)
    credited = desk.time_us
    for key in (7, 8):  # closed a command apart: the first one's end is not the second one's
        desk.sell(1, 1_000, 1, client_key=key)
        desk.cancel(1, client_key=key)
    desk.time_us += CLOSED_FOR_US - 1
    _duplicate(desk.sell(1, 1_000, 1, client_key=8))
    for key in (7, 8):
        assert isinstance(desk.sell(1, 1_000, 1, client_key=key)[0], OrderAccepted)
    desk.time_us = credited + KEY_FOR_US - 1
    assert isinstance(desk.credit(1, USDT, 5, key=99), KeyDuplicate)
    assert isinstance(desk.credit(1, USDT, 5, key=99), Credited)


def test_the_oldest_of_too_many_closed_orders_is_forgotten(desk: Desk) -> None:
    """Each account keeps its newest 10,000 closed orders only, in closing order."""
    desk.sell(2, 1_000, 1, client_key=1)
    desk.cancel(2, client_key=1)
    for key in range(1, 5):
        desk.sell(1, 1_000, 1, client_key=key)
    for key in (4, 2, 1, 3):
        desk.cancel(1, client_key=key)
    for key in range(5, CLOSED_PER_ACCOUNT + 2):
        desk.sell(1, 1_000, 1, client_key=key)
        desk.cancel(1, client_key=key)
    assert isinstance(desk.sell(1, 1_000, 1, client_key=4)[0], OrderAccepted)
    for key in (2, 1, 3):
        _duplicate(desk.sell(1, 1_000, 1, client_key=key))
    _duplicate(desk.sell(2, 1_000, 1, client_key=1))


def test_windows_survive_a_snapshot(desk: Desk) -> None:
    """A restored engine remembers the same ids and keys and forgets them at the same time."""
    desk.sell(1, 1_000, 1, client_key=7)
    desk.cancel(1, client_key=7)
    desk.credit(1, USDT, 5, key=99)
    desk.engine = restore_engine(desk.engine.snapshot())
    _duplicate(desk.sell(1, 1_000, 1, client_key=7))
    assert isinstance(desk.credit(1, USDT, 5, key=99), KeyDuplicate)
    desk.wait(DAY + 1)
    assert isinstance(desk.sell(1, 1_000, 1, client_key=7)[0], OrderAccepted)


def test_a_command_key_works_once(desk: Desk) -> None:
    """The first use takes effect, every repeat points at it."""
    created = desk.time_us
    first = desk.credit(1, USDT, 5, key=99, created_at_us=created)
    again = desk.credit(1, USDT, 5, key=99, created_at_us=created)
    assert isinstance(first, Credited)
    assert isinstance(again, KeyDuplicate)
    assert (again.first_sequence, again.first_reason, again.same_body) == (
        first.sequence,
        RejectReason.NONE,
        True,
    )
    assert desk.engine.issued()[USDT] == 2 * 10**15 + 5


def test_another_use_of_a_key_is_a_conflict(desk: Desk) -> None:
    """A credit's key cannot debit, nor credit another amount."""
    desk.credit(1, USDT, 5, key=99, created_at_us=desk.time_us)
    for again in (desk.debit(1, USDT, 5, key=99), desk.credit(1, USDT, 6, key=99)):
        assert isinstance(again, KeyDuplicate)
        assert not again.same_body


def test_a_refusal_stands_too(desk: Desk) -> None:
    """A refused debit stays refused under its key, also when funds came later."""
    assert why(desk.debit(3, ETH, 5, key=98)) is RejectReason.INSUFFICIENT_FUNDS
    desk.fund(3)
    again = desk.debit(3, ETH, 5, key=98)
    assert isinstance(again, KeyDuplicate)
    assert again.first_reason is RejectReason.INSUFFICIENT_FUNDS
    assert isinstance(desk.debit(3, ETH, 5, key=97), Debited)


def test_an_old_row_is_refused_before_its_key_is_forgotten(desk: Desk) -> None:
    """Keys live 48 h, rows are taken for 24 h: no repeat ever finds its key gone."""
    created = desk.time_us
    desk.credit(1, USDT, 5, key=99, created_at_us=created)
    desk.wait(2 * DAY - 1)
    assert isinstance(desk.credit(1, USDT, 5, key=99, created_at_us=created), KeyDuplicate)
    desk.wait(2)
    outcome = desk.credit(1, USDT, 5, key=99, created_at_us=created)
    assert why(outcome) is RejectReason.KEY_EXPIRED


def test_a_row_from_the_future_is_malformed(desk: Desk) -> None:
    """A creation time far ahead would outlive its key."""
    ahead = desk.time_us + 2 * 3_600_000_000
    outcome = desk.credit(1, USDT, 5, created_at_us=ahead)
    assert why(outcome) is RejectReason.MALFORMED_COMMAND


def test_a_duplicate_shows_the_whole_iceberg(desk: Desk) -> None:
    """Of the known order it tells the quantity with what is hidden."""
    desk.fund(1)
    desk.sell(1, 1_000, 30, client_key=7, display_lots=4)
    again = _duplicate(desk.sell(1, 1_000, 30, client_key=7, display_lots=4))
    assert (again.same_body, again.quantity_lots, again.filled_lots) == (True, 30, 0)
