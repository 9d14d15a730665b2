"""Orders on a perpetual that wait for a price: the last one, the mark or the index."""

from __future__ import annotations

from typing import Any

import pytest

from domain.errors import RejectReason as R
from domain.events import IndexSet, OrderArmed, OrderTriggered, PerpetualTrade
from domain.order import OrderType, Side, TimeInForce, TriggerSource
from domain.perpetual_state import PerpetualState
from domain.risk_commands import SetPerpetualState, Trigger
from matching.engine import restore_engine
from tests.matching.desk import ETH_USDT, closes, ids, only, order_id, reason, triggered
from tests.matching.perpetual_desk import PERP, PerpetualDesk, refusal

pytestmark = pytest.mark.usefixtures("each_engine")

MARK: dict[str, Any] = {"trigger_source": TriggerSource.MARK_PRICE}
INDEX: dict[str, Any] = {"trigger_source": TriggerSource.INDEX_PRICE}
CLOSE: dict[str, Any] = {"close_position": True, "symbol_id": PERP}


@pytest.fixture
def desk() -> PerpetualDesk:
    """Give account 5 a long of 50 lots at 1,000."""
    desk = PerpetualDesk()
    desk.fund(1, 2, 5, units=10**7)
    for account in (1, 2, 5):
        desk.leverage(account, 10)
    desk.pair(5, 2, 50)
    return desk


def mark(desk: PerpetualDesk) -> int:
    """Return the mark."""
    return int(desk.perpetual.mark_ticks)


def test_a_stop_by_mark_closes_the_position(desk: PerpetualDesk) -> None:
    """It is set off by the index command that brings the mark there, and reduces all there is."""
    stop = desk.stop(5, Side.SELL, 960, 0, **CLOSE, **MARK)
    desk.move(965)
    assert desk.lots(5) == 50
    desk.move(950)
    events = [event for event in desk.events if getattr(event, "order_id", 0) == stop]
    (set_off,) = only(tuple(events), OrderTriggered)
    assert (set_off.trigger_price_ticks, set_off.reached_price_ticks) == (960, mark(desk))
    assert desk.lots(5) == 0


def test_a_stop_that_acts_is_not_among_what_rests(desk: PerpetualDesk) -> None:
    """As its fills shrink the position, orders that rest to reduce it give way; it trades on."""
    rests = order_id(desk.sell(5, 1_010, 20, reduce_only=True))
    stop = desk.stop(5, Side.SELL, 995, 50, symbol_id=PERP, reduce_only=True)
    for price, lots in ((992, 30), (991, 10), (995, 1)):
        desk.buy(1, price, lots)
    events = desk.sell(2, 995, 1)
    assert triggered(events) == [stop]
    assert [one for one in closes(events) if one[1] != "FILLED"] == [(rests, "NOTHING_TO_REDUCE")]
    assert closes(events)[-1] == (stop, "FILLED")
    assert desk.lots(5) == 0


def test_trades_do_not_set_off_who_waits_for_the_mark(desk: PerpetualDesk) -> None:
    """A trade far from the mark is what such a stop is protected against."""
    stop = desk.stop(5, Side.SELL, 960, 0, **CLOSE, **MARK)
    other = desk.stop(5, Side.SELL, 960, 0, **CLOSE)
    desk.cancel_all(90)
    desk.buy(1, 940, 1)
    assert triggered(desk.sell(2, 940, 1)) == [other]
    assert mark(desk) == 1_000
    assert stop in [order.order_id for order in desk.engine.open_orders(5)]


def test_what_is_set_off_follows_the_index_in_its_group(desk: PerpetualDesk) -> None:
    """The outcome of the command is the index; the trigger and its trades come behind it."""
    stop = desk.stop(5, Side.SELL, 980, 10, symbol_id=PERP, reduce_only=True, **INDEX)
    events = desk.index(979)
    assert isinstance(events[0], IndexSet)
    assert triggered(events) == [stop]
    assert only(events, OrderTriggered)[0].reached_price_ticks == 979
    assert desk.lots(5) == 40


def test_a_trailing_stop_follows_the_mark(desk: PerpetualDesk) -> None:
    """It starts from the mark and never goes back."""
    order_id(
        desk.order(
            5,
            Side.SELL,
            0,
            0,
            order_type=OrderType.TRAILING_STOP,
            trailing_offset_ticks=30,
            **CLOSE,
            **MARK,
        )
    )
    (order,) = desk.engine.open_orders(5)
    assert order.terms.trigger_price_ticks == 970
    desk.move(1_040)
    (order,) = desk.engine.open_orders(5)
    assert order.terms.trigger_price_ticks == mark(desk) - 30
    desk.move(1_000)
    assert desk.lots(5) == 0


