"""Events through Redis: one blob an entry, erasable at any moment.

The publisher has its own cursor and reads durable events from the engine's files; it never slows
the engine. Entry ids are `{last_sequence}-0`, so publishing twice is one publication. A reader
takes what is dense after its cursor from Redis, and everything else from the engine.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from domain.events import Event
from infra.engine_grpc import EngineGrpc
from matching.codec import decode_events, events_between, view_events
from matching.event_log import EventRange

BLOB_BYTES = 256 << 10
MAX_ENTRIES = 20_000
STREAM_BYTES = 64 << 20  # a full server refuses every write, the rate limits' too
_BACKLOG = 10_000
_RANGE_BYTES = 4 << 20
_AWAY_SECONDS = 1.0
_GATHER_SECONDS = 0.002  # under load: fewer and larger entries, for less than a reader notices


def stream_name(shard: int) -> str:
    """Return the Redis stream of a shard's events."""
    return f"events:{shard}"


def _journal_name(shard: int) -> str:
    return f"events:{shard}:journal"


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events of the whole commands `first_sequence` to `last_sequence`, as stripes."""

    first_sequence: int
    last_sequence: int
    raw: bytes

    def events(self) -> list[Event]:
        """Return the events as objects."""
        return decode_events(self.raw)

    def view(self) -> npt.NDArray[np.void]:
        """Return a zero-copy view of the stripes (`matching.wire.EVENT_DTYPE`)."""
        return view_events(self.raw)


class EventSource(Protocol):
    """What the publisher needs of the engine."""

    @property
    def shard(self) -> int:
        """Return the shard's number."""

    @property
    def durable_sequence(self) -> int:
        """Return the number up to which may be published."""

    def read_events(self, after: int, limit_bytes: int) -> EventRange | None:
        """Return durable events after `after`."""


class EventPublisher:
    """Follow the durable events into the stream; Redis may go and come back."""

    def __init__(
        self,
        redis: Redis,
        source: EventSource,
        journal_id: bytes,
        oldest_sequence: Callable[[], int],
        wait_durable: Callable[[int, float], Any],
        *,
        stream_bytes: int = STREAM_BYTES,
    ) -> None:
        self._redis = redis
        self._source = source
        self._stream = stream_name(source.shard)
        self._journal_id = journal_id
        self._oldest = oldest_sequence
        self._wait = wait_durable
        self._stream_bytes = stream_bytes
        self._kept: deque[tuple[int, int]] = deque()  # (last sequence, bytes) of our entries
        self._kept_bytes = 0
        self._trimmed = False  # until then entries of an earlier publisher stay
        self.cursor = -1  # unknown: ask Redis first

    async def run(self) -> None:
        """Publish for ever."""
        log = structlog.get_logger()
        away = False
        while True:
            try:
                if self.cursor < 0:
                    self.cursor = await self._resume()
                    log.info("publishing events", stream=self._stream, after=self.cursor)
                    away = False
                await self._publish()
            except (RedisError, OSError) as error:
                if not away:
                    log.warning("redis is away", error=str(error))
                away, self.cursor = True, -1
                await asyncio.sleep(_AWAY_SECONDS)

    async def _publish(self) -> None:
        if not await self._wait(self.cursor, 1.0):
            return
        found = self._source.read_events(self.cursor, BLOB_BYTES)
        if found is None:
            return
        try:
            await self._redis.xadd(
                self._stream,
                {"first": found.first_sequence, "last": found.last_sequence, "blob": found.data},
                id=f"{found.last_sequence}-0",
                minid=f"{self._oldest_to_keep(found)}-0",
                approximate=False,
            )
        except ResponseError as error:
            if "equal or smaller" not in str(error):
                raise
            self.cursor = -1  # someone published this already: ask where the stream ends
            return
        self.cursor = found.last_sequence
        if len(found.data) < BLOB_BYTES:
            await asyncio.sleep(_GATHER_SECONDS)

    def _oldest_to_keep(self, found: EventRange) -> int:
        """Return the last sequence of the oldest entry for which there is room with `found`."""
        self._kept.append((found.last_sequence, len(found.data)))
        self._kept_bytes += len(found.data)
        while len(self._kept) > MAX_ENTRIES or (
            self._kept_bytes > self._stream_bytes and len(self._kept) > 1
        ):
            self._kept_bytes -= self._kept.popleft()[1]
            self._trimmed = True
        return self._kept[0][0] if self._trimmed else 0

    async def _resume(self) -> int:
        """Return after which sequence to go on; a stream of another journal is erased."""
        name = _journal_name(self._source.shard)
        known = await self._redis.get(name)
        if known not in (self._journal_id.hex(), self._journal_id.hex().encode()):
            await self._redis.delete(self._stream)
            await self._redis.set(name, self._journal_id.hex())
        newest = await self._redis.xrevrange(self._stream, count=1)
        durable = self._source.durable_sequence
        if newest:
            last = _number(newest[0][0])
            if last <= durable and last + 1 >= self._oldest():
                return last
            await self._redis.delete(self._stream)
        return max(self._oldest() - 1, durable - _BACKLOG, 0)


