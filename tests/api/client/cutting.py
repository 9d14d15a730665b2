"""A way to the gateway that is cut again and again, in the middle of whatever is said."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from types import TracebackType
from typing import Self

_FIRST_CUT_BYTES = 2_000  # early enough that a short test meets one
_MOST_BYTES = 200_000


class CuttingProxy:
    """Passes bytes between a client and a port of this machine; each connection ends by a cut.

    After how many bytes is drawn from the seed. With `cuts` switched off connections stay.
    """

    def __init__(self, port: int, seed: int) -> None:
        self.cuts = True
        self.cut_count = 0
        self.url = ""
        self._port = port
        self._random = random.Random(seed)
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        left = [self._random.randrange(_MOST_BYTES) if self.cut_count else _FIRST_CUT_BYTES]
        ways = [
            asyncio.create_task(self._pass(reader, up_writer, left)),
            asyncio.create_task(self._pass(up_reader, writer, left)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for one in (writer, up_writer):
            one.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: list[int]
    ) -> None:
        with suppress(ConnectionError):
            while content := await reader.read(4_096):
                left[0] -= len(content)
                if self.cuts and left[0] < 0:
                    self.cut_count += 1
                    return
                writer.write(content)
                await writer.drain()
