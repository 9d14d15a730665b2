"""Whose key signs: an API key with its secret, and a clock that no two requests share."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from api.auth import SignedParts, sign


@dataclass(frozen=True, slots=True)
class ApiAccount:
    """An account with its API key; `name` is only for people."""

    name: str
    api_key: str
    api_secret: str

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
            "RIALTO-SIGNATURE": sign(self.api_secret.encode(), stamp, parts),
            "Content-Type": "application/json",
            **({"Idempotency-Key": idempotency_key} if idempotency_key else {}),
        }


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
