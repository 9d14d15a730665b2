"""A service of others on a loopback port, which answers as it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class AnsweringService:
    """Answers every request with the same bytes and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.answer: bytes = b"{}"
        self.status = b"200 OK"
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        self.asked.append(json.loads(await reader.readexactly(size)))
        length = str(len(self.answer)).encode()
        writer.write(b"HTTP/1.1 " + self.status + b"\r\nContent-Length: " + length + b"\r\n\r\n")
        writer.write(self.answer)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def answering_service() -> AsyncIterator[AnsweringService]:
    """Give a service that listens."""
    made = AnsweringService()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/ask"
        yield made
