"""Streams of market data: each is translated once a gateway, however many listen.

A stream is open while somebody listens. Those that follow the feed are its subscribers, as native
connections are; those that tell at most so often look at their market every period.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import msgspec
import structlog

from api.binance import stream_words as words
from api.binance.best_prices import BestPrices
from api.binance.book_diffs import BookDiffs
from api.binance.market_data import INTERVALS
from api.binance.minutes import Minutes, candle_of
from api.binance.stream_names import WINDOWS, StreamName
from api.binance.tickers import DAY_MS, day_words
from api.services import Services
from api.websocket.hub import FeedMessage, SymbolFeed, channel_of
from domain.candles import MINUTE_SECONDS, SECOND_SECONDS, Candle
from domain.instrument import Instrument

LATEST_MS = 2_000
"""A trade that is told later than this finds its candle closed; the candle is then told again."""

_decode = msgspec.json.Decoder(FeedMessage).decode
_encode = msgspec.json.Encoder().encode
log = structlog.get_logger(__name__)


class Listener(Protocol):
    """Who takes encoded events of a stream without blocking."""

    def hear(self, name: str, event: bytes) -> None:
        """Queue the event, or give up on the connection when its queue is full."""


class Sources(Protocol):
    """What streams are made of."""

    services: Services

    async def minutes(self, market: Instrument) -> Minutes:
        """Return the market's last day; `ConnectionError` while that cannot be read."""


class Stream:
    """One open stream: who listens, and what was told last."""

    channel = ""  # of the native feed, "" for none
    has_state = True  # whether a newcomer is told what was told last

    def __init__(self, board: Sources, name: StreamName, markets: list[Instrument]) -> None:
        self.board = board
        self.services = board.services
        self.name = name
        self.markets = markets
        self.listeners: set[Listener] = set()
        self.last: bytes | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def market(self) -> Instrument:
        """Return the market, of a stream of one."""
        return self.markets[0]

    @property
    def feed(self) -> SymbolFeed:
        """Return the market's feed, of a stream of one."""
        return self.services.hub.feed(self.market.symbol)

    def open(self) -> None:
        """Follow the feed, and begin to look every period."""
        if self.channel:
            for market in self.markets:
                self.services.hub.subscribe(self, self.channel, market.symbol)
        if self.name.period_ms:
            self._task = asyncio.create_task(self._look_often())
            self._task.add_done_callback(_tell_defect)

    def close(self) -> None:
        """Follow no more."""
        if self.channel:
            for market in self.markets:
                self.services.hub.unsubscribe(self, self.channel, market.symbol)
        if self._task is not None:
            self._task.cancel()

    def offer(self, message: bytes) -> None:
        """Take a message of the feed, as its subscriber."""
        found = _decode(message)
        if found.type == "snapshot":
            self.start(found)
        else:
            self.take(found)

    def start(self, message: FeedMessage) -> None:
        """Take what a channel begins with, or begins again with after a loss."""

    def take(self, message: FeedMessage) -> None:
        """Take what is new on a channel."""

    async def look(self) -> None:
        """Look at the market, and tell what is new."""

    def tell(self, event: Any) -> None:
        """Tell all listeners an event, encoded once."""
        self.last = _encode(event)
        for listener in list(self.listeners):
            listener.hear(self.name.text, self.last)

    def now_ms(self) -> int:
        """Return the time of an event."""
        return self.services.now_ms()

    async def _look_often(self) -> None:
        while True:
            await asyncio.sleep(self.name.period_ms / 1_000)
            try:
                await self.look()
            except ConnectionError as error:
                log.warning("a stream waits", stream=self.name.text, error=str(error))


