"""Exports the histories of closed workflows, before Temporal forgets them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import structlog
from temporalio import activity

from domain.workflow_history import EXPORTED_WORKFLOWS, ClosedRun, ExportRequest, ExportResult

_log = structlog.get_logger(__name__)


class Histories(Protocol):
    """What Temporal still knows."""

    async def closed(
        self, workflow_types: Collection[str], since: dt.datetime | None
    ) -> list[ClosedRun]:
        """Return the runs that closed since then, the earliest first."""

    async def history(self, workflow_id: str, run_id: str) -> str | None:
        """Return a run's history as JSON; None when it is gone."""


class Archive(Protocol):
    """Where histories are kept."""

    async def newest(self) -> dt.datetime | None:
        """Return when the run closed that closed last among those exported."""

    async def missing(self, run_ids: Sequence[str]) -> set[str]:
        """Return which of these runs have no export."""

    async def keep(self, run: ClosedRun, history: str, keep_until: dt.datetime) -> None:
        """Store a history, sealed, with its hash in the audit log; once a run."""

    async def expire(self, now: dt.datetime) -> int:
        """Forget what has been kept long enough; return how many."""


class HistoryExportActivities:
    """The activity of the schedule `history-export`."""

    def __init__(
        self, histories: Histories, archive: Archive, now: Callable[[], dt.datetime]
    ) -> None:
        self._histories = histories
        self._archive = archive
        self._now = now

    @activity.defn(name="export_histories")
    async def export(self, request: ExportRequest) -> ExportResult:
        """Export the closed runs that have no export, in the order in which they closed.

        Safe to repeat at any point: the archive's rows say what is done. The first that cannot be
        read ends the turn, so that nothing earlier is ever passed over.
        """
        newest = await self._archive.newest()
        since = None if newest is None else newest - dt.timedelta(seconds=request.look_back_seconds)
        runs = await self._histories.closed(EXPORTED_WORKFLOWS, since)
        missing = await self._archive.missing([run.run_id for run in runs])
        todo = [run for run in runs if run.run_id in missing][: request.limit]
        exported, gone = 0, []
        for run in todo:
            activity.heartbeat(exported)
            history = await self._histories.history(run.workflow_id, run.run_id)
            if history is None:
                gone.append(run.workflow_id)
                continue
            keep_until = run.closed_at + dt.timedelta(days=request.keep_days)
            await self._archive.keep(run, history, keep_until)
            exported += 1
        expired = await self._archive.expire(self._now())
        if gone:
            _log.error("histories_gone_before_export", workflows=gone)
        if exported or expired:
            _log.info("histories", exported=exported, expired=expired)
        return ExportResult(exported=exported, gone=gone[:50], expired=expired)
