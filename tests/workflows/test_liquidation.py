"""A liquidation read step by step on a real Temporal, with an engine in this process."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.worker import Replayer, Worker

from api.staff.shapes import Done
from domain.approval import Decision
from domain.liquidation_story import LiquidationRecord, closing_workflow_id
from domain.perpetual_care import FUNDING_WORKFLOW, FundingRequest
from domain.perpetual_state import PerpetualState
from domain.risk_commands import FUND_ACCOUNT, Freeze, Liquidate
from infra.postgres.engine import create
from infra.postgres.liquidation_store import LiquidationStore
from infra.settings import Settings
from infra.temporal.client import connect
from infra.wallet import officers
from tests.activities.test_liquidation import insolvent_everywhere
from tests.workflows.risk_rig import PERP, RiskDesk, fallen, without_bids
from workers.risk_first_steps import FirstSteps
from workers.risk_watch import RiskWatch
from workers.risk_wiring import wire_risk
from workers.risk_workflows import RiskWorkflows
from workers.staff_desk import StaffDesk
from workers.staff_work import StaffWork
from workers.temporal_worker import worker_of
from workers.wiring import Connections
from workflows.auto_deleveraging import AutoDeleveragingWorkflow
from workflows.liquidation import LiquidationWorkflow

pytestmark = pytest.mark.servers
_TASK_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
_UNREACHABLE = "postgresql+asyncpg://nobody@127.0.0.1:1/nothing"


@dataclass
class Rig:
    """A desk, a Temporal, and the worker's parts; `worker()` runs it."""

    desk: RiskDesk
    client: Client
    database: AsyncEngine
    settings: Settings

    def worker(self) -> Worker:
        """Return the worker of the risk queue."""
        connections: Any = Connections(self.settings, self.client, self.database, None)  # type: ignore[arg-type]
        return worker_of(self.client, wire_risk(connections, self.desk.news, self.desk, self.desk))

    async def begin(self) -> Any:
        """Freeze who is in need, start the workflows; return the first one's handle."""
        await self.desk.watch()
        started = await RiskWorkflows(self.client, self.desk.news).round()
        return self.client.get_workflow_handle(
            next(name for name in started if name.startswith("liquidation-"))
        )

    async def until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - an engine in this process tells nobody
                await asyncio.sleep(0.02)

    async def stage(self, handle: Any, wanted: str, seconds: float = 30) -> None:
        """Wait until a workflow's search attribute Stage is as wanted."""
        deadline = time.monotonic() + seconds
        while True:
            found = (await handle.describe()).search_attributes.get("Stage")
            if found == [wanted]:
                return
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def _rig(desk: RiskDesk, database_url: str, temporal: str, folder: Any) -> AsyncIterator[Rig]:
    settings = Settings(
        data_dir=folder,
        database_url=database_url,
        redis_url="redis://127.0.0.1:1",
        temporal_address=temporal,
        chain_url="http://127.0.0.1:1",
    )
    officers.create_officers(folder)
    database = create(database_url)
    try:
        yield Rig(desk, await connect(settings), database, settings)
    finally:
        await database.dispose()


@pytest.fixture
def rig_of(
    fresh_database: str, temporal: str, tmp_path: Any
) -> Callable[[RiskDesk], contextlib.AbstractAsyncContextManager[Rig]]:
    """Give what makes a rig around a desk; settlement is at the engine's sequence at once."""
    return lambda desk: _rig(desk, fresh_database, temporal, tmp_path)


async def _settled(rig: Rig) -> None:
    """Let the ledger be far ahead: what it waits for is not this test's."""
    import sqlalchemy as sa

    async with rig.database.begin() as conn:
        await conn.execute(
            sa.text(
                "INSERT INTO cursor (stream, last_sequence) VALUES ('settlement.0', 1000000000)"
                " ON CONFLICT (stream) DO UPDATE SET last_sequence = EXCLUDED.last_sequence"
            )
        )


