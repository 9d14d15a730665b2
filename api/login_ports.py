"""What the API needs from outside for customers' own keys, logins and web sessions.

Adapters arrive by constructor. A store that cannot be reached raises `ConnectionError`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Protocol

from api.access_tokens import AccessTokens
from domain.api_keys import KeyRefusal, ListedKey, MadeKey, NewKey
from domain.web_login import Where
from domain.web_session import ListedSession, OpenedSession


class OwnKeys(Protocol):
    """A customer's own API keys, from PostgreSQL; `by` is who changes them, for the audit log."""

    async def listed(self, customer_id: int) -> list[ListedKey]:
        """Return the keys that are not revoked, oldest first."""

    async def add(self, customer_id: int, wanted: NewKey, *, by: str) -> MadeKey | KeyRefusal:
        """Make a key."""

    async def revoke(self, customer_id: int, key_id: str, *, by: str) -> ListedKey | None:
        """Revoke a key and return it; None when the customer has no such key."""


class EndedKeys(Protocol):
    """Tells all gateways that a key or a session has ended, so that it ends at once."""

    async def tell(self, key_id: str) -> None:
        """Tell it; `ConnectionError` where that cannot be: then it ends within two seconds."""


class WebLogins(Protocol):
    """Passwords and second factors; what is not right is None or False, and never says what."""

    async def sign_in(
        self, name: str, password: str, code: str, where: Where
    ) -> OpenedSession | None:
        """Begin a session."""

    async def step_up(self, customer_id: int, session_id: str, code: str) -> dt.datetime | None:
        """Take a code for a session; return when."""

    async def change_password(
        self, customer_id: int, session_id: str, password: str, new_password: str
    ) -> bool:
        """Change the password and end all other sessions."""

    async def enrol(self, customer_id: int) -> bytes:
        """Return the secret of another second factor, which counts from `confirm` on."""

    async def confirm(self, customer_id: int, session_id: str, code: str) -> list[str] | None:
        """Change to the second factor that was enrolled; return new recovery codes."""


class WebSessions(Protocol):
    """The sessions themselves; that one goes on is asked of the `KeyDirectory`."""

    async def refresh(self, token: str) -> OpenedSession | None:
        """Return the session with its next refresh token; an old token ends its session."""

    async def listed(self, customer_id: int) -> list[ListedSession]:
        """Return the customer's sessions that go on, newest first."""

    async def end(self, customer_id: int, session_id: str, *, by: str) -> bool:
        """End one session; False when the customer has no such one."""


class Invitations(Protocol):
    """Logins are made with an invitation, whose two halves two officers have handed over."""

    async def enrol(self, name: str, invitation: str, password: str) -> bytes | None:
        """Keep a password and return the secret of a second factor."""

    async def activate(self, name: str, invitation: str, code: str) -> list[str] | None:
        """Make the login of what was enrolled; return its recovery codes."""


class LoginLinks(Protocol):
    """Links that sign a demo's customer in once."""

    async def sign_in(self, secret: str, where: Where) -> OpenedSession | None:
        """Begin a session and use the link up; None when it was used, is too old, or is none."""


@dataclass(frozen=True, slots=True)
class WebServices:
    """Everything about signing in. `public_url` is what browsers call us, "" as they found us.

    Only a demo has `links`.
    """

    logins: WebLogins
    sessions: WebSessions
    invitations: Invitations
    tokens: AccessTokens
    public_url: str = ""
    links: LoginLinks | None = None

    @property
    def is_https(self) -> bool:
        """Return whether cookies are for encrypted connections only."""
        return self.public_url.startswith("https:")
