"""A node that lies: it stands in front of a real one and answers late, wrongly, or not at all.

For tests and drills. What it does to a request is either told beforehand (`tell`) or left to chance
(`lie_at_random`); everything else goes through to the real node and back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx

from infra.embedded.ports import LOOPBACK

_SENDS = "eth_sendRawTransaction"
_INTERNAL_ERROR = -32603
_UPSTREAM_SECONDS = 30.0


class Lie(StrEnum):
    """What is done to one request."""

    LATE = "late"  # carried out at once, answered after `seconds`
    ERRS_AFTER = "errs_after"  # carried out, and answered with an error
    SILENT = "silent"  # not carried out, and the connection is closed
    SWALLOWS = "swallows"  # a transaction is said to be taken, and thrown away
    WRONG = "wrong"  # not carried out; `answer` is the result


@dataclass(slots=True)
class Told:
    """A lie about `method` ("" is any), for so many more requests."""

    lie: Lie
    method: str
    times: int
    seconds: float = 0.0
    answer: Any = None


class LyingNode:
    """One HTTP endpoint before the node at `upstream`; `lies` counts what it did, by lie."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self._told: list[Told] = []
        self._chance: random.Random | None = None
        self._share = 0.0
        self._late_seconds = 0.0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self.lies: Counter[str] = Counter()

    @property
    def url(self) -> str:
        """Return where it listens."""
        assert self._server is not None, "start it first"
        return f"http://{LOOPBACK}:{self._server.sockets[0].getsockname()[1]}"

    def tell(
        self, lie: Lie, method: str, *, times: int = 1, seconds: float = 0.0, answer: object = None
    ) -> None:
        """Lie about the next `times` requests of `method`; what was told first comes first."""
        self._told.append(Told(lie, method, times, seconds, answer))

    def lie_at_random(self, chance: random.Random, share: float, late_seconds: float) -> None:
        """Lie about this share of all requests from now on."""
        self._chance, self._share, self._late_seconds = chance, share, late_seconds

    def be_honest(self) -> None:
        """Lie no more, whatever was told."""
        self._told, self._chance = [], None

    @property
    def told(self) -> int:
        """Return how many requests it still has to lie about."""
        return sum(told.times for told in self._told)

    async def start(self, port: int = 0) -> None:
        """Listen; on any free port unless one is given."""
        self._client = httpx.AsyncClient(timeout=_UPSTREAM_SECONDS, trust_env=False)
        self._server = await asyncio.start_server(self._serve, LOOPBACK, port)

    async def stop(self) -> None:
        """Close all connections."""
        if self._server is not None:
            self._server.close()
            for writer in self._connections:
                writer.close()
            await self._client.aclose()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other."""
        self._connections.add(writer)
        try:
            while (body := await _read_request(reader)) is not None:
                answer = await self._answer(body)
                if answer is None:
                    break
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n"
                writer.write(f"{head}Content-Type: application/json\r\n\r\n".encode() + answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, httpx.HTTPError):
            pass  # whoever asked is gone, or the real node is: the connection ends
        finally:
            self._connections.discard(writer)
            with contextlib.suppress(OSError):
                writer.close()

    async def _answer(self, body: bytes) -> bytes | None:
        """Return what is answered; None: nothing is."""
        request = json.loads(body)
        told = self._lie_about(str(request.get("method", "")))
        if told is None:
            return await self._forward(body)
        self.lies[told.lie] += 1
        match told.lie:
            case Lie.SILENT:
                return None
            case Lie.LATE:
                answer = await self._forward(body)
                await asyncio.sleep(told.seconds)
                return answer
            case Lie.ERRS_AFTER:
                await self._forward(body)
                error = {"code": _INTERNAL_ERROR, "message": "internal error"}
                return _json({"jsonrpc": "2.0", "id": request.get("id"), "error": error})
            case Lie.SWALLOWS | Lie.WRONG:
                return _json({"jsonrpc": "2.0", "id": request.get("id"), "result": told.answer})

    async def _forward(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        return (await self._client.post(self.upstream, content=body, headers=headers)).content

    def _lie_about(self, method: str) -> Told | None:
        for told in self._told:
            if told.method in ("", method):
                told.times -= 1
                self._told = [one for one in self._told if one.times > 0]
                return told
        if self._chance is None or self._chance.random() >= self._share:
            return None
        return self._random_lie(method, self._chance)

    def _random_lie(self, method: str, chance: random.Random) -> Told:
        """Return a lie that fits the method; every answer is one that an honest node could give.

        Wrong are only those that it could have given at another time: nothing is known, nothing
        is mined. A node that makes receipts up would fool anybody who has one node only.
        """
        kinds = [Lie.LATE, Lie.ERRS_AFTER, Lie.SILENT]
        if method == _SENDS:
            kinds.append(Lie.SWALLOWS)
        if method in ("eth_getTransactionReceipt", "eth_getTransactionByHash"):
            kinds.append(Lie.WRONG)
        answer = "0x" + "00" * 32 if method == _SENDS else None
        return Told(chance.choice(kinds), method, 1, chance.uniform(0, self._late_seconds), answer)


async def _read_request(reader: asyncio.StreamReader) -> bytes | None:
    """Return the body of the next request; None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    return await reader.readexactly(length)


def _json(answer: Mapping[str, Any]) -> bytes:
    return json.dumps(answer).encode()
