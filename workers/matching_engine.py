"""Process `matching-engine-{shard}`: one engine, its journal, its two doors, its publisher."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
import zlib
from typing import Any

import structlog
import uvloop
from redis.asyncio import Redis

from domain.order import SymbolState
from infra import garbage
from infra.ending import end
from infra.engine_backpressure import Backpressure
from infra.engine_grpc_server import serve
from infra.engine_hosts import Door, Host, host_for
from infra.engine_roles import Tokens, ensure_tokens
from infra.engine_server import free_socket_path
from infra.heartbeat import Heartbeat, rialto_version
from infra.redis.event_stream import EventPublisher
from infra.settings import Settings
from infra.telemetry import configure_logging
from matching.engine import EngineKindError
from matching.segments import JournalError, JournalFault
from matching.sequencer import Sequencer
from matching.storage import FileStorage
from workers.stopping import stop_on_signals

_BEAT_SECONDS = 1.0
_SWITCH_SECONDS = 0.0005  # the sync thread must not wait 5 ms for the interpreter


def now_us() -> int:
    """Return the wall clock in microseconds; the sequencer never lets it run backward."""
    return time.time_ns() // 1000


def build_id() -> int:
    """Return a number that names this build."""
    return zlib.crc32(rialto_version().encode())


async def run(settings: Settings) -> int:
    """Recover, serve until told to stop, drain; return the exit code."""
    log = structlog.get_logger()
    stop = stop_on_signals()
    directory = settings.engine_dir(settings.shard)
    storage = FileStorage(directory)
    try:
        sequencer = await asyncio.to_thread(_recover, settings, storage)
    except (JournalError, EngineKindError) as error:
        log.critical("engine cannot start", error=str(error))
        return 1
    engine = sequencer.engine
    if engine.kind == "reference":
        log.warning("running the plain Python engine: correct, and slow")
    log.info(
        "engine recovered",
        sequence=engine.sequence,
        epoch=engine.epoch,
        replayed=sequencer.replayed,
        torn_bytes_erased=sequencer.erased_bytes,
    )
    _quiet_collector()
    tokens = ensure_tokens(settings.engine_tokens_path)
    host, door = host_for(
        sequencer,
        directory,
        tokens,
        kind=settings.engine_loop,
        busy_poll_us=settings.engine_busy_poll_us,
        hurry=settings.engine_priority == "high",
    )
    host.start()
    redis = Redis.from_url(settings.redis_url, socket_timeout=5, socket_connect_timeout=5)
    try:
        await _serve(settings, host, door, tokens, redis, stop)
    except JournalError:
        return 1
    finally:
        await redis.aclose()
        storage.close()
    return 0


def _quiet_collector() -> None:
    """Keep the garbage collector off the engine's state: it has no cycles, and walks are pauses."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    garbage.set_aside()


def _recover(settings: Settings, storage: FileStorage) -> Sequencer:
    if not storage.lock():
        raise JournalError(JournalFault.LOCKED, "another engine process has this folder")
    return Sequencer(
        storage,
        settings.shard,
        now_us,
        fresh_journal_id=os.urandom(16),
        build_id=build_id(),
        kind=settings.engine_kind,
        ack_policy=settings.ack_policy,
    )


async def _serve(
    settings: Settings, host: Host, door: Door, tokens: Tokens, redis: Redis, stop: asyncio.Event
) -> None:
    """Open the doors, publish and beat until `stop` or until the engine fails."""
    shard, sequencer = settings.shard, host.sequencer
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    await door.listen_unix(settings.engine_socket_path(shard))
    if settings.engine_tcp_port:
        await door.listen_tcp("127.0.0.1", settings.engine_tcp_port)
    target = settings.engine_grpc_target(shard)
    if target.startswith("unix:"):
        await asyncio.to_thread(free_socket_path, target.removeprefix("unix:"))
    grpc_server = await serve(host, tokens, target)
    publisher = EventPublisher(
        redis,
        sequencer,
        sequencer.journal.journal_id,
        lambda: sequencer.events.first_sequence,
        host.wait_durable,
    )
    backpressure = Backpressure(host, settings.settlement_lag_bound)
    heartbeat = Heartbeat(f"matching-engine-{shard}", settings.run_dir, redis)
    tasks = [
        asyncio.create_task(publisher.run()),
        asyncio.create_task(backpressure.run()),
        asyncio.create_task(_beat(heartbeat, host, publisher, backpressure)),
    ]
    stopping = asyncio.ensure_future(stop.wait())
    try:
        both: list[asyncio.Future[Any]] = [stopping, host.failed]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(*tasks, stopping)
        door.stop_reading()
        await grpc_server.stop(grace=0.5)
        await host.stop()
        await door.close()
    if host.failed.done():
        host.failed.result()


async def _beat(
    heartbeat: Heartbeat, host: Host, publisher: EventPublisher, backpressure: Backpressure
) -> None:
    sequencer = host.sequencer
    while True:
        engine = sequencer.engine
        status = engine.status
        with contextlib.suppress(OSError):
            await heartbeat.beat(
                sequence=sequencer.sequence,
                lag=sequencer.sequence - sequencer.durable_sequence,
                detail={
                    "engine": engine.kind,
                    "loop": host.loop_name,
                    "mode": engine.mode.name.lower(),
                    "cause": status.cause.name.lower(),
                    "reason": status.reason,
                    "actor": status.actor,
                    "since_sequence": status.sequence,
                    "since_us": status.time_us,
                    "closed_markets": [
                        {
                            "symbol_id": market.symbol_id,
                            "state": market.state.name.lower(),
                            "cause": market.status.cause.name.lower(),
                            "reason": market.status.reason,
                        }
                        for market in engine.symbols()
                        if market.state in (SymbolState.CANCEL_ONLY, SymbolState.HALTED)
                    ],
                    "settlement_lag": backpressure.lag,
                    "settlement_lag_bound": backpressure.bound,
                    "durable_sequence": sequencer.durable_sequence,
                    "published_sequence": max(0, publisher.cursor),
                    "ack_policy": sequencer.ack_policy,
                },
            )
        await asyncio.sleep(_BEAT_SECONDS)


def main() -> None:
    """Run the process."""
    settings = Settings()
    configure_logging(f"matching-engine-{settings.shard}", settings.log_level, settings.log_format)
    sys.exit(uvloop.run(run(settings)))


if __name__ == "__main__":
    main()
