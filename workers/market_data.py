"""Market data: follows the event log, mirrors the books, publishes, keeps candles.

One process per shard's event log. What it keeps: candles and its cursor, together in PostgreSQL.
Everything else is rebuilt at start: books from the engine's own book at some sequence, the tape
from stored trades, hot copies in Redis by writing them again every second.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial

import structlog
from redis.asyncio import Redis

from domain.candles import INTERVALS, MINUTE_SECONDS, STORED_SECONDS, CandleBoard, opening_us
from infra.ending import end
from infra.engine_errors import EngineUnavailable
from infra.engine_grpc import EngineGrpc
from infra.engine_roles import ensure_tokens
from infra.heartbeat import Heartbeat
from infra.postgres import engine as postgres
from infra.postgres.markets import MarketStore
from infra.prices.builder import build_sources
from infra.redis.event_stream import EventReader
from infra.redis.market_feed import MarketFeedPublisher
from infra.settings import Settings
from infra.telemetry import configure_logging
from workers.index_feed import IndexFeed
from workers.market_books import MarketBooks
from workers.price_watch import clock_us

PUBLISH_SECONDS = 0.02
READ_WAIT_SECONDS = 0.5
HOT_SECONDS = 0.25
STORE_SECONDS = 1.0
CHECK_SECONDS = 10.0
FORGET_SECONDS = 600.0
RETRY_SECONDS = 0.5
_PATIENCE_SECONDS = 3.0
WHOLE_BOOK = 0  # no limit of depth
AWAY = (ConnectionError, EngineUnavailable)

log = structlog.get_logger(__name__)


class MarketData:
    """The process' loops around the pure `MarketBooks`."""

    def __init__(
        self,
        shard: int,
        store: MarketStore,
        publisher: MarketFeedPublisher,
        reader: EventReader,
        engine: EngineGrpc,
        heartbeat: Heartbeat,
        index_feed: IndexFeed,
    ) -> None:
        self._shard = shard
        self._stream = f"market-data.{shard}"
        self._store = store
        self._publisher = publisher
        self._reader = reader
        self._engine = engine
        self._heartbeat = heartbeat
        self._index_feed = index_feed
        self._books = MarketBooks()
        self._stopping = asyncio.Event()
        self._cursor = 0
        self._stored_cursor = 0

    def stop(self) -> None:
        """Finish the current batch, store, and end."""
        self._stopping.set()

    async def run(self) -> None:
        """Recover, then follow the event log until told to stop."""
        await self._until_possible(self._recover)
        tasks = [
            asyncio.create_task(self._follow()),
            asyncio.create_task(self._index_feed.run()),
            asyncio.create_task(self._every(HOT_SECONDS, self._refresh_hot_copies)),
            asyncio.create_task(self._every(STORE_SECONDS, self._store_and_beat)),
            asyncio.create_task(self._every(CHECK_SECONDS, self._request_check)),
            asyncio.create_task(self._every(FORGET_SECONDS, self._forget_seconds)),
        ]
        done, running = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await end(*running)
        for task in done:
            task.result()  # a defect ends the process; starting again is the recovery
        with contextlib.suppress(*AWAY):
            await self._store_candles()

    async def _recover(self) -> None:
        self._cursor = self._stored_cursor = await self._store.cursor(self._stream)
        symbols = (await self._engine.status()).symbols  # the engine knows first what is listed
        ours = [market.symbol_id for market in symbols]
        for symbol_id in ours:
            await self._open_market(symbol_id)
        log.info("recovered", cursor=self._cursor, markets=len(ours))

    async def _open_market(self, symbol_id: int) -> None:
        """Start a market's mirror from the engine's book, its candle and tape from PostgreSQL."""
        market = (await self._store.listings()).market_by_id(symbol_id)
        if market is None:
            raise ConnectionError(f"market {symbol_id} is not in PostgreSQL yet")
        candles = await self._candles(symbol_id)
        trades = [
            trade
            for trade in await self._store.trades(symbol_id, 100)
            if trade.sequence <= self._cursor
        ]
        sequence, bids, asks = await self._engine.book(symbol_id, WHOLE_BOOK)
        over = market.delisted_sequence is not None and market.delisted_sequence <= self._cursor
        _, perpetuals = await self._engine.perpetuals()
        now = next((one for one in perpetuals if one.symbol_id == symbol_id), None)
        self._books.open(
            market.instrument,
            sequence,
            bids,
            asks,
            candles,
            trades[::-1],
            is_over=over,
            perpetual=now,
        )

    async def _candles(self, symbol_id: int) -> CandleBoard:
        """Go on after the stored candles, which are true at the cursor that was stored with them.

        Of longer intervals the minutes are read that the newest one follows.
        """
        stored = [
            candle
            for seconds in STORED_SECONDS
            for candle in await self._store.candles(symbol_id, seconds, 1)
        ]
        whole = []
        for minute in (one for one in stored if one.interval_seconds == MINUTE_SECONDS):
            for seconds in INTERVALS.values():
                opens_us = opening_us(minute.open_time_us, seconds)
                if opens_us < minute.open_time_us:
                    whole += await self._store.combined_candles(
                        symbol_id, seconds, opens_us, minute.open_time_us
                    )
        return CandleBoard(symbol_id, stored, whole)

    async def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                batch = await self._reader.read(self._cursor, READ_WAIT_SECONDS)
            except AWAY as error:
                log.warning("the event log is away", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if batch is None:
                continue
            events = batch.events()
            for symbol_id in self._books.unknown_symbols(events):
                await self._until_possible(partial(self._open_market, symbol_id))
            self._books.apply(events)
            self._cursor = batch.last_sequence
            messages = self._books.take_messages()
            if messages:
                try:
                    await self._publisher.publish(messages)
                except ConnectionError:
                    self._books.mark_all_changed()
            await asyncio.sleep(PUBLISH_SECONDS)

    async def _refresh_hot_copies(self) -> None:
        messages, copies = self._books.take_hot_copies(time.monotonic())
        if not copies:
            return
        try:
            await self._publisher.publish(messages, copies)
        except ConnectionError:
            self._books.mark_all_changed()

    async def _store_and_beat(self) -> None:
        with contextlib.suppress(*AWAY, TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):  # who hangs must not make us look hung
                await self._store_candles()
        lag = None
        with contextlib.suppress(*AWAY, TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                lag = max(0, (await self._engine.status()).durable_sequence - self._cursor)
        await self._heartbeat.beat(
            sequence=self._cursor,
            lag=lag,
            detail={
                "book_checks": self._books.check_count,
                "indices_sent": self._index_feed.collector.sent,
                "price_sources": [
                    {
                        "name": source.name,
                        "connected": source.health.is_connected,
                        "failure": source.health.failure,
                    }
                    for source in self._index_feed.collector.sources
                ],
            },
        )

    async def _store_candles(self) -> None:
        """Store changed candles with the cursor that they are true at, in one transaction."""
        cursor = self._cursor
        candles = self._books.unsaved_candles()
        if cursor == self._stored_cursor:
            return
        await self._store.store_candles(self._stream, cursor, candles)
        self._books.forget_saved(candles)
        self._stored_cursor = cursor
        await self._engine.register_cursor(self._stream, cursor)

    async def _forget_seconds(self) -> None:
        """Delete the candles of a second that are a day older than the newest."""
        with contextlib.suppress(*AWAY):
            for symbol_id in self._books.symbol_ids():
                await self._store.forget_seconds(symbol_id)

    async def _request_check(self) -> None:
        """Ask the engine for a book; it is compared when the mirror reaches that sequence."""
        for symbol_id in self._books.symbol_ids():
            with contextlib.suppress(*AWAY):
                sequence, bids, asks = await self._engine.book(symbol_id, WHOLE_BOOK)
                self._books.expect(symbol_id, sequence, bids, asks)

    async def _every(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            await act()
            await asyncio.sleep(seconds)

    async def _until_possible(self, act: Callable[[], Awaitable[None]]) -> None:
        """Try until the dependencies are there; say once a try which one is not."""
        while not self._stopping.is_set():
            try:
                await act()
            except AWAY as error:
                log.warning("waiting", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return


async def run(settings: Settings) -> None:
    """Publish market data until SIGTERM or SIGINT."""
    database = postgres.create(settings.database_url)
    redis = Redis.from_url(settings.redis_url)
    engine = EngineGrpc(
        settings.engine_grpc_target(settings.shard),
        role="reader",
        token=ensure_tokens(settings.engine_tokens_path).of("reader"),
    )
    prices_door = EngineGrpc(
        settings.engine_grpc_target(settings.shard),
        role="risk",
        token=ensure_tokens(settings.engine_tokens_path).of("risk"),
    )
    store = MarketStore(database)
    sources = build_sources(
        settings.index_sources,
        clock_us,
        run_dir=settings.run_dir,
        seed=settings.index_seed,
        urls=settings.index_urls,
        pairs=settings.index_pairs,
    )
    market_data = MarketData(
        shard=settings.shard,
        store=store,
        publisher=MarketFeedPublisher(redis),
        reader=EventReader(redis, engine, settings.shard),
        engine=engine,
        heartbeat=Heartbeat(f"market-data-{settings.shard}", settings.run_dir, redis),
        index_feed=IndexFeed(settings.shard, store, prices_door, sources, clock_us),
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, market_data.stop)
    try:
        await market_data.run()
    finally:
        await engine.close()
        await prices_door.close()
        await redis.aclose()
        await database.dispose()


def main() -> None:
    """Run the market data process."""
    import uvloop

    settings = Settings()
    configure_logging(f"market-data-{settings.shard}", settings.log_level, settings.log_format)
    uvloop.run(run(settings))
