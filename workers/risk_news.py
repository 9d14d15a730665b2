"""Follows a shard's events: keeps the picture, the arrays of the scan, and the monitor's file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container, Iterable

import numpy as np

from domain.risk_commands import FUND_ACCOUNT
from domain.risk_picture import FrozenScope, RiskPicture, ScopeKey
from infra.redis.event_stream import EventBatch, EventReader
from infra.risk_file import RiskFile
from matching.event_codec import decode_only
from matching.event_decoder import MOST_PARTS, decode_events
from workers.risk_book import Integers, RiskBook, Scan

READ_SECONDS = 0.5
RESCAN_SECONDS = 1.0
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
        called: Iterable[ScopeKey] = (),
    ) -> None:
        self._picture = picture
        self._reader = reader
        self._file = file
        self._clock = clock
        self._followed = asyncio.Condition()
        self._saved_at = time.monotonic()
        self.saved = picture.sequence
        self.book = RiskBook()
        self._types = np.array(sorted(picture.event_types()), np.uint8)
        self._judged: dict[int, int] | None = None  # marks of the last scan; None: judge again
        self._scanned: dict[int, int] | None = None  # the same, whatever has changed since
        self._scanned_at = 0.0
        self._feed_book()
        self.book.set_called(called)

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

    async def step(self, seconds: float = READ_SECONDS) -> bool:
        """Follow the next events, waiting so long for them; return whether there were any."""
        assert self._reader is not None
        batch = await self._reader.read(self._picture.sequence, seconds)
        if batch is None:
            return False
        self._take(batch)
        await self.tell()
        return True

    def _take(self, batch: EventBatch) -> None:
        """Apply what says something about risk; of the rest only the time is looked at."""
        for event in decode_only(batch.raw, self._types):
            self._picture.apply(event)
        stripes = batch.view()
        start = int(np.searchsorted(stripes["sequence"], batch.last_sequence))
        head = stripes[start : start + MOST_PARTS]
        head = head[(head["sequence"] == batch.last_sequence) & (head["index"] == head["index"][0])]
        self._picture.heard(batch.last_sequence, decode_events(head.tobytes())[0])

    async def tell(self) -> None:
        """Bring the arrays up to the picture, and wake whoever waits for it."""
        self._feed_book()
        async with self._followed:
            self._followed.notify_all()

    def _feed_book(self) -> None:
        picture = self._picture
        if picture.touched_markets or picture.changed:
            self._judged = None
        for symbol_id in sorted(picture.touched_markets):
            market = picture.markets[symbol_id]
            self.book.set_market(symbol_id, market.units_per_tick_lot, market.brackets)
        for key in picture.changed:
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

    def has_new_marks(self) -> bool:
        """Return whether a mark has moved since the last scan."""
        return self._fresh_marks() != self._scanned

    def is_scan_due(self) -> bool:
        """Return whether a scan would see something new, or whom the last one failed to freeze."""
        if time.monotonic() - self._scanned_at >= RESCAN_SECONDS:
            return True
        return self._fresh_marks() != self._judged

    def scan(self) -> Scan:
        """Judge every scope at the fresh marks."""
        self._judged = self._scanned = self._fresh_marks()
        self._scanned_at = time.monotonic()
        return self.book.scan(self._judged)

    def in_order_of_need(self) -> list[FrozenScope]:
        """Return the frozen scopes, worst first; one that nobody can judge comes by its MM."""
        frozen = self._picture.frozen
        found = self.book.frozen(self._marks())
        return [frozen[need.scope] for need in found if need.scope in frozen]

    def counterparties(self, symbol_id: int, lots: int, most: int) -> tuple[list[int], bool]:
        """Return who may be among the first `most` to be closed against `lots`, and if all are."""
        return self.book.counterparties(symbol_id, lots, most, self._marks())

    def lights(self, symbol_id: int) -> tuple[Integers, Integers]:
        """Return who has a position in a market, and the lights of each."""
        return self.book.lights(symbol_id, self._marks())

    def _marks(self) -> dict[int, int]:
        """Return every mark, fresh or not, as the picture values scopes."""
        return {name: market.mark_ticks for name, market in self._picture.markets.items()}

    def _fresh_marks(self) -> dict[int, int]:
        now_us = self.now_us()
        return {
            symbol_id: market.mark_ticks
            for symbol_id, market in self._picture.markets.items()
            if market.is_fresh(now_us)
        }

    def is_save_due(self) -> bool:
        """Return whether the picture was stored `SAVE_SECONDS` ago."""
        return time.monotonic() - self._saved_at >= SAVE_SECONDS

    async def save(self, uncalled: Container[ScopeKey] = ()) -> None:
        """Store the picture as it is now, while events go on; `uncalled` are to be called again."""
        if self._file is None or self._picture.sequence <= self.saved:
            return
        picture = self._picture.copy()
        called = [key for key in self.book.called() if key not in uncalled]
        self._saved_at = time.monotonic()
        await asyncio.to_thread(self._file.write, picture, called)
        self.saved = picture.sequence
