"""Orders to the engine over its binary door: many callers, one connection, shared frames."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import cast

import structlog

from domain.commands import Command
from domain.events import Event
from infra.ending import end
from infra.engine_errors import EngineRefused, EngineUnavailable, OutcomeUnknown
from infra.engine_frames import (
    Frame,
    FrameError,
    FrameFault,
    FrameKind,
    FrameReader,
    Welcome,
    decode_welcome,
    encode_frame,
    encode_hello,
    split_groups,
)
from infra.engine_roles import Role
from matching.codec import decode_events, encode_command

FRAME_BYTES = 128 << 10
MAX_PENDING_BYTES = 32 << 20
_FIRST_RETRY_SECONDS = 0.05
_LAST_RETRY_SECONDS = 2.0
_REFUSALS = (FrameFault.VERSION_MISMATCH, FrameFault.BAD_TOKEN)


@dataclass(slots=True)
class _Request:
    commands: bytes
    count: int
    answer: asyncio.Future[bytes]


class EngineClient:
    """A connection that heals itself. Submits made in the same turn share a frame."""

    def __init__(
        self, address: str, role: str, token: str, *, build_id: int, timeout_seconds: float
    ) -> None:
        self._address = address
        self._role = Role[role.upper()]
        self._token = token
        self._build_id = build_id
        self._timeout = timeout_seconds
        self._link: _Link | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._up = asyncio.Event()
        self.refused: EngineRefused | None = None
        self.welcome: Welcome | None = None

    @staticmethod
    async def connect(
        path_or_hostport: str,
        role: str = "gateway",
        token: str = "",
        *,
        build_id: int = 0,
        wait_seconds: float = 5.0,
        timeout_seconds: float = 10.0,
    ) -> EngineClient:
        """Return a client of the door at a unix socket path or "host:port".

        Waits up to `wait_seconds` for the engine and then returns all the same: it goes on trying
        in the background and `connected` tells. A door that refuses is `EngineRefused`.
        """
        client = EngineClient(
            path_or_hostport, role, token, build_id=build_id, timeout_seconds=timeout_seconds
        )
        client._keeper = asyncio.create_task(client._keep_connected())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                await client._changed.wait()
        if client.refused is not None:
            await client.close()
            raise client.refused
        return client

    @property
    def connected(self) -> bool:
        """Return whether commands can be sent now."""
        return self._link is not None

    async def wait_connected(self, seconds: float) -> bool:
        """Return whether there is a connection, waiting up to `seconds` for one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._up.wait()
        return self.connected

    async def submit(self, command: Command) -> tuple[Event, ...]:
        """Send one command and return its events, the outcome first.

        `EngineUnavailable`: nothing was sent. `OutcomeUnknown`: sent, no answer in time.
        """
        return tuple(decode_events(await self._send(encode_command(command), 1)))

    async def submit_many(self, commands: Sequence[Command]) -> list[tuple[Event, ...]]:
        """Send commands in this order and return the events of each; errors as `submit`.

        Commands of one call may be spread over frames when they are many; order is kept.
        """
        answers = await self._send_all(_in_frames(map(encode_command, commands)))
        groups: list[tuple[Event, ...]] = []
        for answer in answers:
            events = decode_events(answer)
            bounds = [place for place, event in enumerate(events) if event.index == 0]
            groups += [tuple(events[a:b]) for a, b in pairwise([*bounds, len(events)])]
        return groups

    async def submit_bytes(self, commands: bytes, count: int) -> bytes:
        """Send `count` encoded commands (at most 1 MiB) and return the event stripes."""
        return await self._send(commands, count)

    async def _send(self, commands: bytes, count: int) -> bytes:
        link = self._link
        if link is None:
            raise self.refused or EngineUnavailable("no connection to the engine")
        request = _Request(commands, count, asyncio.get_running_loop().create_future())
        link.enqueue(request)
        return await request.answer

    async def _send_all(self, requests: Sequence[tuple[bytes, int]]) -> list[bytes]:
        """Send one frame or several, in this order, before waiting for an answer."""
        if len(requests) == 1:
            return [await self._send(*requests[0])]
        return await asyncio.gather(*(self._send(data, count) for data, count in requests))

    async def close(self) -> None:
        """End the connection; what is in flight becomes `OutcomeUnknown`."""
        if self._keeper is not None:
            await end(self._keeper)
        if self._link is not None:
            self._link.close()
            self._link = None

    async def _keep_connected(self) -> None:
        log = structlog.get_logger()
        pause = _FIRST_RETRY_SECONDS
        while True:
            try:
                link = await self._open()
            except (OSError, TimeoutError, EngineUnavailable) as error:
                if pause == _FIRST_RETRY_SECONDS:
                    log.warning("engine is away", address=self._address, error=str(error))
            except EngineRefused as error:
                self.refused = error
                self._changed.set()
                log.error("engine refuses", address=self._address, error=str(error))  # noqa: TRY400
            else:
                self._link, self.refused, pause = link, None, _FIRST_RETRY_SECONDS
                self._changed.set()
                self._up.set()
                await link.closed
                self._up.clear()
                self._link = None
                log.warning("engine connection lost", address=self._address)
                continue
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_RETRY_SECONDS)

    async def _open(self) -> _Link:
        loop = asyncio.get_running_loop()
        new_link = partial(_Link, self._timeout)
        if "/" in self._address:
            _, made = await loop.create_unix_connection(new_link, self._address)
        else:
            host, _, port = self._address.rpartition(":")
            _, made = await loop.create_connection(new_link, host, int(port))
        link: _Link = made
        link.greet(encode_hello(self._role, self._token, self._build_id))
        try:
            async with asyncio.timeout(5):
                self.welcome = await link.welcome
        except BaseException:
            link.close()
            raise
        return link


