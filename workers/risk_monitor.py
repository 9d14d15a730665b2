"""Risk monitor: follows a shard's events, freezes who is below his margin, runs what follows.

One process per shard's event log. Freezing goes straight to the engine. The workflows of
liquidation, auto-deleveraging, funding and unwinding run in this process, on the task queue
`risk-{shard}`, as they decide from its picture. It keeps a file of its own (`risk/` in the data
folder) with its cursor; without it, it begins at the first event, or where there is none any more
with a second engine. After every start marks are
stale until the engine has seen a whole basis window: nothing is closed before that.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog
import uvloop
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from domain.risk_picture import FrozenScope
from infra.ending import end
from infra.engine_grpc import EngineGrpc
from infra.heartbeat import Heartbeat
from infra.postgres import engine as postgres
from infra.postgres.margin_call_store import MarginCallStore
from infra.redis.adl_lights import AdlLights
from infra.redis.event_stream import EventReader
from infra.redis.margin_calls import MarginCallFeed
from infra.risk_file import RiskFile
from infra.settings import Settings
from infra.telemetry import configure_logging
from infra.temporal.client import connect
from infra.temporal.runs import count_runs
from workers import engine_admin
from workers.risk_door import EngineRiskDoor
from workers.risk_first_steps import FirstSteps
from workers.risk_news import READ_SECONDS, ShardNews
from workers.risk_notices import RiskNotices
from workers.risk_rebuild import rebuilt
from workers.risk_watch import RiskWatch
from workers.risk_wiring import wire_risk
from workers.risk_workflows import MOST_OPEN, RiskWorkflows
from workers.stopping import stop_on_signals
from workers.temporal_worker import worker_of
from workers.wallet_queries import PARKED_RISK
from workers.wiring import Connections

RETRY_SECONDS = 0.5
ROUND_SECONDS = 1.0
_BUSY_ROUND_SECONDS = 3.0  # while many wait: listing hundreds of runs costs as much as ending some
SCAN_SECONDS = 0.01
_MARK_SHARE = 2  # so many times as long as a scan took pass before the next, of a new mark
_SCAN_SHARE = 20  # and of cash and positions, which change all the time
_LONGEST_REST_SECONDS = 0.5
_MANY_SECONDS = 0.5  # to put ten thousand in order takes some milliseconds
SCHEDULES_EVERY_SECONDS = 60.0
_PATIENCE_SECONDS = 3.0

_log = structlog.get_logger()


def process_name(shard: int) -> str:
    """Return the name under which a shard's monitor beats."""
    return f"risk-monitor-{shard}"


def risk_stream(shard: int) -> str:
    """Return the name of a shard's cursor."""
    return f"risk-monitor.{shard}"


