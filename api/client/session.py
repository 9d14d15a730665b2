"""A web session in the place of an API key: what the page has, for a program with a login."""

from __future__ import annotations

import time

from api.schemas.sessions import SessionOut
from domain.web_session import ACCESS_SPAN

_EARLY_SECONDS = 60.0
_FRESH_SECONDS = ACCESS_SPAN.total_seconds() - _EARLY_SECONDS


class Session:
    """Signs requests by a session's access token, which the client exchanges as it grows old.

    The cookie that it is exchanged for stays in the client that has signed in: a client has one
    session at a time. `headers` is what an `ApiAccount` has.
    """

    def __init__(self, told: SessionOut) -> None:
        self.take(told)

    def take(self, told: SessionOut) -> None:
        """Go on with what a refresh or a fresh second factor was answered with."""
        self.session_id = told.session_id
        self.stepped_up_until_us = told.stepped_up_until_us
        self._token = told.access_token
        self._taken_at = time.monotonic()

    @property
    def is_stale(self) -> bool:
        """Return whether the token is to be exchanged before it is shown again."""
        return time.monotonic() - self._taken_at > _FRESH_SECONDS

    def headers(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        idempotency_key: str = "",
        timestamp_ms: int | None = None,
    ) -> dict[str, str]:
        """Return the headers of a request; nothing of it is signed, the token shows who asks."""
        return {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            **({"Idempotency-Key": idempotency_key} if idempotency_key else {}),
        }
