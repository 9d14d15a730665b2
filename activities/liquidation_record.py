"""The last step of a liquidation: its record becomes rows, once settlement has its money."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from temporalio import activity
from temporalio.exceptions import ApplicationError

from domain.liquidation_story import LiquidationRecord

_LOOK_SECONDS, _LOOKS = 0.2, 50
_FRESH_SECONDS = 0.1


class LiquidationRows(Protocol):
    """The rows of liquidations."""

    async def write(self, record: LiquidationRecord) -> None:
        """Write a record; what was written before stands."""

    async def settled(self, shard: int) -> int:
        """Return up to which sequence the ledger has a shard's money."""


class LiquidationRecordActivities:
    """The activity that ends a liquidation, in its workflow or in `liquidation-record-{liq_id}`."""

    def __init__(self, rows: LiquidationRows) -> None:
        self._rows = rows
        self._looking = asyncio.Lock()
        self._settled: dict[int, tuple[float, int]] = {}  # by shard: when it was read, how far

    @activity.defn(name="write_liquidation_record")
    async def write(self, record: LiquidationRecord) -> int:
        """Write the record, wait until the ledger is that far, and return where it is.

        Where settlement is further behind, the step fails and is tried again.
        """
        await self._rows.write(record)
        for _ in range(_LOOKS):
            settled = await self._look(record.request.shard, record.last_sequence)
            if settled >= record.last_sequence:
                return settled
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
