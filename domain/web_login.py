"""Signing in by password and second factor: what a password may be, recovery codes, records."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
import unicodedata
from dataclasses import dataclass

SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 128
LONGEST_NAME = 64
RECOVERY_CODES = 10
RECOVERY_BYTES = 10  # 16 letters: too many to try, so a plain hash of one is enough
HALF_BYTES = 10
LINK_SPAN = dt.timedelta(minutes=15)  # how long a demo's login link counts, once

# audit actions, about the customer
LOGIN_MADE = "login_made"
LINK_MADE = "login_link_made"
SIGNED_IN = "signed_in"
SIGN_IN_REFUSED = "sign_in_refused"
STEPPED_UP = "stepped_up"
PASSWORD_CHANGED = "password_changed"  # noqa: S105 - an action's name
SECOND_FACTOR_CHANGED = "second_factor_changed"

_TOTP_CODE = re.compile(r"[0-9]{6}")


@dataclass(frozen=True, slots=True)
class Where:
    """Where somebody signs in from: the connection's address, and what the browser calls itself."""

    address: str
    agent: str


def password_bytes(password: str) -> bytes:
    """Return a password as it is hashed: one spelling of letters that have two."""
    return unicodedata.normalize("NFKC", password).encode()


def password_refusal(name: str, password: str) -> str | None:
    """Return why a password is none, in words, or None. Its length is what makes it strong."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        return f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters."
    if len(set(password)) < SHORTEST_PASSWORD // 2:
        return "The password repeats itself too much."
    if name and name.casefold() in password.casefold():
        return "The password contains the name."
    return None


def is_totp_code(code: str) -> bool:
    """Return whether it is a code of an app; another one is taken for a recovery code."""
    return _TOTP_CODE.fullmatch(code) is not None


def spelled(raw: bytes) -> str:
    """Return random bytes as people copy them: groups of four letters and digits."""
    text = base64.b32encode(raw).decode().rstrip("=")
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def spoken_hash(text: str) -> str:
    """Return the hash (hex) of a code of ours, however it was typed: case, blanks, hyphens."""
    plain = re.sub(r"[\s-]", "", text).upper()
    return hashlib.sha256(plain.encode()).hexdigest()
