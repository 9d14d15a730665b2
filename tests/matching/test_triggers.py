"""Orders that wait for a price: what sets them off, in which order, and what they hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.commands import SetDeadMansSwitch, SetSymbolState, Tick
from domain.errors import RejectReason as R
from domain.events import (
    OrderAccepted,
    OrderAmended,
    OrderClosed,
    OrderDuplicate,
    OrderRested,
    OrderTriggered,
    Trade,
)
from domain.limits import TRIGGER_ROOM
from domain.order import OrderType, SelfTrade, Side, StateCause, SymbolState, TimeInForce
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
    triggered,
)

pytestmark = pytest.mark.usefixtures("each_engine")
LOT = LISTING.base_units_per_lot
STOP, TAKE, TRAIL = OrderType.STOP, OrderType.TAKE_PROFIT, OrderType.TRAILING_STOP
STOP_LIMIT, TAKE_LIMIT = OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT
BUY, SELL = Side.BUY, Side.SELL


def test_it_waits_outside_the_book(desk: Desk) -> None:
    """It is open, listed and held for, but no one meets it."""
    stop = desk.stop(1, SELL, 990, 5)
    assert desk.engine.book(ETH_USDT, 5) == ([], [])
    assert desk.balance(1, ETH)[1] == 5 * LOT
    assert [order.order_id for order in desk.engine.open_orders(1)] == [stop]
    assert desk.engine.symbols()[0].open_orders == 1
    assert reason(desk.market(2, BUY, 1)) is R.NO_LIQUIDITY


def test_a_stop_acts_as_a_market_order(desk: Desk) -> None:
    """The trade that reaches it comes first, then the trigger, then what it does."""
    stop = desk.stop(1, SELL, 990, 5)
    bid = order_id(desk.buy(2, 985, 9))
    desk.buy(3, 990, 1)
    events = desk.sell(4, 990, 1)
    (event,) = only(events, OrderTriggered)
    assert (event.trigger_price_ticks, event.reached_price_ticks) == (990, 990)
    assert event.refusal is R.NONE
    assert fills(events)[1:] == [(bid, 985, 5)]
    assert closes(events)[-1] == (stop, "FILLED")
    assert event.index > only(events, Trade)[0].index
    assert desk.balance(1, ETH) == (RICH - 5 * LOT, 0)


@pytest.mark.parametrize(
    ("kind", "side", "reaching", "short_of"),
    [
        (STOP, SELL, 990, 991), (STOP, BUY, 1_010, 1_009),
        (TAKE, SELL, 1_010, 1_009), (TAKE, BUY, 990, 991),
        (STOP_LIMIT, SELL, 989, 991), (STOP_LIMIT, BUY, 1_011, 1_009),
        (TAKE_LIMIT, SELL, 1_011, 1_009), (TAKE_LIMIT, BUY, 989, 991),
    ],
)  # fmt: skip
def test_which_way_and_how_far(
    desk: Desk, kind: OrderType, side: Side, reaching: int, short_of: int
) -> None:
    """A stop waits for a worse price, a take-profit for a better one; reaching it is enough."""
    trigger = 1_010 if reaching > 1_000 else 990
    price = 1_000 if kind in (STOP_LIMIT, TAKE_LIMIT) else 0
    stop = desk.stop(1, side, trigger, 1, order_type=kind, price=price)
    assert triggered(desk.trade(short_of)) == []
    assert triggered(desk.trade(reaching)) == [stop]


@pytest.mark.parametrize(
    ("kind", "side", "trigger"),
    [(STOP, SELL, 1_000), (STOP, BUY, 1_000), (TAKE, SELL, 999), (TAKE, BUY, 1_001)],
)
def test_a_price_already_through_is_refused(
    desk: Desk, kind: OrderType, side: Side, trigger: int
) -> None:
    """An order that would act at once is a mistake, not a stop."""
    events = desk.order(1, side, 0, 1, order_type=kind, trigger_price_ticks=trigger)
    assert reason(events) is R.WOULD_TRIGGER_IMMEDIATELY
    assert desk.balance(1, ETH) == desk.balance(1, USDT) == (RICH, 0)


def test_without_a_trade_nothing_is_through() -> None:
    """The listing price is a reference for bands, not a trade."""
    desk = Desk()
    desk.fund(1)
    stop = desk.stop(1, SELL, 2_000, 1)
    assert triggered(desk.trade(1_000)) == [stop]


def test_a_stop_limit_rests_at_its_limit(desk: Desk) -> None:
    """It joins the end of its level under its own id, also as an iceberg."""
    stop = desk.stop(1, SELL, 990, 9, order_type=STOP_LIMIT, price=985, display_lots=4)
    events = desk.trade(990)
    (rested,) = [event for event in only(events, OrderRested) if event.order_id == stop]
    assert (rested.price_ticks, rested.remaining_lots, rested.hidden_lots) == (985, 9, 5)
    assert desk.engine.book(ETH_USDT, 5) == ([], [(985, 4)])
    assert desk.balance(1, ETH)[1] == 9 * LOT


def test_a_market_stop_holds_for_the_band(desk: Desk) -> None:
    """A buy holds price and fee at the band's edge around its trigger, and trades no further."""
    stop = desk.stop(1, BUY, 1_010, 3)
    edge = 1_010 * 11 // 10
    assert desk.balance(1, USDT)[1] == 3 * edge + -(-3 * edge * 2_000 // 10**6)
    near = order_id(desk.sell(2, edge, 1))
    desk.sell(2, edge + 1, 9)
    events = desk.trade(1_010)
    assert fills(events)[1:] == [(near, edge, 1)]
    assert closes(events)[-1] == (stop, "BAND_REACHED")
    assert desk.balance(1, USDT)[1] == 0


def test_a_triggered_stop_triggers_another(desk: Desk) -> None:
    """What a stop trades is held against the others, until nothing more is reached."""
    ids = [desk.stop(account, SELL, price, 1) for account, price in ((1, 970), (2, 980), (3, 990))]
    for price in (980, 970, 965):
        desk.buy(4, price, 1)
    events = desk.trade(990)
    assert triggered(events) == ids[::-1]
    assert [fill[1] for fill in fills(events)] == [990, 980, 970, 965]
    assert [event.index for event in events] == list(range(len(events)))
    assert desk.engine.book(ETH_USDT, 5) == ([], [])


def test_the_nearest_goes_first_then_the_oldest(desk: Desk) -> None:
    """Of those reached by one price: rises before falls, by distance, by age."""
    far = desk.stop(1, SELL, 970, 1)
    old = desk.stop(2, SELL, 980, 1)
    young = desk.stop(3, SELL, 980, 1)
    up = desk.stop(4, BUY, 975, 1, order_type=TAKE)
    desk.engine = restore_engine(desk.engine.snapshot())
    assert triggered(desk.trade(960)) == [old, young, up, far]


def test_a_cancel_after_the_trigger_is_stale(desk: Desk) -> None:
    """Before it the order goes and its hold with it; afterwards there is nothing to cancel."""
    stop, other = desk.stop(1, SELL, 990, 5), desk.stop(1, SELL, 980, 5)
    (close,) = only(desk.cancel(1, other), OrderClosed)
    assert (close.resting, close.reason.name, close.remaining_lots) == (
        False, "CANCELLED_BY_USER", 5,
    )  # fmt: skip
    desk.buy(2, 985, 9)
    assert triggered(desk.trade(990)) == [stop]
    assert reason(desk.cancel(1, stop)) is R.ORDER_NOT_FOUND
    assert triggered(desk.trade(970)) == []
    assert desk.balance(1, ETH) == (RICH - 5 * LOT, 0)


def test_everything_that_closes_orders_closes_these(desk: Desk) -> None:
    """Cancel-all in id order, expiry, dead-man's switch: holds are released."""
    at = desk.time_us + 10**6
    stop, bid = desk.stop(1, SELL, 990, 5), order_id(desk.buy(1, 900, 1))
    assert closes(desk.cancel_all(1)) == [
        (stop, "CANCELLED_BY_USER"), (bid, "CANCELLED_BY_USER"),
    ]  # fmt: skip
    gtd = TimeInForce.GTD
    timed = desk.stop(1, BUY, 1_050, 5, time_in_force=gtd, expires_at_us=at)
    desk.engine = restore_engine(desk.engine.snapshot())
    desk.time_us = at
    assert closes(desk.run(Tick())) == [(timed, "TIME_EXPIRED")]
    watched = desk.stop(1, BUY, 1_050, 5)
    desk.run(SetDeadMansSwitch(1, 1))
    assert closes(desk.run(Tick())) == [(watched, "DEAD_MANS_SWITCH")]
    assert desk.balance(1, ETH) == desk.balance(1, USDT) == (RICH, 0)


def test_an_amend_moves_the_trigger(desk: Desk) -> None:
    """Trigger, limit and quantity of an order that waits; the hold follows."""
    stop = desk.stop(1, BUY, 1_010, 5, order_type=STOP_LIMIT, price=1_015)
    events = desk.amend(1, stop, trigger_price_ticks=1_020, price_ticks=1_030, quantity_lots=7)
    (amended,) = only(events, OrderAmended)
    assert (amended.is_waiting, amended.kept_place, len(events)) == (True, True, 1)
    assert (amended.previous_trigger_price_ticks, amended.trigger_price_ticks) == (1_010, 1_020)
    assert desk.balance(1, USDT)[1] == 7 * 1_030 + 15
    desk.engine = restore_engine(desk.engine.snapshot())
    (view,) = desk.engine.open_orders(1)
    assert (view.terms.trigger_price_ticks, view.price_ticks, view.quantity_lots) == (
        1_020, 1_030, 7,
    )  # fmt: skip
    assert triggered(desk.trade(1_015)) == []
    assert triggered(desk.trade(1_020)) == [stop]


@pytest.mark.parametrize(
    ("expected", "kind", "terms"),
    [
        (R.WOULD_TRIGGER_IMMEDIATELY, STOP, {"trigger_price_ticks": 1_000}),
        (R.INVALID_TRIGGER, STOP, {"trigger_price_ticks": -1}),
        (R.INVALID_COMBINATION, STOP, {"price_ticks": 1_010}),
        (R.INVALID_COMBINATION, TRAIL, {"trigger_price_ticks": 1_020}),
        (R.PRICE_OUTSIDE_BAND, STOP_LIMIT, {"price_ticks": 1_200}),
        (R.PRICE_OUTSIDE_BAND, STOP_LIMIT, {"trigger_price_ticks": 1_001, "price_ticks": 1_102}),
        (R.QUANTITY_TOO_LARGE, STOP, {"quantity_lots": 10**9 + 1}),
        (R.INVALID_COMBINATION, OrderType.LIMIT, {"trigger_price_ticks": 1_020}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_amends_that_are_refused(
    desk: Desk, expected: R, kind: OrderType, terms: dict[str, int]
) -> None:
    """What could not have been placed cannot be amended to; nothing changes."""
    trails = kind is TRAIL
    fields = {
        "order_type": kind,
        "trigger_price_ticks": 1_010 if kind in (STOP, STOP_LIMIT) else 0,
        "trailing_offset_ticks": 10 if trails else 0,
    }
    order = order_id(desk.order(1, BUY, 900 if kind is OrderType.LIMIT else
                                1_010 if kind is STOP_LIMIT else 0, 5, **fields))  # fmt: skip
    before = desk.balance(1, USDT)
    assert reason(desk.amend(1, order, **terms)) is expected
    assert desk.balance(1, USDT) == before


@pytest.mark.parametrize(
    ("refusal", "fields"),
    [
        (R.NO_LIQUIDITY, {}),
        (R.FOK_NOT_FILLABLE, {"price": 980, "time_in_force": TimeInForce.FOK}),
        (R.POST_ONLY_WOULD_TRADE, {"price": 970, "post_only": True}),
        (R.SELF_TRADE, {"price": 970, "self_trade": SelfTrade.EXPIRE_TAKER}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_the_book_does_not_allow_closes(
    desk: Desk, refusal: R, fields: dict[str, Any]
) -> None:
    """The trigger tells why, the order closes, and its hold is released."""
    kind = STOP_LIMIT if "price" in fields else STOP
    stop = desk.stop(1, SELL, 990, 5, order_type=kind, **fields)
    if refusal is not R.NO_LIQUIDITY:
        desk.buy(1 if refusal is R.SELF_TRADE else 2, 980, 1)
    events = desk.trade(990)
    (event,) = only(events, OrderTriggered)
    assert event.refusal is refusal
    assert closes(events)[-1] == (stop, "REFUSED_AT_TRIGGER")
    assert desk.balance(1, ETH) == (RICH, 0)


def test_many_triggers_take_several_commands(each_engine: str) -> None:
    """A command sets off what its events allow; ticks carry on, over a restart and a halt too."""
    desk = Desk(listings=(replace(LISTING, max_open_orders=10_000),))
    desk.fund(1, 2)
    desk.trade(1_000)
    count = TRIGGER_ROOM // 3 + 100
    ids = [desk.stop(1, SELL, 990, 1) for _ in range(count)]
    for _ in range(count):
        desk.buy(2, 985, 1)
    first = desk.trade(990)
    done = triggered(first)
    assert 0 < len(done) < count
    assert first[-1].index < 2**16
    desk.engine = restore_engine(desk.engine.snapshot(), kind=each_engine)
    operator = (StateCause.OPERATOR, "op", "test")
    desk.run(SetSymbolState(ETH_USDT, SymbolState.HALTED, *operator))
    assert triggered(desk.run(Tick())) == []
    done += triggered(desk.run(SetSymbolState(ETH_USDT, SymbolState.OPEN, *operator)))
    done += triggered(desk.run(Tick()))
    assert done == ids
    assert desk.balance(1, ETH) == (RICH - count * LOT, 0)


def test_a_retry_names_the_same_trigger(desk: Desk) -> None:
    """The trigger is part of the body as it was placed, whatever was amended since."""
    stop = desk.stop(1, SELL, 990, 5, client_key=7)
    desk.amend(1, stop, trigger_price_ticks=980)
    for _ in range(2):
        again = desk.order(1, SELL, 0, 5, order_type=STOP, trigger_price_ticks=990, client_key=7)
        other = desk.order(1, SELL, 0, 5, order_type=STOP, trigger_price_ticks=980, client_key=7)
        assert isinstance(again[0], OrderDuplicate)
        assert isinstance(other[0], OrderDuplicate)
        assert (again[0].same_body, other[0].same_body) == (True, False)
        desk.engine = restore_engine(desk.engine.snapshot())


@pytest.mark.parametrize(
    ("expected", "fields"),
    [
        (R.INVALID_TRIGGER, {"trigger_price_ticks": 0}),
        (R.INVALID_TRIGGER, {"trigger_price_ticks": -5}),
        (R.INVALID_TRIGGER, {"trailing_offset_ticks": 5}),
        (R.INVALID_TRIGGER, {"order_type": TRAIL}),
        (R.INVALID_TRIGGER, {"order_type": TRAIL, "trigger_price_ticks": 0}),
        (
            R.INVALID_TRIGGER,
            {"order_type": TRAIL, "trigger_price_ticks": 0, "trailing_offset_ticks": 1_000},
        ),
        (R.INVALID_COMBINATION, {"time_in_force": TimeInForce.IOC}),
        (R.INVALID_COMBINATION, {"post_only": True}),
        (R.INVALID_COMBINATION, {"trigger_source": 1}),
        (R.INVALID_COMBINATION, {"order_type": OrderType.LIMIT, "price": 1_000}),
        (R.INVALID_PRICE, {"price": 990}),
        (R.INVALID_PRICE, {"order_type": STOP_LIMIT}),
        (R.PRICE_OUTSIDE_BAND, {"order_type": STOP_LIMIT, "price": 890}),
    ],
)
def test_orders_that_may_not_wait(desk: Desk, expected: R, fields: dict[str, Any]) -> None:
    """Type and trigger go together, and the rest is checked as for any order."""
    whole = {"order_type": STOP, "trigger_price_ticks": 990, "price": 0, "lots": 5, **fields}
    events = desk.order(1, SELL, whole.pop("price"), whole.pop("lots"), **whole)
    assert reason(events) is expected
    assert desk.balance(1, ETH) == (RICH, 0)


def test_a_hold_has_to_be_there() -> None:
    """An account that cannot pay at the band's edge may not wait for it, nor amend to it."""
    desk = Desk()
    desk.trade(1_000)
    edge = 1_010 * 11 // 10
    desk.fund(1, units=edge + 3)
    stop = desk.stop(1, BUY, 1_010, 1)
    assert reason(desk.amend(1, stop, quantity_lots=2)) is R.INSUFFICIENT_FUNDS
    assert reason(desk.amend(1, stop, trigger_price_ticks=1_011)) is R.INSUFFICIENT_FUNDS
    assert desk.balance(1, USDT) == (edge + 3, edge + 3)
    more = desk.order(1, BUY, 0, 1, order_type=STOP, trigger_price_ticks=1_010)
    assert reason(more) is R.INSUFFICIENT_FUNDS


def test_waiting_orders_count_as_open() -> None:
    """The limit of open orders holds for them."""
    desk = Desk(listings=(replace(LISTING, max_open_orders=2),))
    desk.fund(1)
    desk.stop(1, SELL, 990, 1)
    desk.buy(1, 900, 1)
    events = desk.order(1, SELL, 0, 1, order_type=STOP, trigger_price_ticks=990)
    assert reason(events) is R.TOO_MANY_OPEN_ORDERS
    (accepted,) = [e for e in desk.events if isinstance(e, OrderAccepted) and e.price_ticks == 0]
    assert accepted.trigger_price_ticks == 990
