"""Folding events to orders: what the history says is what the engine says."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from domain.commands import SetDeadMansSwitch
from domain.errors import RejectReason
from domain.events import (
    Event,
    LiquidationPlaced,
    OrderAccepted,
    OrderAmended,
    OrderArmed,
    OrderClosed,
    OrderTriggered,
    PerpetualTrade,
    SelfTradePrevented,
    Trade,
)
from domain.order import CloseReason, OrderStatus, Side, TimeInForce
from domain.order_history import fold
from matching.codec import decode_events
from matching.engine import create_engine
from tests.domain.records import Records, next_command
from tests.infra.postgres.flows import accepted, tick, trade
from tests.matching.desk import ETH, LISTING, USDT, Desk, ids, order_id, reason
from tests.matching.perpetual_draw import Draw, drawn_desk
from tests.matching.test_engines_agree import ACCOUNTS, Stream

COMMANDS, SEEDS = 800, 8
CHANGES = (
    OrderAccepted,
    OrderAmended,
    OrderTriggered,
    OrderArmed,
    OrderClosed,
    SelfTradePrevented,
    Trade,
)


def test_fills_of_both_sides_add_up() -> None:
    """Maker and taker each get lots, quote and their own fee; the time is the outcome's."""
    taker, maker = fold(
        [
            accepted(9, 2, Side.BUY),
            trade(9, 1, 1, maker=1, taker=2),
            trade(9, 2, 1, maker=1, taker=2),
        ]
    )
    assert taker.accepted is not None
    assert (taker.order_id, taker.filled_lots, taker.filled_quote_units, taker.fee_units) == (
        9,
        14,
        4000,
        8,
    )
    assert (maker.order_id, maker.accepted, maker.fee_units) == (2, None, 4)
    assert (maker.updated_sequence, maker.updated_at_us) == (9, 9000)


def test_close_reason_gives_the_status() -> None:
    """Open until closed; then what the reason says."""
    assert fold([accepted(9, 2, Side.BUY)])[0].status is OrderStatus.OPEN
    for reason_ in CloseReason:
        closed = OrderClosed(9, 1, 1, 2, 9, Side.BUY, reason_, False, 1, 0, 0)
        assert fold([accepted(9, 2, Side.BUY), closed])[0].status is reason_.status


def test_other_events_change_nothing() -> None:
    """Ticks leave no trace."""
    assert fold([tick(1), tick(2)]) == []


def test_an_order_of_an_earlier_batch_needs_its_record() -> None:
    """A change alone does not know the order; with the record it goes on from there."""
    (first,) = fold([accepted(9, 2, Side.BUY)])
    later = fold([trade(10, 1, 1, maker=2, taker=1), trade(10, 2, 2, maker=1, taker=2)])
    with pytest.raises(AssertionError, match="nothing is known of order 2"):
        later[0].record()
    assert replace(later[0], order_id=9).record(first.record()).filled_lots == 7


def test_a_child_of_a_bracket_is_pending_until_it_is_armed() -> None:
    """Then it is for what its entry has filled; one that may not stand keeps the refusal."""
    desk = Desk()
    desk.fund(1, 2)
    desk.fund(5, assets=(USDT,))
    for spent, refusal in ((0, None), (4, RejectReason.INSUFFICIENT_FUNDS)):
        entry, child = ids(desk.bracket(5, Side.BUY, 990, (0, 950), 10))
        desk.sell(2, 990, 4)
        known = {change.order_id: change.record() for change in fold(desk.events)}
        assert (known[child].is_pending, known[child].quantity_lots) == (True, 10)
        if spent:
            desk.debit(5, ETH, spent * LISTING.base_units_per_lot)
        (armed,) = (one for one in fold(desk.cancel(5, entry)) if one.order_id == child)
        after = armed.record(known[child])
        assert (after.is_pending, after.quantity_lots, after.refusal) == (False, 4, refusal)
        assert (after.status is OrderStatus.OPEN) == (refusal is None)


