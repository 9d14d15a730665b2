"""Logins as rows: password, second factor, recovery codes; a code is used up in a transaction."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain import totp
from domain.customer import STAFF
from domain.hash_chain import JsonValue
from domain.web_login import (
    PASSWORD_CHANGED,
    RECOVERY_BYTES,
    RECOVERY_CODES,
    SECOND_FACTOR_CHANGED,
    SIGN_IN_REFUSED,
    SIGNED_IN,
    STEPPED_UP,
    Where,
    is_totp_code,
    password_bytes,
    spelled,
    spoken_hash,
)
from domain.web_session import OpenedSession
from infra.passwords import Passwords
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.reading import reading, writing
from infra.postgres.web_sessions import WebSessionStore
from infra.secret_box import SecretBox

_TABLE = tables.web_login
_ROW = _TABLE.c
_CUSTOMER = tables.customer.c


class WebLoginStore:
    """Passwords and second factors of customers, checked and changed."""

    def __init__(
        self,
        engine: AsyncEngine,
        box: SecretBox,
        audit: AuditStore,
        passwords: Passwords,
        sessions: WebSessionStore,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._engine = engine
        self._box = box
        self._audit = audit
        self._passwords = passwords
        self._sessions = sessions
        self._now = now

    async def sign_in(
        self, name: str, password: str, code: str, where: Where
    ) -> OpenedSession | None:
        """Begin a session; None when name, password or code is not right.

        An unknown name takes as long, and leaves a record, too.
        """
        query = (
            sa.select(_ROW.customer_id, _ROW.password_hash)
            .join_from(_TABLE, tables.customer)
            .where(_CUSTOMER.name == name, _CUSTOMER.kind != STAFF)
        )
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).one_or_none()
        kept = None if row is None else row.password_hash
        knows = await self._passwords.matches(password_bytes(password), kept)
        detail: dict[str, JsonValue] = {"address": where.address, "agent": where.agent}
        async with writing(self._engine) as connection:
            if row is None:
                await self._note(connection, None, SIGN_IN_REFUSED, {"name": name, **detail})
                return None
            login = await self._locked(connection, row.customer_id)
            is_same = login is not None and login.password_hash == kept  # not changed meanwhile
            used = await self._use(connection, login, code) if knows and is_same else None
            if used is None:
                await self._note(connection, row.customer_id, SIGN_IN_REFUSED, detail)
                return None
            opened = await self._sessions.open(connection, row.customer_id, where)
            detail |= {"session": opened.session_id, **used}
            await self._note(connection, row.customer_id, SIGNED_IN, detail)
        return opened

    async def step_up(self, customer_id: int, session_id: str, code: str) -> dt.datetime | None:
        """Take a code for a session; return when, None when it is not right."""
        async with writing(self._engine) as connection:
            login = await self._locked(connection, customer_id)
            used = None if login is None else await self._use(connection, login, code)
            if used is None:
                return None
            at = await self._sessions.step_up(connection, session_id)
            await self._note(connection, customer_id, STEPPED_UP, {"session": session_id, **used})
        return at

    async def change_password(
        self, customer_id: int, session_id: str, password: str, new_password: str
    ) -> bool:
        """Change the password and end all other sessions; False when the old one is not right."""
        query = sa.select(_ROW.password_hash).where(_ROW.customer_id == customer_id)
        async with reading(self._engine) as connection:
            kept = await connection.scalar(query)
        if not await self._passwords.matches(password_bytes(password), kept):
            return False
        made = await self._passwords.hashed(password_bytes(new_password))
        async with writing(self._engine) as connection:
            done = await connection.execute(
                sa.update(_TABLE)
                .where(_ROW.customer_id == customer_id, _ROW.password_hash == kept)
                .values(password_hash=made, changed_at=sa.func.now())
            )
            if done.rowcount != 1:
                return False
            await self._changed(connection, customer_id, PASSWORD_CHANGED, session_id)
        return True

    async def enrol(self, customer_id: int) -> bytes:
        """Return the secret of another second factor; the present one stays until it is shown."""
        secret = secrets.token_bytes(totp.SECRET_BYTES)
        async with writing(self._engine) as connection:
            await connection.execute(
                sa.update(_TABLE)
                .where(_ROW.customer_id == customer_id)
                .values(next_totp_sealed=self._box.seal(secret, totp_context(customer_id)))
            )
        return secret

    async def confirm(self, customer_id: int, session_id: str, code: str) -> list[str] | None:
        """Put the enrolled factor in the place of the present one; return new recovery codes.

        None when the code is not its. All other sessions end.
        """
        async with writing(self._engine) as connection:
            login = await self._locked(connection, customer_id)
            if login is None or login.next_totp_sealed is None:
                return None
            step = self._step(login.next_totp_sealed, customer_id, code, 0)
            if step is None:
                return None
            codes = new_recovery_codes()
            await connection.execute(
                sa.update(_TABLE)
                .where(_ROW.customer_id == customer_id)
                .values(
                    totp_sealed=login.next_totp_sealed,
                    next_totp_sealed=None,
                    totp_step=step,
                    recovery_hashes=[spoken_hash(one) for one in codes],
                    changed_at=sa.func.now(),
                )
            )
            await self._changed(connection, customer_id, SECOND_FACTOR_CHANGED, session_id)
        return codes

    async def _locked(self, connection: AsyncConnection, customer_id: int) -> Any:
        query = sa.select(_TABLE).where(_ROW.customer_id == customer_id).with_for_update()
        return (await connection.execute(query)).one_or_none()

    async def _use(
        self, connection: AsyncConnection, login: Any, code: str
    ) -> dict[str, JsonValue] | None:
        """Use a code up and return what it was, for the record; None when it is none any more."""
        mine = _ROW.customer_id == login.customer_id
        if is_totp_code(code):
            step = self._step(login.totp_sealed, login.customer_id, code, login.totp_step)
            if step is None:
                return None
            await connection.execute(sa.update(_TABLE).where(mine).values(totp_step=step))
            return {"factor": "code"}
        used = spoken_hash(code)
        if used not in login.recovery_hashes:
            return None
        left = [one for one in login.recovery_hashes if one != used]
        await connection.execute(sa.update(_TABLE).where(mine).values(recovery_hashes=left))
        return {"factor": "recovery code", "codes_left": len(left)}

    def _step(self, sealed: bytes, customer_id: int, code: str, after_step: int) -> int | None:
        secret = self._box.open(bytes(sealed), totp_context(customer_id))
        now = int(self._now().timestamp())
        return totp.step_of(secret, code, now=now, after_step=after_step)

    async def _changed(
        self, connection: AsyncConnection, customer_id: int, action: str, session_id: str
    ) -> None:
        ended = await self._sessions.end_all(
            connection, customer_id, action, f"customer:{customer_id}", but=session_id
        )
        detail: dict[str, JsonValue] = {"session": session_id, "sessions_ended": ended}
        await self._note(connection, customer_id, action, detail)

    async def _note(
        self,
        connection: AsyncConnection,
        customer_id: int | None,
        action: str,
        detail: Mapping[str, JsonValue],
    ) -> None:
        subject = "web-login" if customer_id is None else f"customer-{customer_id}"
        actor = "?" if customer_id is None else f"customer:{customer_id}"
        await self._audit.append(connection, subject, actor, action, f"{action}:{uuid4()}", detail)


def totp_context(customer_id: int) -> str:
    """Return what a sealed secret is bound to: moved to another customer it does not open."""
    return f"totp:{customer_id}"


def new_recovery_codes() -> list[str]:
    """Return codes that count once each, for who has lost the second factor."""
    return [spelled(secrets.token_bytes(RECOVERY_BYTES)) for _ in range(RECOVERY_CODES)]
