"""Candles of a market's trades, of all intervals; pure.

Trades are counted in seconds and minutes. Longer candles are made of minutes, which gives the
same, since every longer interval begins and ends with one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from domain.events import Trade

SECOND_SECONDS = 1
MINUTE_SECONDS = 60
INTERVALS = {
    "1s": SECOND_SECONDS,
    "1m": MINUTE_SECONDS,
    "5m": 300,
    "15m": 900,
    "1h": 3_600,
    "4h": 14_400,
    "1d": 86_400,
}
STORED_SECONDS = (SECOND_SECONDS, MINUTE_SECONDS)
MOST_FLAT_SECONDS = 60
"""So many seconds without trades are made after a longer pause; readers fill in those before."""
SECONDS_KEPT_US = 86_400_000_000
"""Candles of a second are stored for a day, those of a minute for ever."""


@dataclass(slots=True)
class Candle:
    """Open, high, low, close and volume of the trades in one interval, in exact integers."""

    symbol_id: int
    interval_seconds: int
    open_time_us: int
    open_ticks: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    base_units: int
    quote_units: int
    trade_count: int
    last_sequence: int

    def add(self, trade: Trade) -> None:
        """Count one more trade of this interval."""
        self.high_ticks = max(self.high_ticks, trade.price_ticks)
        self.low_ticks = min(self.low_ticks, trade.price_ticks)
        self.close_ticks = trade.price_ticks
        self.base_units += trade.base_units
        self.quote_units += trade.quote_units
        self.trade_count += 1
        self.last_sequence = trade.sequence


def opening_us(time_us: int, interval_seconds: int) -> int:
    """Return when the interval of that time began: a whole multiple of it since 1970."""
    return time_us - time_us % (interval_seconds * 1_000_000)


def flat_candle(
    symbol_id: int, interval_seconds: int, open_time_us: int, close_ticks: int, sequence: int
) -> Candle:
    """Return the candle of an interval without trades: the last close carried on."""
    return Candle(
        symbol_id=symbol_id,
        interval_seconds=interval_seconds,
        open_time_us=open_time_us,
        open_ticks=close_ticks,
        high_ticks=close_ticks,
        low_ticks=close_ticks,
        close_ticks=close_ticks,
        base_units=0,
        quote_units=0,
        trade_count=0,
        last_sequence=sequence,
    )


def combined(parts: Sequence[Candle], interval_seconds: int) -> Candle:
    """Return the candle of the interval that these parts, at least one, oldest first, lie in.

    Parts without trades carry a price from before, which is none of this interval's trades.
    """
    counted = [part for part in parts if part.trade_count] or parts[-1:]
    return Candle(
        symbol_id=parts[0].symbol_id,
        interval_seconds=interval_seconds,
        open_time_us=opening_us(parts[0].open_time_us, interval_seconds),
        open_ticks=counted[0].open_ticks,
        high_ticks=max(one.high_ticks for one in counted),
        low_ticks=min(one.low_ticks for one in counted),
        close_ticks=counted[-1].close_ticks,
        base_units=sum(one.base_units for one in counted),
        quote_units=sum(one.quote_units for one in counted),
        trade_count=sum(one.trade_count for one in counted),
        last_sequence=parts[-1].last_sequence,
    )


def without_holes(found: Sequence[Candle], since_us: int, until_us: int) -> list[Candle]:
    """Return the candles that open in [since, until), with flat ones where one is missing.

    `found` are of one series, oldest first. One before `since` tells what to begin with; without
    it the first candle is the first found. Nothing follows the last one found: what came after it
    is not known yet.
    """
    filled: list[Candle] = []
    before: Candle | None = None
    for candle in found:
        if before is not None:
            step_us = candle.interval_seconds * 1_000_000
            first_us = max(before.open_time_us + step_us, -(-since_us // step_us) * step_us)
            filled += (
                _carried(before, missing_us)
                for missing_us in range(first_us, min(candle.open_time_us, until_us), step_us)
            )
        if since_us <= candle.open_time_us < until_us:
            filled.append(candle)
        before = candle
    return filled


def _carried(before: Candle, open_time_us: int) -> Candle:
    return flat_candle(
        before.symbol_id,
        before.interval_seconds,
        open_time_us,
        before.close_ticks,
        before.last_sequence,
    )


@dataclass(slots=True)
class CandleSeries:
    """The candles of one market and one interval; keeps the open one and what changed since.

    Intervals between two trades are filled with flat candles, so a chart has no holes; with
    `most_flat` only the last so many of a longer pause.
    """

    symbol_id: int
    interval_seconds: int = MINUTE_SECONDS
    current: Candle | None = None
    most_flat: int | None = None
    _changed: dict[int, Candle] = field(default_factory=dict)

    def add(self, trade: Trade, time_us: int) -> None:
        """Count a trade made at engine time `time_us`; a trade counted before is passed over."""
        if self.current is not None and trade.sequence < self.current.last_sequence:
            return
        open_time_us = opening_us(time_us, self.interval_seconds)
        if self.current is None or self.current.open_time_us < open_time_us:
            self.fill_until(open_time_us, trade.sequence)
            self.current = flat_candle(
                self.symbol_id,
                self.interval_seconds,
                open_time_us,
                trade.price_ticks,
                trade.sequence,
            )
        self.current.add(trade)
        self._changed[self.current.open_time_us] = self.current

    def fill_until(self, open_time_us: int, sequence: int) -> None:
        """Append flat candles up to, but not including, the interval that opens at that time.

        `sequence` is the last one that has been counted: what comes later still counts.
        """
        if self.current is None:
            return
        step_us = self.interval_seconds * 1_000_000
        first_us = self.current.open_time_us + step_us
        if self.most_flat is not None:
            first_us = max(first_us, open_time_us - self.most_flat * step_us)
        for missing_us in range(first_us, open_time_us, step_us):
            self.current = flat_candle(
                self.symbol_id,
                self.interval_seconds,
                missing_us,
                self.current.close_ticks,
                sequence,
            )
            self._changed[missing_us] = self.current

    def take_changed(self) -> list[Candle]:
        """Return the candles that changed since the last call, oldest first."""
        changed = [self._changed[key] for key in sorted(self._changed)]
        self._changed.clear()
        return changed


@dataclass(slots=True)
class CombinedSeries:
    """The newest candle of a longer interval: its minutes that are over, and the open one."""

    interval_seconds: int
    whole: Candle | None = None
    minute: Candle | None = None

    def hear(self, minute: Candle) -> Candle:
        """Return the candle with its newest minute, which may be the one heard before."""
        if self.minute is not None and self.minute.open_time_us < minute.open_time_us:
            opens_us = opening_us(minute.open_time_us, self.interval_seconds)
            self.whole = self.current() if self.minute.open_time_us >= opens_us else None
        self.minute = minute
        newest = self.current()
        assert newest is not None, "a minute was just heard"
        return newest

    def current(self) -> Candle | None:
        """Return the newest candle; None before the first minute."""
        parts = [part for part in (self.whole, self.minute) if part is not None]
        return combined(parts, self.interval_seconds) if parts else None


class CandleBoard:
    """One market's newest candles of all intervals; what nobody was told, or has stored, yet."""

    def __init__(
        self, symbol_id: int, stored: Iterable[Candle] = (), whole: Iterable[Candle] = ()
    ) -> None:
        """Go on after the newest stored second and minute.

        `whole` are the candles of longer intervals of that minute, without it.
        """
        newest = {one.interval_seconds: one for one in stored}
        minute = newest.get(MINUTE_SECONDS)
        wholes = {one.interval_seconds: one for one in whole}
        self._seconds = CandleSeries(
            symbol_id, SECOND_SECONDS, newest.get(SECOND_SECONDS), MOST_FLAT_SECONDS
        )
        self._minutes = CandleSeries(symbol_id, MINUTE_SECONDS, minute)
        self._longer = {
            seconds: CombinedSeries(seconds, wholes.get(seconds), minute)
            for seconds in INTERVALS.values()
            if seconds not in STORED_SECONDS
        }
        self._untold: dict[tuple[int, int], Candle] = {}
        self._unsaved: dict[tuple[int, int], Candle] = {}

    def add(self, trade: Trade, time_us: int) -> None:
        """Count a trade made at engine time `time_us`."""
        self._seconds.add(trade, time_us)
        self._minutes.add(trade, time_us)

    def fill_until(self, time_us: int, sequence: int) -> None:
        """Fill the intervals that are over by the engine's time; `sequence` is the last counted."""
        for series in (self._seconds, self._minutes):
            series.fill_until(opening_us(time_us, series.interval_seconds), sequence)

    def gather(self) -> None:
        """Note what changed, to be told and stored; call it between whole commands."""
        for candle in self._seconds.take_changed():
            self._note(candle)
        for minute in self._minutes.take_changed():
            self._note(minute)
            for series in self._longer.values():
                longer = series.hear(minute)
                self._untold[longer.interval_seconds, longer.open_time_us] = longer

    def _note(self, candle: Candle) -> None:
        key = (candle.interval_seconds, candle.open_time_us)
        self._untold[key] = self._unsaved[key] = candle

    def take_untold(self, *, minutes: bool) -> list[Candle]:
        """Return the minutes, or all others, that changed since the last such call, in order."""
        wanted = [key for key in self._untold if (key[0] == MINUTE_SECONDS) is minutes]
        return [self._untold.pop(key) for key in sorted(wanted)]

    def unsaved(self) -> list[Candle]:
        """Return the seconds and minutes that changed since they were last saved."""
        return [candle for _, candle in sorted(self._unsaved.items())]

    def forget_saved(self, candle: Candle) -> None:
        """Forget one that was stored as it is now."""
        key = (candle.interval_seconds, candle.open_time_us)
        if self._unsaved.get(key) == candle:
            del self._unsaved[key]

    def newest(self) -> list[Candle]:
        """Return the newest candle of each interval that has one, shortest first."""
        longer = (series.current() for series in self._longer.values())
        found = (self._seconds.current, self._minutes.current, *longer)
        return [candle for candle in found if candle is not None]


def interval_name(interval_seconds: int) -> str:
    """Return the name of one of `INTERVALS`."""
    return next(name for name, seconds in INTERVALS.items() if seconds == interval_seconds)
