"""What a worker of one task queue needs, and what it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from infra.settings import Settings
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

    `keep` is called every few seconds and must do nothing where all is as it should be.
    `report` gives (sequence, lag, detail) for the heartbeat.
    """

    task_queue: str
    workflows: Sequence[type]
    activities: Sequence[Callable[..., Any]]
    keep: Callable[[], Awaitable[None]] | None = None
    report: Callable[[], tuple[int | None, int | None, dict[str, object]]] | None = None
    schedules: Sequence[ScheduledWorkflow] = field(default_factory=tuple)
