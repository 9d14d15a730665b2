"""Codes of a second factor: time-based one-time passwords (RFC 6238, HMAC-SHA1, six digits, 30 s).

Authenticator apps know this kind without being told anything but the secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote

STEP_SECONDS = 30
DIGITS = 6
SKEW_STEPS = 1  # how far a phone's clock may be off, either way
SECRET_BYTES = 20
ISSUER = "Rialto"


def code_at(secret: bytes, step: int) -> str:
    """Return the code of a step of time (seconds since 1970, divided by 30, rounded down)."""
    digest = hmac.new(secret, step.to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def step_of(secret: bytes, code: str, *, now: int, after_step: int) -> int | None:
    """Return the step whose code it is, near `now` (seconds) and after `after_step`, or None.

    A code counts once: who keeps the step that was found takes none of it or before it again.
    """
    middle = now // STEP_SECONDS
    found = None
    for step in range(middle - SKEW_STEPS, middle + SKEW_STEPS + 1):
        matches = hmac.compare_digest(code_at(secret, step).encode(), code.encode())
        if matches and step > after_step:
            found = step
    return found


def base32_of(secret: bytes) -> str:
    """Return a secret as people type it into an app."""
    return base64.b32encode(secret).decode().rstrip("=")


def provisioning_uri(name: str, secret: bytes) -> str:
    """Return what the picture for an app says: whose code it is, at whom, and the secret."""
    label = f"{quote(ISSUER)}:{quote(name, safe='')}"
    return f"otpauth://totp/{label}?secret={base32_of(secret)}&issuer={quote(ISSUER)}"
