"""Histories of closed workflows: compressed, sealed, and vouched for by the audit log."""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.workflow_history import (
    HISTORY_EXPIRED,
    HISTORY_EXPORTED,
    ClosedRun,
    count_events,
    history_hash,
)
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.secret_box import SecretBox

_ACTOR = "history-export"
_kept = tables.workflow_history.c


@dataclass(frozen=True, slots=True)
class KeptHistory:
    """One exported run; `history` is "" and `fault` says why where it is not what was exported."""

    run: ClosedRun
    history: str
    keep_until: dt.datetime
    fault: str


class HistoryArchive:
    """Keeps histories and gives them back; `box` holds the archive's own key."""

    def __init__(self, engine: AsyncEngine, audit: AuditStore, box: SecretBox) -> None:
        self._engine = engine
        self._audit = audit
        self._box = box

    async def newest(self) -> dt.datetime | None:
        """Return when the run closed that closed last among those exported."""
        async with self._engine.connect() as connection:
            found: dt.datetime | None = await connection.scalar(
                sa.select(sa.func.max(_kept.closed_at))
            )
        return found

    async def missing(self, run_ids: Sequence[str]) -> set[str]:
        """Return which of these runs have no export, and never had one."""
        keys = sa.cast([_key(run_id) for run_id in run_ids], sa.ARRAY(sa.Text))  # one parameter
        log = tables.audit_log.c
        async with self._engine.connect() as connection:
            found = await connection.scalars(sa.select(log.key).where(log.key == sa.any_(keys)))
            exported = set(found)
        return {run_id for run_id in run_ids if _key(run_id) not in exported}

    async def keep(self, run: ClosedRun, history: str, keep_until: dt.datetime) -> None:
        """Store a history and log its hash, in one transaction; the first export of a run stays."""
        sealed = self._box.seal(zlib.compress(history.encode()), run.run_id)
        statement = (
            insert(tables.workflow_history)
            .values(
                run_id=run.run_id,
                workflow_id=run.workflow_id,
                workflow_type=run.workflow_type,
                status=run.status,
                closed_at=run.closed_at,
                keep_until=keep_until,
                sealed=sealed,
            )
            .on_conflict_do_nothing()
            .returning(_kept.run_id)
        )
        async with self._engine.begin() as connection:
            if await connection.scalar(statement) is None:
                return
            await self._audit.append(
                connection,
                run.workflow_id,
                _ACTOR,
                HISTORY_EXPORTED,
                _key(run.run_id),
                {
                    "run_id": run.run_id,
                    "status": run.status,
                    "closed_at": run.closed_at.isoformat(),
                    "events": count_events(history),
                    "sha256": history_hash(history),
                },
            )

    async def expire(self, now: dt.datetime) -> int:
        """Delete what has been kept long enough, each with its record; return how many."""
        statement = (
            sa.delete(tables.workflow_history)
            .where(_kept.keep_until < now)
            .returning(_kept.run_id, _kept.workflow_id)
        )
        async with self._engine.begin() as connection:
            rows = (await connection.execute(statement)).all()
            for row in rows:
                await self._audit.append(
                    connection,
                    row.workflow_id,
                    _ACTOR,
                    HISTORY_EXPIRED,
                    f"{HISTORY_EXPIRED}:{row.run_id}",
                    {"run_id": row.run_id},
                )
        return len(rows)

    async def of(self, workflow_id: str) -> list[KeptHistory]:
        """Return the exported runs of a workflow, the earliest first, each checked."""
        log = tables.audit_log
        hashes = sa.select(log.c.key, log.c.detail).where(
            log.c.subject == workflow_id, log.c.action == HISTORY_EXPORTED
        )
        query = (
            sa.select(tables.workflow_history)
            .where(_kept.workflow_id == workflow_id)
            .order_by(_kept.closed_at, _kept.run_id)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()  # first: each one's record is there then
            logged = {row.key: row.detail for row in await connection.execute(hashes)}
        return [self._opened(row, logged.get(_key(row.run_id))) for row in rows]

    def _opened(self, row: Any, logged: dict[str, Any] | None) -> KeptHistory:
        run = ClosedRun(row.workflow_id, row.run_id, row.workflow_type, row.status, row.closed_at)
        history, fault = "", ""
        try:
            history = zlib.decompress(self._box.open(bytes(row.sealed), row.run_id)).decode()
        except (InvalidTag, zlib.error):
            fault = "changed since it was exported"
        if logged is None:
            fault = fault or "the audit log knows of no such export"
        elif not fault and logged["sha256"] != history_hash(history):
            fault = "not the history whose hash is in the audit log"
        return KeptHistory(run, "" if fault else history, row.keep_until, fault)


def _key(run_id: str) -> str:
    return f"{HISTORY_EXPORTED}:{run_id}"