class _Link(asyncio.Protocol):
    """One life of the connection."""

    def __init__(self, timeout_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._timeout = timeout_seconds
        self._waiting: deque[tuple[float, asyncio.Future[bytes]]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._reader = FrameReader(max_frame=256 << 20)
        self._pending: list[_Request] = []
        self._pending_bytes = 0
        self._in_flight: dict[int, list[_Request]] = {}
        self._correlation = 0
        self._transport: asyncio.Transport | None = None
        self.welcome: asyncio.Future[Welcome] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def greet(self, hello: bytes) -> None:
        """Say HELLO."""
        assert self._transport is not None
        self._transport.write(hello)

    def enqueue(self, request: _Request) -> None:
        """Send with the others of this turn of the loop; refused when too much waits."""
        if self._pending_bytes > MAX_PENDING_BYTES or self._transport is None:
            raise EngineUnavailable("too much is waiting for the engine")
        if not self._pending:
            self._loop.call_soon(self._flush)
        self._pending.append(request)
        self._pending_bytes += len(request.commands)
        self._limit(request.answer)

    def _limit(self, answer: asyncio.Future[bytes]) -> None:
        """Give up waiting for an answer in time: one timer for all, as all wait equally long."""
        waiting = self._waiting
        while waiting and waiting[0][1].done():
            waiting.popleft()
        waiting.append((self._loop.time() + self._timeout, answer))
        if self._watch is None:
            self._watch = self._loop.call_at(waiting[0][0], self._give_up)

    def _give_up(self) -> None:
        """End what has waited too long, and look again when the next one will have."""
        waiting, now = self._waiting, self._loop.time()
        while waiting and (waiting[0][1].done() or waiting[0][0] <= now):
            answer = waiting.popleft()[1]
            if not answer.done():
                answer.set_exception(OutcomeUnknown(f"no answer within {self._timeout} s"))
        at = waiting[0][0] if waiting else None
        self._watch = None if at is None else self._loop.call_at(at, self._give_up)

    def _flush(self) -> None:
        if self._transport is None:
            return
        pending, self._pending = self._pending, []
        if self._transport.get_write_buffer_size() < MAX_PENDING_BYTES:
            self._pending_bytes = 0
        frame: list[_Request] = []
        size = 0
        for request in pending:
            if frame and size + len(request.commands) > FRAME_BYTES:
                self._write(frame)
                frame, size = [], 0
            frame.append(request)
            size += len(request.commands)
        if frame:
            self._write(frame)

    def _write(self, requests: list[_Request]) -> None:
        assert self._transport is not None
        self._correlation += 1
        self._in_flight[self._correlation] = requests
        body = b"".join(request.commands for request in requests)
        self._transport.write(encode_frame(FrameKind.COMMANDS, self._correlation, body))

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                self._handle(frame)
        except FrameError:
            self.close()

    def _handle(self, frame: Frame) -> None:
        if frame.kind == FrameKind.EVENTS:
            requests = self._in_flight.pop(frame.correlation, [])
            _share(requests, frame.payload)
        elif frame.kind == FrameKind.WELCOME and not self.welcome.done():
            self.welcome.set_result(decode_welcome(frame.payload))
        elif frame.kind == FrameKind.ERROR:
            text = frame.payload.decode(errors="replace")
            if not self.welcome.done():
                refused = frame.code in _REFUSALS
                self.welcome.set_exception((EngineRefused if refused else EngineUnavailable)(text))
            else:
                structlog.get_logger().error("engine closes the connection", text=text)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        for request in self._pending:
            if not request.answer.done():
                request.answer.set_exception(EngineUnavailable("connection lost before sending"))
        for requests in self._in_flight.values():
            for request in requests:
                if not request.answer.done():
                    request.answer.set_exception(OutcomeUnknown("connection lost"))
        self._pending.clear()
        self._in_flight.clear()
        self._waiting.clear()
        if self._watch is not None:
            self._watch.cancel()
        if not self.welcome.done():
            self.welcome.set_exception(EngineUnavailable("connection lost"))
        if not self.closed.done():
            self.closed.set_result(None)

    def close(self) -> None:
        """End this connection."""
        if self._transport is not None:
            self._transport.abort()


def _in_frames(records: Iterable[bytes]) -> list[tuple[bytes, int]]:
    """Return commands joined to as much as a frame takes, each with how many they are."""
    frames: list[tuple[bytes, int]] = []
    part: list[bytes] = []
    size = 0
    for record in records:
        if part and size + len(record) > FRAME_BYTES:
            frames.append((b"".join(part), len(part)))
            part, size = [], 0
        part.append(record)
        size += len(record)
    if part:
        frames.append((b"".join(part), len(part)))
    return frames


def _share(requests: list[_Request], events: bytes) -> None:
    """Give each request of a frame the groups of its commands."""
    if len(requests) == 1:
        if not requests[0].answer.done():
            requests[0].answer.set_result(events)
        return
    starts = [*split_groups(events), len(events)]
    place = 0
    for request in requests:
        end = place + request.count
        if not request.answer.done():
            request.answer.set_result(events[starts[place] : starts[end]])
        place = end
