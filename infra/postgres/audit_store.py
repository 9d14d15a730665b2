"""The audit log: who did what to which withdrawal, deposit or market; hash-chained."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.audit import AuditConflictError, AuditRecord, record_fault
from domain.hash_chain import GENESIS, JsonValue
from infra.postgres import tables

_AUDIT_LOCK = 0x52_49_41_4C_54_4F_00_02


class AuditStore:
    """Append to the log, exactly once per key, inside the caller's transaction."""

    async def append(
        self,
        conn: AsyncConnection,
        subject: str,
        actor: str,
        action: str,
        key: str,
        detail: Mapping[str, JsonValue],
    ) -> int:
        """Append one record and return its id; a repeat under the same key returns the first id.

        The time is the transaction's. `AuditConflictError`: the key was used for something else.
        """
        await conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_AUDIT_LOCK)))
        log = tables.audit_log.c
        earlier = (await conn.execute(sa.select(tables.audit_log).where(log.key == key))).first()
        if earlier is not None:
            if (earlier.subject, earlier.actor, earlier.action, earlier.detail) != (
                subject,
                actor,
                action,
                dict(detail),
            ):
                raise AuditConflictError(f"audit key {key} was used for another record")
            return int(earlier.audit_id)
        last_id, last_hash = await self._head(conn)
        now = (await conn.execute(sa.select(sa.func.now()))).scalar_one()
        record = AuditRecord(
            audit_id=last_id + 1,
            subject=subject,
            actor=actor,
            action=action,
            key=key,
            detail=detail,
            at=now.astimezone(UTC),
            previous_hash=last_hash,
        )
        await conn.execute(
            sa.insert(tables.audit_log).values(
                audit_id=record.audit_id,
                subject=subject,
                actor=actor,
                action=action,
                key=key,
                detail=dict(detail),
                at=record.at,
                previous_hash=record.previous_hash,
                hash=record.computed_hash(),
            )
        )
        return record.audit_id

    async def _head(self, conn: AsyncConnection) -> tuple[int, bytes]:
        """Return id and hash of the newest record."""
        log = tables.audit_log.c
        row = (
            await conn.execute(
                sa.select(log.audit_id, log.hash).order_by(log.audit_id.desc()).limit(1)
            )
        ).first()
        return (row.audit_id, row.hash) if row else (0, GENESIS)

    async def read(self, conn: AsyncConnection, subject: str) -> list[AuditRecord]:
        """Return the records about `subject`, oldest first."""
        log = tables.audit_log.c
        rows = await conn.execute(
            sa.select(tables.audit_log).where(log.subject == subject).order_by(log.audit_id)
        )
        return [_record(row) for row in rows]

    async def faults(self, conn: AsyncConnection, records: list[AuditRecord]) -> dict[int, str]:
        """Return what is wrong with the records, by id: their content, or their place."""
        log = tables.audit_log.c
        wanted = [record.audit_id - 1 for record in records]
        rows = await conn.execute(sa.select(log.audit_id, log.hash).where(log.audit_id.in_(wanted)))
        hashes = {row.audit_id: bytes(row.hash) for row in rows}
        found = {}
        for record in records:
            fault = record_fault(record, hashes.get(record.audit_id - 1))
            if fault is not None:
                found[record.audit_id] = fault
        return found

    async def verify(self, conn: AsyncConnection) -> tuple[int, str]:
        """Return (how many records are good, what is wrong with the next; "" if nothing)."""
        count, before = 0, GENESIS
        async for record in self.range(conn, 1):
            if record.audit_id != count + 1:
                return count, f"record {count + 1} is missing"
            fault = record_fault(record, before)
            if fault is not None:
                return count, f"record {record.audit_id} ({record.subject}): {fault}"
            count, before = record.audit_id, record.hash
        return count, ""

    async def range(
        self, conn: AsyncConnection, first: int, last: int | None = None
    ) -> AsyncIterator[AuditRecord]:
        """Yield the records from `first` to `last`, both included; without `last` to the end."""
        log = tables.audit_log.c
        query = sa.select(tables.audit_log).where(log.audit_id >= first).order_by(log.audit_id)
        if last is not None:
            query = query.where(log.audit_id <= last)
        async with conn.stream(query) as rows:
            async for row in rows:
                yield _record(row)


def _record(row: sa.Row[Any]) -> AuditRecord:
    return AuditRecord(
        audit_id=row.audit_id,
        subject=row.subject,
        actor=row.actor,
        action=row.action,
        key=row.key,
        detail=row.detail,
        at=row.at.astimezone(UTC),
        previous_hash=bytes(row.previous_hash),
        hash=bytes(row.hash),
    )
