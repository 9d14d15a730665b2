"""Makes index commands of what the sources say: one a market and period.

It drops what is stale and decides nothing else: how many sources an index takes and how far one
may be from the others is the engine's to judge, on what stands in its journal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from domain.index_price import SourcePrice
from infra.prices.source import PricedMarket, PriceSource

PERIOD_SECONDS = 1.0
SendIndex = Callable[[int, Sequence[SourcePrice], int], Awaitable[None]]
"""Sends the fresh prices of a market (symbol id, prices, now in us); a `ConnectionError` is one
period lost: the next one brings newer prices."""

log = structlog.get_logger(__name__)


class IndexCollector:
    """Runs the sources and sends their prices on."""

    def __init__(
        self,
        sources: Sequence[PriceSource],
        send: SendIndex,
        clock_us: Callable[[], int],
        *,
        max_age_us: int = 10_000_000,
        period_seconds: float = PERIOD_SECONDS,
    ) -> None:
        self.sources = sources
        self.sent = 0
        self._send = send
        self._clock_us = clock_us
        self._max_age_us = max_age_us
        self._period_seconds = period_seconds
        self._markets: tuple[PricedMarket, ...] = ()

    def watch(self, markets: Sequence[PricedMarket]) -> None:
        """Keep the index of exactly these markets from now on."""
        self._markets = tuple(markets)
        for source in self.sources:
            source.watch(self._markets)

    def fresh(self, symbol_id: int, now_us: int) -> list[SourcePrice]:
        """Return each source's newest price that is not stale, by source."""
        found = (source.price(symbol_id, now_us) for source in self.sources)
        return sorted(
            (one for one in found if one and now_us - one.time_us <= self._max_age_us),
            key=lambda one: one.source_id,
        )

    async def run(self) -> None:
        """Follow the sources and send, until cancelled; a defect of either ends both."""
        async with asyncio.TaskGroup() as group:
            for source in self.sources:
                group.create_task(source.run())
            group.create_task(self._send_forever())

    async def _send_forever(self) -> None:
        while True:
            await self.send_once()
            await asyncio.sleep(self._period_seconds)

    async def send_once(self) -> None:
        """Send one command a market; where no source is fresh, nothing: silence goes stale."""
        for market in self._markets:
            now_us = self._clock_us()
            prices = self.fresh(market.symbol_id, now_us)
            if not prices:
                continue
            try:
                await self._send(market.symbol_id, prices, now_us)
                self.sent += 1
            except ConnectionError as error:
                log.warning("no index was sent", symbol=market.symbol, error=str(error))
