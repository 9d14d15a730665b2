"""Schedules: workflows that start by the clock, never two at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

TASK_TIMEOUT = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class ScheduledWorkflow:
    """Start `workflow` with `argument` every `every_seconds`; `schedule_id` names its runs."""

    schedule_id: str
    workflow: str
    argument: object
    task_queue: str
    every_seconds: int
    run_timeout_seconds: int = 900


async def ensure_schedule(client: Client, wanted: ScheduledWorkflow) -> None:
    """Create the schedule, or bring an existing one to what is wanted. A run is never overtaken.

    A pause set by an operator stays.
    """
    every = timedelta(seconds=wanted.every_seconds)
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            wanted.workflow,
            wanted.argument,
            id=wanted.schedule_id,
            task_queue=wanted.task_queue,
            run_timeout=timedelta(seconds=wanted.run_timeout_seconds),
            task_timeout=TASK_TIMEOUT,
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(
            overlap=ScheduleOverlapPolicy.SKIP,
            catchup_window=max(every, timedelta(seconds=60)),
        ),
    )
    try:
        await client.create_schedule(wanted.schedule_id, schedule)
    except ScheduleAlreadyRunningError:

        def renew(found: ScheduleUpdateInput) -> ScheduleUpdate:
            schedule.state = found.description.schedule.state
            return ScheduleUpdate(schedule=schedule)

        await client.get_schedule_handle(wanted.schedule_id).update(renew)