async def test_a_liquidation_reads_like_a_story(rig_of: Any) -> None:
    """Frozen, sold, released, recorded: in the details, in the result, in the rows; replayable.

    The first sale is in its argument, and all that remained is one workflow task.
    """
    async with rig_of(fallen()) as rig:
        await _settled(rig)
        await rig.desk.news.tell()
        frozen = await RiskWatch(rig.desk.news, rig.desk).look()
        first = FirstSteps(rig.desk.news, rig.desk)
        (name,) = await RiskWorkflows(rig.client, rig.desk.news, first=first).begin(frozen)
        sold = rig.desk.asked[-1]
        assert isinstance(sold, Liquidate)
        handle = rig.client.get_workflow_handle(name)
        async with rig.worker():
            result = await handle.result()
        assert (result["ended"], result["ledger"]) == ("released", "settled")
        desk = rig.desk
        assert desk.engine.frozen() == []
        assert desk.is_conserved()
        (record,) = await LiquidationStore(rig.database).newest(10, 5)
        found = await LiquidationStore(rig.database).read(record.request.liquidation_id)
        assert isinstance(found, LiquidationRecord)
        assert [step.kind for step in found.steps][-1] == "release"
        assert [step.number for step in found.steps] == list(range(1, len(found.steps) + 1))
        assert found.steps[0].key == f"{sold.key:032x}"
        assert not any(step.found for step in found.steps)
        assert found.last_sequence == found.steps[-1].sequence
        description = await handle.describe()
        assert description.search_attributes["AccountId"] == ["5"]
        assert description.search_attributes["Stage"] == ["done"]
        history = await handle.fetch_history()
        tasks = [one for one in history.events if one.event_type == _TASK_COMPLETED]
        assert len(tasks) == 1
        converter = rig.client.data_converter
        replayer = Replayer(
            workflows=[LiquidationWorkflow], data_converter=converter, build_id="test"
        )
        await replayer.replay_workflow(history)


async def test_it_finishes_while_postgresql_is_stopped(temporal: str, tmp_path: Any) -> None:
    """Fund, other side and release need no database; the record waits in its own workflow."""
    desk = without_bids(945)
    desk.top_up(20_000)
    async with _rig(desk, _UNREACHABLE, temporal, tmp_path) as rig, rig.worker():
        handle = await rig.begin()
        await rig.until(lambda: not desk.engine.frozen())
        assert desk.lots(5) == 0
        assert desk.is_conserved()
        await rig.stage(handle, "record")
        (found,) = [command for command in desk.asked if isinstance(command, Freeze)]
        await handle.signal("hand_over", f"{found.key:032x}")  # its own: no reason to end
        await rig.stage(handle, "record")
        await handle.signal("hand_over", "another liquidation of the scope")
        assert (await handle.result())["ledger"] == "pending"
        record = rig.client.get_workflow_handle(closing_workflow_id(f"{found.key:032x}"))
        await rig.stage(record, "writing")
        await record.terminate("the test is over")


async def test_the_other_side_is_a_child_that_can_be_read(rig_of: Any) -> None:
    """The fund is empty: a child with its own id closes the short, and its history replays."""
    async with rig_of(without_bids(945)) as rig:
        await _settled(rig)
        async with rig.worker():
            handle = await rig.begin()
            assert (await handle.result())["ended"] == "released"
        liquidation_id = (await LiquidationStore(rig.database).newest(1))[0].request.liquidation_id
        child = rig.client.get_workflow_handle(f"auto-deleveraging-{liquidation_id}-{PERP}")
        found = await child.result()
        assert found["ended"] == "done"
        assert found["steps"][0]["counterparty_id"] == 2
        history = await child.fetch_history()
        converter = rig.client.data_converter
        replayer = Replayer(
            workflows=[AutoDeleveragingWorkflow], data_converter=converter, build_id="test"
        )
        await replayer.replay_workflow(history)


async def test_a_killed_worker_changes_nothing(rig_of: Any) -> None:
    """The answer to a sale is lost with its worker; the next one finds the sale in the log."""
    calm = fallen()
    await calm.watch()
    async with rig_of(fallen()) as rig:
        await _settled(rig)
        rig.desk.lost_after = {2, 3}
        worker = rig.worker()
        running = asyncio.create_task(worker.run())
        handle = await rig.begin()
        await rig.until(lambda: len(rig.desk.asked) >= 2)
        await worker.shutdown()
        await running
        async with rig.worker():
            assert (await handle.result())["ended"] == "released"
        async with rig_of(calm) as other:
            await _settled(other)
            async with other.worker():
                await RiskWorkflows(other.client, calm.news).round()
                await other.client.get_workflow_handle("liquidation-0-5").result()
        assert rig.desk.books() == calm.books()


