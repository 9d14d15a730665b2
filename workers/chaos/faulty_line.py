"""A way to a gateway that is cut, falls silent or becomes slow, while clients use it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from infra.embedded.ports import LOOPBACK

_CHUNK_BYTES = 4_096


class FaultyLine:
    """Passes bytes between clients and a port of this machine, until it is told to do worse."""

    def __init__(self, port: int) -> None:
        self.url = ""
        self._port = port
        self._server: asyncio.Server | None = None
        self._open: set[_Passing] = set()
        self._silent: set[_Passing] = set()
        self._bytes_per_second = 0
        self._slow_until = 0.0

    async def start(self) -> None:
        """Listen on a port of its own."""
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://{LOOPBACK}:{port}"

    async def stop(self) -> None:
        """End everything."""
        if self._server is not None:
            self._server.close()
        for one in (*self._open, *self._silent):
            one.abort()
        await asyncio.sleep(0)

    def cut(self) -> None:
        """End the connections that are open, in the middle of whatever is said."""
        for one in list(self._open):
            one.abort()

    def fall_silent(self) -> None:
        """Let the open connections stand half-open: nothing passes any more, and none is closed."""
        for one in self._open:
            one.speaks.clear()
        self._silent |= self._open
        self._open.clear()

    def be_slow(self, bytes_per_second: int, seconds: float) -> None:
        """Pass so little for a while; what waits is the gateway's to keep."""
        self._bytes_per_second = bytes_per_second
        self._slow_until = time.monotonic() + seconds

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passing = _Passing(writer)
        try:
            up_reader, up_writer = await asyncio.open_connection(LOOPBACK, self._port)
        except OSError:  # the gateway is dead just now: as if nobody listened
            passing.abort()
            return
        passing.writers.append(up_writer)
        self._open.add(passing)
        ways = [
            asyncio.create_task(self._pass(reader, up_writer, passing)),
            asyncio.create_task(self._pass(up_reader, writer, passing)),
        ]
        passing.tasks += ways
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        passing.abort()
        await asyncio.gather(*ways, return_exceptions=True)
        self._open.discard(passing)
        self._silent.discard(passing)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passing: _Passing
    ) -> None:
        with suppress(ConnectionError):
            while content := await reader.read(_CHUNK_BYTES):
                await passing.speaks.wait()
                if time.monotonic() < self._slow_until:
                    await asyncio.sleep(len(content) / self._bytes_per_second)
                writer.write(content)
                await writer.drain()


class _Passing:
    """One connection and both its ends."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writers = [writer]
        self.tasks: list[asyncio.Task[None]] = []
        self.speaks = asyncio.Event()
        self.speaks.set()

    def abort(self) -> None:
        """End both ends at once."""
        for task in self.tasks:
            task.cancel()
        for writer in self.writers:
            writer.transport.abort()
