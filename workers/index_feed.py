"""Feeds a shard's perpetual markets with what outside sources say, once a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from domain.errors import RejectReason
from domain.events import CommandRejected
from domain.index_price import SourcePrice
from domain.perpetual_terms import MAX_SOURCES
from domain.risk_commands import SetIndex
from infra.engine_errors import EngineError
from infra.engine_grpc import EngineGrpc
from infra.postgres.markets import MarketStore
from infra.prices.collector import IndexCollector
from infra.prices.source import PricedMarket, PriceSource

_REFRESH_SECONDS = 5.0

log = structlog.get_logger(__name__)


class IndexFeed:
    """Looks which perpetuals are listed, follows their prices, and sends them to the engine."""

    def __init__(
        self,
        shard: int,
        store: MarketStore,
        engine: EngineGrpc,
        sources: Sequence[PriceSource],
        clock_us: Callable[[], int],
    ) -> None:
        self._shard = shard
        self._store = store
        self._engine = engine
        self._refused: dict[int, RejectReason] = {}
        self.collector = IndexCollector(sources, self.send, clock_us)

    async def run(self) -> None:
        """Feed until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.collector.run())
            group.create_task(self._refresh_forever())

    async def _refresh_forever(self) -> None:
        while True:
            try:
                await self.refresh()
            except ConnectionError as error:
                log.warning("the markets are not known anew", error=str(error))
            await asyncio.sleep(_REFRESH_SECONDS)

    async def refresh(self) -> None:
        """Watch the perpetual markets that are listed now."""
        wanted = await self._store.perpetuals(self._shard)
        if not wanted:
            self.collector.watch(())
            return
        listings = await self._store.listings()
        found = []
        for symbol_id in sorted(wanted):
            market = listings.market_by_id(symbol_id)
            assert market is not None, f"market {symbol_id} has terms and no row"
            one = market.instrument
            found.append(
                PricedMarket(
                    symbol_id=symbol_id,
                    symbol=one.symbol,
                    base=one.base.code,
                    quote=one.quote.code,
                    tick_size=one.tick_size,
                    start_ticks=one.listing_price_ticks,
                )
            )
        self.collector.watch(found)

    async def send(self, symbol_id: int, prices: Sequence[SourcePrice], now_us: int) -> None:
        """Send one command; what the engine refuses is said once a market and reason."""
        del now_us
        ticks, times = [0] * MAX_SOURCES, [0] * MAX_SOURCES
        for price in prices:
            ticks[price.source_id] = price.price_ticks
            times[price.source_id] = price.time_us
        try:
            outcome, *_ = await self._engine.submit(SetIndex(symbol_id, tuple(ticks), tuple(times)))
        except EngineError as error:
            raise ConnectionError(str(error)) from error
        reason = outcome.reason if isinstance(outcome, CommandRejected) else RejectReason.NONE
        if reason is not self._refused.get(symbol_id, RejectReason.NONE):
            log.warning("index command", symbol_id=symbol_id, refused=reason.name)
        self._refused[symbol_id] = reason
