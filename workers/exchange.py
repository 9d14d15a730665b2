"""One whole exchange on this machine: servers, processes, demo; what `./rialto up` starts."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import infra.postgres
from infra.embedded.chain import ChainServer
from infra.embedded.server import Child, ServerFailedError
from infra.engine_roles import ensure_tokens
from infra.staff_file import create_demo_staff, staff_key_path
from infra.temporal.payload_keys import PAYLOAD_KEYS_FILE as KEYS_FILE
from infra.temporal.payload_keys import ensure_payload_keys, give_ring_to_signer
from infra.wallet.signer_home import prepare_home
from workers import stack
from workers.data_folder import demo_record_path, read_json, write_json
from workers.nursery import Nursery
from workers.processes import PROCESSES, ProcessSpec
from workers.supervisor import HANG_SECONDS, Supervisor, WorkerProcess

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

    def __init__(
        self, data_dir: Path, shards: int, say: Callable[[str], None], gateways: int = 1
    ) -> None:
        self.data_dir = data_dir
        self.shards = shards
        self.stack = stack.build(data_dir, shards, gateways)
        self.supervisor = Supervisor(
            data_dir / "run" / "supervisor.json",
            say,
            on_restart=self._write_demo,
            hang_seconds=float(os.environ.get("RIALTO_HANG_SECONDS", HANG_SECONDS)),
        )
        self.started_at = time.monotonic()
        self.healthy_seconds = 0.0
        self._nursery = Nursery(data_dir / "logs" / "nursery.log")
        self._say = say
        self._demo_content: dict[str, object] = {}
        self._chain_care: asyncio.Task[None] | None = None
        self._migration: subprocess.Popen[str] | None = None
        self._newest = _newest_schema()

    @property
    def settings(self) -> Settings:
        """Return the settings that the processes run with."""
        from infra.settings import Settings

        return Settings.of(self.stack.environment())

    async def start(self, *, bots: bool) -> None:
        """Start servers, processes and demo; `ServerFailedError` if one of them fails."""
        (self.data_dir / "demo.json").unlink(missing_ok=True)
        write_json(self.data_dir / "run" / "env.json", dict(self.stack.environment()))
        ensure_tokens(self.settings.engine_tokens_path)
        self._prepare_payload_keys()
        create_demo_staff(self.data_dir / "secrets")
        home = prepare_home(self.data_dir, self.data_dir / "run" / "wallet-signer.json")
        if isinstance(home, str):
            self._say(home)
        names = ", ".join(server.name for server in self.stack.servers)
        self._say(f"starting {names}" if names else "using the servers of RIALTO_..._URL")
        if self.stack.chain is not None:
            self._chain_care = asyncio.create_task(self._look_after_chain(self.stack.chain))
        nursery = asyncio.create_task(self._start(self._nursery, stage=_STAGE_SERVERS))
        self._begin_to_migrate()
        try:
            await (self._later_start(nursery) if self._is_seeded() else self._first_start(nursery))
            await self._open_more_shards()
        finally:
            nursery.cancel()
            if self._migration is not None:
                self._migration.kill()
        if bots:
            await self.start_bots()
        else:
            self._healthy()

    def _prepare_payload_keys(self) -> None:
        """Make the keys of a new folder; a folder whose workflows need lost ones does not start."""
        ring = Path(os.environ.get("RIALTO_PAYLOAD_KEYS") or self.data_dir / "secrets" / KEYS_FILE)
        ours = self.data_dir / "temporal" / "temporal.db"
        if self.stack.temporal is not None and ours.exists() and not ring.exists():
            raise ServerFailedError(
                f"{ring} is missing, and without it the workflows in {ours} cannot be read: put it "
                "back, or forget the folder with `rialto reset`"
            )
        ensure_payload_keys(ring)
        give_ring_to_signer(self.data_dir, ring)

    async def stop(self) -> None:
        """Stop all that was started."""
        (self.data_dir / "demo.json").unlink(missing_ok=True)
        if self._chain_care is not None:
            self._chain_care.cancel()
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

    async def _later_start(self, nursery: asyncio.Task[None]) -> None:
        """Start on books that exist: whatever takes long at once, as it waits for what it needs."""
        async with _together() as group:
            group.create_task(self._start(*self._processes("matching-engine"), stage=_STAGE_ENGINE))
            group.create_task(self._start(*self._processes("wallet-signer"), stage=_STAGE_WORKERS))
            await self._start(*self.stack.servers, stage=_STAGE_SERVERS)
            await self._migrate()
            await nursery
            await self._start_workers()

    async def _first_start(self, nursery: asyncio.Task[None]) -> None:
        """Make the database and the demo, starting each process when it can run."""
        from api.client.http import AsyncClient

        async with _together() as group:
            group.create_task(self._start(*self._processes("matching-engine"), stage=_STAGE_ENGINE))
            await self._start(*self.stack.servers, stage=_STAGE_SERVERS)
            self._say("first start: making the database and the demo")
            await self._migrate()
        async with self.demo() as demo:
            await demo.before_processes()
            await demo.list_markets()
            async with _together() as group:
                signer = self._processes("wallet-signer")
                group.create_task(self._start(*signer, stage=_STAGE_WORKERS))
                await nursery
                group.create_task(demo.fund())  # the watcher finds what was sent before it came
                await self._start_workers()
                group.create_task(demo.list_perpetuals())
                async with AsyncClient(self.stack.page_url) as client:
                    await demo.list_addresses(client)
            async with AsyncClient(self.stack.page_url) as client:
                await demo.leave_withdrawals(client)

    async def _open_more_shards(self) -> None:
        """Seed what the shards after the first trade; done once for each."""
        from api.client.http import AsyncClient

        async with self.demo() as demo, AsyncClient(self.stack.page_url) as client:
            for shard in range(1, self.shards):
                await demo.open_shard(shard, client)

    async def _start_workers(self) -> None:
        """Start the rest side by side: each waits for what it needs."""
        names = [spec.name for spec in PROCESSES if not spec.apart and spec.name != "bots"]
        self._say(f"starting {', '.join(names)}")
        async with _together() as group:
            for name in names:
                stage = _STAGE_EDGE if name in _EDGE else _STAGE_WORKERS
                group.create_task(self._start(*self._processes(name), stage=stage))

    def _processes(self, *names: str) -> list[WorkerProcess]:
        environment = self.stack.environment()

        def own(spec: ProcessSpec, number: int) -> dict[str, str]:
            if not spec.repeated:
                return environment
            port = self.stack.ports[spec.process_name(number)]
            return environment | stack.gateway_environment(number + 1, port)

        return [
            WorkerProcess(spec, number, self.data_dir, own(spec, number), self._nursery)
            for spec in PROCESSES
            if spec.name in names
            for number in range(spec.count(self.shards, self.stack.gateways))
        ]

    async def _start(self, *children: Child, stage: int) -> None:
        async with _together():
            await self.supervisor.start(*children, stage=stage)

    def _begin_to_migrate(self) -> None:
        """Start the process that migrates, unless nothing is new: it imports for a second first."""
        mark = self._schema_mark
        if self.stack.postgres is not None and mark.exists() and mark.read_text() == self._newest:
            return
        self._migration = subprocess.Popen(
            [sys.executable, "-P", "-m", "infra.postgres.migrate", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    async def _migrate(self) -> None:
        """Bring the database, which answers, to the newest schema."""
        if self._migration is None:
            return
        url = self.stack.environment()["RIALTO_DATABASE_URL"]
        _, problem = await asyncio.to_thread(self._migration.communicate, f"{url}\n")
        if self._migration.returncode != 0:
            raise ServerFailedError(f"the database could not be migrated:\n{problem[-1500:]}")
        if self.stack.postgres is not None:
            self._schema_mark.write_text(self._newest)

    @property
    def _schema_mark(self) -> Path:
        return self.data_dir / "postgres" / "rialto-schema"

    async def _look_after_chain(self, chain: ChainServer) -> None:
        """Keep the chain's pace, and its state on the disk."""
        while True:
            await asyncio.sleep(1)
            if chain.alive():
                try:
                    await asyncio.to_thread(chain.look_after)
                except Exception as error:  # noqa: BLE001 - the next look may go better
                    self._say(f"looking after the chain: {error}")

    def _describe(self) -> dict[str, object]:
        """Return the content of `demo.json`, for programs that use the running exchange."""
        environment = self.stack.environment()
        record = read_json(demo_record_path(self.data_dir))
        accounts = record.get("accounts")
        people = ("alice", "bob")
        return {
            "base_url": self.stack.page_url,
            "gateways": self.stack.gateway_urls,
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
            "staff_key": str(staff_key_path(self.data_dir / "secrets", "olga")),
            "database_url": environment["RIALTO_DATABASE_URL"],
            "redis_url": environment["RIALTO_REDIS_URL"],
            "chain_url": environment["RIALTO_CHAIN_URL"],
            "healthy_seconds": self.healthy_seconds,
            "withdrawals": {
                name: record.get(f"withdrawal_{name}") for name in ("waiting", "parked")
            },
        }

    async def login_link(self) -> str:
        """Return a link that signs the demo's customer in once."""
        from infra.postgres import engine as postgres
        from workers import login_desk

        engine = postgres.create(self.settings.database_url)
        try:
            return await login_desk.demo_link(engine, self.settings, "rialto up")
        finally:
            await engine.dispose()

    def _healthy(self) -> None:
        """Note how long it took, and tell the world by writing `demo.json`."""
        self.healthy_seconds = round(time.monotonic() - self.started_at, 1)
        self._demo_content = self._describe()
        self._write_demo()

    def _write_demo(self) -> None:
        if self._demo_content:
            content = {**self._demo_content, "pids": self.supervisor.pids()}
            write_json(self.data_dir / "demo.json", content)


def _newest_schema() -> str:
    """Return a name of the newest schema: which migrations there are, and what they say."""
    found = hashlib.sha256()
    for path in sorted((Path(infra.postgres.__path__[0]) / "migrations").rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


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
