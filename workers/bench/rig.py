"""The exchange's engine process as it runs in production, in a temporary folder of its own.

Journal, `events/`, both doors and the publisher into a real Valkey are on. Nobody settles, so the
bound on settlement's lag is lifted.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import psutil

from infra.embedded.ports import own_port
from infra.embedded.server import Child
from infra.embedded.valkey import ValkeyServer
from infra.engine_frames import encode_hello
from infra.engine_grpc import EngineGrpc, EngineStatus
from infra.engine_roles import Role, Tokens, load_tokens
from infra.settings import ENGINE_TOKENS_FILE
from workers.bench.market import LISTING, payments

ROOT = Path(__file__).resolve().parents[2]


class Process(Child):
    """A process of the exchange: the `main` of a module, under the name that it beats with."""

    def __init__(self, name: str, module: str, folder: Path, settings: dict[str, str]) -> None:
        super().__init__(name, folder / "logs" / f"{name}.log")
        self._module = module
        self._folder = folder
        self._settings = settings

    def command(self) -> list[str]:
        """Return the command line."""
        return [sys.executable, "-c", f"from {self._module} import main; main()"]

    def environment(self) -> dict[str, str]:
        """Return the settings, over whatever surrounds us."""
        return {**os.environ, **self._settings}

    def working_dir(self) -> Path:
        """Return the project's folder, so that its packages are found."""
        return ROOT

    def beat(self) -> dict[str, Any]:
        """Return the newest heartbeat of this very process, or {}."""
        try:
            beat = json.loads((self._folder / "run" / f"{self.name}.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return dict(beat) if beat["pid"] == self.pid else {}

    def answers(self) -> bool:
        """Tell whether it has begun to beat."""
        return bool(self.beat())


class EngineRig:
    """An engine that trades one market, and its Valkey; `async with` starts and stops them."""

    def __init__(self, folder: Path, policy: str, priority: str = "high") -> None:
        self.folder = folder
        self._priority = priority
        self.shard = folder / "engine" / "shard-0"
        self._policy = policy
        self._valkey = ValkeyServer(folder / "valkey", folder / "logs" / "valkey.log", own_port())
        self._engine = Process(
            "matching-engine-0", "workers.matching_engine", folder, self.settings()
        )
        self._stack = AsyncExitStack()

    def settings(self) -> dict[str, str]:
        """Return the environment of its processes."""
        return {
            "RIALTO_DATA_DIR": str(self.folder),
            "RIALTO_DATABASE_URL": "none",
            "RIALTO_REDIS_URL": self._valkey.url,
            "RIALTO_TEMPORAL_ADDRESS": "none",
            "RIALTO_CHAIN_URL": "none",
            "RIALTO_ACK_POLICY": self._policy,
            "RIALTO_ENGINE_PRIORITY": self._priority,
            "RIALTO_SETTLEMENT_LAG_BOUND": "0",
            "RIALTO_LOG_LEVEL": "WARNING",
            "RIALTO_ENGINE_SOCKET": self.socket,
            "RIALTO_ENGINE_GRPC_ADDRESS": self.target,
        }

    async def __aenter__(self) -> Self:
        self._stack.callback(self._valkey.stop)
        self._valkey.start()
        self._stack.callback(self._engine.stop)
        self._engine.start()
        self.queries = self.connect("reader")
        await self.open_market()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def socket(self) -> str:
        """Return the binary door."""
        return str(self.folder / "engine.sock")

    @property
    def target(self) -> str:
        """Return the gRPC target."""
        return f"unix:{self.folder / 'engine.grpc'}"

    @property
    def tokens(self) -> Tokens:
        """Return the tokens that prove a role."""
        return load_tokens(self.folder / "secrets" / ENGINE_TOKENS_FILE)

    def hello(self) -> bytes:
        """Return the first frame of a gateway."""
        return encode_hello(Role.GATEWAY, self.tokens.of("gateway"), 0)

    def connect(self, role: str) -> EngineGrpc:
        """Return a channel to the engine; it is closed with the rig."""
        channel = EngineGrpc(self.target, role, self.tokens.of(role), timeout_seconds=60)
        self._stack.push_async_callback(channel.close)
        return channel

    async def open_market(self) -> None:
        """List the market and make every account rich."""
        await self.connect("admin").submit(LISTING)
        treasury = self.connect("treasury")
        for batch in payments(time.time_ns() // 1000):
            await treasury.submit_bytes(batch)

    async def status(self) -> EngineStatus:
        """Return where the engine is, with the digest of all its state."""
        return await self.queries.status(with_digest=True)

    def beat(self) -> dict[str, Any]:
        """Return the engine's newest heartbeat."""
        return self._engine.beat()

    def cpu_seconds(self) -> float:
        """Return the processor time that the engine process has used."""
        times = psutil.Process(self._engine.pid).cpu_times()
        return float(times.user + times.system)

    def stop_engine(self) -> None:
        """Stop the engine cleanly; its files stay."""
        self._engine.stop()
