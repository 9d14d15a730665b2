"""The audit log: who did what to which withdrawal, deposit or market; hash-chained."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.audit import AuditConflictError, AuditRecord, record_fault
from domain.hash_chain import GENESIS, JsonValue
from infra.postgres import tables

_AUDIT_LOCK = 0x52_49_41_4C_54_4F_00_02


_log = tables.audit_log.c
_newest = (
    sa.select(_log.audit_id.label("last_id"), _log.hash.label("last_hash"))
    .order_by(_log.audit_id.desc())
    .limit(1)
    .subquery()
)
_earlier = (
    sa.select(_log.audit_id, _log.subject, _log.actor, _log.action, _log.key, _log.detail)
    .where(_log.key.in_(sa.bindparam("keys", expanding=True)))
    .subquery()
)
_FOUND = sa.select(  # one row at least, without a newest record or earlier ones too
    sa.func.now().label("now"), *_newest.c, *_earlier.c
).select_from(
    sa.select(sa.literal(1)).subquery().outerjoin(_newest, sa.true()).outerjoin(_earlier, sa.true())
)


class Entry(NamedTuple):
    """What is to be written; `key` makes it once."""

    subject: str
    actor: str
    action: str
    key: str
    detail: dict[str, JsonValue]


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
        entry = Entry(subject, actor, action, key, dict(detail))
        (audit_id,) = await self.append_many(conn, [entry])
        return audit_id

    async def append_many(self, conn: AsyncConnection, entries: Sequence[Entry]) -> list[int]:
        """Append records one after the other and return their ids, as `append` does for one."""
        await conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_AUDIT_LOCK)))
        # in a statement of its own, after the lock: it sees what was written until then
        found = (await conn.execute(_FOUND, {"keys": [one.key for one in entries]})).all()
        known = {
            row.key: (int(row.audit_id), Entry(*row[-5:])) for row in found if row.key is not None
        }
        head = found[0]
        last_id = int(head.last_id or 0)
        last_hash = GENESIS if head.last_hash is None else bytes(head.last_hash)
        at = head.now.astimezone(UTC)
        records = []
        for entry in entries:
            if entry.key in known:
                if known[entry.key][1] != entry:
                    raise AuditConflictError(f"audit key {entry.key} was used for another record")
                continue
            record = AuditRecord(last_id + 1, *entry, at=at, previous_hash=last_hash)
            last_id, last_hash = record.audit_id, record.computed_hash()
            known[entry.key] = (last_id, entry)
            records.append(
                {
                    "audit_id": last_id,
                    **entry._asdict(),
                    "at": at,
                    "previous_hash": record.previous_hash,
                    "hash": last_hash,
                }
            )
        if records:
            await conn.execute(sa.insert(tables.audit_log), records)
        return [known[entry.key][0] for entry in entries]

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
