"""Candles of all intervals: each equals the sum of its trades, also after a restart."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.candles import (
    INTERVALS,
    MINUTE_SECONDS,
    MOST_FLAT_SECONDS,
    Candle,
    CandleBoard,
    CandleSeries,
    combined,
    flat_candle,
    opening_us,
    without_holes,
)
from domain.events import Trade
from domain.order import Side
from tests.api.memory import ALICE, BOB
from tests.examples import examples

MINUTE_US = 60_000_000
SECOND_US = 1_000_000
START_US = 1_699_999_190_000_000  # 21:59:50 UTC: ten seconds before a minute, an hour, a day


@given(
    trades=st.lists(
        st.tuples(st.integers(0, 5 * MINUTE_US), st.integers(1, 99), st.integers(1, 99)),
        min_size=1,
        max_size=40,
    )
)
def test_candles_equal_the_sum_of_their_trades(trades: list[tuple[int, int, int]]) -> None:
    """Open, high, low, close, volume, turnover and count, minute by minute, without holes."""
    trades.sort(key=lambda item: item[0])
    series = CandleSeries(1)
    made: dict[int, Candle] = {}
    for sequence, (time_us, price, lots) in enumerate(trades, 1):
        series.add(_trade(sequence, price, lots), time_us)
        made |= {candle.open_time_us: replace(candle) for candle in series.take_changed()}
    opens = sorted(made)
    assert opens == list(range(opens[0], opens[-1] + 1, MINUTE_US))
    close = 0
    for open_us in opens:
        inside = [item for item in trades if open_us <= item[0] < open_us + MINUTE_US]
        prices = [price for _, price, _ in inside] or [close]
        close = prices[-1]
        candle = made[open_us]
        assert (candle.open_ticks, candle.close_ticks) == (prices[0], close)
        assert (candle.high_ticks, candle.low_ticks) == (max(prices), min(prices))
        assert candle.base_units == sum(lots for _, _, lots in inside)
        assert candle.quote_units == sum(price * lots for _, price, lots in inside)
        assert candle.trade_count == len(inside)


def _trade(sequence: int, price: int, lots: int) -> Trade:
    return Trade(
        sequence=sequence,
        index=1,
        symbol_id=1,
        trade_id=sequence,
        taker_side=Side.BUY,
        maker_order_id=1,
        taker_order_id=2,
        maker_account_id=ALICE,
        taker_account_id=BOB,
        price_ticks=price,
        quantity_lots=lots,
        base_units=lots,
        quote_units=price * lots,
        maker_fee_units=0,
        taker_fee_units=0,
    )


def test_an_idle_market_gets_flat_candles() -> None:
    """A minute without trades carries the last close and counts nothing."""
    series = CandleSeries(1)
    series.add(_trade(1, 7, 2), 10)
    series.take_changed()
    series.fill_until(3 * MINUTE_US, 50)
    filled = series.take_changed()
    assert [candle.open_time_us for candle in filled] == [MINUTE_US, 2 * MINUTE_US]
    assert {(c.open_ticks, c.high_ticks, c.low_ticks, c.close_ticks) for c in filled} == {(7,) * 4}
    assert sum(candle.trade_count for candle in filled) == 0


Told = dict[tuple[int, int], Candle]


def _counted(board: CandleBoard, trades: list[tuple[int, int, int]], told: Told) -> int:
    """Count (time, price, lots); note what is told of each interval and return the last time."""
    for sequence, (time_us, price, lots) in enumerate(trades, 1):
        board.fill_until(time_us, sequence - 1)
        board.add(_trade(sequence, price, lots), time_us)
        board.gather()
        for candle in board.take_untold(minutes=True) + board.take_untold(minutes=False):
            told[candle.interval_seconds, candle.open_time_us] = replace(candle)
    return trades[-1][0]


def _summed(trades: list[tuple[int, int, int]], seconds: int, opens_us: int) -> tuple[int, ...]:
    inside = [one for one in trades if opening_us(one[0], seconds) == opens_us]
    before = [price for time_us, price, _ in trades if time_us < opens_us]
    prices = [price for _, price, _ in inside] or before[-1:]
    return (
        *(prices[0], max(prices), min(prices), prices[-1]),
        *(sum(lots for _, _, lots in inside), sum(price * lots for _, price, lots in inside)),
        len(inside),
    )


def _content(candle: Candle) -> tuple[int, ...]:
    return (
        *(candle.open_ticks, candle.high_ticks, candle.low_ticks, candle.close_ticks),
        *(candle.base_units, candle.quote_units, candle.trade_count),
    )


_TRADES = st.lists(
    st.tuples(
        st.integers(0, 50) | st.integers(0, 5_000), st.integers(1, 99), st.integers(1, 99)
    ).map(lambda one: (START_US + one[0] * 333_000, one[1], one[2])),
    min_size=1,
    max_size=30,
).map(lambda trades: sorted(trades, key=lambda one: one[0]))


@settings(max_examples=examples(40))
@given(trades=_TRADES)
def test_candles_of_all_intervals_equal_their_trades(trades: list[tuple[int, int, int]]) -> None:
    """Every candle that is told at last is the sum of its interval's trades, or the last close."""
    told: Told = {}
    _counted(CandleBoard(1), trades, told)
    for (seconds, opens_us), candle in told.items():
        assert opens_us == opening_us(opens_us, seconds)
        assert _content(candle) == _summed(trades, seconds, opens_us), (seconds, opens_us)
    for seconds in INTERVALS.values():
        traded = {(seconds, opening_us(time_us, seconds)) for time_us, _, _ in trades}
        assert traded <= told.keys()


