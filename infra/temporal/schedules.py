"""Schedules: workflows that start by the clock, never two at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

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
from temporalio.service import RPCError, RPCStatusCode

TASK_TIMEOUT = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class ScheduledWorkflow:
    """Start `workflow` with `argument` every `every_seconds`; `schedule_id` names its runs.

    `offset_seconds` after each multiple of the interval since 1970: of a day, after 00:00 UTC.
    """

    schedule_id: str
    workflow: str
    argument: object
    task_queue: str
    every_seconds: int
    run_timeout_seconds: int = 900
    offset_seconds: int = 0


class ScheduleState(StrEnum):
    """How a schedule stands."""

    MISSING = "missing"
    PAUSED = "paused"  # by an operator
    ACTIVE = "active"


async def schedule_state(client: Client, schedule_id: str) -> ScheduleState:
    """Return whether the schedule is there, and whether it starts anything."""
    try:
        found = await client.get_schedule_handle(schedule_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return ScheduleState.MISSING
        raise
    return ScheduleState.PAUSED if found.schedule.state.paused else ScheduleState.ACTIVE


async def remove_schedule(client: Client, schedule_id: str) -> None:
    """Delete a schedule of an earlier version; none is fine."""
    try:
        await client.get_schedule_handle(schedule_id).delete()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def ensure_schedule(client: Client, wanted: ScheduledWorkflow) -> None:
    """Create the schedule, or bring an existing one to what is wanted. A run is never overtaken.

    A new one starts its first run at once. A pause set by an operator stays.
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
        spec=ScheduleSpec(
            intervals=[
                ScheduleIntervalSpec(every=every, offset=timedelta(seconds=wanted.offset_seconds))
            ]
        ),
        policy=SchedulePolicy(
            overlap=ScheduleOverlapPolicy.SKIP,
            catchup_window=max(every, timedelta(seconds=60)),
        ),
    )
    try:
        await client.create_schedule(wanted.schedule_id, schedule, trigger_immediately=True)
    except ScheduleAlreadyRunningError:

        def renew(found: ScheduleUpdateInput) -> ScheduleUpdate:
            schedule.state = found.description.schedule.state
            return ScheduleUpdate(schedule=schedule)

        await client.get_schedule_handle(wanted.schedule_id).update(renew)