class RiskMonitor:
    """The process' loops; each goes on when what it needs is away."""

    def __init__(
        self,
        settings: Settings,
        stop: asyncio.Event,
        reader: EngineGrpc,
        door: EngineRiskDoor,
        admin: EngineRiskDoor,
        database: AsyncEngine,
    ) -> None:
        self._settings = settings
        self._shard = settings.shard
        self._stop = stop
        self._reader = reader
        self._door = door
        self._admin = admin
        self._database = database
        self.news: ShardNews | None = None
        self._notices: RiskNotices | None = None
        self._watch: RiskWatch | None = None
        self._first: FirstSteps | None = None
        self._workflows: RiskWorkflows | None = None
        self._beginning: set[asyncio.Task[None]] = set()
        self._saving: asyncio.Task[None] | None = None
        self._temporal = "not connected yet"
        self._parked = 0

    async def run(self, redis: Redis, heartbeat: Heartbeat) -> None:
        """Recover, then follow, freeze and run workflows until the signal."""
        await self._until_possible(lambda: self._recover(redis))
        if self.news is None:  # stopped before the engine was there
            return
        assert self._notices is not None
        tasks = [
            asyncio.create_task(self._follow()),
            asyncio.create_task(self._run_workflows(redis)),
            asyncio.create_task(self._beat(heartbeat)),
            asyncio.create_task(self._notices.run_calls()),
            asyncio.create_task(self._notices.run_lights()),
        ]
        stopping = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        await end(*tasks, stopping)
        if self._saving is not None:
            await self._saving
        await self.news.save(self._notices.unwritten())
        for task in done - {stopping}:
            task.result()  # a defect ends the process; starting again is the recovery

    async def _recover(self, redis: Redis) -> None:
        status = await self._reader.status()
        path = self._settings.data_dir / "risk" / f"shard-{self._shard}.json"
        file = RiskFile(path, status.journal_id.hex())
        picture, called = file.read(self._shard)
        next_sequence = picture.sequence + 1
        if not status.first_event_sequence <= next_sequence <= status.durable_sequence + 1:
            folder = self._settings.engine_dir(self._shard)
            picture = await asyncio.to_thread(rebuilt, folder)
        reader = EventReader(redis, self._reader, self._shard)
        self.news = ShardNews(picture, reader, file, called=called)
        self._notices = RiskNotices(
            self.news, MarginCallStore(self._database), MarginCallFeed(redis), AdlLights(redis)
        )
        self._watch = RiskWatch(self.news, self._door, self._notices.tell)
        self._first = FirstSteps(self.news, self._door)
        _log.info("recovered", cursor=picture.sequence, frozen=len(picture.frozen))

    async def _follow(self) -> None:
        """Follow the log; judge each news as soon as it is there, and freeze.

        Scans take at most a part of the time, and at least `READ_SECONDS` pass between two looks
        at a log that is not followed to its end.
        """
        assert self.news is not None
        began = took = 0.0
        while not self._stop.is_set():
            try:
                waits = self.news.is_caught_up() and self.news.is_scan_due()
                due_in = began + self._rest(took) - time.monotonic()
                await self.news.step(max(0.0, due_in) if waits else READ_SECONDS)
                now = time.monotonic()
                is_due = now >= began + self._rest(took) and self.news.is_caught_up()
                if is_due and self.news.is_scan_due():
                    began = now
                    await self._look()
                    took = time.monotonic() - began
                if self.news.is_save_due():
                    await self._save()
            except Exception as error:  # noqa: BLE001 - whatever it is, the log is read again
                _log.warning("following_failed", error=str(error)[:200])
                await asyncio.sleep(RETRY_SECONDS)

    def _rest(self, took: float) -> float:
        """Return the seconds from one scan to the next, by how long it took."""
        assert self.news is not None
        share = _MARK_SHARE if self.news.has_new_marks() else _SCAN_SHARE
        return min(max(SCAN_SECONDS, took * share), _LONGEST_REST_SECONDS)

    async def _look(self) -> None:
        assert self._watch is not None
        frozen = await self._watch.look()
        if frozen:
            beginning = asyncio.create_task(self._begin(frozen))
            self._beginning.add(beginning)
            beginning.add_done_callback(self._beginning.discard)

    async def _begin(self, frozen: Sequence[FrozenScope]) -> None:
        """Begin the liquidations of who was frozen just now; what fails, a round makes good.

        The worst have their first step even where no server has answered yet.
        """
        assert self._first is not None
        try:
            if self._workflows is None:
                self._first.froze(frozen)
                await self._first.take(frozen[:MOST_OPEN])
            else:
                await self._workflows.begin(frozen)
        except Exception as error:  # noqa: BLE001 - the server is away
            _log.warning("not_begun", scopes=len(frozen), error=str(error)[:200])

    async def _save(self) -> None:
        assert self.news is not None
        assert self._notices is not None
        if self._saving is None or self._saving.done():
            self._saving = asyncio.create_task(self.news.save(self._notices.unwritten()))

    async def _run_workflows(self, redis: Redis) -> None:
        """Work on the queue, and start what the picture asks for; Temporal may come and go."""
        assert self.news is not None
        while not self._stop.is_set():
            try:
                client = await connect(self._settings)
                to = Connections(self._settings, client, self._database, redis)
                wiring = wire_risk(to, self.news, self._door, self._admin)
                async with worker_of(client, wiring):
                    self._workflows = RiskWorkflows(client, self.news, MOST_OPEN, self._first)
                    await self._rounds(client, self._workflows)
            except Exception as error:  # noqa: BLE001 - the server is not ready
                self._temporal = f"Temporal: {error}"[:200]
                _log.warning("temporal_unreachable", error=self._temporal)
                await asyncio.sleep(RETRY_SECONDS)

    async def _rounds(self, client: Client, workflows: RiskWorkflows) -> None:
        """Compare what should run with what does once a second, and fill room as it comes."""
        schedules_at, compared_at = time.monotonic(), 0.0
        while not self._stop.is_set():
            try:
                await workflows.begin()
                every = _BUSY_ROUND_SECONDS if workflows.waiting_count else ROUND_SECONDS
                if time.monotonic() - compared_at >= every:
                    await workflows.round()
                    self._parked = await count_runs(client, PARKED_RISK)
                    compared_at = time.monotonic()
                self._temporal = ""
                if time.monotonic() - schedules_at > SCHEDULES_EVERY_SECONDS:
                    workflows.forget_schedules()
                    schedules_at = time.monotonic()
            except Exception as error:  # noqa: BLE001 - the worker reconnects by itself
                self._temporal = f"Temporal: {error}"[:200]
                _log.warning("round_failed", error=self._temporal)
                await asyncio.sleep(RETRY_SECONDS)
            await asyncio.sleep(_MANY_SECONDS if workflows.waiting_count else ROUND_SECONDS)

    async def _beat(self, heartbeat: Heartbeat) -> None:
        assert self.news is not None
        while True:
            lag = None
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await self._reader.register_cursor(risk_stream(self._shard), self.news.saved)
                    durable = (await self._reader.status()).durable_sequence
                    lag = max(0, durable - self.news.picture.sequence)
            await heartbeat.beat(
                sequence=self.news.picture.sequence, lag=lag, detail=self._detail()
            )
            await asyncio.sleep(1)

    def _detail(self) -> dict[str, object]:
        assert self.news is not None
        assert self._watch is not None
        picture, workflows = self.news.picture, self._workflows
        attention = [self._temporal] if self._temporal else []
        if self._parked:
            attention.append(f"{self._parked} parked: `rialto liquidation list`")
        return {
            "scopes": self.news.book.scopes,
            "positions": self.news.book.positions,
            "frozen": len(picture.frozen),
            "frozen_since_start": self._watch.frozen_count,
            "largest_freeze": self._watch.largest[0],
            "largest_freeze_ms": self._watch.largest[1],
            "margin_calls": self._watch.calls,
            "unjudged": self._watch.unjudged,
            "ruined": self._watch.ruined,
            "open": workflows.open_count if workflows else 0,
            "waiting": workflows.waiting_count if workflows else len(picture.frozen),
            "fund_units": str(picture.fund_units()),
            "attention": {"risk": "; ".join(attention)} if attention else {},
        }

    async def _until_possible(self, act: Callable[[], Awaitable[None]]) -> None:
        while not self._stop.is_set():
            try:
                await act()
            except Exception as error:  # noqa: BLE001 - the engine is not there yet
                _log.warning("waiting", error=str(error)[:200])
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return


async def run(settings: Settings) -> None:
    """Watch a shard until a signal."""
    stop = stop_on_signals()
    redis = Redis.from_url(settings.redis_url)
    database = postgres.create(settings.database_url, pool_size=2)
    reader = engine_admin.connect(settings, "reader", settings.shard)
    risk, admin = (
        EngineRiskDoor(engine_admin.connect(settings, role, settings.shard), reader)
        for role in ("risk", "admin")
    )

    monitor = RiskMonitor(settings, stop, reader, risk, admin, database)
    try:
        await monitor.run(redis, Heartbeat(process_name(settings.shard), settings.run_dir, redis))
    finally:
        await risk.close()
        await admin.close()
        await database.dispose()
        await redis.aclose()


def main() -> None:
    """Run the process."""
    settings = Settings()
    configure_logging(process_name(settings.shard), settings.log_level, settings.log_format)
    uvloop.run(run(settings))


if __name__ == "__main__":
    main()
