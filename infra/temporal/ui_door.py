"""Passes requests of staff who are signed in on to Temporal's UI, which has no login of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import httpx

_HOP = frozenset(
    (
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)


@dataclass(frozen=True, slots=True)
class UiAnswer:
    """What the UI said; `body` streams, and has to be read to its end or closed."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: AsyncIterator[bytes]


class UiDoor:
    """A door to the UI at `upstream` (http://host:port).

    It has no memory of its own: a client with a cookie jar would let one person's cookies serve
    everybody.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = httpx.URL(upstream)
        self._transport = httpx.AsyncHTTPTransport(
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=20)
        )

    async def forward(
        self, method: str, target: bytes, headers: Mapping[str, str], body: bytes
    ) -> UiAnswer:
        """Send a request (`target` is raw path and query); `ConnectionError` when it is away."""
        request = httpx.Request(
            method,
            self._upstream.copy_with(raw_path=target),
            headers=[(name, value) for name, value in headers.items() if name not in _HOP],
            content=body,
            extensions={"timeout": {"connect": 2.0, "read": 90.0, "write": 10.0, "pool": 5.0}},
        )
        try:
            answer = await self._transport.handle_async_request(request)
        except httpx.HTTPError as error:
            raise ConnectionError(f"Temporal's UI is away: {error!r}") from error
        kept = [(k.lower(), v) for k, v in answer.headers.raw if k.lower().decode() not in _HOP]
        return UiAnswer(answer.status_code, kept, _streamed(answer))

    async def close(self) -> None:
        """Close its connections."""
        await self._transport.aclose()


async def _streamed(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for part in answer.aiter_raw():
            yield part
    finally:
        await answer.aclose()