@settings(max_examples=examples(40))
@given(trades=_TRADES, data=st.data())
def test_a_restart_changes_no_candle(
    trades: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    """A board that goes on after what was stored tells what one that never stopped tells."""
    at = data.draw(st.integers(1, len(trades)))
    whole, first = CandleBoard(1), CandleBoard(1)
    _counted(whole, trades, {})
    stored: Told = {}
    _counted(first, trades[:at], {})
    for candle in first.unsaved():
        stored[candle.interval_seconds, candle.open_time_us] = replace(candle)
    newest = [
        max((one for key, one in stored.items() if key[0] == seconds), key=lambda c: c.open_time_us)
        for seconds in (1, MINUTE_SECONDS)
    ]
    minute = newest[1]
    longer = []
    for seconds in INTERVALS.values():
        since_us = opening_us(minute.open_time_us, seconds)
        parts = [
            one
            for (length, opens_us), one in sorted(stored.items())
            if length == MINUTE_SECONDS and since_us <= opens_us < minute.open_time_us
        ]
        longer += [combined(parts, seconds)] if parts else []
    second = CandleBoard(1, newest, longer)
    for sequence, (time_us, price, lots) in enumerate(trades[at:], at + 1):
        second.fill_until(time_us, sequence - 1)
        second.add(_trade(sequence, price, lots), time_us)
        second.gather()
    assert [_content(one) for one in second.newest()] == [_content(one) for one in whole.newest()]


def test_after_a_long_pause_only_the_last_seconds_are_made() -> None:
    """Minutes have no hole; of the seconds that were quiet the last sixty are told."""
    board = CandleBoard(1)
    told: Told = {}
    _counted(board, [(0, 7, 1), (3_600 * SECOND_US, 8, 1)], told)
    assert sum(seconds == MINUTE_SECONDS for seconds, _ in told) == 61
    quiet = [one for (seconds, _), one in told.items() if seconds == 1 and not one.trade_count]
    assert [one.open_time_us // SECOND_US for one in quiet] == list(
        range(3_600 - MOST_FLAT_SECONDS, 3_600)
    )
    assert {one.close_ticks for one in quiet} == {7}


def test_what_was_told_and_saved_is_forgotten() -> None:
    """Each change is told once; a candle that changed while it was being saved stays unsaved."""
    board = CandleBoard(1)
    board.add(_trade(1, 7, 2), 10)
    board.gather()
    assert [one.interval_seconds for one in board.take_untold(minutes=True)] == [60]
    longer = [one.interval_seconds for one in board.take_untold(minutes=False)]
    assert longer == [seconds for seconds in INTERVALS.values() if seconds != MINUTE_SECONDS]
    assert board.take_untold(minutes=True) == board.take_untold(minutes=False) == []
    second, minute = (replace(one) for one in board.unsaved())
    board.add(_trade(2, 8, 1), MINUTE_US - 1)
    board.gather()
    board.forget_saved(second)
    board.forget_saved(minute)
    left = {(one.interval_seconds, one.open_time_us) for one in board.unsaved()}
    assert (1, 0) not in left
    assert {(1, MINUTE_US - SECOND_US), (60, 0)} <= left
    assert len(board.newest()) == len(INTERVALS)


def test_holes_are_filled_with_the_close_before() -> None:
    """From the one before the range, up to the last that was found; nothing is made up after it."""
    found = [flat_candle(1, 1, second * SECOND_US, second, second) for second in (3, 7, 9)]

    def seconds(since: int, until: int) -> list[tuple[int, int]]:
        filled = without_holes(found, since * SECOND_US, until * SECOND_US)
        return [(one.open_time_us // SECOND_US, one.close_ticks) for one in filled]

    assert seconds(5, 8) == [(5, 3), (6, 3), (7, 7)]
    assert seconds(0, 20) == [(3, 3), (4, 3), (5, 3), (6, 3), (7, 7), (8, 7), (9, 9)]
    assert seconds(4, 6) == [(4, 3), (5, 3)]
    assert seconds(10, 20) == []
    half = without_holes(found, 4_500_000, 6 * SECOND_US)
    assert [one.open_time_us for one in half] == [5 * SECOND_US]
