"""The real engine process, started, killed and started again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from itertools import count
from pathlib import Path

from domain.commands import Credit, PlaceOrder
from domain.order import OrderType, Side, TimeInForce
from domain.order_id import client_key
from infra.embedded.server import die_with_parent
from infra.engine_client import EngineClient
from infra.engine_grpc import EngineGrpc
from infra.engine_roles import Tokens, load_tokens
from infra.settings import ENGINE_TOKENS_FILE
from tests.forks import ROOT, Forked, fork_main
from tests.matching.desk import LISTING

PATIENCE_SECONDS = 30.0


class EngineProcess:
    """The process of `workers.matching_engine` in a folder of its own, without Redis."""

    def __init__(self, ack_policy: str = "fsync", loop: str = "auto") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rialto-"))
        self.shard = self.folder / "engine" / "shard-0"
        self._policy = ack_policy
        self._loop = loop
        self._process: Forked | subprocess.Popen[bytes] | None = None
        self._lives = count(1)
        self._log = self.folder

    @property
    def socket(self) -> str:
        """Return the binary door."""
        return str(self.folder / "run" / "engine-0.sock")

    @property
    def target(self) -> str:
        """Return the gRPC target."""
        return f"unix:{self.folder / 'run' / 'engine-0.grpc'}"

    @property
    def tokens(self) -> Tokens:
        """Return the tokens."""
        return load_tokens(self.folder / "secrets" / ENGINE_TOKENS_FILE)

    def spawn(self, **environment: str) -> Forked | subprocess.Popen[bytes]:
        """Start the process without waiting for it: a fork, where no library is to be loaded."""
        module = "workers.matching_engine"
        self._log = self.folder / f"life-{os.getpid()}-{id(self)}-{next(self._lives)}.log"
        env = {
            **os.environ,
            "RIALTO_DATA_DIR": str(self.folder),
            "RIALTO_DATABASE_URL": "none",
            "RIALTO_REDIS_URL": "redis://127.0.0.1:1",
            "RIALTO_TEMPORAL_ADDRESS": "none",
            "RIALTO_CHAIN_URL": "none",
            "RIALTO_ACK_POLICY": self._policy,
            "RIALTO_ENGINE_LOOP": self._loop,
            "RIALTO_LOG_LEVEL": "ERROR",
            **environment,
        }
        if "LD_PRELOAD" not in env:
            self._process = fork_main(module, self._log, env)
            return self._process
        command = [sys.executable, "-m", module]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=env, stderr=log, preexec_fn=die_with_parent
            )
        return self._process

    async def start(self, **environment: str) -> None:
        """Start and wait for the first heartbeat of this very process."""
        process = self.spawn(**environment)
        beat = self.folder / "run" / "matching-engine-0.json"
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not _is_of(beat, process.pid):
                assert process.poll() is None, self.errors()
                await asyncio.sleep(0.02)

    def kill(self) -> None:
        """Kill -9, and take the exit status."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def terminate(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Send SIGTERM and return the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(seconds)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Return the exit code of a process that ends by itself."""
        assert self._process is not None
        return self._process.wait(seconds)

    def errors(self) -> str:
        """Return what the newest process wrote."""
        return self._log.read_text()

    async def client(self) -> EngineClient:
        """Connect as a gateway."""
        return await EngineClient.connect(
            self.socket, "gateway", self.tokens.of("gateway"), timeout_seconds=5
        )

    async def open_market(self, now_us: int) -> None:
        """List the market and fund the accounts 1 to 4."""
        admin = EngineGrpc(self.target, "admin", self.tokens.of("admin"))
        treasury = EngineGrpc(self.target, "treasury", self.tokens.of("treasury"))
        await admin.submit(LISTING)
        for account in range(1, 5):
            for asset in (1, 2):
                await treasury.submit(Credit(account * 9 + asset, account, asset, 10**15, now_us))
        await admin.close()
        await treasury.close()


def order(worker: int, number: int) -> PlaceOrder:
    """Return the numbered order of one of the load's clients; sides alternate, so it trades."""
    name = f"w{worker}-{number}"
    return PlaceOrder(
        worker + 1,
        client_key(name),
        1,
        Side((worker + number) % 2),
        OrderType.LIMIT,
        TimeInForce.GTC,
        1_000,
        5,
        client_text=name,
    )


def _is_of(beat: Path, pid: int) -> bool:
    try:
        return bool(json.loads(beat.read_text())["pid"] == pid)
    except (FileNotFoundError, json.JSONDecodeError):
        return False
