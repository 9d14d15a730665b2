"""What a risk monitor tells traders: margin calls as rows and messages, lights of positions.

Nobody waits for it: PostgreSQL and Redis may be away, calls wait in order, lights are said again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import numpy as np
import structlog

from domain.margin_call import MarginCall
from domain.risk_picture import ScopeKey
from infra.postgres.margin_call_store import MarginCallStore
from infra.redis.adl_lights import AdlLights
from infra.redis.margin_calls import MarginCallFeed
from workers.risk_book import Integers
from workers.risk_news import ShardNews

LIGHTS_SECONDS = 5.0
_AGAIN_SECONDS = 1.0
_BATCH = 1_000
_log = structlog.get_logger()


class RiskNotices:
    """`tell` takes margin calls; `run_calls` and `run_lights` go on for ever."""

    def __init__(
        self, news: ShardNews, rows: MarginCallStore, feed: MarginCallFeed, lights: AdlLights
    ) -> None:
        self._news = news
        self._rows = rows
        self._feed = feed
        self._lights = lights
        self._waiting: deque[MarginCall] = deque()
        self._came = asyncio.Event()
        self._said: dict[int, tuple[Integers, Integers]] = {}

    def tell(self, calls: Sequence[MarginCall]) -> None:
        """Take calls; they are told in a moment."""
        self._waiting += calls
        self._came.set()

    def unwritten(self) -> set[ScopeKey]:
        """Return whose calls are not rows yet: a process that starts anew calls them again."""
        return {ScopeKey(call.account_id, call.symbol_id) for call in self._waiting}

    async def run_calls(self) -> None:
        """Tell each call to who listens, and write it: in order, once, however long it takes."""
        while True:
            await self._came.wait()
            self._came.clear()
            while self._waiting:
                calls = [self._waiting[place] for place in range(min(_BATCH, len(self._waiting)))]
                try:
                    await self._feed.tell(calls)
                except ConnectionError as error:
                    _log.warning("margin_calls_not_published", error=str(error)[:200])
                await self._write(calls)
                for _ in calls:
                    self._waiting.popleft()

    async def _write(self, calls: Sequence[MarginCall]) -> None:
        while True:
            try:
                await self._rows.write(calls)
            except ConnectionError as error:
                _log.warning("margin_calls_wait", count=len(self._waiting), error=str(error)[:200])
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return

    async def run_lights(self) -> None:
        """Say every market's lights, again and again; they expire where nobody does."""
        while True:
            for symbol_id in list(self._news.picture.markets):
                try:
                    await self._say(symbol_id)
                except ConnectionError as error:
                    _log.warning("lights_not_said", error=str(error)[:200])
            await asyncio.sleep(LIGHTS_SECONDS)

    async def _say(self, symbol_id: int) -> None:
        accounts, lights = self._news.lights(symbol_id)
        order = np.argsort(accounts)
        accounts, lights = accounts[order], lights[order]
        before = self._said.pop(symbol_id, None)
        if before is None or not await self._change(symbol_id, before, (accounts, lights)):
            pairs = zip(accounts.tolist(), lights.tolist(), strict=True)
            await self._lights.say(symbol_id, dict(pairs))
        self._said[symbol_id] = accounts, lights

    async def _change(
        self, symbol_id: int, before: tuple[Integers, Integers], now: tuple[Integers, Integers]
    ) -> bool:
        """Say only what is different; False where what was said before is forgotten."""
        gone = np.setdiff1d(before[0], now[0], assume_unique=True)
        places = np.searchsorted(before[0], now[0])
        places = np.minimum(places, len(before[0]) - 1) if len(before[0]) else places
        same = np.zeros(len(now[0]), np.bool_)
        if len(before[0]):
            same = (before[0][places] == now[0]) & (before[1][places] == now[1])
        pairs = zip(now[0][~same].tolist(), now[1][~same].tolist(), strict=True)
        return await self._lights.change(symbol_id, dict(pairs), gone.tolist())