def test_a_trigger_that_is_reached_already_is_refused(desk: PerpetualDesk) -> None:
    """By its own source's price."""
    fields = {"order_type": OrderType.STOP, "trigger_price_ticks": 1_005, **CLOSE}
    assert reason(desk.order(5, Side.SELL, 0, 0, **fields, **MARK)) is R.WOULD_TRIGGER_IMMEDIATELY
    assert reason(desk.order(5, Side.SELL, 0, 0, **fields, **INDEX)) is R.WOULD_TRIGGER_IMMEDIATELY


def test_only_orders_that_wait_on_a_perpetual_name_a_source(desk: PerpetualDesk) -> None:
    """On a spot market there is but the last price, and a limit order waits for nothing."""
    assert reason(desk.sell(5, 1_010, 1, **MARK)) is R.INVALID_COMBINATION
    stop = {"order_type": OrderType.STOP, "trigger_price_ticks": 1_050, "symbol_id": ETH_USDT}
    assert reason(desk.order(5, Side.BUY, 0, 1, **stop, **MARK)) is R.INVALID_COMBINATION
    spot = desk.bracket(5, Side.BUY, 1_000, (0, 950), 1, loss=MARK)
    assert reason(spot) is R.INVALID_COMBINATION


def test_a_halt_loses_no_mark(desk: PerpetualDesk) -> None:
    """What the mark reached meanwhile is looked at when the market opens, also after a restart."""
    stop = desk.stop(5, Side.SELL, 960, 0, **CLOSE, **MARK)
    desk.run(SetPerpetualState(PERP, Trigger.HALT, "ada", "a drill"))
    desk.move(950)
    desk.stand(990)
    assert desk.lots(5) == 50
    desk.engine = restore_engine(desk.engine.snapshot())
    events = desk.run(SetPerpetualState(PERP, Trigger.RESUME, "ada", "it is over"))
    assert triggered(events) == [stop]


def test_a_bracket_opens_a_position_and_closes_it(desk: PerpetualDesk) -> None:
    """Its exits only reduce: a stop by mark, and a take-profit that rests once it is armed."""
    exits = {"reduce_only": True}
    placed = desk.bracket(
        1, Side.BUY, 1_000, (1_030, 960), 20, symbol_id=PERP, profit=exits, loss={**exits, **MARK}
    )
    entry, profit, loss = ids(placed)
    events = desk.sell(2, 1_000, 20)
    assert [e.order_id for e in only(events, OrderArmed)] == [profit, loss]
    assert desk.lots(1) == 20
    desk.engine = restore_engine(desk.engine.snapshot())
    desk.move(950)
    assert desk.lots(1) == 0
    assert (profit, "ORDER_LIST_DONE") in closes(tuple(desk.events))
    assert entry < profit < loss


def test_an_exit_is_cut_to_what_there_is_to_close(desk: PerpetualDesk) -> None:
    """Account 5 closes half of what its entry has bought before the rest of it is filled."""
    exits = {"reduce_only": True}
    desk.market(5, Side.SELL, 50, symbol_id=PERP, reduce_only=True)
    placed = desk.bracket(
        5, Side.BUY, 1_000, (1_015, 0), 20, symbol_id=PERP, profit=exits, loss=exits
    )
    _, profit = ids(placed)
    desk.sell(2, 1_000, 12)
    desk.buy(1, 1_001, 10)
    desk.sell(5, 1_001, 10, time_in_force=TimeInForce.IOC)
    events = desk.sell(2, 1_000, 8)
    (armed,) = only(events, OrderArmed)
    assert (armed.order_id, armed.quantity_lots, armed.refusal) == (profit, 10, R.NONE)
    assert desk.lots(5) == 10
    assert only(desk.buy(1, 1_015, 10), PerpetualTrade)[0].maker_order_id == profit
    assert desk.lots(5) == 0


def test_an_exit_with_nothing_to_close_ends(desk: PerpetualDesk) -> None:
    """The position is gone when the entry ends: the exit says why it does not stand."""
    exits = {"reduce_only": True}
    desk.market(5, Side.SELL, 50, symbol_id=PERP, reduce_only=True)
    desk.pair(2, 5, 20)
    placed = desk.bracket(5, Side.BUY, 1_000, (1_015, 0), 20, symbol_id=PERP, profit=exits)
    _, profit = ids(placed)
    events = desk.sell(2, 1_000, 20)
    (armed,) = only(events, OrderArmed)
    assert armed.refusal is R.NOTHING_TO_REDUCE
    assert (profit, "REFUSED_AT_TRIGGER") in closes(events)


