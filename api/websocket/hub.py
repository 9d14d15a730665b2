"""The gateway's end of the market data feed: book mirrors, subscribers, in-band snapshots.

Messages arrive encoded, as the market data process published them, and leave as they came. The
hub mirrors each book only to be able to start a subscriber with a snapshot at an exact sequence.
A gap in the feed makes a book stale: nothing is forwarded until the hot copy heals it, and then
every subscriber gets a fresh snapshot.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

import msgspec
import structlog

from api.ports import FeedSource
from domain.candles import INTERVALS
from domain.market_data import CHECKSUM_DEPTH, checksum

_RECENT_DELTAS = 1_000
_RECENT_TRADES = 100
_RECENT_LIQUIDATIONS = 100
_RESYNC_SECONDS = 0.1
CHANNELS = ("book", "trades", "candles", "mark", "funding", "liquidations")
DEFAULT_INTERVAL = "1m"

log = structlog.get_logger(__name__)


def channel_of(channel: str, interval: str = "") -> str:
    """Return how the hub calls a channel; that of candles is one for each interval."""
    return f"candles.{interval or DEFAULT_INTERVAL}" if channel == "candles" else channel


HUB_CHANNELS = (
    *(channel for channel in CHANNELS if channel != "candles"),
    *(channel_of("candles", interval) for interval in INTERVALS),
)


class Subscriber(Protocol):
    """A connection that takes encoded messages without blocking."""

    def offer(self, message: bytes) -> None:
        """Queue the message, or give up on the connection when its queue is full."""


class FeedMessage(msgspec.Struct, omit_defaults=True):
    """Any message of the feed; fields of other channels stay at their defaults."""

    channel: str
    symbol: str
    type: str
    seq: int = 0
    prev_seq: int = 0
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []
    checksum: int = 0
    time_us: int = 0
    trades: list[dict[str, Any]] = []
    interval: str = ""
    candle: dict[str, Any] | None = None
    mark: dict[str, Any] | None = None
    funding: dict[str, Any] | None = None
    liquidations: list[dict[str, Any]] = []


class CandleCopy(msgspec.Struct):
    """The hot copy of a market's candles: the newest by the name of its interval."""

    candles: dict[str, dict[str, Any]]


