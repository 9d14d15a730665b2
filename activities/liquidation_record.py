"""The last step of a liquidation: its record becomes rows, once settlement has its money."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

from temporalio import activity
from temporalio.exceptions import ApplicationError

from domain.liquidation_story import LiquidationRecord

_LOOK_SECONDS, _LOOKS = 0.2, 50
_LOOKS_WITHIN_A_TASK = 3
_FRESH_SECONDS = 0.1
_MOST_TOGETHER = 100


class LiquidationRows(Protocol):
    """The rows of liquidations."""

    async def write(self, records: Sequence[LiquidationRecord]) -> None:
        """Write records in one transaction; what was written before stands."""

    async def settled(self, shard: int) -> int:
        """Return up to which sequence the ledger has a shard's money."""


class LiquidationRecordActivities:
    """The activity that ends a liquidation, in its workflow or in `liquidation-record-{liq_id}`."""

    def __init__(self, rows: LiquidationRows) -> None:
        self._rows = rows
        self._writing = _Together(rows)
        self._looking = asyncio.Lock()
        self._settled: dict[int, tuple[float, int]] = {}  # by shard: when it was read, how far

    @activity.defn(name="write_liquidation_record")
    async def write(self, record: LiquidationRecord) -> int:
        """Write the record, wait until the ledger is that far, and return where it is.

        Where settlement is further behind, the step fails and is tried again. A local activity
        fails soon: the step that follows it has the time.
        """
        info = activity.info()
        if info.attempt == 1:
            await self._writing.write(record)
        else:  # by itself: one that the database refuses stops no other a second time
            await self._rows.write([record])
        is_local = info.is_local
        for _ in range(_LOOKS_WITHIN_A_TASK if is_local else _LOOKS):
            settled = await self._look(record.request.shard, record.last_sequence)
            if settled >= record.last_sequence:
                return settled
            if not is_local:
                activity.heartbeat(settled)
            await asyncio.sleep(_LOOK_SECONDS)
        raise ApplicationError(
            f"the ledger is at {settled}, the liquidation ended at {record.last_sequence}",
            type="RowsBehind",
        )

    async def _look(self, shard: int, wanted: int) -> int:
        """Return how far the ledger is; hundreds that wait at once ask once."""
        async with self._looking:
            read_at, settled = self._settled.get(shard, (0.0, 0))
            now = time.monotonic()
            if settled < wanted and now - read_at > _FRESH_SECONDS:
                settled = await self._rows.settled(shard)
                self._settled[shard] = now, settled
            return settled


class _Together:
    """Writes together, in the next transaction, what comes while one is under way."""

    def __init__(self, rows: LiquidationRows) -> None:
        self._rows = rows
        self._waiting: list[tuple[LiquidationRecord, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, record: LiquidationRecord) -> None:
        """Return when the record is committed; raise what stopped it."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        await done

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_MOST_TOGETHER], self._waiting[_MOST_TOGETHER:]
            await self._commit(batch)

    async def _commit(self, batch: list[tuple[LiquidationRecord, asyncio.Future[None]]]) -> None:
        failure: Exception | None = None
        try:
            await self._rows.write([record for record, _ in batch])
        except Exception as error:  # noqa: BLE001 - each of them raises it where it waits
            failure = error
        for _, done in batch:
            if done.done():  # who was cancelled meanwhile
                continue
            if failure is None:
                done.set_result(None)
            else:
                done.set_exception(failure)
