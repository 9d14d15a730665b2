"""The settlement workflow: never ends, parks where a rule is broken, obeys operators."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowHandle, WorkflowHistory, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from domain.settlement import (
    LEDGER_INVARIANT,
    HaltRequest,
    OperatorRequest,
    SettlementState,
    SettleRequest,
    SettleResult,
)
from infra.engine_errors import EngineError
from tests.workflows.time_skipping import time_skipping
from workflows.search_attributes import LAG, SHARD, STAGE
from workflows.settlement import SettlementWorkflow
from workflows.task_queues import SETTLEMENT

pytestmark = pytest.mark.servers

HISTORIES = Path(__file__).parents[1] / "histories"
WHY = OperatorRequest("tested")
Handle = WorkflowHandle[SettlementWorkflow, Any]


@pytest.fixture
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """Give a fresh time-skipping server."""
    async with time_skipping() as environment:
        yield environment


class Steps:
    """The activities as a script: what the ledger would say."""

    def __init__(self) -> None:
        self.sequence = 0
        self.lag = 0
        self.broken = False
        self.fault: Exception | None = None
        self.halted: list[str] = []
        self.runs = 0

    @activity.defn(name="settle")
    async def settle(self, request: SettleRequest) -> SettleResult:
        self.runs += 1
        if self.fault is not None:
            raise self.fault
        if self.broken:
            raise ApplicationError(
                "customer:2:trading.0:USDT by event 6.1", type=LEDGER_INVARIANT, non_retryable=True
            )
        await asyncio.sleep(0.01)
        before = self.sequence
        self.sequence += 10
        return SettleResult(before, self.sequence, 1, 3, "ab12", self.lag)

    @activity.defn(name="halt_shard")
    async def halt_shard(self, request: HaltRequest) -> None:
        self.halted.append(request.reason)


@asynccontextmanager
async def settling(client: Client, steps: Steps) -> AsyncIterator[Handle]:
    """Run settlement of shard 0 with a worker until the block ends."""
    async with Worker(
        client,
        task_queue=SETTLEMENT,
        workflows=[SettlementWorkflow],
        activities=[steps.settle, steps.halt_shard],
        build_id="test",
    ):
        handle = await client.start_workflow(
            SettlementWorkflow.run, SettlementState(0), id="settlement-0", task_queue=SETTLEMENT
        )
        yield handle
        await handle.terminate()


async def until(handle: Handle, condition: Callable[[SettlementState], bool]) -> SettlementState:
    """Wait until the workflow's state fulfils `condition`."""
    deadline = time.monotonic() + 30
    while not condition(state := await handle.query(SettlementWorkflow.state)):
        assert time.monotonic() < deadline, f"never happened; {state}"
        await asyncio.sleep(0.02)
    return state


async def until_shown(handle: Handle, stage: str, lag: int = 0) -> None:
    """Wait until search shows a stage and a lag: a moment after the workflow has them."""
    deadline = time.monotonic() + 30
    while True:
        found = (await handle.describe()).typed_search_attributes
        if (found.get(STAGE), found.get(LAG) or 0, found.get(SHARD)) == (stage, lag, 0):
            return
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.02)


async def test_settles_on_and_on(skipping: WorkflowEnvironment) -> None:
    """Each result is carried on; stage, shard and lag can be searched."""
    steps = Steps()
    steps.lag = 5000
    async with settling(skipping.client, steps) as handle:
        state = await until(handle, lambda s: s.settled_sequence >= 30)
        assert state.trades == 3 * state.settled_sequence / 10
        await until_shown(handle, "settling", lag=5000)


class JournalBehindLedger(Exception):  # noqa: N818 - named as the engine's own fault
    """What the reader of events raises."""


class EventsNotRetained(Exception):  # noqa: N818 - named as the engine's own fault
    """What the reader of events raises."""


@pytest.mark.parametrize("fault", [JournalBehindLedger, EventsNotRetained])
async def test_events_that_no_repetition_brings_back_park(
    skipping: WorkflowEnvironment, fault: type[Exception]
) -> None:
    """A journal that lacks what is settled, or events that are gone, are people's to look at."""
    assert fault.__name__ in {kind.__name__ for kind in EngineError.__subclasses__()}
    steps = Steps()
    steps.fault = fault("the events are gone")
    async with settling(skipping.client, steps) as handle:
        state = await until(handle, lambda s: bool(s.failure) and len(steps.halted) == 1)
        assert state.failure == f"{fault.__name__}: the events are gone"
        assert steps.runs == 1


async def test_parks_halts_and_retries(skipping: WorkflowEnvironment) -> None:
    """A broken rule halts the shard once and parks; `retry` goes on after the repair."""
    steps = Steps()
    steps.broken = True
    async with settling(skipping.client, steps) as handle:
        state = await until(handle, lambda s: bool(s.failure) and len(steps.halted) == 1)
        assert "event 6.1" in state.failure
        assert steps.runs == 1
        await until_shown(handle, "failed:settle")
        await handle.execute_update(SettlementWorkflow.retry, WHY)
        await until(handle, lambda s: bool(s.failure) and steps.runs == 2)
        steps.broken = False
        await asyncio.sleep(0.1)
        await handle.signal(SettlementWorkflow.retry_parked)
        state = await until(handle, lambda s: s.settled_sequence >= 20)
        assert state.failure == ""


async def test_operators_are_refused_what_makes_no_sense(skipping: WorkflowEnvironment) -> None:
    """Retry of what runs, resume of what is not paused, and an empty reason leave no trace."""
    async with settling(skipping.client, Steps()) as handle:
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(SettlementWorkflow.retry, WHY)
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(SettlementWorkflow.resume, WHY)
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(SettlementWorkflow.pause, OperatorRequest(" "))
        await handle.signal(SettlementWorkflow.retry_parked)
        await until(handle, lambda s: s.settled_sequence >= 20)


async def test_pause_and_resume(skipping: WorkflowEnvironment) -> None:
    """A pause stops after the running step and shows why; resume goes on where it stood."""
    steps = Steps()
    async with settling(skipping.client, steps) as handle:
        await handle.execute_update(SettlementWorkflow.pause, OperatorRequest("database upgrade"))
        await until_shown(handle, "paused")
        runs = steps.runs
        await asyncio.sleep(0.2)
        assert steps.runs == runs
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(SettlementWorkflow.pause, WHY)
        before = (await handle.query(SettlementWorkflow.state)).settled_sequence
        await handle.execute_update(SettlementWorkflow.resume, WHY)
        await until(handle, lambda s: s.settled_sequence > before)


async def test_recorded_histories_replay() -> None:
    """Histories recorded by earlier versions still lead to the same decisions."""
    recorded = sorted(HISTORIES.glob("settlement-*.json"))
    assert recorded
    replayer = Replayer(workflows=[SettlementWorkflow], build_id="test")
    for path in recorded:
        await replayer.replay_workflow(WorkflowHistory.from_json(path.stem, path.read_text()))
