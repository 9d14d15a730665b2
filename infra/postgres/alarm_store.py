"""Alarms as rows: one open row a condition, however often and by however many it is found."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.alarm import RUNBOOKS, Alarm, AlarmKind, Condition
from infra.postgres import tables

_RAISE = sa.text(
    "INSERT INTO alarm (key, kind, subject, severity, text, runbook, workflow_id)"
    " SELECT * FROM unnest(CAST(:keys AS text[]), CAST(:kinds AS text[]),"
    " CAST(:subjects AS text[]), CAST(:severities AS text[]), CAST(:texts AS text[]),"
    " CAST(:runbooks AS text[]), CAST(:workflows AS text[]))"
    " ON CONFLICT (key) WHERE cleared_at IS NULL DO UPDATE SET seen_at = now(),"
    " times = alarm.times + 1, text = excluded.text"
    " RETURNING alarm_id, times"
)
_CLEAR = sa.text(
    "UPDATE alarm SET cleared_at = now() WHERE cleared_at IS NULL"
    " AND kind = ANY(CAST(:kinds AS text[])) AND key <> ALL(CAST(:keys AS text[]))"
)
_SENT = sa.text(
    "UPDATE alarm SET sent_by = array_append(sent_by, :sender)"
    " WHERE alarm_id = :alarm_id AND :sender <> ALL(sent_by)"
)
_ACK = sa.text(
    "UPDATE alarm SET acked_by = :by, acked_at = now()"
    " WHERE alarm_id = :alarm_id AND acked_at IS NULL RETURNING alarm_id"
)
_MOST = 500


class AlarmStore:
    """`ui_url` (the UI, or its list of workflows) and `namespace` make the links to workflows."""

    def __init__(self, engine: AsyncEngine, ui_url: str, namespace: str) -> None:
        self._engine = engine
        self._ui_url = ui_url.split("/namespaces/")[0].rstrip("/")
        self._namespace = namespace

    async def sync(self, kinds: Collection[AlarmKind], found: Sequence[Condition]) -> int:
        """Raise what is new, note what is still there, clear what is gone; return how many rose.

        Only alarms of `kinds` are cleared: a source that did not answer clears nothing.
        """
        unique = {condition.key: condition for condition in found}
        conditions = [unique[key] for key in sorted(unique)]  # one order for all who sync
        raised = 0
        async with self._engine.begin() as conn:
            if conditions:
                rows = await conn.execute(_RAISE, _columns(conditions))
                raised = sum(row.times == 1 for row in rows)
            await conn.execute(_CLEAR, {"kinds": list(kinds), "keys": list(unique)})
        return raised

    async def unsent(self, sender: str) -> list[Alarm]:
        """Return the open alarms that `sender` has not sent yet, oldest first."""
        alarm = tables.alarm.c
        return await self._read(
            alarm.cleared_at.is_(None), sa.literal(sender) != sa.all_(alarm.sent_by)
        )

    async def mark_sent(self, alarm_id: int, sender: str) -> None:
        """Note that `sender` has sent it."""
        async with self._engine.begin() as conn:
            await conn.execute(_SENT, {"alarm_id": alarm_id, "sender": sender})

    async def open(self) -> list[Alarm]:
        """Return the open alarms, oldest first."""
        return await self._read(tables.alarm.c.cleared_at.is_(None))

    async def latest(self) -> list[Alarm]:
        """Return the newest alarms, cleared ones too, oldest first."""
        return await self._read(sa.true())

    async def acknowledge(self, alarm_id: int, by: str) -> bool:
        """Note who looks after it; False when somebody does already, or there is none."""
        async with self._engine.begin() as conn:
            return await conn.scalar(_ACK, {"alarm_id": alarm_id, "by": by}) is not None

    async def _read(self, *conditions: sa.ColumnElement[bool]) -> list[Alarm]:
        query = (
            sa.select(tables.alarm)
            .where(*conditions)
            .order_by(tables.alarm.c.alarm_id.desc())
            .limit(_MOST)
        )
        async with self._engine.connect() as conn:
            rows = (await conn.execute(query)).all()
        return [self._alarm(row) for row in reversed(rows)]

    def _alarm(self, row: Any) -> Alarm:
        link = f"{self._ui_url}/namespaces/{self._namespace}/workflows/{row.workflow_id}"
        return Alarm(
            alarm_id=row.alarm_id,
            kind=row.kind,
            subject=row.subject,
            severity=row.severity,
            text=row.text,
            runbook=row.runbook,
            workflow_url=link if row.workflow_id and self._ui_url else row.workflow_id,
            raised_at=_text(row.raised_at),
            seen_at=_text(row.seen_at),
            times=row.times,
            acked_by=row.acked_by or "",
            acked_at=_text(row.acked_at),
            cleared_at=_text(row.cleared_at),
        )


def _columns(conditions: Sequence[Condition]) -> dict[str, list[str]]:
    return {
        "keys": [condition.key for condition in conditions],
        "kinds": [condition.kind for condition in conditions],
        "subjects": [condition.subject for condition in conditions],
        "severities": [condition.severity for condition in conditions],
        "texts": [condition.text for condition in conditions],
        "runbooks": [condition.runbook or RUNBOOKS[condition.kind] for condition in conditions],
        "workflows": [condition.workflow_id for condition in conditions],
    }


def _text(moment: dt.datetime | None) -> str:
    return "" if moment is None else moment.astimezone(dt.UTC).isoformat(timespec="seconds")
