"""A whole engine in the test's own process: sequencer, host and both doors."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio

from domain.commands import Credit
from infra.door_limits import DEFAULT_LIMITS, DoorLimits
from infra.engine_client import EngineClient
from infra.engine_grpc import EngineGrpc
from infra.engine_grpc_server import serve
from infra.engine_hosts import Door, Host, LoopKind, host_for
from infra.engine_roles import Tokens, ensure_tokens
from infra.settings import ENGINE_TOKENS_FILE
from matching.sequencer import AckPolicy, Sequencer
from matching.storage import FileStorage
from tests.matching.desk import LISTING


def now_us() -> int:
    """Return the wall clock."""
    return time.time_ns() // 1000


@dataclass
class Rig:
    """The running engine and what was opened to it."""

    folder: Path
    host: Host
    door: Door
    server: grpc.aio.Server
    tokens: Tokens
    _opened: list[EngineClient | EngineGrpc] = field(default_factory=list)

    @property
    def socket(self) -> str:
        """Return the binary door's unix socket."""
        return str(self.folder / "door")

    @property
    def target(self) -> str:
        """Return the gRPC target."""
        return f"unix:{self.folder / 'grpc'}"

    async def client(self, role: str = "gateway", **options: Any) -> EngineClient:
        """Connect over frames."""
        client = await EngineClient.connect(self.socket, role, self.tokens.of(role), **options)
        self._opened.append(client)
        return client

    def grpc(self, role: str = "reader") -> EngineGrpc:
        """Connect over gRPC."""
        client = EngineGrpc(self.target, role, self.tokens.of(role))
        self._opened.append(client)
        return client

    async def open_market(self) -> None:
        """List the market and fund the accounts 1 to 4."""
        await self.grpc("admin").submit(LISTING)
        treasury = self.grpc("treasury")
        for account in range(1, 5):
            for asset in (1, 2):
                await treasury.submit(Credit(account * 9 + asset, account, asset, 10**15, now_us()))

    async def connected(self, count: int) -> None:
        """Wait until there are `count` connections."""
        async with asyncio.timeout(30):
            while self.door.connected != count:  # noqa: ASYNC110 - the loop does not say
                await asyncio.sleep(0.005)

    async def close(self) -> None:
        """Close the clients, then the doors, then the engine."""
        for client in self._opened:
            await client.close()
        await self.door.close()
        await self.server.stop(None)
        await self.host.stop()


@asynccontextmanager
async def running(
    *,
    ack_policy: AckPolicy = "fsync",
    folder: Path | None = None,
    storage: Any = None,
    loop: LoopKind = "auto",
    limits: DoorLimits = DEFAULT_LIMITS,
    file_bytes: int | None = None,
) -> AsyncIterator[Rig]:
    """Run an engine; without `folder` in a short-named one of its own (socket paths are short).

    A `storage` of the test's own is one that only the Python loop writes to. `file_bytes` makes
    segments and event files small.
    """
    own = folder is None
    folder = folder or Path(tempfile.mkdtemp(prefix="rialto-"))
    shard = folder / "shard-0"
    files = storage(shard) if storage else FileStorage(shard)
    sequencer = Sequencer(
        files, 0, now_us, fresh_journal_id=bytes(16), build_id=7, ack_policy=ack_policy
    )
    if file_bytes is not None:
        sequencer.journal.segment_bytes = sequencer.events.file_bytes = file_bytes
    tokens = ensure_tokens(folder / "secrets" / ENGINE_TOKENS_FILE)
    host, door = host_for(
        sequencer, shard, tokens, kind="python" if storage else loop, limits=limits
    )
    host.start()
    await door.listen_unix(str(folder / "door"))
    server = await serve(host, tokens, f"unix:{folder / 'grpc'}")
    rig = Rig(folder, host, door, server, tokens)
    try:
        yield rig
    finally:
        await rig.close()
        files.close()
        if own:
            shutil.rmtree(folder)
