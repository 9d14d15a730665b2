"""The load's side of a storm: connections that come as fast as they can, and what they do then."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from infra.embedded.ports import LOOPBACK
from workers.bench.api_wire import SocketLink, frame

STORMS = {
    "few": "connects from four addresses, subscriptions to everything, resubscriptions",
    "many": "the same from a thousand addresses",
    "slow": "readers who ask for snapshots without end and take none",
    "floods": "pings, empty fragments, compressed frames",
    "silent": "connections that say nothing, or half a request",
}
_AT_ONCE = 500  # connections that are being opened
_ADDRESSES = {"few": 4}
_MANY = 1_000
_CHANNELS = ("book", "trades", "candles", "mark", "funding", "liquidations")
_RESUBSCRIPTIONS = {"few": 100, "many": 100, "slow": 500}
_FLOOD = 5_000
_OPEN_SECONDS = 30.0
_HALF = b"GET /v1/time HTTP/1.1\r\nHost: x\r\n"
_PING, _FRAGMENT, _COMPRESSED = 0x89, 0x00, 0xC1


class _Silent(asyncio.Protocol):
    """A connection that waits for its end."""

    def __init__(self) -> None:
        self.ended = False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self.ended = True


class _Storm:
    """Everybody who takes part, and what became of them."""

    def __init__(self, port: int, symbols: Sequence[str], kind: str) -> None:
        self._port = port
        self._symbols = symbols
        self._kind = kind
        self._places = asyncio.Semaphore(_AT_ONCE)
        self.refused: Counter[str] = Counter()
        self.links: list[SocketLink] = []
        self.silent: list[_Silent] = []
        self.messages = 0

    def _heard(self, _: SocketLink, __: bytes) -> None:
        self.messages += 1

    async def come(self, number: int) -> None:
        """Connect, and do what the storm does."""
        async with self._places:
            try:
                async with asyncio.timeout(_OPEN_SECONDS):
                    await self._connect(self._socket(number), number)
            except ConnectionError as error:
                said = str(error)
                status = said[said.find("HTTP/1.1 ") + 9 :][:3] if "HTTP/1.1 " in said else "closed"
                self.refused[status] += 1
            except (OSError, TimeoutError):
                self.refused["nothing"] += 1

    def _socket(self, number: int) -> socket.socket:
        of = number % _ADDRESSES.get(self._kind, _MANY)
        second = 1 + list(STORMS).index(self._kind)
        made = socket.socket()
        made.setblocking(False)
        if self._kind == "slow":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        made.bind((f"127.{second}.{of // 250}.{1 + of % 250}", 0))
        return made

    async def _connect(self, made: socket.socket, number: int) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(made, (LOOPBACK, self._port))
        if self._kind == "silent":
            transport, silent = await loop.create_connection(_Silent, sock=made)
            if number % 2:
                transport.write(_HALF)
            self.silent.append(silent)
            return
        _, link = await loop.create_connection(lambda: SocketLink(self._heard), sock=made)
        await link.opened
        self.links.append(link)
        assert link.transport is not None
        if self._kind == "floods":
            opcode = (_PING, _FRAGMENT, _COMPRESSED)[number % 3]
            first = frame(b"{", 0x01) if opcode == _FRAGMENT else b""
            link.transport.write(first + frame(b"", opcode) * _FLOOD)
            return
        asks = [(channel, symbol) for symbol in self._symbols for channel in _CHANNELS]
        for channel, symbol in asks:
            link.send(f'{{"op":"subscribe","channel":"{channel}","symbol":"{symbol}"}}')
        for turn in range(_RESUBSCRIPTIONS[self._kind]):
            symbol = self._symbols[turn % len(self._symbols)]
            op = ("resubscribe", "unsubscribe")[turn % 4 == 3]
            link.send(f'{{"op":"{op}","channel":"book","symbol":"{symbol}"}}')
        if self._kind == "slow":
            link.transport.pause_reading()


async def rage(
    port: int, symbols: Sequence[str], kind: str, count: int, seconds: float
) -> dict[str, Any]:
    """Let `count` connections come at once; after `seconds` say what became of them."""
    storm = _Storm(port, symbols, kind)
    began = time.perf_counter()
    await asyncio.gather(*(storm.come(number) for number in range(count)))
    passed = time.perf_counter() - began
    await asyncio.sleep(max(0.0, seconds - passed))
    if kind == "slow":
        for link in storm.links:
            if link.transport is not None and not link.transport.is_closing():
                link.transport.resume_reading()
        await asyncio.sleep(1.0)
    closed = Counter(str(link.closed_with) for link in storm.links if link.closed_with)
    report = {
        "connects": count,
        "come_seconds": round(passed, 2),
        "let_in": len(storm.links) + len(storm.silent),
        "refused": dict(storm.refused),
        "closed": dict(closed) | _ended(storm.silent),
        "heard": storm.messages,
    }
    for link in storm.links:
        if link.transport is not None:
            link.transport.abort()
    return report


def _ended(silent: Sequence[_Silent]) -> dict[str, int]:
    ended = sum(one.ended for one in silent)
    return {"ended": ended} if silent else {}
