"""Logins, sessions and invitations in memory: whose sessions are keys that requests are made by."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass

from domain import totp
from domain.customer import ApiKey, KeyAlgorithm
from domain.web_login import Where
from domain.web_session import (
    IDLE_SPAN,
    SESSION_PREFIX,
    Family,
    Judgement,
    ListedSession,
    OpenedSession,
    judged,
    presented,
    token_hash,
)

SECRET = b"a secret of 20 bytes"
PASSWORD = "correct horse battery"
INVITATION = "HALF-HALF-HALF-HALF-HALF-HALF-HALF-HALF"


@dataclass
class Login:
    """A login; `step` is of the last code that was used."""

    customer_id: int
    password: str = PASSWORD
    secret: bytes = SECRET
    step: int = 0
    next_secret: bytes = b""


class LoginMemory:
    """Alice and bob have logins; `now` is the exchange's clock."""

    def __init__(
        self, keys: MutableMapping[str, ApiKey], now: Callable[[], dt.datetime], *names: str
    ) -> None:
        self.keys = keys
        self.now = now
        self.logins = {name: Login(number) for number, name in enumerate(names, 1)}
        self.families: dict[str, Family] = {}
        self.rows: dict[str, ListedSession] = {}
        self.invited: dict[str, Login] = {}

    def code(self, name: str = "alice", ahead: int = 0) -> str:
        """Return the code that the customer's app shows, or a later one's."""
        step = int(self.now().timestamp()) // totp.STEP_SECONDS + ahead
        return totp.code_at(self.logins[name].secret, step)

    async def sign_in(
        self, name: str, password: str, code: str, where: Where
    ) -> OpenedSession | None:
        login = self.logins.get(name)
        if login is None or login.password != password or not self._use(login, code):
            return None
        return self.begin(login.customer_id, where)

    def begin(self, customer_id: int, where: Where) -> OpenedSession:
        """Begin a session without a password."""
        session_id = SESSION_PREFIX + secrets.token_hex(12)
        family, secret = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        now = self.now()
        self.families[session_id] = Family(token_hash(family), token_hash(secret), "", now)
        self.rows[session_id] = ListedSession(
            session_id, where.address, where.agent, now, now, now + IDLE_SPAN
        )
        self.keys[session_id] = ApiKey(
            key_id=session_id,
            customer_id=customer_id,
            secret=b"",
            scopes=frozenset(("read", "trade", "withdraw")),
            rate_class="standard",
            customer_status="active",
            expires_at=now + IDLE_SPAN,
            algorithm=KeyAlgorithm.SESSION,
        )
        token = f"{session_id}.{family}.{secret}"
        return OpenedSession(session_id, customer_id, token, now + IDLE_SPAN, now)

    async def refresh(self, token: str) -> OpenedSession | None:
        shown = presented(token)
        if shown is None or shown.session_id not in self.keys:
            return None
        family, key = self.families[shown.session_id], self.keys[shown.session_id]
        verdict = judged(family, shown, self.now())
        if verdict is Judgement.REUSED:
            del self.keys[shown.session_id]
        if verdict is not Judgement.GOOD:
            return None
        secret = secrets.token_urlsafe(32)
        self.families[shown.session_id] = Family(
            family.family_hash, token_hash(secret), token_hash(shown.secret), self.now()
        )
        began = self.rows[shown.session_id].created_at
        token = f"{shown.session_id}.{shown.family}.{secret}"
        return OpenedSession(
            shown.session_id, key.customer_id, token, self.now() + IDLE_SPAN, began
        )

    async def listed(self, customer_id: int) -> list[ListedSession]:
        mine = [key.key_id for key in self.keys.values() if key.customer_id == customer_id]
        return [row for row in self.rows.values() if row.session_id in mine]

    async def end(self, customer_id: int, session_id: str, *, by: str) -> bool:
        found = self.keys.get(session_id)
        if found is None or found.customer_id != customer_id:
            return False
        del self.keys[session_id]
        return True

    async def step_up(self, customer_id: int, session_id: str, code: str) -> dt.datetime | None:
        return self.now() if self._use(self._of(customer_id), code) else None

    async def change_password(
        self, customer_id: int, session_id: str, password: str, new_password: str
    ) -> bool:
        login = self._of(customer_id)
        if login.password != password:
            return False
        login.password = new_password
        return True

    async def enrol(self, customer_id: int) -> bytes:
        login = self._of(customer_id)
        login.next_secret = secrets.token_bytes(totp.SECRET_BYTES)
        return login.next_secret

    async def confirm(self, customer_id: int, session_id: str, code: str) -> list[str] | None:
        login = self._of(customer_id)
        login.secret, login.step = login.next_secret, 0
        return ["AAAA"] if self._use(login, code) else None

    def _of(self, customer_id: int) -> Login:
        return next(one for one in self.logins.values() if one.customer_id == customer_id)

    def _use(self, login: Login, code: str) -> bool:
        now = int(self.now().timestamp())
        step = totp.step_of(login.secret, code, now=now, after_step=login.step)
        login.step = step or login.step
        return step is not None


class LinkMemory:
    """Links that count once."""

    def __init__(self, logins: LoginMemory) -> None:
        self._logins = logins
        self.open: dict[str, int] = {}

    async def sign_in(self, secret: str, where: Where) -> OpenedSession | None:
        customer_id = self.open.pop(secret, None)
        return None if customer_id is None else self._logins.begin(customer_id, where)


class InvitationMemory:
    """One invitation, for everybody who knows it."""

    def __init__(self, logins: LoginMemory) -> None:
        self._logins = logins

    async def enrol(self, name: str, invitation: str, password: str) -> bytes | None:
        if invitation != INVITATION or name not in self._logins.logins:
            return None
        customer_id = self._logins.logins[name].customer_id
        self._logins.invited[name] = Login(customer_id, password, secrets.token_bytes(20))
        return self._logins.invited[name].secret

    async def activate(self, name: str, invitation: str, code: str) -> list[str] | None:
        made = self._logins.invited.get(name)
        if made is None or invitation != INVITATION:
            return None
        now = int(self._logins.now().timestamp())
        if totp.step_of(made.secret, code, now=now, after_step=0) is None:
            return None
        self._logins.logins[name] = self._logins.invited.pop(name)
        return ["AAAA"]