def test_a_budget_order_has_the_quantity_it_bought() -> None:
    """Quantity, quote and fee of a market buy by budget are the sums of its trades."""
    desk, records = Desk(), Records()
    desk.fund(1, 2)
    desk.sell(1, 1_000, 3)
    desk.sell(1, 1_010, 50)
    placed = desk.spend(2, 9_100)
    records.read(desk.events)
    spent = records.by_id[order_id(placed)]
    trades = [event for event in placed if isinstance(event, Trade)]
    assert spent.terms.quote_budget_units == 9_100
    assert spent.quantity_lots == spent.filled_lots == sum(t.quantity_lots for t in trades) == 9
    assert spent.filled_quote_units == 3 * 1_000 + 6 * 1_010
    assert spent.fee_units == sum(t.taker_fee_units for t in trades) > 0
    assert spent.status is OrderStatus.FILLED


def test_why_orders_close() -> None:
    """Expiry in time and a dead-man's switch are told apart from a cancel."""
    desk, records = Desk(), Records()
    desk.fund(1, 2)
    timed = desk.buy(1, 990, 5, time_in_force=TimeInForce.GTD, expires_at_us=desk.time_us + 10**6)
    plain = desk.buy(2, 990, 5)
    ended = desk.buy(1, 980, 5)
    desk.cancel(1, order_id(ended))
    desk.run(SetDeadMansSwitch(2, 2 * 10**6))
    desk.wait(3)
    records.read(desk.events)
    reasons = [records.by_id[order_id(placed)].close_reason for placed in (timed, plain, ended)]
    assert reasons == [
        CloseReason.TIME_EXPIRED,
        CloseReason.DEAD_MANS_SWITCH,
        CloseReason.CANCELLED_BY_USER,
    ]


def test_a_refused_amend_leaves_the_record() -> None:
    """Nothing changes when the engine says no."""
    desk, records = Desk(), Records()
    desk.fund(1)
    placed = order_id(desk.buy(1, 990, 5))
    records.read(desk.events)
    before = records.by_id[placed]
    refused = desk.amend(1, placed, price_ticks=10_000)
    assert reason(refused) is RejectReason.PRICE_OUTSIDE_BAND
    assert records.read(refused) == []
    assert records.by_id[placed] == before


@pytest.mark.parametrize("kind", ["core", "reference"])
def test_after_any_command_the_history_is_what_the_engine_says(kind: str) -> None:
    """Open orders, and every order that a command touched, are equal in all that events tell."""
    seen = set[type[Event]]()
    for seed in range(SEEDS):
        engine, records, stream = create_engine(kind=kind), Records(), Stream(seed)
        ready = stream.opening()
        for _ in range(COMMANDS):
            raw = ready.pop(0) if ready else next_command(stream, records)
            events = list(decode_events(engine.apply(raw)))
            seen |= {type(event) for event in events}
            for touched in records.read(events):
                record = records.by_id[touched]
                found = engine.order(record.account_id, touched)
                assert found is not None
                assert found.as_history() == record.as_engine()
            for account in ACCOUNTS:
                live = [order.as_history() for order in engine.open_orders(account)]
                assert live == records.open_orders(account)
    assert set(CHANGES) <= seen


@pytest.mark.parametrize("size", [2, 7, 10_000])
def test_records_do_not_depend_on_where_batches_end(size: int) -> None:
    """Command by command, in batches, or all events at once: the same records."""
    stream, engine = Stream(99), create_engine(kind="core")
    commands = [
        list(decode_events(engine.apply(raw)))
        for raw in stream.opening() + [stream.next() for _ in range(COMMANDS)]
    ]
    single, batched = Records(), Records()
    for events in commands:
        single.read(events)
    for start in range(0, len(commands), size):
        batched.read(event for events in commands[start : start + size] for event in events)
    assert batched.by_id == single.by_id


def test_the_houses_orders_have_no_history() -> None:
    """A liquidation's order was never accepted: only those that it met change."""
    desk = drawn_desk(random.Random(3))
    draw = Draw(desk, random.Random(3))
    known = {event.order_id for event in desk.events if isinstance(event, OrderAccepted)}
    liquidated = 0
    for _ in range(2_500):
        for command in draw.next():
            events = desk.run(command)
            kinds = {type(event) for event in events}
            liquidated += {LiquidationPlaced, PerpetualTrade} <= kinds
            for change in fold(events):
                if change.accepted is not None:
                    known.add(change.order_id)
                assert change.order_id in known, events
    assert liquidated > 0
