"""What the worker looks after: what must always run runs, and people hear what needs them.

Again and again and not once at the start: somebody may end a workflow, delete a schedule, or
Temporal may have come back with an empty database.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

import structlog
from temporalio.client import Client

from infra.temporal.entities import ensure_entity
from infra.temporal.namespace import retention_days, set_retention
from infra.temporal.runs import count_runs, find_run
from infra.temporal.schedules import (
    ScheduleState,
    ensure_schedule,
    remove_schedule,
    schedule_state,
)
from workers.wiring import Wiring
from workflows.search_attributes import STAGE

ROUND_SECONDS = 5.0
SCHEDULES_EVERY_ROUNDS = 6
_NO_ANSWER_SECONDS = 30.0  # a round that takes longer is given up, and says so
_UNWELL = ("failed:", "paused")  # stages of entities that do not do their work

_log = structlog.get_logger()


class WorkerCare:
    """Keeps entities, schedules and retention; `detail` tells the heartbeat how they are.

    Concerns are by task queue, which is how the API's components know them.
    """

    def __init__(self, client: Client, wirings: Sequence[Wiring], days: int) -> None:
        self._client = client
        self._wirings = wirings
        self._days = days
        self._renewed: set[str] = set()
        self._standing: dict[str, list[str]] = {}  # of schedules, until they are looked at again
        self._concerns: dict[str, list[str]] = {}
        self._parked = 0
        self._unreachable = ""

    def detail(self) -> dict[str, object]:
        """Return the facts for the heartbeat; `attention` is {task queue: reason}."""
        attention = {}
        for wiring in self._wirings:
            queue = wiring.task_queue
            found = [*self._concerns.get(queue, ()), *self._standing.get(queue, ())]
            found += wiring.concerns()
            if self._unreachable:
                found.insert(0, self._unreachable)
            if found:
                attention[queue] = "; ".join(found)
        return {"attention": attention, "parked": self._parked}

    async def run(self) -> None:
        """Look after everything until cancelled; a server that is away only costs a round."""
        for number in itertools.count():
            try:
                async with asyncio.timeout(_NO_ANSWER_SECONDS):
                    await self.round(with_schedules=number % SCHEDULES_EVERY_ROUNDS == 0)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next round repeats it
                self._unreachable = f"Temporal: {error or type(error).__name__}"[:200]
                _log.warning("care_failed", error=self._unreachable)
            else:
                self._unreachable = ""
            await asyncio.sleep(ROUND_SECONDS)

    async def round(self, *, with_schedules: bool) -> None:
        """Start what is missing, then look at how everything is."""
        parked = 0
        for wiring in self._wirings:
            found: list[str] = []
            for entity in wiring.entities:
                await ensure_entity(self._client, entity)
                found += await self._entity_concerns(entity.workflow_id)
            if wiring.parked:
                parked += (number := await count_runs(self._client, wiring.parked))
                if number:
                    found.append(f"{number} parked: `rialto ops list --query parked`")
            self._concerns[wiring.task_queue] = found
            if with_schedules:
                self._standing[wiring.task_queue] = await self._schedule_concerns(wiring)
        self._parked = parked
        if with_schedules and await retention_days(self._client) != self._days:
            await set_retention(self._client, self._days)

    async def _entity_concerns(self, workflow_id: str) -> list[str]:
        run = await find_run(self._client, workflow_id)
        if run is None or not run.is_open:
            return [f"{workflow_id} does not run"]
        stage = run.attributes.get(STAGE) or ""
        if run.paused:
            return [f"{workflow_id} is paused"]
        return [f"{workflow_id} is at {stage}"] if stage.startswith(_UNWELL) else []

    async def _schedule_concerns(self, wiring: Wiring) -> list[str]:
        """Renew each schedule once in the worker's life, make it again whenever it is missing."""
        found = []
        for retired in wiring.retired:
            if retired not in self._renewed:
                await remove_schedule(self._client, retired)
                self._renewed.add(retired)
        for schedule in wiring.schedules:
            name = schedule.schedule_id
            state = await schedule_state(self._client, name)
            if state is ScheduleState.MISSING or name not in self._renewed:
                await ensure_schedule(self._client, schedule)
                self._renewed.add(name)
            if state is ScheduleState.PAUSED:
                found.append(f"the schedule {name} is paused")
        return found
