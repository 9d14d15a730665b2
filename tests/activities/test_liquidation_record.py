"""Records that are written at the same time share a transaction, and nobody's failure stays."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from temporalio.testing import ActivityEnvironment

from activities.liquidation_record import LiquidationRecordActivities
from domain.liquidation_story import LiquidationRecord, LiquidationRequest


class Rows:
    """Rows that take their time; a transaction with the account `refused` is rolled back."""

    def __init__(self, refused: int = 0) -> None:
        self.batches: list[list[int]] = []
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        self._refused = refused

    async def write(self, records: Sequence[LiquidationRecord]) -> None:
        """Take a transaction."""
        accounts = [record.request.account_id for record in records]
        self.batches.append(accounts)
        self.begun.set()
        await self.open.wait()
        if self._refused in accounts:
            raise ValueError("a row is refused")

    async def settled(self, shard: int) -> int:
        """Return that the ledger has everything."""
        return 100


def _record(account_id: int) -> LiquidationRecord:
    return LiquidationRecord(LiquidationRequest(0, account_id, 0, "0a", 1), "released", 1, 2, 50)


async def _write(activities: LiquidationRecordActivities, account_id: int, attempt: int = 1) -> int:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=attempt)
    found: int = await environment.run(activities.write, _record(account_id))
    return found


async def test_what_comes_meanwhile_is_written_together() -> None:
    """At most two transactions for three, and nobody waits for another's turn to ask."""
    rows = Rows()
    activities = LiquidationRecordActivities(rows)
    writing = [asyncio.create_task(_write(activities, account)) for account in (1, 2, 3)]
    await rows.begun.wait()
    rows.open.set()
    assert await asyncio.gather(*writing) == [100, 100, 100]
    assert rows.batches in ([[1], [2, 3]], [[1, 2, 3]])
    assert await _write(activities, 4) == 100


async def test_a_record_that_is_refused_stops_the_others_once() -> None:
    """All of its transaction are tried again, each by itself; only it fails for ever."""
    rows = Rows(refused=2)
    rows.open.set()
    activities = LiquidationRecordActivities(rows)
    found = await asyncio.gather(
        *(_write(activities, account) for account in (1, 2, 3)), return_exceptions=True
    )
    assert isinstance(found[1], ValueError)
    again = await asyncio.gather(
        *(_write(activities, account, attempt=2) for account in (1, 2, 3)), return_exceptions=True
    )
    assert [again[0], again[2]] == [100, 100]
    assert isinstance(again[1], ValueError)
    assert rows.batches[-3:] == [[1], [2], [3]]


async def test_who_is_cancelled_does_not_stop_the_rest() -> None:
    """The time of a local activity is over while the database is slow: the others are written."""
    rows = Rows()
    activities = LiquidationRecordActivities(rows)
    late, patient = (asyncio.create_task(_write(activities, account)) for account in (1, 2))
    await rows.begun.wait()
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    rows.open.set()
    assert await patient == 100
