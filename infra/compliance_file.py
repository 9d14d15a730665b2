"""The compliance file: stories from the audit log, checked against all that can be had.

Each look of a member of staff at a customer's file is itself written into the log, first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio.service import RPCError

from domain.approval import DECISIONS
from domain.audit import AuditRecord, record_fault
from domain.money import text_from_units
from domain.wallet_record import FiledWithdrawal, RowPlace, WithdrawalFilter
from domain.withdrawal import withdrawal_workflow_id
from domain.withdrawal_story import FILE_READ, LOG_EXPORTED, missing_records, sentence, story_of
from domain.workflow_history import completed_steps
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.by_time import microseconds, page
from infra.postgres.history_archive import HistoryArchive, KeptHistory
from infra.postgres.reading import reading, writing
from infra.temporal.histories import WorkflowHistories
from infra.wallet.officers import verify_ed25519
from infra.wallet.pinned_officers import Pin

# Temporal's histories; None when the server is away
Server = Callable[[], Awaitable[WorkflowHistories | None]]


class ComplianceFile:
    """Reads stories. `officers` gives the pins with whose keys signatures are checked again."""

    def __init__(
        self,
        engine: AsyncEngine,
        archive: HistoryArchive,
        server: Server,
        officers: Callable[[], Mapping[str, Pin]],
    ) -> None:
        self._engine = engine
        self._picture = engine.execution_options(isolation_level="REPEATABLE READ")
        self._audit = AuditStore()
        self._archive = archive
        self._server = server
        self._officers = officers

    async def withdrawal(self, withdrawal_id: UUID, reader: str) -> dict[str, Any] | None:
        """Return the story of a withdrawal for JSON; None when the log knows none.

        `records` each have a `fault` ("" = genuine); `differences` are what the workflow's history
        or the business row say otherwise; `history` tells which histories there were to compare.
        """
        subject = withdrawal_workflow_id(str(withdrawal_id))
        await self._note_read(subject, reader)
        history, steps = await self._history(subject)  # first: what it shows is on record by then
        row = tables.withdrawal.c
        query = sa.select(row.state).where(row.withdrawal_id == withdrawal_id)
        async with reading(self._picture) as connection:  # all of it as of one moment
            records, told = await self._records(connection, subject)
            state = await connection.scalar(query)
        story = story_of(str(withdrawal_id), records)
        if story is None:
            return None
        actions = {record.action for record in records}
        differences = missing_records(actions, steps)
        if state is not None and state != story.state:
            differences.append(f"the row is {state}, the audit log says {story.state}")
        differences += [
            f"history {run['run_id']}: {run['fault']}" for run in history if run["fault"]
        ]
        return {**asdict(story), "differences": differences, "history": history, "records": told}

    async def withdrawals(
        self, wanted: WithdrawalFilter, before: RowPlace | None, limit: int
    ) -> list[FiledWithdrawal]:
        """Return withdrawals of all customers, newest first, before (creation time, id)."""
        row, asset = tables.withdrawal.c, tables.asset.c
        moment = microseconds(row.created_at).label("us")
        query = sa.select(tables.withdrawal, asset.code, asset.chain_decimals, moment).join_from(
            tables.withdrawal, tables.asset
        )
        for column, value in (
            (row.customer_id, wanted.customer_id),
            (row.state, wanted.state),
            (row.address, wanted.address),
        ):
            query = query if value is None else query.where(column == value)
        query = page(query, row.created_at, row.withdrawal_id, before, limit)
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return [
            FiledWithdrawal(
                withdrawal_id=one.withdrawal_id,
                customer_id=one.customer_id,
                asset=one.code,
                amount_text=text_from_units(int(one.amount), one.chain_decimals),
                address=one.address,
                state=one.state,
                stage=one.stage,
                created_at_us=one.us,
            )
            for one in rows
        ]

    async def about(self, subject: str, reader: str) -> list[dict[str, Any]]:
        """Return the records about a subject for JSON, oldest first, each with its `fault`."""
        await self._note_read(subject, reader)
        return await self.told(subject)

    async def told(self, subject: str) -> list[dict[str, Any]]:
        """Return what `about` does, to a caller who has written the look down himself."""
        async with reading(self._picture) as connection:
            return (await self._records(connection, subject))[1]

    async def _note_read(self, subject: str, reader: str) -> None:
        """Write down who looks at a customer's file, before it is read; not if there is none."""
        async with writing(self._engine) as connection:
            if is_customers(subject) and await self._audit.read(connection, subject):
                await self._audit.append(
                    connection, subject, reader, FILE_READ, f"{FILE_READ}:{uuid4()}", {}
                )

    async def _records(
        self, connection: AsyncConnection, subject: str
    ) -> tuple[list[AuditRecord], list[dict[str, Any]]]:
        records = await self._audit.read(connection, subject)
        faults = await self._audit.faults(connection, records)
        return records, [self._told(record, faults.get(record.audit_id, "")) for record in records]

    def _told(self, record: AuditRecord, fault: str) -> dict[str, Any]:
        return {
            "audit_id": record.audit_id,
            "at": record.at.isoformat(),
            "subject": record.subject,
            "actor": record.actor,
            "action": record.action,
            "says": sentence(record),
            "detail": dict(record.detail),
            "previous_hash": record.previous_hash.hex(),
            "hash": record.hash.hex(),
            "fault": fault or self._signature_fault(record),
        }

    def _signature_fault(self, record: AuditRecord) -> str:
        """Return why a decision was signed by no key its officer ever had; "" if it was."""
        if record.action not in DECISIONS:
            return ""
        pin = self._officers().get(record.actor.removeprefix("officer:"))
        if pin is None:
            return "signed by nobody that is pinned"
        try:
            signature = bytes.fromhex(str(record.detail.get("signature", "")))
        except ValueError:
            return "not signed"
        message = str(record.detail.get("statement", "")).encode()
        good = any(
            verify_ed25519(bytes.fromhex(key), message, signature) for key in pin.keys_ever()
        )
        return "" if good else "not signed by this officer"

    async def _history(self, workflow_id: str) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """Return the runs with where their histories are, and how often each step completed."""
        kept = {found.run.run_id: found for found in await self._archive.of(workflow_id)}
        live = await self._live(workflow_id, set(kept))
        steps: Counter[str] = Counter()
        for text in (*(found.history for found in kept.values() if found.history), *live.values()):
            steps.update(completed_steps(text))
        runs = [_run(found) for found in kept.values()]
        runs += [{"run_id": run_id, "source": "temporal", "fault": ""} for run_id in live]
        return runs, steps

    async def _live(self, workflow_id: str, kept: set[str]) -> dict[str, str]:
        """Return histories of runs that are not exported yet, by run; {} when Temporal is away."""
        try:
            server = await self._server()
            if server is None:
                return {}
            found = {
                run_id: await server.history(workflow_id, run_id)
                for run_id in await server.run_ids(workflow_id)
                if run_id not in kept
            }
        except (RPCError, RuntimeError):
            return {}
        return {run_id: text for run_id, text in found.items() if text is not None}

    async def histories(self, workflow_id: str) -> list[KeptHistory]:
        """Return the exported histories of a workflow, the earliest first, each checked."""
        return await self._archive.of(workflow_id)

    async def verify(self) -> tuple[int, str]:
        """Return (how many records of the audit log are good, what is wrong with the next)."""
        async with self._engine.connect() as connection:
            return await self._audit.verify(connection)

    async def note_export(self, reader: str, begin: datetime, end: datetime) -> None:
        """Write down that a member of staff takes the log of a period out of the exchange."""
        detail = {"from": begin.isoformat(), "to": end.isoformat()}
        async with self._engine.begin() as connection:
            await self._audit.append(
                connection, "audit-log", reader, LOG_EXPORTED, f"{LOG_EXPORTED}:{uuid4()}", detail
            )

    async def period(self, begin: datetime, end: datetime) -> AsyncIterator[dict[str, Any]]:
        """Yield the records of begin <= time < end for JSON, in order, each with its `fault`."""
        log = tables.audit_log.c
        bounds = sa.select(sa.func.min(log.audit_id), sa.func.max(log.audit_id))
        async with self._engine.connect() as connection:
            first, last = (
                await connection.execute(bounds.where(log.at >= begin, log.at < end))
            ).one()
            if first is None:
                return
            before = await connection.scalar(sa.select(log.hash).where(log.audit_id == first - 1))
            expected = first
            async for record in self._audit.range(connection, first, last):
                fault = record_fault(record, before if record.audit_id == expected else None)
                before, expected = record.hash, record.audit_id + 1
                if begin <= record.at < end:  # a transaction's time, so not quite in order
                    yield self._told(record, fault or "")


def is_customers(subject: str) -> bool:
    """Return whether a subject is part of a customer's file, so that looking at it is recorded."""
    return subject.startswith(("customer-", "withdrawal-", "deposit-"))


def _run(found: KeptHistory) -> dict[str, Any]:
    return {
        "run_id": found.run.run_id,
        "source": "export",
        "status": found.run.status,
        "closed_at": found.run.closed_at.isoformat(),
        "keep_until": found.keep_until.isoformat(),
        "fault": found.fault,
    }


def faults_of(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with records, in words."""
    return [f"record {one['audit_id']}: {one['fault']}" for one in records if one["fault"]]
