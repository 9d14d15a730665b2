"""Settle a shard's events as they come: a bounded stream, a batch a transaction.

The ledger's cursor decides what is settled, so running this again, twice at once or from a wrong
memory settles nothing twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from domain.ledger import LedgerInvariantError, SequenceGapError, settlement_stream
from domain.settlement import (
    LEDGER_INVARIANT,
    SEQUENCE_GAP,
    HaltRequest,
    Origin,
    Settled,
    SettleRequest,
    SettleResult,
)
from matching.batches import moves_money, split_by_trades

_log = structlog.get_logger()

_READ_SECONDS = 1.0  # how long a read blocks where nothing happens
_QUIET_SECONDS = 0.2  # pause after events without money: ticks alone must not burn CPU
_SAVE_SECONDS = 0.5  # how long events without money may leave the stored cursor behind
_BEAT_SECONDS = 1.0


class EventBatch(Protocol):
    """Whole commands, dense: `first_sequence`..`last_sequence`; `raw` is their event stripes."""

    @property
    def first_sequence(self) -> int:
        """Return the first command's sequence."""

    @property
    def last_sequence(self) -> int:
        """Return the last command's sequence."""

    @property
    def raw(self) -> bytes:
        """Return the event stripes."""


class EventSource(Protocol):
    """Reads a shard's durable events in order."""

    async def read(self, after: int, max_wait_seconds: float) -> EventBatch | None:
        """Return events from `after` + 1 on, or None where none come in time."""


class PreparedSettlement(Protocol):
    """A batch that needs no more than its transaction."""

    async def settle(self, origin: Origin | None = None) -> Settled:
        """Settle it, or raise `LedgerInvariantError` or `SequenceGapError`."""


class SettlementLedger(Protocol):
    """The ledger's side: one batch, one transaction."""

    async def cursor(self, shard: int) -> int:
        """Return the last settled sequence."""

    async def prepare(self, shard: int, first: int, last: int, raw: bytes) -> PreparedSettlement:
        """Compute one batch as far as that goes beside a transaction; raises as `settle`."""


class ShardEngine(Protocol):
    """What settlement asks of a shard's engine."""

    async def durable_sequence(self) -> int:
        """Return the last sequence that may be read."""

    async def register_cursor(self, name: str, sequence: int) -> None:
        """Tell the engine that events up to `sequence` are not needed any more."""

    async def halt(self, reason: str) -> None:
        """Stop trading on the shard."""


@dataclass
class _Progress:
    """One run: where it stands, and what it read and has not handed to the ledger yet."""

    shard: int
    started_at_sequence: int
    position: int  # read so far; never behind the ledger's cursor
    origin: Origin
    batches: int = 0
    trades: int = 0
    digest: str = ""
    waiting: list[bytes] = field(default_factory=list)
    waiting_since: float = 0.0
    money_waits: bool = False
    writing: _Writing | None = None


@dataclass(frozen=True)
class _Writing:
    """The batch whose transaction runs, up to which command, while the next one is prepared."""

    last_sequence: int
    settling: asyncio.Task[Settled]


