"""The daily fee tiers on real servers: told to the engine once, whoever runs it how often."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import pytest
import sqlalchemy as sa

from activities.fee_tiers import FeeTierActivities
from domain.commands import SetAccountTier
from domain.fee_tiers import TierRequest, start_of_day_us, tier_key
from infra.postgres import tables
from infra.postgres.fee_tier_store import FeeTierStore
from infra.temporal.schedules import ScheduleState, ensure_schedule, schedule_state
from tests.workflows.market_rig import MarketRig, market_rig
from workers.shard_engine import ShardEngine
from workers.temporal_worker import TIERS, worker_of
from workers.wiring import Wiring
from workflows import task_queues
from workflows.fee_tiers import FEE_TIERS_WORKFLOW, FeeTiersWorkflow

pytestmark = pytest.mark.servers

DAY = dt.date(2026, 11, 27)


@pytest.fixture
async def rig(fresh_database: str, temporal: str) -> AsyncIterator[MarketRig]:
    """Give an exchange in which customer 1 has traded for tier 1, and customer 2 with him."""
    async with market_rig(fresh_database, temporal) as rig:
        reader, admin = rig.door("reader"), rig.door("admin")
        steps = FeeTierActivities(FeeTierStore(rig.database), {0: ShardEngine(reader, admin)})
        wiring = Wiring(
            task_queue=task_queues.SETTLEMENT,
            workflows=(FeeTiersWorkflow,),
            activities=(steps.assess, steps.set_tiers),
        )
        settling = asyncio.create_task(_settle(rig))
        async with worker_of(rig.client, wiring):
            yield rig
        settling.cancel()
        await reader.close()
        await admin.close()


async def _settle(rig: MarketRig) -> None:
    """Move settlement's cursor as the rows follow: nothing here moves money."""
    while True:
        async with rig.database.begin() as conn:
            await conn.execute(
                sa.text(
                    "INSERT INTO cursor (stream, last_sequence)"
                    " SELECT 'settlement.0', last_sequence FROM cursor"
                    " WHERE stream = 'order-history.0'"
                    " ON CONFLICT (stream) DO UPDATE SET last_sequence = EXCLUDED.last_sequence"
                )
            )
        await asyncio.sleep(0.1)


async def _trade(rig: MarketRig, day: dt.date, dollars: int) -> None:
    names = ("maker_order_id", "taker_order_id", "price_ticks", "quantity_lots", "base_units")
    async with rig.database.begin() as conn:
        last = await conn.scalar(sa.select(sa.func.max(tables.trade_event.c.sequence)))
        await conn.execute(
            sa.insert(tables.trade_event).values(
                shard=0,
                sequence=(last or 0) + 1,
                index=1,
                trade_id=(last or 0) + 1,
                symbol_id=1,
                time_us=start_of_day_us(day),
                taker_side=0,
                maker_account_id=1,
                taker_account_id=2,
                quote_units=dollars * 10**6,
                maker_fee_units=0,
                taker_fee_units=0,
                journal_id=1,
                **dict.fromkeys(names, 1),
            )
        )


async def _run(rig: MarketRig, day: dt.date = DAY) -> int:
    """Run it for a day and return how many accounts the engine gave another tier."""
    (result,) = await rig.client.execute_workflow(
        FEE_TIERS_WORKFLOW,
        TierRequest(day.isoformat()),
        id=f"fee-tiers-{uuid4()}",
        task_queue=task_queues.SETTLEMENT,
    )
    return int(result["changed"])


async def _history(rig: MarketRig) -> list[tuple[int, int]]:
    row = tables.account_tier.c
    async with rig.database.connect() as conn:
        query = sa.select(row.account_id, row.tier).order_by(row.sequence)
        return [(int(account), int(tier)) for account, tier in await conn.execute(query)]


async def _until(rig: MarketRig, expected: list[tuple[int, int]]) -> None:
    deadline = time.monotonic() + 30
    while (found := await _history(rig)) != expected:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)


async def test_a_day_is_told_once(rig: MarketRig) -> None:
    """Up by volume, again without effect, down when the window has passed; each with its row."""
    await _trade(rig, DAY - dt.timedelta(days=3), 150_000)
    assert await _run(rig) == 2
    up = [(1, 1), (2, 1)]
    await _until(rig, up)
    assert await _run(rig) == 0
    await _until(rig, up)
    assert await _run(rig, DAY + dt.timedelta(days=60)) == 2
    await _until(rig, [*up, (1, 0), (2, 0)])


async def test_a_run_that_died_half_way_is_finished(rig: MarketRig) -> None:
    """The engine has one of the tiers, its row is late: the same key, no second event."""
    await _trade(rig, DAY - dt.timedelta(days=3), 150_000)
    store = FeeTierStore(rig.database)
    await store.add_up(DAY, 0)
    await store.assess(DAY)
    await rig.hold_rows()
    door = rig.door("admin")
    await door.submit(SetAccountTier(1, 1, tier_key(1, DAY, 0)))
    await door.submit(SetAccountTier(2, 1, tier_key(2, DAY, 0)))
    assert await store.wanted_changes(DAY, 0) == {1: 1, 2: 1}
    running = asyncio.create_task(_run(rig))
    await asyncio.sleep(0.5)
    rig.following.set()
    assert await running == 0
    await _until(rig, [(1, 1), (2, 1)])
    await door.close()


async def test_the_schedule_runs_once_a_day(rig: MarketRig) -> None:
    """One at a time, five minutes after midnight, and what was missed is caught up."""
    begun = dt.datetime.now(dt.UTC).date()
    await ensure_schedule(rig.client, TIERS)
    assert await schedule_state(rig.client, TIERS.schedule_id) is ScheduleState.ACTIVE
    handle = rig.client.get_schedule_handle(TIERS.schedule_id)
    found = await handle.describe()
    (interval,) = found.schedule.spec.intervals
    assert (interval.every, interval.offset) == (dt.timedelta(days=1), dt.timedelta(minutes=5))
    assert found.schedule.policy.catchup_window == dt.timedelta(days=1)
    assert found.schedule.policy.overlap.name == "SKIP"
    days: Sequence[dt.date] = ()
    async with asyncio.timeout(30):
        while not days:  # the first run starts at once, for today
            async with rig.database.connect() as conn:
                days = (await conn.execute(sa.select(tables.tier_day_done.c.day))).scalars().all()
            await asyncio.sleep(0.05)
    assert len(days) == 1
    assert begun <= days[0] <= dt.datetime.now(dt.UTC).date()
    await handle.delete()
