"""Which streams are open, and who listens to them; what a gateway knows of markets' last days."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from api.binance.minutes import Minutes
from api.binance.names import market_called, markets
from api.binance.stream_names import StreamName
from api.binance.streams import Listener, Stream, stream_of
from api.binance.tickers import DAY_MS
from api.services import Services
from api.websocket.hub import channel_of
from domain.candles import MINUTE_SECONDS
from domain.instrument import Instrument

RELOAD_MS = 60_000
"""How often at most stored minutes are read again, for those that the feed may have lost."""


class CandleMessage(msgspec.Struct):
    """What the channel `candles` says; None in the snapshot of a market without a candle."""

    candle: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(CandleMessage).decode


class MarketDay:
    """One market's minutes, which follow the feed; kept once they were asked for."""

    def __init__(self, services: Services, market: Instrument) -> None:
        self.minutes = Minutes(market)
        self._services = services
        self._market = market
        self._loaded_ms = -RELOAD_MS
        self._loading = asyncio.Lock()
        services.hub.subscribe(self, channel_of("candles"), market.symbol)

    def offer(self, message: bytes) -> None:
        """Take a candle of the feed, as its subscriber."""
        candle = _decode(message).candle
        if candle:
            self.minutes.hear(candle)

    async def load(self) -> None:
        """Read the stored minutes when that was long ago; `ConnectionError` if it must be now."""
        async with self._loading:
            now_ms = self._services.now_ms()
            if now_ms - self._loaded_ms < RELOAD_MS:
                return
            since_us = (now_ms - DAY_MS) * 1_000
            since_us -= since_us % (MINUTE_SECONDS * 1_000_000)
            found = await self._services.market_data.combined_candles(
                self._market.symbol_id, MINUTE_SECONDS, since_us, now_ms * 1_000
            )
            self.minutes.load(found)
            self._loaded_ms = now_ms


class StreamBoard:
    """All open streams of a gateway."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._streams: dict[tuple[bool, str], Stream] = {}
        self._days: dict[int, MarketDay] = {}

    @property
    def open_count(self) -> int:
        """Return how many streams are open."""
        return len(self._streams)

    def join(self, listener: Listener, name: StreamName, *, perpetual: bool) -> bytes | None:
        """Have somebody listen; return the last event where a newcomer should know it.

        A `Refusal` (-1121) where there is no such market.
        """
        key = (perpetual, name.text)
        stream = self._streams.get(key)
        if stream is None:
            stream = stream_of(self, name, self._markets(name, perpetual=perpetual))
            stream.open()
            self._streams[key] = stream
        stream.listeners.add(listener)
        return stream.last if stream.has_state else None

    def leave(self, listener: Listener, name: str, *, perpetual: bool) -> None:
        """Have somebody listen no more; a stream without listeners is closed."""
        stream = self._streams.get((perpetual, name))
        if stream is None:
            return
        stream.listeners.discard(listener)
        if not stream.listeners:
            del self._streams[perpetual, name]
            stream.close()

    async def minutes(self, market: Instrument) -> Minutes:
        """Return the market's last day; `ConnectionError` while that cannot be read."""
        day = self._days.get(market.symbol_id)
        if day is None:
            day = self._days[market.symbol_id] = MarketDay(self.services, market)
        await day.load()
        return day.minutes

    def _markets(self, name: StreamName, *, perpetual: bool) -> list[Instrument]:
        if name.symbol:
            return [market_called(self.services, name.symbol, perpetual=perpetual).instrument]
        return [one.instrument for one in markets(self.services, perpetual=perpetual)]
