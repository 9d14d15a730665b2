"""The minutes of a market's last day, from which candles of all intervals and tickers are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.binance.tickers import DAY_MS
from domain.instrument import Instrument
from domain.market_data import MINUTE_SECONDS, Candle

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
        self.load([_candle(members, self.instrument)])

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
        return Candle(
            symbol_id=self.instrument.symbol_id,
            interval_seconds=seconds,
            open_time_us=open_us,
            open_ticks=parts[0].open_ticks,
            high_ticks=max(one.high_ticks for one in parts),
            low_ticks=min(one.low_ticks for one in parts),
            close_ticks=parts[-1].close_ticks,
            base_units=sum(one.base_units for one in parts),
            quote_units=sum(one.quote_units for one in parts),
            trade_count=sum(one.trade_count for one in parts),
            last_sequence=parts[-1].last_sequence,
        )

    def _forget_old(self) -> None:
        newest = self.newest_us()
        if newest is not None and len(self._minutes) > _DAY_US // _MINUTE_US + 1:
            oldest = newest - _DAY_US
            for one in [one for one in self._minutes if one < oldest]:
                del self._minutes[one]


def _candle(members: dict[str, Any], instrument: Instrument) -> Candle:
    """Return a minute from the words of the channel `candles`."""
    price = instrument.price_ticks
    return Candle(
        symbol_id=instrument.symbol_id,
        interval_seconds=MINUTE_SECONDS,
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
