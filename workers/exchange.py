"""One whole exchange on this machine: servers, processes, demo; what `./rialto up` starts."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from infra.embedded.server import Child, ServerFailedError
from infra.engine_roles import ensure_tokens
from workers import stack
from workers.data_folder import demo_record_path, read_json, write_json
from workers.processes import PROCESSES, ProcessSpec
from workers.supervisor import Supervisor, WorkerProcess

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from infra.settings import Settings
    from workers.demo import Demo

_STAGE_SERVERS, _STAGE_ENGINE, _STAGE_WORKERS, _STAGE_EDGE, _STAGE_BOTS = range(5)
_EDGE = frozenset({"gateway"})


class Exchange:
    """Starts everything in order and stops it in the reverse order.

    `say` gets one line of progress at a time.
    """

    def __init__(self, data_dir: Path, say: Callable[[str], None]) -> None:
        self.data_dir = data_dir
        self.stack = stack.build(data_dir)
        self.supervisor = Supervisor(
            data_dir / "run" / "supervisor.json", say, on_restart=self._write_demo
        )
        self.started_at = time.monotonic()
        self.healthy_seconds = 0.0
        self._say = say
        self._demo_content: dict[str, object] = {}
        self._copying: asyncio.Task[None] | None = None

    @property
    def settings(self) -> Settings:
        """Return the settings that the processes run with."""
        from infra.settings import Settings

        os.environ.update(self.stack.environment())
        return Settings()

    async def start(self, *, bots: bool) -> None:
        """Start servers, processes and demo; `ServerFailedError` or `DemoError` if one fails."""
        demo_path = self.data_dir / "demo.json"
        demo_path.unlink(missing_ok=True)
        names = ", ".join(server.name for server in self.stack.servers)
        self._say(f"starting {names}" if names else "using the servers of RIALTO_..._URL")
        await self._start(*self.stack.servers, stage=_STAGE_SERVERS)
        self._copying = asyncio.create_task(self._keep_copies())
        write_json(self.data_dir / "run" / "env.json", dict(self.stack.environment()))
        ensure_tokens(self.data_dir / "secrets")
        await (self._later_start() if self._is_seeded() else self._first_start())
        if bots:
            await self.start_bots()
        else:
            self._healthy()

    async def stop(self) -> None:
        """Stop all that was started."""
        (self.data_dir / "demo.json").unlink(missing_ok=True)
        if self._copying is not None:
            self._copying.cancel()
        await self.supervisor.stop()

    async def start_bots(self) -> None:
        """Start the bots."""
        await self._start(*self._processes("bots"), stage=_STAGE_BOTS)
        self._healthy()

    @asynccontextmanager
    async def demo(self) -> AsyncIterator[Demo]:
        """Give the demo's hands: deposits, refills, accounts."""
        from infra.postgres.engine import create
        from workers.demo import Demo

        engine: AsyncEngine = create(self.settings.database_url)
        try:
            yield Demo(self.settings, engine, self._say)
        finally:
            await engine.dispose()

    def _is_seeded(self) -> bool:
        done = read_json(demo_record_path(self.data_dir)).get("done")
        return isinstance(done, list) and "withdrawals" in done

    async def _later_start(self) -> None:
        """Start the processes on books that exist."""
        async with _together() as group:
            group.create_task(self._migrate())
            group.create_task(self._start_engine())
        await self._start_workers()

    async def _first_start(self) -> None:
        """Make the database and the demo, starting each process when it is needed."""
        from workers.api_client import ApiClient

        self._say("first start: making the database and the demo")
        async with self.demo() as demo:
            async with _together() as group:
                group.create_task(self._start_engine())
                group.create_task(self._make_database(demo))
            await demo.list_markets()
            await self._start_workers()
            await demo.fund()
            api = ApiClient(self.stack.page_url)
            try:
                await demo.leave_withdrawals(api)
            finally:
                await api.close()

    async def _make_database(self, demo: Demo) -> None:
        await self._migrate()
        await demo.before_processes()

    async def _start_engine(self) -> None:
        await self._start(*self._processes("matching-engine"), stage=_STAGE_ENGINE)

    async def _start_workers(self) -> None:
        """Start all but engine and bots side by side: each waits for what it needs."""
        rest = [spec.name for spec in PROCESSES if spec.name not in ("matching-engine", "bots")]
        self._say(f"starting {', '.join(rest)}")
        async with _together() as group:
            inner = self._processes(*set(rest) - _EDGE)
            group.create_task(self._start(*inner, stage=_STAGE_WORKERS))
            group.create_task(self._start(*self._processes(*_EDGE), stage=_STAGE_EDGE))

    def _processes(self, *names: str) -> list[WorkerProcess]:
        shards = int(os.environ.get("RIALTO_SHARD_COUNT", "1"))
        environment = self.stack.environment()

        def shards_of(spec: ProcessSpec) -> range:
            return range(shards if spec.sharded else 1)

        return [
            WorkerProcess(spec, shard, self.data_dir, environment)
            for spec in PROCESSES
            if spec.name in names
            for shard in shards_of(spec)
        ]

    async def _start(self, *children: Child, stage: int) -> None:
        async with _together():
            await self.supervisor.start(*children, stage=stage)

    async def _migrate(self) -> None:
        """Bring the database to the newest schema, in a process of its own: it blocks."""
        settings = self.stack.environment()
        command = [sys.executable, "-P", "-m", "infra.postgres.migrate"]
        result = await asyncio.to_thread(
            subprocess.run,
            [*command, settings["RIALTO_DATABASE_URL"]],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise ServerFailedError(f"the database could not be migrated:\n{result.stderr[-1500:]}")

    async def _keep_copies(self) -> None:
        while self.stack.chain is not None:
            await asyncio.sleep(20)
            await asyncio.to_thread(self.stack.chain.keep_copy)

    def _describe(self) -> dict[str, object]:
        """Return the content of `demo.json`, for programs that use the running exchange."""
        environment = self.stack.environment()
        record = read_json(demo_record_path(self.data_dir))
        accounts = record.get("accounts")
        people = ("alice", "bob")
        return {
            "base_url": self.stack.page_url,
            "ws_url": self.stack.page_url.replace("http", "ws", 1) + "/v1/ws",
            "accounts": [
                {
                    "name": name,
                    "api_key": accounts[name]["api_key"],
                    "api_secret": accounts[name]["api_secret"],
                }
                for name in people
                if isinstance(accounts, dict)
            ],
            "temporal_address": environment["RIALTO_TEMPORAL_ADDRESS"],
            "temporal_ui": environment.get("RIALTO_TEMPORAL_UI_URL", ""),
            "database_url": environment["RIALTO_DATABASE_URL"],
            "redis_url": environment["RIALTO_REDIS_URL"],
            "chain_url": environment["RIALTO_CHAIN_URL"],
            "healthy_seconds": self.healthy_seconds,
            "withdrawals": {
                name: record.get(f"withdrawal_{name}") for name in ("waiting", "parked")
            },
        }

    def _healthy(self) -> None:
        """Note how long it took, and tell the world by writing `demo.json`."""
        self.healthy_seconds = round(time.monotonic() - self.started_at, 1)
        self._demo_content = self._describe()
        self._write_demo()

    def _write_demo(self) -> None:
        if self._demo_content:
            content = {**self._demo_content, "pids": self.supervisor.pids()}
            write_json(self.data_dir / "demo.json", content)


@asynccontextmanager
async def _together() -> AsyncIterator[asyncio.TaskGroup]:
    """Give a task group whose failures to start come out as one error."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except ExceptionGroup as failed:
        leaves = _leaves(failed)
        if all(isinstance(error, ServerFailedError) for error in leaves):
            raise ServerFailedError("\n".join(map(str, leaves))) from failed
        raise


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