class SettlementActivities:
    """The activities of the settlement workflow; one source and one engine per shard."""

    def __init__(
        self,
        ledger: SettlementLedger,
        sources: Mapping[int, EventSource],
        engines: Mapping[int, ShardEngine],
    ) -> None:
        self._ledger = ledger
        self._sources = sources
        self._engines = engines
        self.settled: dict[int, int] = {}  # shard -> last settled sequence, for the heartbeat
        self.lag: dict[int, int] = {}

    @activity.defn(name="settle")
    async def settle(self, request: SettleRequest) -> SettleResult:
        """Settle events for about `max_seconds`; a broken rule is a non-retryable error."""
        shard = request.shard
        cursor = await self._ledger.cursor(shard)
        info = activity.info()
        origin = Origin(info.workflow_id or "", info.workflow_run_id or "", info.activity_id)
        run = _Progress(shard, started_at_sequence=cursor, position=cursor, origin=origin)
        self.settled[shard] = cursor
        try:
            async with _beating(run), self._announcing(shard):
                await self._stream(request, run)
        except LedgerInvariantError as error:
            _log.error("ledger_invariant", alarm=True, shard=shard, error=str(error))
            raise ApplicationError(str(error), type=LEDGER_INVARIANT, non_retryable=True) from None
        except SequenceGapError as error:
            _log.error("sequence_gap", alarm=True, shard=shard, error=str(error))
            raise ApplicationError(str(error), type=SEQUENCE_GAP, non_retryable=True) from None
        lag = max(0, await self._engines[shard].durable_sequence() - run.position)
        await self._register(shard, run.position)
        self.lag[shard] = lag
        return SettleResult(
            from_sequence=run.started_at_sequence,
            to_sequence=run.position,
            batches=run.batches,
            trades=run.trades,
            digest=run.digest,
            lag=lag,
        )

    @activity.defn(name="halt_shard")
    async def halt_shard(self, request: HaltRequest) -> None:
        """Stop trading on the shard whose settlement is parked."""
        _log.error("shard_halted", alarm=True, shard=request.shard, reason=request.reason)
        await self._engines[request.shard].halt(request.reason)

    async def _stream(self, request: SettleRequest, run: _Progress) -> None:
        deadline = time.monotonic() + request.max_seconds
        try:
            while not activity.is_worker_shutdown():
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                wait = 0 if run.money_waits else min(left, _READ_SECONDS)
                batch = await self._sources[request.shard].read(run.position, wait)
                if batch is not None:
                    await self._take(request, run, batch)
                elif run.money_waits:
                    await self._save(request, run)
                if run.waiting and time.monotonic() - run.waiting_since >= _SAVE_SECONDS:
                    await self._save(request, run)
            await self._save(request, run)
        except asyncio.CancelledError:
            if run.writing is not None:
                run.writing.settling.cancel()
            raise
        finally:  # where the next batch is broken, the one before is still settled
            await self._written(run)

    @asynccontextmanager
    async def _announcing(self, shard: int) -> AsyncIterator[None]:
        """Tell the engine once a second how far the ledger is: it counts our lag.

        An engine that is away is no reason to stop settling what was read.
        """

        async def announce() -> None:
            while True:
                await asyncio.sleep(_BEAT_SECONDS)
                with suppress(Exception):
                    async with asyncio.timeout(_BEAT_SECONDS):
                        await self._register(shard, self.settled[shard])

        task = asyncio.create_task(announce())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _register(self, shard: int, sequence: int) -> None:
        await self._engines[shard].register_cursor(settlement_stream(shard), sequence)

    async def _take(self, request: SettleRequest, run: _Progress, batch: EventBatch) -> None:
        if batch.first_sequence != run.position + 1:
            raise SequenceGapError(
                f"read up to {run.position}, but the next events begin at {batch.first_sequence}"
            )
        if not run.waiting:
            run.waiting_since = time.monotonic()
        run.waiting.append(bytes(batch.raw))
        run.position = batch.last_sequence
        if run.money_waits or moves_money(batch.raw):
            await self._save(request, run, behind=True)
        else:
            await asyncio.sleep(_QUIET_SECONDS)

    async def _save(self, request: SettleRequest, run: _Progress, *, behind: bool = False) -> None:
        """Hand what was read to the ledger, in batches, and wait until it is settled.

        More than one batch, and there is more to come: then, if `behind`, only full batches go,
        and the last one's transaction runs while the next events are read and prepared.
        """
        parts = split_by_trades(b"".join(run.waiting), request.max_trades)
        run.waiting.clear()
        run.money_waits = behind and len(parts) > 1
        if run.money_waits:
            run.waiting.append(parts.pop().raw)
            run.waiting_since = time.monotonic()
        for part in parts:
            prepared = await self._ledger.prepare(
                request.shard, part.first_sequence, part.last_sequence, part.raw
            )
            if not await self._written(run):
                return
            settling = asyncio.create_task(prepared.settle(run.origin))
            run.writing = _Writing(part.last_sequence, settling)
        if not run.money_waits:
            await self._written(run)

    async def _written(self, run: _Progress) -> bool:
        """Wait for the running transaction; False: someone else is further, read on from there."""
        if run.writing is None:
            return True
        writing, run.writing = run.writing, None
        settled = await writing.settling
        run.trades += settled.trades
        run.digest = settled.digest or run.digest
        self.settled[run.shard] = settled.last_sequence
        if settled.last_sequence != writing.last_sequence:
            run.position = settled.last_sequence
            run.waiting.clear()
            run.money_waits = False
            return False
        run.batches += 1
        return True


@asynccontextmanager
async def _beating(run: _Progress) -> AsyncIterator[None]:
    """Heartbeat the position once a second while the block runs.

    A stuck database call is ended by the activity's own time limit, not by its heartbeat.
    """

    async def beat() -> None:
        while True:
            activity.heartbeat(run.position)
            await asyncio.sleep(_BEAT_SECONDS)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
