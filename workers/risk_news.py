"""Follows a shard's events: keeps the picture, the arrays of the scan, and the monitor's file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from domain.risk_commands import FUND_ACCOUNT
from domain.risk_picture import RiskPicture, ScopeKey
from infra.redis.event_stream import EventReader
from infra.risk_file import RiskFile
from workers.risk_book import RiskBook, Scan

READ_SECONDS = 0.5
SAVE_SECONDS = 30.0
_CAUGHT_UP_US = 2_000_000


def wall_us() -> int:
    """Return microseconds since 1970, as engines stamp commands."""
    return time.time_ns() // 1_000


class ShardNews:
    """Implements `RiskNews`. `picture` is followed up to `picture.sequence`."""

    def __init__(
        self,
        picture: RiskPicture,
        reader: EventReader | None,
        file: RiskFile | None = None,
        clock: Callable[[], int] = wall_us,
    ) -> None:
        self._picture = picture
        self._reader = reader
        self._file = file
        self._clock = clock
        self._followed = asyncio.Condition()
        self._saved_at = time.monotonic()
        self.saved = picture.sequence
        self.book = RiskBook()
        self._feed_book()

    @property
    def picture(self) -> RiskPicture:
        """Return the picture as it is now."""
        return self._picture

    def now_us(self) -> int:
        """Return the time; the engine's last stamp when our clock is behind it."""
        return max(self._clock(), self._picture.time_us)

    async def reached(self, sequence: int) -> None:
        """Wait until the picture has followed to a sequence."""
        async with self._followed:
            await self._followed.wait_for(lambda: self._picture.sequence >= sequence)

    def is_caught_up(self) -> bool:
        """Return whether the last batch ended near now: what is older is not acted on."""
        return self._clock() - self._picture.time_us < _CAUGHT_UP_US

    async def step(self) -> bool:
        """Follow the next events; return whether there were any."""
        assert self._reader is not None
        batch = await self._reader.read(self._picture.sequence, READ_SECONDS)
        if batch is None:
            return False
        for event in batch.events():
            self._picture.apply(event)
        self._picture.sequence = batch.last_sequence
        await self.tell()
        return True

    async def tell(self) -> None:
        """Bring the arrays up to the picture, and wake whoever waits for it."""
        self._feed_book()
        async with self._followed:
            self._followed.notify_all()

    def _feed_book(self) -> None:
        picture = self._picture
        for symbol_id in sorted(picture.touched_markets):
            market = picture.markets[symbol_id]
            self.book.set_market(symbol_id, market.units_per_tick_lot, market.brackets)
        for key in sorted(picture.changed):
            if key.account_id != FUND_ACCOUNT:
                self._feed_scope(key)
        picture.touched_markets.clear()
        picture.changed.clear()

    def _feed_scope(self, key: ScopeKey) -> None:
        picture = self._picture
        self.book.set_cash(key, picture.cash.get(key, 0))
        self.book.set_frozen(key, key in picture.frozen)
        for symbol_id, market in picture.markets.items():
            if market.scope_of(key.account_id) == key:
                position = picture.position(key.account_id, symbol_id)
                self.book.set_position(key, symbol_id, position)

    def scan(self) -> Scan:
        """Judge every scope at the fresh marks."""
        now_us = self.now_us()
        marks = {
            symbol_id: market.mark_ticks
            for symbol_id, market in self._picture.markets.items()
            if market.is_fresh(now_us)
        }
        return self.book.scan(marks)

    def is_save_due(self) -> bool:
        """Return whether the picture was stored `SAVE_SECONDS` ago."""
        return time.monotonic() - self._saved_at >= SAVE_SECONDS

    def save(self) -> None:
        """Store the picture; nobody may apply events meanwhile."""
        if self._file is not None and self._picture.sequence > self.saved:
            self._file.write(self._picture)
            self.saved = self._picture.sequence
            self._saved_at = time.monotonic()
