"""Batches of commands over the engine's gRPC stream: many in flight, answered in order."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import grpc.aio

from infra.ending import end
from infra.engine_errors import EngineUnavailable, OutcomeUnknown
from infra.engine_pb import engine_pb2 as pb


class OrderStream:
    """One stream of `EngineGrpc.order_stream`; callers may share it, and need not wait in turn.

    Use it as a context: `async with engine.order_stream() as stream`. The engine takes up to 64
    batches without an answer and makes further ones wait. A stream that broke stays broken.
    """

    def __init__(self, call: Any) -> None:
        self._call = call
        self._sending = asyncio.Lock()
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._correlation = 0
        self._reading: asyncio.Task[None] | None = None
        self._broken: str = ""

    async def __aenter__(self) -> Self:
        """Begin to read the answers."""
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the stream; what has no answer yet is `OutcomeUnknown`."""
        assert self._reading is not None
        self._call.cancel()
        await end(self._reading)
        self._give_up("the stream was closed")

    async def submit_bytes(self, commands: bytes) -> bytes:
        """Run encoded commands (at most 1 MiB) and return their event stripes, in their order.

        `EngineUnavailable`: nothing was sent. `OutcomeUnknown`: sent, and the stream broke.
        """
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        async with self._sending:  # calls reach the engine in the order in which they came here
            if self._broken:
                raise EngineUnavailable(self._broken)
            self._correlation += 1
            number = self._correlation
            self._waiting[number] = answer
            # If it has ended, answers may still be on their way: `_read` ends what has none.
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await self._call.write(pb.CommandBatch(commands=commands, correlation=number))
        return await answer

    async def _read(self) -> None:
        try:
            async for reply in self._call:
                answer = self._waiting.pop(reply.correlation)
                if not answer.done():
                    answer.set_result(reply.events)
            self._give_up("the engine ended the stream")
        except grpc.aio.AioRpcError as error:
            self._give_up(f"{error.code().name}: {error.details()}")

    def _give_up(self, text: str) -> None:
        self._broken = self._broken or text
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(OutcomeUnknown(self._broken))