async def test_a_shortfall_waits_for_two_officers(rig_of: Any) -> None:
    """Nothing half applied, the market reduce-only; after a top-up two signatures let it go on."""
    async with rig_of(insolvent_everywhere()) as rig:
        await _settled(rig)
        desk = rig.desk
        async with rig.worker():
            handle = await rig.begin()
            await rig.stage(handle, "failed:shortfall")
            left = desk.lots(5)
            assert left > 0
            assert desk.lots(FUND_ACCOUNT) == 0
            assert desk.perpetual.phase is PerpetualState.REDUCE_ONLY
            statement = await handle.query("shortfall")
            desk.top_up(10**8)
            await desk.news.tell()
            marta = _decision(rig, "marta", statement)
            forged = {**marta, "officer": "piero"}
            for refused in (forged, {**marta, "statement": statement.replace("left_lots", "left")}):
                with pytest.raises(WorkflowUpdateFailedError):
                    await handle.execute_update("sign", refused)
            assert await handle.execute_update("sign", marta) == 1
            with pytest.raises(WorkflowUpdateFailedError):
                await handle.execute_update("sign", marta)
            assert desk.lots(5) == left
            work = StaffWork(rig.settings, rig.database)
            (shown,) = [one for one in await work.parked() if one.workflow_id == handle.id]
            assert (shown.statement, shown.action) == (statement, "liquidation-continue")
            assert [choice.is_signed for choice in shown.choices] == [True]
            second = Decision(**_decision(rig, "piero", statement))
            done = await StaffDesk(rig.settings, rig.database).decide(handle.id, second)
            assert done == Done("recorded: 2 of 2 signatures")
            assert (await handle.result())["ended"] == "released"
        assert desk.lots(5) == 0
        assert desk.lots(FUND_ACCOUNT) == left
        assert desk.is_conserved()
        (record,) = await LiquidationStore(rig.database).newest(1)
        assert {name.split(":")[0] for name in record.signatures} == {"marta", "piero"}


def _decision(rig: Rig, officer: str, statement: str) -> dict[str, str]:
    key = officers.load_private_key(officers.private_key_path(rig.settings.data_dir, officer))
    signature = key.sign(statement.encode()).hex()
    found = Decision(officer, "liquidation-continue", statement, signature)
    return {name: getattr(found, name) for name in Decision.__slots__}


async def test_many_wait_frozen_in_order_of_need(rig_of: Any) -> None:
    """At most so many workflows are open; the worst begin, all are frozen, none starves."""
    desk = RiskDesk()
    for account, lots in ((11, 97), (12, 99), (13, 98)):
        desk.victim(lots, account=account)
    desk.move(956)
    desk.buy(90, 954, 1_000)
    async with rig_of(desk) as rig:
        await _settled(rig)
        watch = await desk.watch()
        assert watch.frozen_count == len(desk.engine.frozen()) == 3
        workflows = RiskWorkflows(rig.client, desk.news, most_open=1)
        started = await workflows.round()
        assert [name for name in started if name.startswith("liq")] == ["liquidation-0-12"]
        assert (workflows.open_count, workflows.waiting_count) == (1, 2)
        assert [name for name in await workflows.round() if name.startswith("liq")] == []
        deadline = time.monotonic() + 30
        async with rig.worker():
            while desk.engine.frozen():
                await workflows.round()
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
        assert desk.is_conserved()


async def test_funding_is_paid_by_a_schedule(rig_of: Any) -> None:
    """Every minute of the clock, by a schedule that the market's terms ask for; once an instant."""
    desk = RiskDesk(funding_interval_seconds=60)
    desk.pair(1, 2, 50)
    async with rig_of(desk) as rig, rig.worker():
        await RiskWorkflows(rig.client, desk.news).round()
        schedule = await rig.client.get_schedule_handle(f"funding-0-{PERP}").describe()
        (every,) = schedule.schedule.spec.intervals
        assert every.every.total_seconds() == 60
        minute = 60_000_000
        instant = (desk.time_us // minute + 1) * minute
        desk.time_us = instant + 1
        desk.index(1_000)
        found = [
            await rig.client.execute_workflow(
                FUNDING_WORKFLOW,
                FundingRequest(0, PERP, 60, instant),
                id=f"funding-by-hand-{number}",
                task_queue="risk-0",
            )
            for number in range(2)
        ]
        assert found[0]["refusal"] == ""
        assert found[0]["entries"] == 2
        assert found[0] == found[1]
        assert desk.is_conserved()
        await rig.client.get_schedule_handle(f"funding-0-{PERP}").delete()
        await rig.client.get_schedule_handle("dust-sweep-0").delete()
