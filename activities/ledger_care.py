"""Keeps the ledger's partitions: some ahead of the writers, old ones out of the way."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog
from temporalio import activity

from domain.ledger_care import CareRequest, CareResult

_log = structlog.get_logger()


class Retention(Protocol):
    """The partitions of the append-only tables."""

    async def ensure_ahead(self) -> int:
        """Make what the writers will need next; return how many partitions were missing."""

    async def detach(self, before: dt.datetime, checked: Mapping[str, int]) -> Sequence[str]:
        """Take out what was booked before `before` and is compared; return the names."""


class Checks(Protocol):
    """What reconciliation has compared."""

    async def checked_positions(self) -> dict[str, int]:
        """Return {stream: last position that clean runs of all shards have read}."""


class LedgerCareActivities:
    """The activity of the ledger's care schedule."""

    def __init__(
        self, retention: Retention, checks: Checks, now: Callable[[], dt.datetime]
    ) -> None:
        self._retention = retention
        self._checks = checks
        self._now = now

    @activity.defn(name="care_for_ledger")
    async def care(self, request: CareRequest) -> CareResult:
        """Make partitions ahead, archive old ones; safe to repeat, at any point."""
        made = await self._retention.ensure_ahead()
        before = self._now() - dt.timedelta(days=request.retention_days)
        checked = await self._checks.checked_positions()
        detached = list(await self._retention.detach(before, checked))
        if made or detached:
            _log.info("ledger_partitions", made=made, detached=detached)
        return CareResult(made=made, detached=detached)