def test_pending_exits_ask_for_no_margin(desk: PerpetualDesk) -> None:
    """They are no orders in the book yet, and none that opens a position."""
    desk.fund(6, units=1_000_000)
    before = desk.scope(6).required_units
    desk.bracket(6, Side.BUY, 990, (1_090, 900), 10, symbol_id=PERP)
    entry_only = desk.scope(6).required_units
    desk.cancel_all(6)
    desk.buy(6, 990, 10)
    assert before == 0 < entry_only == desk.scope(6).required_units
    assert refusal(desk.cancel_all(6)) is R.NONE


# -- in a guarded market, and where the mark is elsewhere -------------------------------------


def _guarded(desk: PerpetualDesk) -> None:
    """Let the market lose a source: guarded, with half the band, 950 to 1,050, around the mark."""
    desk.cancel_all(90, PERP)
    desk.index(1_000, 1_000)
    assert desk.phase is PerpetualState.GUARDED


def test_a_stop_in_a_guarded_market_acts_within_half_the_band(desk: PerpetualDesk) -> None:
    """It stood before, or is a way out: it is no market order, and ends at the narrow edge."""
    stop = desk.stop(5, Side.SELL, 990, 0, **CLOSE)
    _guarded(desk)
    assert reason(desk.market(5, Side.SELL, 1, symbol_id=PERP)) is R.MARKET_GUARDED
    for price in (990, 951, 950, 949):
        desk.buy(1, price, 1 if price == 990 else 10)
    events = desk.sell(2, 990, 1)
    assert triggered(events) == [stop]
    trades = only(events, PerpetualTrade)
    assert [(t.price_ticks, t.quantity_lots) for t in trades] == [(990, 1), (951, 10), (950, 10)]
    assert closes(events)[-1] == (stop, "BAND_REACHED")
    assert desk.lots(5) == 30


def test_a_stop_placed_in_a_guarded_market_does_the_same(desk: PerpetualDesk) -> None:
    """Who has a position may protect it, just then."""
    _guarded(desk)
    stop = desk.stop(5, Side.SELL, 990, 0, **CLOSE)
    for price in (990, 949):
        desk.buy(1, price, 1)
    events = desk.sell(2, 990, 1)
    assert triggered(events) == [stop]
    assert only(events, OrderTriggered)[0].refusal is R.NO_LIQUIDITY
    assert closes(events)[-1] == (stop, "REFUSED_AT_TRIGGER")
    assert desk.lots(5) == 50


@pytest.mark.parametrize(("limit", "refusal_"), [(950, R.NONE), (949, R.PRICE_OUTSIDE_BAND)])
def test_a_stop_limit_is_held_to_the_band_when_it_acts(
    desk: PerpetualDesk, limit: int, refusal_: R
) -> None:
    """As any limit order is: the one around its trigger let it wait, the mark's lets it act."""
    fields: dict[str, Any] = {"order_type": OrderType.STOP_LIMIT, "symbol_id": PERP}
    stop = desk.stop(5, Side.SELL, 990, 20, price=limit, **fields)
    _guarded(desk)
    desk.buy(1, 990, 1)
    desk.buy(1, limit, 20)
    events = desk.sell(2, 990, 1)
    (set_off,) = only(events, OrderTriggered)
    assert (set_off.order_id, set_off.refusal) == (stop, refusal_)
    assert desk.lots(5) == (30 if refusal_ is R.NONE else 50)


def test_a_stop_limit_far_from_the_mark_does_not_leave_the_band(desk: PerpetualDesk) -> None:
    """The last price may be at the band's edge while the mark is not: twice the band is no band."""
    fields: dict[str, Any] = {"order_type": OrderType.STOP_LIMIT, "symbol_id": PERP}
    stop = desk.stop(1, Side.BUY, 1_090, 5, price=1_190, **fields)
    desk.cancel_all(90, PERP)
    desk.sell(2, 1_095, 1)
    desk.sell(2, 1_180, 5)
    events = desk.buy(5, 1_095, 1)
    (set_off,) = only(events, OrderTriggered)
    assert (set_off.order_id, set_off.refusal) == (stop, R.PRICE_OUTSIDE_BAND)
    assert closes(events)[-1] == (stop, "REFUSED_AT_TRIGGER")