_decode = msgspec.json.Decoder(FeedMessage).decode
_decode_candles = msgspec.json.Decoder(CandleCopy).decode
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class SymbolFeed:
    """One market as this gateway knows it."""

    symbol: str
    sequence: int = -1  # -1: stale
    suspected: int = -1  # the sequence at which a heartbeat was already ahead of us
    compared: int = -1  # the sequence at which a heartbeat had our checksum
    told: tuple[int, bytes] = (-1, b"")  # the sequence of the last book's snapshot, and it
    bids: dict[str, str] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)
    recent: deque[FeedMessage] = field(default_factory=lambda: deque(maxlen=_RECENT_DELTAS))
    trades: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_RECENT_TRADES))
    candles: dict[str, dict[str, Any]] = field(default_factory=dict)  # by interval
    mark: dict[str, Any] = field(default_factory=dict)
    funding: dict[str, Any] = field(default_factory=dict)
    liquidations: deque[dict[str, Any]] = field(
        default_factory=lambda: deque(maxlen=_RECENT_LIQUIDATIONS)
    )
    subscribers: dict[str, set[Subscriber]] = field(
        default_factory=lambda: {channel: set() for channel in HUB_CHANNELS}
    )

    @property
    def is_stale(self) -> bool:
        """Return whether the book waits for its hot copy."""
        return self.sequence < 0

    def load(self, snapshot: FeedMessage) -> bool:
        """Start from a hot copy and the deltas seen since; False when one is missing."""
        self.told = (-1, b"")  # what was told may have been wrong
        self.sequence = snapshot.seq
        self.bids = dict(snapshot.bids)
        self.asks = dict(snapshot.asks)
        for delta in self.recent:
            if not self.apply(delta):
                self.sequence = -1
                return False
        return True

    def apply(self, delta: FeedMessage) -> bool:
        """Apply a delta; False when one before it is missing."""
        if delta.seq <= self.sequence:
            return True
        if delta.prev_seq > self.sequence:
            return False
        for levels, changes in ((self.bids, delta.bids), (self.asks, delta.asks)):
            for price, quantity in changes:
                if quantity == "0":
                    levels.pop(price, None)
                else:
                    levels[price] = quantity
        self.sequence = delta.seq
        return True

    def new_trades(self, trades: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the trades after our last one: a restarted publisher repeats its last second."""
        last = int(self.trades[-1]["trade_id"]) if self.trades else 0
        return [trade for trade in trades if int(trade["trade_id"]) > last]

    def compare(self, published_sequence: int, published_checksum: int) -> bool:
        """Return whether the book was held against the publisher's at the same sequence.

        Become stale when it differs, and when two heartbeats in a row are ahead: the message
        between is lost. One alone may only have overtaken a delta on its way.
        """
        if self.is_stale or published_sequence < self.sequence:
            return False
        if published_sequence == self.sequence:
            if self.compared == self.sequence:
                return False
            self.compared = self.sequence
            if checksum(*self.book(CHECKSUM_DEPTH)) != published_checksum:
                self.sequence = self.compared = -1
            return True
        if self.suspected == self.sequence:
            self.sequence = -1
        self.suspected = self.sequence
        return False

    def book(self, depth: int | None = None) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Return (bids, asks), best first."""
        if depth is None:
            bids = sorted(self.bids.items(), key=_price, reverse=True)
            return bids, sorted(self.asks.items(), key=_price)
        best = heapq.nlargest(depth, self.bids.items(), key=_price)
        return best, heapq.nsmallest(depth, self.asks.items(), key=_price)

    def last(self, channel: str) -> int | None:
        """Return the newest sequence of a channel; None where nothing came yet, or none is told."""
        if channel in ("trades", "liquidations"):
            told = getattr(self, channel)
            return int(told[-1]["sequence"]) if told else None
        if channel in ("mark", "funding"):
            now = getattr(self, channel)
            return int(now["sequence"]) if now else None
        return self.sequence if channel == "book" else None

    def snapshot(self, channel: str) -> bytes | None:
        """Return the message that starts a subscriber of `channel`; None when it must wait."""
        if channel == "book":
            if self.is_stale:
                return None
            if self.told[0] != self.sequence:
                self.told = (self.sequence, self._book_snapshot())
            return self.told[1]
        if channel == "trades":
            body: dict[str, Any] = {"trades": list(self.trades)}
        elif channel == "liquidations":
            body = {"liquidations": list(self.liquidations)}
        elif channel in ("mark", "funding"):
            body = {channel: getattr(self, channel) or None}
        else:
            channel, _, interval = channel.partition(".")
            body = {"interval": interval, "candle": self.candles.get(interval)}
        return _encode({"channel": channel, "symbol": self.symbol, "type": "snapshot", **body})

    def _book_snapshot(self) -> bytes:
        bids, asks = self.book()
        return _encode(
            {
                "channel": "book",
                "symbol": self.symbol,
                "type": "snapshot",
                "seq": self.sequence,
                "bids": bids,
                "asks": asks,
                "checksum": checksum(bids, asks),
            }
        )


def _price(level: tuple[str, str]) -> Decimal:
    return Decimal(level[0])


class FeedHub:
    """All markets of the feed, and who listens."""

    def __init__(self, source: FeedSource, symbols: Callable[[], list[str]]) -> None:
        self._source = source
        self._symbols = symbols
        self._feeds: dict[str, SymbolFeed] = {}
        self.book_checks = 0
        self.books_wrong = 0

    def feed(self, symbol: str) -> SymbolFeed:
        """Return the market's feed; the caller has checked that the market is listed."""
        return self._feeds.setdefault(symbol, SymbolFeed(symbol))

    def subscribe(self, subscriber: Subscriber, channel: str, symbol: str) -> None:
        """Add the subscriber and start it with a snapshot, now or when the book is in sync.

        `channel` is one of `HUB_CHANNELS`.
        """
        feed = self.feed(symbol)
        feed.subscribers[channel].add(subscriber)
        snapshot = feed.snapshot(channel)
        if snapshot is not None:
            subscriber.offer(snapshot)

    def unsubscribe(self, subscriber: Subscriber, channel: str, symbol: str) -> None:
        """Remove the subscriber."""
        self.feed(symbol).subscribers[channel].discard(subscriber)

    def sequences(self, subscriptions: Iterable[tuple[str, str]]) -> dict[str, Any]:
        """Return the last sequence of each (channel, symbol), as a heartbeat says it.

        `seq` is of the books, as it always was; `last` of the channels beside them.
        """
        books: dict[str, int] = {}
        others: dict[str, dict[str, int]] = {}
        for channel, symbol in subscriptions:
            last = self.feed(symbol).last(channel)
            if channel == "book":
                books[symbol] = -1 if last is None else last
            elif last is not None:
                others.setdefault(channel, {})[symbol] = last
        return {"seq": books, "last": others} if others else {"seq": books}

    async def run(self) -> None:
        """Follow the feed until cancelled; a lost connection makes every book stale."""
        resync = asyncio.create_task(self._resync())
        try:
            while True:
                try:
                    async for message in self._source.messages():
                        self._take(message)
                except ConnectionError as error:
                    log.warning("market data feed is away", error=str(error))
                for feed in self._feeds.values():
                    feed.sequence = -1
                    feed.recent.clear()
                await asyncio.sleep(0.5)
        finally:
            resync.cancel()
            with suppress(asyncio.CancelledError):
                await resync

    def _take(self, raw: bytes) -> None:
        message = _decode(raw)
        feed = self.feed(message.symbol)
        if message.type == "heartbeat":
            self._compare(feed, message)
            return
        if message.channel == "book":
            feed.recent.append(message)
            if feed.is_stale:
                return
            if not feed.apply(message):
                feed.sequence = -1
                return
        elif message.channel == "trades":
            fresh = feed.new_trades(message.trades)
            if not fresh:
                return
            if len(fresh) < len(message.trades):
                raw = _encode(
                    {"channel": "trades", "symbol": feed.symbol, "type": "update", "trades": fresh}
                )
            feed.trades.extend(fresh)
        elif message.channel == "candles":
            feed.candles[message.interval] = message.candle or {}
        elif message.channel == "mark":
            feed.mark = message.mark or {}
        elif message.channel == "funding":
            feed.funding = message.funding or {}
        elif message.channel == "liquidations":
            feed.liquidations.extend(message.liquidations)
        channel = channel_of(message.channel, message.interval)
        for subscriber in list(feed.subscribers.get(channel, ())):
            subscriber.offer(raw)

    def _compare(self, feed: SymbolFeed, beat: FeedMessage) -> None:
        """Hold our book against the publisher's; a difference is a defect, and is healed."""
        if feed.compare(beat.seq, beat.checksum):
            self.book_checks += 1
            if feed.is_stale:
                self.books_wrong += 1
                log.error("a book differs from the publisher's", symbol=feed.symbol, at=beat.seq)

    async def _resync(self) -> None:
        while True:
            with suppress(ConnectionError):
                for symbol in self._symbols():
                    feed = self.feed(symbol)
                    if feed.is_stale:
                        await self._load(feed)
            await asyncio.sleep(_RESYNC_SECONDS)

    async def _load_perpetual(self, feed: SymbolFeed) -> None:
        """Take a perpetual's hot copies, as far as nothing newer has come."""
        mark = await self._source.hot("mark", feed.symbol)
        if mark is None:
            return  # a spot market has none
        feed.mark = feed.mark or _decode(mark).mark or {}
        funding = await self._source.hot("funding", feed.symbol)
        if funding is not None:
            feed.funding = feed.funding or _decode(funding).funding or {}
        liquidations = await self._source.hot("liquidations", feed.symbol)
        if liquidations is not None and not feed.liquidations:
            feed.liquidations.extend(_decode(liquidations).liquidations)

    async def _load(self, feed: SymbolFeed) -> None:
        trades = await self._source.hot("trades", feed.symbol)
        if trades is not None and not feed.trades:
            feed.trades.extend(_decode(trades).trades)
        candles = await self._source.hot("candles", feed.symbol)
        if candles is not None:
            feed.candles = _decode_candles(candles).candles | feed.candles
        await self._load_perpetual(feed)
        book = await self._source.hot("book", feed.symbol)
        if book is None or not feed.load(_decode(book)):
            return
        for subscriber in list(feed.subscribers["book"]):
            snapshot = feed.snapshot("book")
            if snapshot is not None:
                subscriber.offer(snapshot)
