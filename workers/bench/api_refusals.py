"""What it costs a gateway to refuse: requests that fail in every way."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterator
from typing import Any

from infra.embedded.ports import LOOPBACK
from workers.bench.api_wire import HttpLink, post

KINDS = (
    "bad_signature",
    "unknown_key",
    "too_old",
    "malformed_body",
    "unknown_field",
    "too_large",
    "no_credentials",
    "no_such_route",
    "over_limit",
)
SENDERS = 16  # each from an address of its own, which stays below its limit so
_LARGE = 70_000
_PATIENCE_SECONDS = 60.0


def _requests(kind: str, keys: list[tuple[str, str]], symbol: str) -> Iterator[bytes]:
    """Yield requests that are refused in one way, for ever."""
    key, secret = keys[0]
    order = f'{{"symbol":"{symbol}","side":"buy","price":"2400","quantity":"0.01"'
    number = 0
    while True:
        number += 1
        body = f'{order},"client_order_id":"{kind}-{number}-{secrets.token_hex(4)}"}}'
        if kind == "bad_signature":
            yield post("/v1/orders", body, key, "x" * 32)
        elif kind == "unknown_key":
            yield post("/v1/orders", body, secrets.token_hex(16), secret)
        elif kind == "too_old":
            yield post("/v1/orders", body, key, secret, age_ms=100_000)
        elif kind == "malformed_body":
            yield post("/v1/orders", order, key, secret)
        elif kind == "unknown_field":
            yield post("/v1/orders", f'{order},"colour":"red"}}', key, secret)
        elif kind == "too_large":
            yield post("/v1/orders", body + " " * _LARGE, key, secret)
        elif kind == "over_limit":
            yield post("/v1/orders", body, *keys[-1])
        else:
            path = "/v1/orders" if kind == "no_credentials" else "/v1/nothing"
            yield (
                f"POST {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}"
            ).encode()


class _Sender:
    """Sends one request at a time, over connections that come from one address."""

    def __init__(self, port: int, address: str) -> None:
        self._port = port
        self._address = address
        self._link: HttpLink | None = None
        self._answer: asyncio.Future[int] | None = None

    def _answered(self, _: HttpLink, status: int) -> None:
        assert self._answer is not None
        self._answer.set_result(status)

    async def ask(self, request: bytes) -> int:
        """Return the status of the answer."""
        loop = asyncio.get_running_loop()
        if self._link is None:
            _, self._link = await loop.create_connection(
                lambda: HttpLink(self._answered),
                LOOPBACK,
                self._port,
                local_addr=(self._address, 0),
            )
        self._answer = loop.create_future()
        self._link.send(request)
        status = await self._answer
        if status == 413 and self._link.transport is not None:  # it closes after that
            self._link.transport.close()
            self._link = None
        return status


async def send_refused(
    port: int, keys: list[tuple[str, str]], symbol: str, kind: str, count: int
) -> dict[str, Any]:
    """Send `count` requests that are refused, some at a time; return the answers' statuses."""
    made = _requests(kind, keys, symbol)
    statuses: Counter[int] = Counter()

    async def send_some(number: int) -> None:
        sender = _Sender(port, f"127.0.{1 + KINDS.index(kind)}.{1 + number}")
        for _ in range(count // SENDERS):
            statuses[await sender.ask(next(made))] += 1

    async with asyncio.timeout(_PATIENCE_SECONDS):
        await asyncio.gather(*(send_some(number) for number in range(SENDERS)))
    return {"statuses": {str(status): found for status, found in sorted(statuses.items())}}
