"""The approval's deadline, on a server that skips the waiting."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator

import pytest
from temporalio import activity
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.withdrawal_money import ReleaseOrder
from activities.withdrawal_review import StepResult, WithdrawalNote, WithdrawalView
from domain.withdrawal import WithdrawalRequest
from tests.workflows.time_skipping import time_skipping
from tests.workflows.withdrawal_steps import view_of
from workflows.task_queues import WALLET
from workflows.withdrawal import WithdrawalWorkflow

pytestmark = pytest.mark.servers


class Steps:
    """The activities as a script: a withdrawal that waits for an officer since `screened_at`."""

    def __init__(self, screened_at: int | None, state: str = "screened") -> None:
        self.screened_at = screened_at
        self.state = state
        self.notes: list[str] = []
        self.release: ReleaseOrder | None = None

    @activity.defn(name="load_withdrawal")
    async def load(self, request: WithdrawalRequest) -> WithdrawalView:
        return view_of(request, state=self.state, screened_at=self.screened_at, approvals_needed=1)

    @activity.defn(name="screen_withdrawal")
    async def screen(self, request: WithdrawalRequest) -> StepResult:
        return StepResult("screened")

    @activity.defn(name="note_withdrawal")
    async def note(self, note: WithdrawalNote) -> None:
        self.notes.append(f"{note.action} at {note.stage}")

    @activity.defn(name="begin_release")
    async def begin_release(self, order: ReleaseOrder) -> StepResult:
        self.release = order
        return StepResult(order.target)

    @activity.defn(name="release_withdrawal")
    async def give_back(self, request: WithdrawalRequest) -> StepResult:
        return StepResult("rejected")


@pytest.fixture
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """Give a fresh time-skipping server."""
    async with time_skipping() as environment:
        yield environment


async def _duration(skipping: WorkflowEnvironment, workflow_id: str) -> dt.timedelta:
    """Return how long a closed workflow took, by the server's clock."""
    history = await skipping.client.get_workflow_handle(workflow_id).fetch_history()
    times = [event.event_time.ToDatetime() for event in history.events]
    return times[-1] - times[0]


async def test_undecided_withdrawal_is_escalated_and_then_rejected(
    skipping: WorkflowEnvironment,
) -> None:
    """After half a day it is overdue, after a whole one the hold is given back."""
    began = await skipping.get_current_time()
    steps = Steps(int(began.timestamp()))
    async with Worker(
        skipping.client,
        task_queue=WALLET,
        workflows=[WithdrawalWorkflow],
        activities=[steps.load, steps.note, steps.begin_release, steps.give_back],
        build_id="test",
    ):
        result = await skipping.client.execute_workflow(
            WithdrawalWorkflow.run,
            WithdrawalRequest("w-1"),
            id="withdrawal-w-1",
            task_queue=WALLET,
        )
    assert result.state == "rejected"
    assert steps.notes == ["approval_overdue at approval-overdue"]
    assert steps.release is not None
    assert (steps.release.actor, steps.release.reason) == ("deadline", "approval_deadline_passed")
    waited = await _duration(skipping, "withdrawal-w-1")
    assert dt.timedelta(hours=23, minutes=59) < waited < dt.timedelta(hours=24, minutes=5)


async def test_deadline_counts_from_when_officers_could_decide(
    skipping: WorkflowEnvironment,
) -> None:
    """A request that took days to reach approval gives its officers a whole day all the same."""
    steps = Steps(None, state="held")
    async with Worker(
        skipping.client,
        task_queue=WALLET,
        workflows=[WithdrawalWorkflow],
        activities=[steps.load, steps.screen, steps.note, steps.begin_release, steps.give_back],
        build_id="test",
    ):
        result = await skipping.client.execute_workflow(
            WithdrawalWorkflow.run,
            WithdrawalRequest("w-3"),
            id="withdrawal-w-3",
            task_queue=WALLET,
        )
    assert result.state == "rejected"
    waited = await _duration(skipping, "withdrawal-w-3")
    assert dt.timedelta(hours=23, minutes=59) < waited < dt.timedelta(hours=24, minutes=5)


async def test_deadline_counts_from_the_row_not_from_the_run(
    skipping: WorkflowEnvironment,
) -> None:
    """A workflow that was started again does not give another day."""
    began = await skipping.get_current_time()
    steps = Steps(int(began.timestamp()) - 23 * 3600)
    async with Worker(
        skipping.client,
        task_queue=WALLET,
        workflows=[WithdrawalWorkflow],
        activities=[steps.load, steps.note, steps.begin_release, steps.give_back],
        build_id="test",
    ):
        await skipping.client.execute_workflow(
            WithdrawalWorkflow.run,
            WithdrawalRequest("w-2"),
            id="withdrawal-w-2",
            task_queue=WALLET,
        )
    waited = await _duration(skipping, "withdrawal-w-2")
    assert waited < dt.timedelta(hours=1, minutes=5)
