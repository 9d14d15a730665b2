"""The minutes of a market's last day, from which candles of all intervals and tickers are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.binance.tickers import DAY_MS
from domain.candles import MINUTE_SECONDS, Candle, combined
from domain.instrument import Instrument

_MINUTE_US = MINUTE_SECONDS * 1_000_000
_DAY_US = DAY_MS * 1_000


class Minutes:
    """One market's candles of a minute, kept for a day; pure."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self._minutes: dict[int, Candle] = {}

    def load(self, stored: Sequence[Candle]) -> None:
        """Take stored minutes; one with fewer trades than is known is behind, and left alone."""
        for candle in stored:
            known = self._minutes.get(candle.open_time_us)
            if known is None or known.trade_count < candle.trade_count:
                self._minutes[candle.open_time_us] = candle
        self._forget_old()

    def hear(self, members: dict[str, Any]) -> None:
        """Take the feed's newest candle, in its words."""
        self.load([candle_of(members, self.instrument, MINUTE_SECONDS)])

    def newest_us(self) -> int | None:
        """Return when the newest minute opened; None before the first trade."""
        return max(self._minutes, default=None)

    def since(self, since_us: int) -> list[Candle]:
        """Return the minutes that opened at that time or later, oldest first."""
        return [self._minutes[one] for one in sorted(self._minutes) if one >= since_us]

    def combined(self, open_us: int, seconds: int) -> Candle | None:
        """Return the candle of an interval that opened then; None where nothing is known of it."""
        until_us = open_us + seconds * 1_000_000
        parts = [one for one in self.since(open_us) if one.open_time_us < until_us]
        if not parts:
            return None
        return combined(parts, seconds)

    def _forget_old(self) -> None:
        newest = self.newest_us()
        if newest is not None and len(self._minutes) > _DAY_US // _MINUTE_US + 1:
            oldest = newest - _DAY_US
            for one in [one for one in self._minutes if one < oldest]:
                del self._minutes[one]


def candle_of(members: dict[str, Any], instrument: Instrument, interval_seconds: int) -> Candle:
    """Return a candle from the words of the channel `candles`."""
    price = instrument.price_ticks
    return Candle(
        symbol_id=instrument.symbol_id,
        interval_seconds=interval_seconds,
        open_time_us=members["time_us"],
        open_ticks=price(members["open"]),
        high_ticks=price(members["high"]),
        low_ticks=price(members["low"]),
        close_ticks=price(members["close"]),
        base_units=instrument.base.engine_units(members["volume"]),
        quote_units=instrument.quote.engine_units(members["turnover"]),
        trade_count=members["trades"],
        last_sequence=0,
    )
