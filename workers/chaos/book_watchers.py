"""Who follows books during a drill: our client by the published rules, and ccxt.pro beside it."""

from __future__ import annotations

import time
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from api.client.stream import Interrupted, Stream
from api.websocket.hub import FeedMessage
from workers.chaos.faulty_line import FaultyLine
from workers.demo_listings import MARKETS

BUSY = MARKETS[0].symbol  # where the load trades: only there does silence mean no book
QUIET = "nothing"  # was done to it
_ON_ITS_WAY_SECONDS = 1.0  # for so long books may still arrive after something was done
_LONG_SECONDS = 5.0
_KEEP_ALIVE_MS = 5_000  # else it notices a half-open connection after six minutes
_REST = {
    "public": "/api/v3",
    "private": "/api/v3",
    "v1": "/api/v1",
    "sapi": "/sapi/v1",
    "fapiPublic": "/fapi/v1",
    "fapiPrivate": "/fapi/v1",
    "dapiPublic": "/dapi/v1",
}

Levels = Iterable[Sequence[Any]]  # (price, quantity), as text or as floats


def fingerprint(bids: Levels, asks: Levels) -> int:
    """Return the same for the same whole book, whether it is told in text or in floats."""
    sides = [[(float(price), float(size)) for price, size in side] for side in (bids, asks)]
    return zlib.crc32(repr(sides).encode())


class Known:
    """Every whole book that any watcher has seen, by market and sequence."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], int] = {}
        self.compared = 0

    def agrees(self, symbol: str, sequence: int, found: int) -> bool:
        """Return whether nobody has seen another book at that sequence, and remember this one."""
        before = self._seen.setdefault((symbol, sequence), found)
        self.compared += 1
        return before == found


class Watcher(ABC):
    """One follower of the books: what it has seen, and how long it was without."""

    def __init__(
        self, name: str, gateway: str, url: str, symbols: Sequence[str], known: Known
    ) -> None:
        self.name = name
        self.gateway = gateway
        self.line: FaultyLine | None = None
        self.messages = 0
        self.drops = 0
        self.divergences: list[str] = []
        self.without_seconds: dict[str, float] = {}
        self.long_waits: list[tuple[float, str, str]] = []
        self.last: dict[str, tuple[int, int]] = {}  # by market: sequence and fingerprint
        self._url = url
        self._symbols = list(symbols)
        self._known = known
        self._fault = ("start", time.monotonic())
        self._seen_at = time.monotonic()
        self._is_calm = False

    @abstractmethod
    async def watch(self) -> None:
        """Follow the books until cancelled, through every break."""

    def suffers(self, fault: str) -> None:
        """Note what is done to it now: the first thing since it saw a book is why it sees none."""
        if self._fault[1] < self._seen_at - _ON_ITS_WAY_SECONDS:
            self._fault = (fault, time.monotonic())

    def begin(self) -> None:
        """Look at the clock from now on: until here it had to connect for the first time."""
        self._seen_at = time.monotonic()
        self.without_seconds.clear()
        self.long_waits.clear()

    def be_calm(self) -> None:
        """Look at the clock no more: from now on the markets may have nothing to tell."""
        self._is_calm = True

    def figures(self) -> dict[str, Any]:
        """Return what it has seen."""
        return {
            "gateway": self.gateway,
            "messages": self.messages,
            "drops": self.drops,
            "longest_without_book_seconds": round(max(self.without_seconds.values(), default=0), 2),
        }

    def _sees(self, symbol: str, sequence: int, bids: Levels, asks: Levels) -> None:
        """Hold a whole book against what others saw at that sequence, and look at the clock."""
        found = fingerprint(bids, asks)
        if not self._known.agrees(symbol, sequence, found):
            self.divergences.append(f"{self.name}: {symbol} differs from others at {sequence}")
        self.last[symbol] = (sequence, found)
        if symbol == BUSY and not self._is_calm:
            now = time.monotonic()
            fault, at = self._fault
            why = fault if at >= self._seen_at - _ON_ITS_WAY_SECONDS else QUIET
            passed = now - self._seen_at
            self.without_seconds[why] = max(passed, self.without_seconds.get(why, 0.0))
            self._seen_at = now
            if passed > _LONG_SECONDS:
                self.long_waits.append((round(passed, 1), self.name, why))


class NativeWatcher(Watcher):
    """The Python client's stream: the rules of docs/websocket.md, each message's checksum."""

    def __init__(
        self, name: str, gateway: str, url: str, symbols: Sequence[str], known: Known
    ) -> None:
        super().__init__(name, gateway, url, symbols, known)
        self.stream = Stream(url, books=self._symbols)
        self.snapshots = 0
        self._mismatches = 0

    async def watch(self) -> None:
        """Follow them; a checksum that differs is a divergence."""
        async for heard in self.stream:
            if isinstance(heard, Interrupted):
                self.drops += 1
            elif isinstance(heard, FeedMessage) and heard.channel == "book":
                self._take(heard)

    def _take(self, message: FeedMessage) -> None:
        self.messages += 1
        self.snapshots += message.type == "snapshot"
        book = self.stream.books[message.symbol]
        mismatches = sum(one.mismatch_count for one in self.stream.books.values())
        if mismatches > self._mismatches:
            self._mismatches = mismatches
            self.divergences.append(f"{self.name}: {book.symbol} has a wrong checksum")
        if book.is_live and book.sequence == message.seq:
            self._sees(book.symbol, book.sequence, book.bids(), book.asks())

    def figures(self) -> dict[str, Any]:
        """Return what it has seen; resyncs are those that it had to ask for."""
        return super().figures() | {
            "resyncs": self.stream.resync_count,
            "snapshots": self.snapshots,
        }


class CcxtWatcher(Watcher):
    """ccxt.pro, unmodified, as its users make and await it, one market at a time in each task."""

    async def watch(self) -> None:
        """Follow them; whatever the client raises, it is asked again, as its users do."""
        import asyncio

        import ccxt.pro as ccxt

        client = ccxt.binance(
            {
                "urls": {"api": _urls(self._url)},
                "enableRateLimit": False,
                "streaming": {"keepAlive": _KEEP_ALIVE_MS},
            }
        )
        try:
            async with asyncio.TaskGroup() as group:
                for symbol in self._symbols:
                    group.create_task(self._watch_one(client, symbol))
        finally:
            await client.close()

    async def _watch_one(self, client: Any, symbol: str) -> None:
        import asyncio

        import ccxt

        while True:
            try:
                book = await client.watch_order_book(symbol)
            except (ccxt.NetworkError, ccxt.ExchangeError):
                self.drops += 1
                await asyncio.sleep(0.1)
                continue
            self.messages += 1
            sequence, bids, asks = book["nonce"], list(book["bids"]), list(book["asks"])
            self._sees(symbol, sequence, bids, asks)


def _urls(base_url: str) -> dict[str, Any]:
    """Return where ccxt's `binance` finds the dialect at a gateway."""
    sockets = base_url.replace("http", "ws", 1) + "/binance"
    streams = {"spot": f"{sockets}/stream/ws", "future": f"{sockets}/fstream/ws"}
    return {name: f"{base_url}/binance{path}" for name, path in _REST.items()} | {"ws": streams}


def ccxt_version() -> str | None:
    """Return the version of ccxt; None where it is not installed: it is a dependency of tests."""
    try:
        import ccxt
    except ModuleNotFoundError:
        return None
    return str(ccxt.__version__)
