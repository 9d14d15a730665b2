"""Reads what `infra.heartbeat` writes: from Redis, else from the files of this machine."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.process_beat import ProcessBeat
from infra.postgres import tables
from infra.postgres.reading import reading


class ProcessBoard:
    """Heartbeats of every process and the cursors of the event log's consumers."""

    def __init__(
        self, redis: Redis, engine: AsyncEngine, run_dir: Path, processes: Sequence[str]
    ) -> None:
        self._redis = redis
        self._engine = engine
        self._run_dir = run_dir
        self._processes = processes

    async def beats(self) -> dict[str, ProcessBeat]:
        """Return process name -> last heartbeat."""
        texts: list[str | bytes | None] = [None] * len(self._processes)
        with contextlib.suppress(RedisError, OSError):
            texts = await self._redis.mget([f"process:{name}" for name in self._processes])
        found = {}
        for name, text in zip(self._processes, texts, strict=True):
            beat = _parse(text if text is not None else self._file(name))
            if beat is not None:
                found[name] = beat
        return found

    async def cursors(self) -> dict[str, int]:
        """Return stream name -> last consumed sequence; empty when PostgreSQL is away."""
        try:
            async with reading(self._engine) as connection:
                rows = (await connection.execute(sa.select(tables.cursor))).all()
        except ConnectionError:
            return {}
        return {row.stream: row.last_sequence for row in rows}

    def _file(self, name: str) -> str | None:
        try:
            return (self._run_dir / f"{name}.json").read_text()
        except OSError:
            return None


def _parse(text: str | bytes | None) -> ProcessBeat | None:
    if text is None:
        return None
    try:
        fields = json.loads(text)
        return ProcessBeat(
            process=fields["process"],
            version=fields["version"],
            started_at=fields["started_at"],
            updated_at=fields["updated_at"],
            sequence=fields["sequence"],
            lag=fields["lag"],
            detail=fields["detail"],
        )
    except (ValueError, KeyError):
        return None