class EventReader:
    """Read a shard's events in order, whole commands, from Redis or else from the engine."""

    def __init__(self, redis: Redis | None, grpc: EngineGrpc, shard: int = 0) -> None:
        self._redis = redis
        self._grpc = grpc
        self._stream = stream_name(shard)
        self._away_until = 0.0
        self.from_engine = 0  # batches that had to come from the engine: a metric

    async def read(self, after: int, max_wait_seconds: float = 1.0) -> EventBatch | None:
        """Return the next events after `after`, None when none came in time.

        Always dense (`first_sequence == after + 1`) and never ahead of the journal. Raises
        `EngineUnavailable`, `JournalBehindLedger` or `EventsNotRetained` from the engine.
        """
        deadline = time.monotonic() + max_wait_seconds
        if self._redis is not None and time.monotonic() >= self._away_until:
            try:
                batch = await self._from_redis(self._redis, after, max_wait_seconds)
            except (RedisError, OSError):
                self._away_until = time.monotonic() + _AWAY_SECONDS
                batch = None
            if batch is not None:
                return batch
        left = max(0.0, deadline - time.monotonic())
        return await self._from_engine(after, left)

    async def _from_redis(self, redis: Redis, after: int, seconds: float) -> EventBatch | None:
        """Return what is dense in the stream, or None for a gap or an idle stream.

        Whoever wrote entries twice or in another order: what was read already is passed over.
        """
        found = await redis.xread(
            {self._stream: f"{after}-0"}, count=16, block=max(1, min(1000, int(seconds * 1000)))
        )
        entries = _entries(found)
        parts: list[bytes] = []
        last = after
        for _, fields in entries:
            first_of, last_of = int(_field(fields, "first")), int(_field(fields, "last"))
            if first_of > last + 1:
                break
            if last_of <= last:
                continue
            blob = bytes(_field(fields, "blob"))
            parts.append(blob if first_of == last + 1 else events_between(blob, last, last_of))
            last = last_of
        return EventBatch(after + 1, last, b"".join(parts)) if parts else None

    async def _from_engine(self, after: int, seconds: float) -> EventBatch | None:
        parts: list[bytes] = []
        last = after
        async for found in self._grpc.events(after, _RANGE_BYTES, wait_seconds=seconds):
            assert found.first_sequence == last + 1
            parts.append(found.data)
            last = found.last_sequence
        if not parts:
            return None
        self.from_engine += 1
        return EventBatch(after + 1, last, b"".join(parts))


def _entries(found: Any) -> list[tuple[Any, dict[Any, Any]]]:
    """Return the entries of the one stream of an XREAD answer, in either protocol's shape."""
    if not found:
        return []
    if isinstance(found, dict):
        (streams,) = found.values()
        return list(streams[0]) if streams and isinstance(streams[0], list) else list(streams)
    return list(found[0][1])


def _field(fields: dict[Any, Any], name: str) -> Any:
    return fields[name.encode()] if name.encode() in fields else fields[name]


def _number(entry_id: Any) -> int:
    text = entry_id.decode() if isinstance(entry_id, bytes) else str(entry_id)
    return int(text.split("-")[0])
