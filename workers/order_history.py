"""Order history: follows the events and writes each order's life to the database.

It also audits who set the state of a market or the mode of a shard, and keeps the rows of markets
and fee tiers as the engine has them: derived from the engine's journal, they can be late, but not
lost.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import structlog
import uvloop
from redis.asyncio import Redis

from domain.events import ShardModeSet, SymbolStateSet
from domain.order_history import fold
from infra.engine_grpc import EngineGrpc
from infra.heartbeat import Heartbeat
from infra.postgres import engine as postgres
from infra.postgres.market_rows import MARKET_EVENTS
from infra.postgres.order_history_store import OrderHistoryStore, order_history_stream
from infra.redis.event_stream import EventBatch, EventReader
from infra.settings import Settings
from infra.telemetry import configure_logging
from matching.batches import has_history
from matching.codec import decode_events
from workers import engine_admin
from workers.stopping import stop_on_signals

PROCESS = "order-history"
_ADMINISTRATION = (ShardModeSet, SymbolStateSet, *MARKET_EVENTS)
_READ_SECONDS = 1.0
_QUIET_SECONDS = 0.2
_SAVE_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 5.0
_PATIENCE_SECONDS = 3.0

_log = structlog.get_logger()


@dataclass
class Follower:
    """One shard's events on their way to the database. `position` is read, `saved` is stored."""

    shard: int
    reader: EventReader
    store: OrderHistoryStore
    position: int = 0
    saved: int = 0
    saved_at: float = 0.0
    waits_for: str = ""  # what keeps it from storing the next events; "" when nothing does

    async def start(self) -> None:
        """Begin behind what is stored."""
        self.position = self.saved = await self.store.cursor(self.shard)

    async def step(self) -> None:
        """Store the next events; commands without orders are stored together, once a second."""
        batch = await self.reader.read(self.position, _READ_SECONDS)
        if batch is not None and has_history(batch.raw):
            await self._save(batch)
        elif batch is not None:
            self.position = batch.last_sequence
            await asyncio.sleep(_QUIET_SECONDS)
        if self.position > self.saved and time.monotonic() - self.saved_at > _SAVE_SECONDS:
            await self._save(None)

    async def finish(self) -> None:
        """Store what was read."""
        if self.position > self.saved:
            await self._save(None)

    async def _save(self, batch: EventBatch | None) -> None:
        events = decode_events(batch.raw) if batch is not None else []
        last = batch.last_sequence if batch is not None else self.position
        administration = [event for event in events if isinstance(event, _ADMINISTRATION)]
        self.position = self.saved = await self.store.apply(
            self.shard, self.saved + 1, last, fold(events), administration
        )
        self.saved_at = time.monotonic()


async def run(settings: Settings) -> None:
    """Follow until a signal; whatever is away is waited for."""
    stop = stop_on_signals()
    redis = Redis.from_url(settings.redis_url)
    database = postgres.create(settings.database_url, pool_size=2)
    queries = {
        shard: engine_admin.connect(settings, "reader", shard)
        for shard in range(settings.shard_count)
    }
    followers = [
        Follower(shard, EventReader(redis, query, shard), OrderHistoryStore(database))
        for shard, query in queries.items()
    ]
    heartbeat = Heartbeat(PROCESS, settings.run_dir, redis)
    tasks = [asyncio.create_task(_follow(follower, stop)) for follower in followers]
    try:
        while not stop.is_set():
            lag = 0
            for follower in followers:
                lag = max(lag, await _lag(queries[follower.shard], follower))
            await heartbeat.beat(
                sequence=min(f.saved for f in followers), lag=lag, detail=concerns(followers)
            )
            try:
                await asyncio.wait_for(stop.wait(), timeout=1)
            except TimeoutError:
                continue
        await asyncio.gather(*tasks)
    finally:
        for query in queries.values():
            await query.close()
        await database.dispose()
        await redis.aclose()


def concerns(followers: list[Follower]) -> dict[str, dict[str, str]]:
    """Return the heartbeat's detail: which shards' history stands still, and why."""
    waiting = [
        f"the history of shard {one.shard} waits behind {one.saved}: {one.waits_for}"
        for one in followers
        if one.waits_for
    ]
    return {"attention": {"history": "; ".join(waiting)} if waiting else {}}


async def _lag(engine: EngineGrpc, follower: Follower) -> int:
    """Return how many commands the shard is ahead; tell it what is not needed any more."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):  # a hung engine is not our hanging
            await engine.register_cursor(order_history_stream(follower.shard), follower.saved)
            return max(0, (await engine.status()).durable_sequence - follower.position)
    except Exception as error:  # noqa: BLE001 - whatever it is, the engine is not to be had
        _log.warning("engine_unreachable", error=str(error)[:200])
        return 0


async def _follow(follower: Follower, stop: asyncio.Event) -> None:
    """Step until the signal, starting again from the stored cursor after any failure."""
    delay, started = 0.2, False
    while not stop.is_set():
        try:
            if not started:
                await follower.start()
                started = True
            await follower.step()
            delay, follower.waits_for = 0.2, ""
        except Exception as error:  # noqa: BLE001 - the process goes on when its servers do
            follower.waits_for = str(error)[:300] or type(error).__name__
            _log.warning("order_history_waits", shard=follower.shard, error=follower.waits_for)
            started = False
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_WAIT_SECONDS)
    if started:
        await follower.finish()


def main() -> None:
    """Run the process."""
    settings = Settings()
    configure_logging(PROCESS, settings.log_level, settings.log_format)
    uvloop.run(run(settings))


if __name__ == "__main__":
    main()
