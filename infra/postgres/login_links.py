"""Links that sign a demo's customer in once, as rows: one a customer, kept as a hash."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Mapping
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.customer import STAFF
from domain.hash_chain import JsonValue
from domain.web_login import LINK_MADE, LINK_SPAN, SIGN_IN_REFUSED, SIGNED_IN, Where
from domain.web_session import OpenedSession, token_hash
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.reading import writing
from infra.postgres.web_sessions import WebSessionStore

_TABLE = tables.login_link
_ROW = _TABLE.c
_TOKEN_BYTES = 32


class LoginLinkStore:
    """Makes links and lets each sign in once; `now` is the time."""

    def __init__(
        self,
        engine: AsyncEngine,
        audit: AuditStore,
        sessions: WebSessionStore,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._engine = engine
        self._audit = audit
        self._sessions = sessions
        self._now = now

    async def make(self, name: str, by: str) -> str | None:
        """Return the secret of a customer's new link, told this once; None without a customer.

        It takes the place of the customer's earlier one.
        """
        row = tables.customer.c
        query = sa.select(row.customer_id).where(row.name == name, row.kind != STAFF)
        secret = secrets.token_urlsafe(_TOKEN_BYTES)
        values = {
            "token_hash": token_hash(secret),
            "expires_at": self._now() + LINK_SPAN,
            "used_at": None,
        }
        async with writing(self._engine) as connection:
            customer_id = await connection.scalar(query)
            if customer_id is None:
                return None
            made = insert(_TABLE).values(customer_id=customer_id, **values)
            await connection.execute(
                made.on_conflict_do_update(index_elements=["customer_id"], set_=values)
            )
            await self._note(connection, customer_id, by, LINK_MADE, {})
        return secret

    async def sign_in(self, secret: str, where: Where) -> OpenedSession | None:
        """Begin a session and use the link up; None when it was used, is too old, or is none."""
        detail: dict[str, JsonValue] = {"address": where.address, "agent": where.agent}
        query = sa.select(_TABLE).where(_ROW.token_hash == token_hash(secret)).with_for_update()
        async with writing(self._engine) as connection:
            link = (await connection.execute(query)).one_or_none()
            if link is None:
                return None
            who = f"customer:{link.customer_id}"
            if link.used_at is not None or link.expires_at <= self._now():
                detail |= {"factor": "link"}
                await self._note(connection, link.customer_id, who, SIGN_IN_REFUSED, detail)
                return None
            used = sa.update(_TABLE).where(_ROW.customer_id == link.customer_id)
            await connection.execute(used.values(used_at=self._now()))
            opened = await self._sessions.open(connection, link.customer_id, where)
            detail |= {"session": opened.session_id, "factor": "link"}
            await self._note(connection, link.customer_id, who, SIGNED_IN, detail)
        return opened

    async def _note(
        self,
        connection: AsyncConnection,
        customer_id: int,
        by: str,
        action: str,
        detail: Mapping[str, JsonValue],
    ) -> None:
        subject = f"customer-{customer_id}"
        await self._audit.append(connection, subject, by, action, f"{action}:{uuid4()}", detail)
