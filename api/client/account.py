"""Whose key signs: an API key with its secret, and a clock that no two requests share."""

from __future__ import annotations

import base64
import time
from dataclasses import asdict, dataclass, field
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from api.auth import SignedParts, sign, signed_text


@dataclass(frozen=True, slots=True)
class ApiAccount:
    """An account with its API key; `name` is only for people.

    `api_secret` is the secret of an HMAC key, or the PEM of an Ed25519 key's private half. A
    `ValueError` says that a PEM is none.
    """

    name: str
    api_key: str
    api_secret: str = field(repr=False)

    def __post_init__(self) -> None:
        _private_key(self.api_secret)

    def as_json(self) -> dict[str, str]:
        """Return the account as `demo.json` shows it."""
        return asdict(self)

    def headers(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        idempotency_key: str = "",
        timestamp_ms: int | None = None,
    ) -> dict[str, str]:
        """Return the headers that sign a request; `target` is path and query."""
        stamp = str(time.time_ns() // 1_000_000 if timestamp_ms is None else timestamp_ms)
        path, _, query = target.partition("?")
        parts = SignedParts(method, path.encode(), query.encode(), idempotency_key.encode(), body)
        return {
            "RIALTO-KEY": self.api_key,
            "RIALTO-TIMESTAMP": stamp,
            "RIALTO-SIGNATURE": self._signature(stamp, parts),
            "Content-Type": "application/json",
            **({"Idempotency-Key": idempotency_key} if idempotency_key else {}),
        }

    def _signature(self, stamp: str, parts: SignedParts) -> str:
        private = _private_key(self.api_secret)
        if private is None:
            return sign(self.api_secret.encode(), stamp, parts)
        return base64.b64encode(private.sign(signed_text(stamp, parts))).decode()


@lru_cache(maxsize=64)
def _private_key(secret: str) -> Ed25519PrivateKey | None:
    """Return the private key that a secret is the PEM of; None for that of an HMAC key."""
    if not secret.lstrip().startswith("-----BEGIN"):
        return None
    try:
        found = load_pem_private_key(secret.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(
            "The private key cannot be read: it is no PEM without password."
        ) from error
    if not isinstance(found, Ed25519PrivateKey):
        raise ValueError("The private key is not Ed25519.")  # noqa: TRY004 - a wrong value
    return found


class SigningClock:
    """Milliseconds for signatures: near the exchange's clock, and each of them once.

    Two equal requests of one millisecond would have one signature, and some routes take a
    signature only once. Who signs more than a thousand requests a second runs ahead, and is
    refused after a second of that.
    """

    def __init__(self) -> None:
        self._offset_ms = 0
        self._last_ms = 0

    def next_ms(self) -> int:
        """Return the time of the next signature."""
        now_ms = time.time_ns() // 1_000_000 + self._offset_ms
        self._last_ms = max(now_ms, self._last_ms + 1)
        return self._last_ms

    def set_to(self, server_ms: int) -> None:
        """Go by the exchange's clock from now on, after it has refused ours."""
        self._offset_ms = server_ms - time.time_ns() // 1_000_000
        self._last_ms = 0
