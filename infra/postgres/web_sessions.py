"""Web sessions as rows: opened, refreshed, listed, ended; only hashes of tokens are kept."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.customer import CUSTOMER_SCOPES, ApiKey, KeyAlgorithm
from domain.web_login import Where
from domain.web_session import (
    IDLE_SPAN,
    LONGEST_SPAN,
    MAX_SESSIONS,
    SESSION_ENDED,
    SESSION_PREFIX,
    Family,
    Judgement,
    ListedSession,
    OpenedSession,
    judged,
    presented,
    token_hash,
)
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.reading import reading, writing

_TABLE = tables.web_session
_ROW = _TABLE.c
_SCOPES = frozenset(scope.value for scope in CUSTOMER_SCOPES)


class WebSessionStore:
    """Sessions of all customers; where a customer asks, the customer is in the condition."""

    def __init__(
        self, engine: AsyncEngine, audit: AuditStore, now: Callable[[], dt.datetime]
    ) -> None:
        self._engine = engine
        self._audit = audit
        self._now = now

    async def find_key(self, session_id: str) -> ApiKey | None:
        """Return a session that goes on as the key that it is; `ConnectionError`."""
        query = (
            sa.select(_TABLE, tables.customer.c.rate_class, tables.customer.c.status)
            .join_from(_TABLE, tables.customer)
            .where(_ROW.session_id == session_id, _ROW.ended_at.is_(None))
        )
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        return ApiKey(
            key_id=row.session_id,
            customer_id=row.customer_id,
            secret=b"",
            scopes=_SCOPES,
            rate_class=row.rate_class,
            customer_status=row.status,
            expires_at=row.expires_at,
            algorithm=KeyAlgorithm.SESSION,
        )

    async def open(
        self, connection: AsyncConnection, customer_id: int, where: Where
    ) -> OpenedSession:
        """Begin a session within a transaction; beyond `MAX_SESSIONS` the oldest ends."""
        now = self._now()
        mine = _ROW.customer_id == customer_id
        await connection.execute(
            sa.delete(_TABLE).where(mine, sa.or_(_ROW.ended_at.is_not(None), _ROW.expires_at < now))
        )
        query = sa.select(_ROW.session_id).where(mine).order_by(_ROW.created_at.desc())
        known = list(await connection.scalars(query))
        oldest = known[MAX_SESSIONS - 1 :]
        await self._end(connection, customer_id, _ROW.session_id.in_(oldest), "too many")
        family, secret = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        session_id = SESSION_PREFIX + secrets.token_hex(12)
        expires_at = now + IDLE_SPAN
        await connection.execute(
            sa.insert(_TABLE).values(
                session_id=session_id,
                customer_id=customer_id,
                family_hash=token_hash(family),
                secret_hash=token_hash(secret),
                previous_hash="",
                rotated_at=now,
                stepped_up_at=now,
                address=where.address,
                agent=where.agent,
                created_at=now,
                expires_at=expires_at,
            )
        )
        refresh = f"{session_id}.{family}.{secret}"
        return OpenedSession(session_id, customer_id, refresh, expires_at, now)

    async def refresh(self, token: str) -> OpenedSession | None:
        """Return the session with its next refresh token; None when the token is none.

        An old one ends its session.
        """
        shown = presented(token)
        if shown is None:
            return None
        now = self._now()
        query = sa.select(_TABLE).where(
            _ROW.session_id == shown.session_id, _ROW.ended_at.is_(None), _ROW.expires_at > now
        )
        async with writing(self._engine) as connection:
            row = (await connection.execute(query.with_for_update())).one_or_none()
            if row is None:
                return None
            family = Family(row.family_hash, row.secret_hash, row.previous_hash, row.rotated_at)
            verdict = judged(family, shown, now)
            if verdict is Judgement.REUSED:
                mine = _ROW.session_id == row.session_id
                await self._end(connection, row.customer_id, mine, "an old token came")
            if verdict is not Judgement.GOOD:
                return None
            secret = secrets.token_urlsafe(32)
            expires_at = min(now + IDLE_SPAN, row.created_at + LONGEST_SPAN)
            await connection.execute(
                sa.update(_TABLE)
                .where(_ROW.session_id == row.session_id)
                .values(
                    secret_hash=token_hash(secret),
                    previous_hash=token_hash(shown.secret),
                    rotated_at=now,
                    expires_at=expires_at,
                )
            )
        refresh = f"{row.session_id}.{shown.family}.{secret}"
        return OpenedSession(
            row.session_id, row.customer_id, refresh, expires_at, row.stepped_up_at
        )

    async def step_up(self, connection: AsyncConnection, session_id: str) -> dt.datetime:
        """Write down, within a transaction, that a second factor was just shown; return when."""
        now = self._now()
        await connection.execute(
            sa.update(_TABLE).where(_ROW.session_id == session_id).values(stepped_up_at=now)
        )
        return now

    async def listed(self, customer_id: int) -> list[ListedSession]:
        """Return the customer's sessions that go on, newest first."""
        query = (
            sa.select(_TABLE)
            .where(
                _ROW.customer_id == customer_id,
                _ROW.ended_at.is_(None),
                _ROW.expires_at > self._now(),
            )
            .order_by(_ROW.created_at.desc(), _ROW.session_id)
        )
        async with reading(self._engine) as connection:
            return [_listed(row) for row in await connection.execute(query)]

    async def end(self, customer_id: int, session_id: str, *, by: str) -> bool:
        """End one session; False when the customer has no such one that goes on."""
        one = _ROW.session_id == session_id
        async with writing(self._engine) as connection:
            return await self._end(connection, customer_id, one, "asked for", by) == 1

    async def end_all(
        self, connection: AsyncConnection, customer_id: int, why: str, by: str, but: str = ""
    ) -> int:
        """End a customer's sessions within a transaction, all `but` one; return how many."""
        return await self._end(connection, customer_id, _ROW.session_id != but, why, by)

    async def _end(
        self,
        connection: AsyncConnection,
        customer_id: int,
        which: sa.ColumnElement[bool],
        why: str,
        by: str = "gateway",
    ) -> int:
        """End sessions; all rows are changed before the log is locked, as everywhere."""
        ended = await connection.scalars(
            sa.update(_TABLE)
            .where(_ROW.customer_id == customer_id, which, _ROW.ended_at.is_(None))
            .values(ended_at=self._now())
            .returning(_ROW.session_id)
        )
        names = sorted(ended)
        for session_id in names:
            await self._audit.append(
                connection,
                f"customer-{customer_id}",
                by,
                SESSION_ENDED,
                f"{SESSION_ENDED}:{session_id}",
                {"session": session_id, "why": why},
            )
        return len(names)


def _listed(row: Any) -> ListedSession:
    return ListedSession(
        session_id=row.session_id,
        address=row.address,
        agent=row.agent,
        created_at=row.created_at,
        used_at=row.rotated_at,
        expires_at=row.expires_at,
    )
