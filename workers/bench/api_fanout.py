"""Many sockets that listen to one book, and many that do nothing."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from infra.embedded.ports import LOOPBACK
from infra.redis.market_feed import CHANNEL
from workers.bench.api_wire import SocketLink

_AT_ONCE = 50  # connections that are being opened
_OF_AN_ADDRESS = 100  # connections that come from one: more at once are refused
_PATIENCE_SECONDS = 60.0
_UPDATE = b'"type":"delta"'
_TIME = b'"time_us":'


class _Feed:
    """What the subscribers have heard, all together."""

    def __init__(self) -> None:
        self.messages = 0
        self.bytes = 0
        self.waits: list[float] = []
        self.snapshots = 0
        self.first_sequence = 0
        self.moved = asyncio.Event()
        self.wanted = 1 << 60

    def heard(self, _: SocketLink, message: bytes) -> None:
        """Count an update, and how old it is by the engine's stamp."""
        if _UPDATE not in message:
            if b'"snapshot"' in message:
                self.snapshots += 1
                self.first_sequence = int(json.loads(message)["seq"])
            return
        self.messages += 1
        self.bytes += len(message)
        at = message.index(_TIME) + len(_TIME)
        stamp_us = int(message[at : message.index(b",", at)])
        self.waits.append(time.time_ns() / 1_000 - stamp_us)
        if self.messages >= self.wanted:
            self.moved.set()


async def _open(port: int, count: int, heard: Any) -> list[SocketLink]:
    links: list[SocketLink] = []
    loop = asyncio.get_running_loop()
    for start in range(0, count, _AT_ONCE):
        local = (f"127.0.0.{10 + start // _OF_AN_ADDRESS % 200}", 0)
        made = await asyncio.gather(
            *(
                loop.create_connection(lambda: SocketLink(heard), LOOPBACK, port, local_addr=local)
                for _ in range(min(_AT_ONCE, count - start))
            )
        )
        fresh = [link for _, link in made]
        await asyncio.gather(*(link.opened for link in fresh))
        links += fresh
    return links


async def follow_feed(
    port: int, symbol: str, count: int, seconds: float, *, redis_port: int, window: int
) -> dict[str, Any]:
    """Listen to a book with `count` sockets, and say how many messages came, how old.

    With a Redis port the updates are published here, as the market data process does, the next
    one when all but `window` of those before have arrived everywhere: as many as can be had.
    """
    feed = _Feed()
    links = await _open(port, count, feed.heard)
    for link in links:
        link.send(f'{{"op":"subscribe","channel":"book","symbol":"{symbol}"}}')
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while feed.snapshots < count:  # noqa: ASYNC110 - counted by the links
            await asyncio.sleep(0.01)
    print("ready", file=sys.stderr, flush=True)
    feed.messages, feed.bytes = 0, 0
    feed.waits.clear()
    began = time.perf_counter()
    if redis_port:
        await _publish(feed, symbol, count, seconds, redis_port, window)
    else:
        await asyncio.sleep(seconds)
    passed = time.perf_counter() - began
    waits = sorted(feed.waits)
    closed = sum(1 for link in links if link.closed_with)
    return {
        "per_second": round(feed.messages / passed),
        "messages": feed.messages,
        "message_bytes": round(feed.bytes / max(1, feed.messages)),
        "p50_ms": round(waits[len(waits) // 2] / 1_000, 3) if waits else None,
        "p99_ms": round(waits[len(waits) * 99 // 100] / 1_000, 3) if waits else None,
        "closed": closed,
    }


async def _publish(
    feed: _Feed, symbol: str, count: int, seconds: float, port: int, window: int
) -> None:
    _, writer = await asyncio.open_connection(LOOPBACK, port)
    sequence, sent = feed.first_sequence, 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        body = _delta(symbol, sequence)
        head = f"*3\r\n$7\r\nPUBLISH\r\n${len(CHANNEL)}\r\n{CHANNEL}\r\n${len(body)}\r\n"
        writer.write(head.encode() + body + b"\r\n")
        sequence += 1
        sent += 1
        feed.wanted = (sent - window) * count
        feed.moved.clear()
        if feed.messages < feed.wanted:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await feed.moved.wait()
    writer.close()


def _delta(symbol: str, sequence: int) -> bytes:
    """Return an update of three levels after `sequence`."""
    levels = [[f"{2400 + (sequence + step) % 90}.25", f"{1 + sequence % 7}.5"] for step in range(3)]
    message = {
        "channel": "book",
        "symbol": symbol,
        "type": "delta",
        "seq": sequence + 1,
        "prev_seq": sequence,
        "time_us": time.time_ns() // 1_000,
        "bids": levels,
        "asks": [],
        "checksum": 4_120_346_871,
    }
    return json.dumps(message, separators=(",", ":")).encode()


async def sit_idle(port: int, count: int) -> dict[str, Any]:
    """Open `count` sockets, say how long that took, and keep them until standard input ends."""
    began = time.perf_counter()
    links = await _open(port, count, lambda _link, _message: None)
    opened = time.perf_counter() - began
    print("ready", file=sys.stderr, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    return {
        "connections": count,
        "open_seconds": round(opened, 3),
        "closed": sum(1 for link in links if link.closed_with),
    }
