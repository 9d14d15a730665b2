"""A process tells the others that it lives: a file for the supervisor, a Redis key for the rest."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Protocol

REDIS_EXPIRY_SECONDS = 10
_REDIS_SECONDS = 2.0  # a Redis that hangs must not make this process look hung


class RedisWriter(Protocol):
    """The one Redis command that a heartbeat needs."""

    def set(self, name: str, value: str, ex: int) -> Awaitable[object]:
        """Store `value` under `name` for `ex` seconds."""


def rialto_version() -> str:
    """Return the installed version of Rialto, or `dev` from a bare checkout."""
    try:
        return metadata.version("rialto")
    except metadata.PackageNotFoundError:
        return "dev"


class Heartbeat:
    """Write `run/{process}.json` and, where there is Redis, `process:{process}`; once a second.

    The file is replaced atomically. Its first appearance means *ready*: the supervisor waits for
    a heartbeat whose `pid` is the child's.
    """

    def __init__(self, process: str, run_dir: Path, redis: RedisWriter | None = None) -> None:
        self._process = process
        self._path = run_dir / f"{process}.json"
        self._redis = redis
        self._started = time.time()

    async def beat(
        self,
        *,
        sequence: int | None = None,
        lag: int | None = None,
        detail: Mapping[str, object] | None = None,
    ) -> None:
        """Publish the process' state now; a Redis that is away is not an error."""
        text = json.dumps(
            {
                "process": self._process,
                "pid": os.getpid(),
                "version": rialto_version(),
                "started_at": self._started,
                "updated_at": time.time(),
                "sequence": sequence,
                "lag": lag,
                "detail": dict(detail or {}),
            }
        )
        temporary = self._path.with_suffix(".json.new")
        temporary.write_text(text)
        temporary.replace(self._path)
        if self._redis is not None:
            try:
                async with asyncio.timeout(_REDIS_SECONDS):
                    await self._redis.set(f"process:{self._process}", text, ex=REDIS_EXPIRY_SECONDS)
            except Exception:  # noqa: BLE001 - any client error means the same: Redis is away
                return
