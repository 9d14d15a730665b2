"""Rows of what takes two officers' signatures: read, signed, closed; each with its audit record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.approval import Decision, Officer, VerifySignature
from domain.hash_chain import JsonValue
from domain.two_signatures import PROPOSED, Proposal, signature_refusal
from infra.postgres.audit_store import AuditStore

Kind = TypeVar("Kind", bound=Proposal)


class SignedRows(Generic[Kind]):
    """Base of the stores; each method is one transaction, with its record in the audit log."""

    _table: sa.Table
    _id: sa.Column[Any]

    def __init__(self, engine: AsyncEngine, audit: AuditStore) -> None:
        self._engine = engine
        self._audit = audit

    def _of(self, row: Any) -> Kind:
        """Return the proposal of a row."""
        raise NotImplementedError

    def _rows(self) -> sa.Select[Any]:
        """Return the query of all rows, with all that `_of` reads."""
        return sa.select(self._table)

    def _subject(self, proposal: Kind) -> str:
        """Return what the audit log calls it: its workflow's id."""
        raise NotImplementedError

    async def load(self, proposal_id: str) -> tuple[Kind, dict[str, str]]:
        """Return the proposal and {officer: signature, hex}; `LookupError` when there is none."""
        async with self._engine.connect() as conn:
            return await self._read(conn, proposal_id)

    async def open(self) -> list[tuple[Kind, dict[str, str]]]:
        """Return what is proposed, oldest first."""
        async with self._engine.connect() as conn:
            rows = await conn.execute(
                self._rows()
                .where(self._table.c.state == PROPOSED)
                .order_by(self._table.c.created_at)
            )
            return [(self._of(row), dict(row.signatures)) for row in rows]

    async def sign(
        self,
        proposal_id: str,
        decision: Decision,
        officers: Mapping[str, Officer],
        verify: VerifySignature,
        now: int,
    ) -> str | None:
        """Add a signature; return why it does not count, or None when it does."""
        async with self._engine.begin() as conn:
            proposal, signatures = await self._read(conn, proposal_id, lock=True)
            refusal = signature_refusal(
                decision, proposal, officers=officers, signed=signatures, now=now, verify=verify
            )
            if refusal is not None:
                return refusal
            signatures[decision.officer] = decision.signature_hex
            await self._change(conn, proposal_id, signatures=signatures)
            await self._note(
                conn,
                proposal,
                f"officer:{decision.officer}",
                "signed",
                {"statement": decision.statement, "signature": decision.signature_hex},
            )
        return None

    async def _read(
        self, conn: AsyncConnection, proposal_id: str, *, lock: bool = False
    ) -> tuple[Kind, dict[str, str]]:
        query = self._rows().where(self._id == UUID(proposal_id))
        locking = query.with_for_update(of=self._table)
        row = (await conn.execute(locking if lock else query)).one_or_none()
        if row is None:
            raise LookupError(f"no {self._table.name.replace('_', ' ')} {proposal_id}")
        return self._of(row), dict(row.signatures)

    async def _change(self, conn: AsyncConnection, proposal_id: str, **values: Any) -> None:
        await conn.execute(
            sa.update(self._table).where(self._id == UUID(proposal_id)).values(**values)
        )

    async def _note(
        self,
        conn: AsyncConnection,
        proposal: Kind,
        actor: str,
        action: str,
        detail: Mapping[str, JsonValue],
        *,
        once: str = "",
    ) -> None:
        """Append a record; `once` tells records of the same actor and action apart."""
        subject = self._subject(proposal)
        key = f"{subject}:{action}:{actor}{once and ':'}{once}"
        await self._audit.append(conn, subject, actor, action, key, detail)