def _tell_defect(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("a stream ended", exc_info=task.exception())


class DepthStream(Stream):
    """What changes in a book."""

    channel = "book"
    has_state = False

    def __init__(self, board: Sources, name: StreamName, markets: list[Instrument]) -> None:
        super().__init__(board, name, markets)
        self._diffs = BookDiffs()
        self._time_us = 0

    def start(self, message: FeedMessage) -> None:
        """Take a whole book."""
        self._diffs.start(message.seq, message.bids, message.asks)

    def take(self, message: FeedMessage) -> None:
        """Take a delta."""
        self._time_us = message.time_us
        self._diffs.change(message.seq, message.bids, message.asks)

    async def look(self) -> None:
        """Tell what has changed."""
        diff = self._diffs.take()
        if diff is not None:
            self.tell(words.depth(self.market, diff, self.now_ms(), self._time_us))


class PartialDepthStream(Stream):
    """The best levels of a book."""

    _told = -1

    async def look(self) -> None:
        """Tell them when the book has changed."""
        feed = self.feed
        if feed.is_stale or feed.sequence == self._told:
            return
        before, self._told = max(self._told, 0), feed.sequence
        book = feed.book(self.name.levels)
        now_ms = self.now_ms()
        self.tell(words.partial_depth(self.market, book, feed.sequence, before, now_ms))


class BestStream(Stream):
    """The best bid and ask of one market or of all."""

    channel = "book"

    def __init__(self, board: Sources, name: StreamName, markets: list[Instrument]) -> None:
        super().__init__(board, name, markets)
        self._books = {market.symbol: (market, BestPrices()) for market in markets}

    def start(self, message: FeedMessage) -> None:
        """Tell the best prices of a whole book."""
        market, best = self._books[message.symbol]
        if best.start(message.bids, message.asks):
            self.tell(words.best(market, message.seq, best.book(), self.now_ms()))

    def take(self, message: FeedMessage) -> None:
        """Tell the best prices when they have changed."""
        market, best = self._books[message.symbol]
        feed = self.services.hub.feed(message.symbol)
        if best.change(message.bids, message.asks, feed.bids, feed.asks):
            self.tell(words.best(market, message.seq, best.book(), self.now_ms()))


class TradeStream(Stream):
    """Trades, each as it is or as an aggregate of its own."""

    channel = "trades"
    has_state = False

    def take(self, message: FeedMessage) -> None:
        """Tell new trades one by one."""
        teller = words.trade if self.name.kind == "trade" else words.aggregate
        for trade in message.trades:
            self.tell(teller(self.market, trade, self.now_ms()))


class LiquidationStream(Stream):
    """Steps of liquidations, in one market or in all."""

    channel = "liquidations"
    has_state = False

    def take(self, message: FeedMessage) -> None:
        """Tell new steps one by one."""
        market = next(one for one in self.markets if one.symbol == message.symbol)
        for step in message.liquidations:
            self.tell(words.liquidation(market, step, self.now_ms()))


class CandleStream(Stream):
    """Candles of one interval: the newest as it changes, and once more when it is closed."""

    def __init__(self, board: Sources, name: StreamName, markets: list[Instrument]) -> None:
        super().__init__(board, name, markets)
        self._seconds = INTERVALS[name.interval]
        self._open_us = -1
        self._told: Any = None

    async def look(self) -> None:
        """Tell the candle of before if it is over, and the newest one if it has changed."""
        minutes = await self.board.minutes(self.market)
        newest = minutes.newest_us()
        if newest is None:
            return
        open_us = newest - newest % (self._seconds * 1_000_000)
        if 0 <= self._open_us < open_us:
            self._tell(minutes, self._open_us, closed=True)
        self._open_us = open_us
        over_ms = open_us // 1_000 + self._seconds * 1_000 + LATEST_MS
        self._tell(minutes, open_us, closed=over_ms <= self.now_ms())

    def _tell(self, minutes: Minutes, open_us: int, *, closed: bool) -> None:
        candle = minutes.combined(open_us, self._seconds)
        if candle is None or (candle, closed) == self._told:
            return
        self._told = (candle, closed)
        interval, pair = self.name.interval, self.name.kind == "continuousKline"
        self.tell(
            words.candle(self.market, candle, interval, self.now_ms(), closed=closed, pair=pair)
        )


class SecondStream(Stream):
    """Candles of a second, as the feed tells them; each once more when it is over."""

    channel = channel_of("candles", "1s")

    def __init__(self, board: Sources, name: StreamName, markets: list[Instrument]) -> None:
        super().__init__(board, name, markets)
        self._newest: Candle | None = None
        self._is_over = False

    def start(self, message: FeedMessage) -> None:
        """Take the newest candle, if there is one."""
        self.take(message)

    def take(self, message: FeedMessage) -> None:
        """Tell the candle of before if it is over, and the newest one."""
        if not message.candle:
            return
        candle = candle_of(message.candle, self.market, SECOND_SECONDS)
        if self._newest is not None and candle.open_time_us < self._newest.open_time_us:
            return
        if self._newest is not None and candle.open_time_us > self._newest.open_time_us:
            self._end()
        self._newest, self._is_over = candle, False
        self._tell(candle)

    async def look(self) -> None:
        """End a candle that no other has followed in time."""
        if self._newest is not None:
            over_ms = self._newest.open_time_us // 1_000 + SECOND_SECONDS * 1_000 + LATEST_MS
            if over_ms <= self.now_ms():
                self._end()

    def _end(self) -> None:
        if self._newest is not None and not self._is_over:
            self._is_over = True
            self._tell(self._newest)

    def _tell(self, candle: Candle) -> None:
        interval, now_ms = self.name.interval, self.now_ms()
        told = words.candle(self.market, candle, interval, now_ms, closed=self._is_over, pair=False)
        self.tell(told)


class TickerStream(Stream):
    """What the last day (or a shorter window) was like, of one market or of all that changed."""

    def __init__(self, board: Sources, name: StreamName, markets: list[Instrument]) -> None:
        super().__init__(board, name, markets)
        self._told: dict[str, Any] = {}

    async def look(self) -> None:
        """Tell tickers whose content has changed; of all markets in one list."""
        changed = []
        for market in self.markets:
            content = await self._content(market)
            if self._told.get(market.symbol) != content:
                self._told[market.symbol] = content
                changed.append(content | self._times())
        if changed and self.name.symbol:
            self.tell(changed[0])
        elif changed:
            self.tell(changed)

    async def _content(self, market: Instrument) -> dict[str, Any]:
        minutes = await self.board.minutes(market)
        feed = self.services.hub.feed(market.symbol)
        since_us = (self.now_ms() - self._window_ms()) * 1_000
        candles = minutes.since(since_us - since_us % (MINUTE_SECONDS * 1_000_000))
        newest = dict(feed.trades[-1]) if feed.trades else {}
        last = newest.get("price")
        if last is None:
            last = market.price_text(candles[-1].close_ticks) if candles else "0"
        day = day_words(market, candles, last)
        if self.name.kind == "miniTicker":
            return words.mini_ticker(market, day, 0)
        book = feed.book(1) if market.terms is None else None
        told = words.ticker(market, day, newest, book, 0)
        return told if not self.name.interval else {**told, "e": f"{self.name.interval}Ticker"}

    def _window_ms(self) -> int:
        return WINDOWS[self.name.interval] * 1_000 if self.name.interval else DAY_MS

    def _times(self) -> dict[str, int]:
        now_ms = self.now_ms()
        if self.name.kind == "miniTicker":
            return {"E": now_ms}
        return {"E": now_ms, "O": now_ms - self._window_ms(), "C": now_ms}


class MarkStream(Stream):
    """Mark, index and funding of one perpetual or of all, every period."""

    async def look(self) -> None:
        """Tell them; a market without a mark is left out."""
        found = []
        for market in self.markets:
            feed = self.services.hub.feed(market.symbol)
            told = words.mark(market, feed.mark, feed.funding, self.now_ms())
            if told is not None:
                found.append(told)
        if found:
            self.tell(found[0] if self.name.symbol else found)


_KINDS: dict[str, type[Stream]] = {
    "depth": DepthStream,
    "partialDepth": PartialDepthStream,
    "bookTicker": BestStream,
    "trade": TradeStream,
    "aggTrade": TradeStream,
    "kline": CandleStream,
    "continuousKline": CandleStream,
    "ticker": TickerStream,
    "miniTicker": TickerStream,
    "markPrice": MarkStream,
    "forceOrder": LiquidationStream,
}


def stream_of(board: Sources, name: StreamName, markets: list[Instrument]) -> Stream:
    """Return the stream that a name asks for, of these markets; not open yet."""
    if name.kind == "kline" and name.interval == "1s":
        return SecondStream(board, name, markets)
    return _KINDS["partialDepth" if name.levels else name.kind](board, name, markets)
