"""A venue's public WebSocket as a price source: connects, listens, and comes back by itself.

What differs from venue to venue is a `Dialect`: an address, what to send, how to read a frame.
What a venue can do to us is bounded here: handshake and silence have time limits, a frame a
size, garbage a count, and every failure ends the session and waits longer before the next.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from domain.index_price import SourcePrice
from domain.source_price import SourceRefusal, TimeRules
from infra.ending import end
from infra.prices.source import SOURCE_IDS, PriceBoard, PricedMarket, Quote, SourceHealth

log = structlog.get_logger(__name__)


class GarbageError(ValueError):
    """A frame that this venue does not send."""


class VenueError(Exception):
    """The venue says that it will not, or no longer, serve us."""


class Dialect(Protocol):
    """How one venue speaks."""

    @property
    def name(self) -> str:
        """Return the venue's name in `SOURCE_IDS`."""

    @property
    def url(self) -> str:
        """Return its public address."""

    def pair(self, base: str, quote: str) -> str:
        """Return the venue's name of a pair, as its messages have it."""

    def address(self, url: str, pairs: Sequence[str]) -> str:
        """Return where to connect for these pairs."""

    def subscriptions(self, pairs: Sequence[str]) -> Sequence[str]:
        """Return what to send first."""

    def quotes(self, frame: str | bytes) -> Sequence[Quote]:
        """Return the prices of a frame, none of one that has none.

        Raises `GarbageError` or `VenueError`.
        """


@dataclass(frozen=True, slots=True)
class Patience:
    """Time limits in seconds, and how much nonsense in a row ends a session."""

    handshake_seconds: float = 10.0
    silence_seconds: float = 30.0  # without a price that counts
    ping_seconds: float = 15.0
    first_pause_seconds: float = 0.5
    last_pause_seconds: float = 30.0
    max_garbage: int = 20
    max_frame_bytes: int = 256 << 10


class VenueSource:
    """One venue. `pairs` renames symbols (`BTC/USDT`) to other pairs than their own assets'."""

    def __init__(
        self,
        dialect: Dialect,
        clock_us: Callable[[], int],
        *,
        url: str = "",
        pairs: Mapping[str, str] | None = None,
        patience: Patience | None = None,
        rules: TimeRules | None = None,
    ) -> None:
        self.name = dialect.name
        self.source_id = SOURCE_IDS[dialect.name]
        self._dialect = dialect
        self._clock_us = clock_us
        self._url = url or dialect.url
        self._renamed = pairs or {}
        self._patience = patience or Patience()
        self._board = PriceBoard(self.source_id, rules or TimeRules())
        self._changed = asyncio.Event()

    @property
    def health(self) -> SourceHealth:
        """Return how it does."""
        return self._board.health

    def watch(self, markets: Sequence[PricedMarket]) -> None:
        """Follow exactly these markets; another set of pairs begins a new session."""
        before = self._board.pairs
        self._board.watch(
            (self._renamed.get(one.symbol) or self._dialect.pair(one.base, one.quote), one)
            for one in markets
        )
        if self._board.pairs != before:
            self._changed.set()

    def price(self, symbol_id: int, now_us: int) -> SourcePrice | None:
        """Return the newest price of a market, however old."""
        del now_us
        return self._board.price(symbol_id)

    async def run(self) -> None:
        """Hold a session, and after each its pause, until cancelled."""
        failures = 0
        while True:
            if not self._board.pairs:
                self._changed.clear()
                await self._changed.wait()
            taken = self.health.taken
            ended = await self._session_until_changed()
            if ended is None:
                failures = 0
                continue
            failures = 1 if self.health.taken > taken else failures + 1
            self.health.failure = f"{type(ended).__name__}: {ended}"[:200]
            pause = self._pause_seconds(failures)
            log.warning("price source", name=self.name, failure=self.health.failure, pause=pause)
            await asyncio.sleep(pause)

    async def _session_until_changed(self) -> Exception | None:
        """Hold one session; return why it failed, None when other pairs ended it."""
        self._changed.clear()
        session = asyncio.create_task(self._session())
        changed = asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait({session, changed}, return_when=asyncio.FIRST_COMPLETED)
            if not session.done():
                return None
            try:
                session.result()
            except (OSError, TimeoutError, WebSocketException, VenueError) as error:
                return error
            return ConnectionError("the venue closed the session")
        finally:
            self.health.is_connected = False
            await end(session, changed)

    async def _session(self) -> None:
        patience, pairs = self._patience, self._board.pairs
        async with connect(
            self._dialect.address(self._url, pairs),
            open_timeout=patience.handshake_seconds,
            close_timeout=1.0,
            ping_interval=patience.ping_seconds,
            ping_timeout=patience.ping_seconds,
            max_size=patience.max_frame_bytes,
        ) as connection:
            self.health.is_connected = True
            self.health.sessions += 1
            for text in self._dialect.subscriptions(pairs):
                await connection.send(text)
            try:
                await self._listen(connection)
            except TimeoutError as error:
                seconds = patience.silence_seconds
                raise VenueError(f"no price that counts for {seconds:g} seconds") from error

    async def _listen(self, connection: ClientConnection) -> None:
        """Take frames until the venue closes; `TimeoutError` when no price has counted."""
        patience = self._patience
        loop = asyncio.get_running_loop()
        garbage = 0
        async with asyncio.timeout(patience.silence_seconds) as silence:
            async for frame in connection:
                self.health.frames += 1
                try:
                    quotes = self._dialect.quotes(frame)
                except GarbageError as error:
                    garbage += 1
                    self.health.refused[SourceRefusal.GARBAGE] += 1
                    if garbage >= patience.max_garbage:
                        raise VenueError(f"nothing but garbage: {error}") from error
                    continue
                now_us = self._clock_us()
                if sum(self._board.take(quote, now_us) for quote in quotes):
                    garbage = 0
                    silence.reschedule(loop.time() + patience.silence_seconds)

    def _pause_seconds(self, failures: int) -> float:
        """Return how long to wait: doubled each time, up to the last, and spread by a quarter."""
        patience = self._patience
        doubled = patience.first_pause_seconds * 2.0 ** min(failures - 1, 30)
        return min(doubled, patience.last_pause_seconds) * (1 + secrets.randbelow(250) / 1000)
