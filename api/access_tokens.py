"""Access tokens of web sessions: what a page shows with each request, for ten minutes.

`session.expires.stepped_up_until.mac`, times in milliseconds since 1970, the MAC HMAC-SHA256 under
a key that all gateways have. A token says which session it is of; whether that goes on is asked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass

_TOKEN = re.compile(r"(rs_[0-9a-f]{24})\.([0-9]{1,15})\.([0-9]{1,15})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a token says; times in milliseconds since 1970."""

    session_id: str
    expires_ms: int
    stepped_up_until_ms: int


class AccessTokens:
    """Gives out tokens, and tells its own from others."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sealed(self, token: AccessToken) -> str:
        """Return the text of a token."""
        text = f"{token.session_id}.{token.expires_ms}.{token.stepped_up_until_ms}"
        return f"{text}.{self._mac(text)}"

    def opened(self, text: str) -> AccessToken | None:
        """Return what a token says; None for what we have not given out."""
        found = _TOKEN.fullmatch(text)
        if found is None:
            return None
        said, _, mac = text.rpartition(".")
        if not hmac.compare_digest(self._mac(said), mac):
            return None
        return AccessToken(found[1], int(found[2]), int(found[3]))

    def _mac(self, text: str) -> str:
        digest = hmac.new(self._key, b"access token 1\n" + text.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
