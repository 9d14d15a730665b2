"""What a worker of one task queue needs, and what it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from infra.settings import Settings
from infra.temporal.entities import EntityWorkflow
from infra.temporal.schedules import ScheduledWorkflow


@dataclass(frozen=True, slots=True)
class Connections:
    """What wirings share."""

    settings: Settings
    client: Client
    database: AsyncEngine
    redis: Redis


@dataclass(frozen=True, slots=True)
class Wiring:
    """One worker: its queue, what it runs, what must always be running, and what it reports.

    `report` gives (sequence, lag, detail) for the heartbeat, `concerns` what people should look
    at, in words, `parked` the query that counts what waits for them. `retired` names schedules of
    earlier versions. `at_once` is how many activities run at a time.
    """

    task_queue: str
    workflows: Sequence[type]
    activities: Sequence[Callable[..., Any]]
    entities: Sequence[EntityWorkflow] = ()
    schedules: Sequence[ScheduledWorkflow] = ()
    retired: Sequence[str] = ()
    report: Callable[[], tuple[int | None, int | None, dict[str, object]]] | None = None
    concerns: Callable[[], list[str]] = list
    parked: str = ""
    at_once: int = 50
