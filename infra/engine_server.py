"""The engine's binary door: length-prefixed frames over a unix or TCP socket."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import cast

import structlog

from infra.door_limits import DEFAULT_LIMITS, DoorLimits
from infra.engine_frames import (
    PROTOCOL_VERSION,
    Frame,
    FrameError,
    FrameFault,
    FrameKind,
    FrameReader,
    decode_hello,
    encode_frame,
    encode_welcome,
)
from infra.engine_host import EngineHost
from infra.engine_roles import Role, Tokens
from matching.codec import split_commands
from matching.wire import SCHEMA_VERSION, WireError


def free_socket_path(path: str) -> None:
    """Make room for a unix socket: its folder, and no left-over of a process that died."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).unlink(missing_ok=True)


class FrameDoor:
    """Listen, and hand what comes in to the host."""

    def __init__(
        self, host: EngineHost, tokens: Tokens, limits: DoorLimits = DEFAULT_LIMITS
    ) -> None:
        self.host = host
        self.tokens = tokens
        self.limits = limits
        self.connections: set[FrameConnection] = set()
        self.stopping = False
        self._servers: list[asyncio.Server] = []

    @property
    def connected(self) -> int:
        """Return how many clients there are."""
        return len(self.connections)

    def has_room(self) -> bool:
        """Return whether the connections are not too many; silent ones may have to go for it."""
        most = self.limits.max_connections
        if len(self.connections) > most:
            for connection in self.connections:
                connection.hurry()
        return sum(connection.is_open for connection in self.connections) <= most

    async def listen_unix(self, path: str) -> None:
        """Listen on a unix socket that only this user may open."""
        await asyncio.to_thread(free_socket_path, path)
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(lambda: FrameConnection(self), path)
        await asyncio.to_thread(os.chmod, path, 0o600)
        self._servers.append(server)

    async def listen_tcp(self, host: str, port: int) -> int:
        """Listen on TCP; return the port."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: FrameConnection(self), host, port)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def stop_reading(self) -> None:
        """Take no more connections and no more commands; answers still go out."""
        self.stopping = True
        for server in self._servers:
            server.close()
        for connection in self.connections:
            connection.stop_reading()

    async def close(self) -> None:
        """End the open connections."""
        self.stop_reading()
        for connection in list(self.connections):
            connection.end(FrameFault.STOPPING, "the engine stops")
        await asyncio.sleep(0)


class FrameConnection(asyncio.Protocol):
    """One client: handshake, then commands in and events out."""

    def __init__(self, door: FrameDoor) -> None:
        self._door = door
        self._reader = FrameReader()
        self._role: Role | None = None
        self._in_flight = 0
        self._paused = False
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for HELLO, not for long."""
        self._transport = cast("asyncio.Transport", transport)
        self._door.connections.add(self)
        if not self._door.has_room():
            self.end(FrameFault.STOPPING, "too many connections")
            return
        self._deadline = asyncio.get_running_loop().call_later(
            self._door.limits.handshake_seconds,
            self.end,
            FrameFault.HANDSHAKE_TIMEOUT,
            "no HELLO",
        )

    @property
    def is_open(self) -> bool:
        """Return whether the connection was not ended."""
        return self._transport is not None

    def hurry(self) -> None:
        """End the connection if it has had the shorter time for its HELLO, for others wait."""
        if self._role is not None or self._deadline is None:
            return
        limits = self._door.limits
        spared = limits.handshake_seconds - limits.hurried_handshake_seconds
        if self._deadline.when() - spared <= asyncio.get_running_loop().time():
            self.end(FrameFault.HANDSHAKE_TIMEOUT, "no HELLO, and others wait")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client; what it sent stays sent."""
        self._transport = None
        self._door.connections.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()

    def data_received(self, data: bytes) -> None:
        """Handle complete frames; anything that is not one closes the connection."""
        try:
            for frame in self._reader.feed(data):
                if self._transport is None:
                    return
                self._handle(frame)
        except FrameError as error:
            self.end(error.fault, str(error))
        except WireError as error:
            self.end(FrameFault.MALFORMED_COMMANDS, str(error))

    def _handle(self, frame: Frame) -> None:
        if self._role is None:
            self._greet(frame)
            return
        if frame.kind != FrameKind.COMMANDS:
            raise FrameError(FrameFault.BAD_FRAME, f"kind {frame.kind} is not expected")
        correlation = frame.correlation
        placed = split_commands(frame.payload)
        self._in_flight += len(placed)
        self._door.host.submit(
            self._role,
            frame.payload,
            placed,
            lambda events: self._answer(correlation, events, len(placed)),
        )
        too_many = self._in_flight > self._door.limits.max_in_flight
        if too_many and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _greet(self, frame: Frame) -> None:
        if frame.kind != FrameKind.HELLO:
            raise FrameError(FrameFault.BAD_FRAME, "the first frame must be HELLO")
        hello = decode_hello(frame.payload)
        if (hello.protocol, hello.schema) != (PROTOCOL_VERSION, SCHEMA_VERSION):
            raise FrameError(
                FrameFault.VERSION_MISMATCH,
                f"client has protocol {hello.protocol} schema {hello.schema}, engine "
                f"{PROTOCOL_VERSION} and {SCHEMA_VERSION}",
            )
        if not self._door.tokens.proves(hello.role, hello.token):
            raise FrameError(FrameFault.BAD_TOKEN, "role and token do not belong together")
        self._role = Role(hello.role)
        if self._deadline is not None:
            self._deadline.cancel()
        sequencer = self._door.host.sequencer
        self._write(
            encode_welcome(
                sequencer.shard, sequencer.journal.epoch, sequencer.sequence, sequencer.build_id
            )
        )

    def _answer(self, correlation: int, events: bytes, count: int) -> None:
        self._in_flight -= count
        if self._transport is None:
            return
        self._write(encode_frame(FrameKind.EVENTS, correlation, events))
        limits = self._door.limits
        few = self._in_flight < limits.max_in_flight // 2
        if self._transport.get_write_buffer_size() > limits.max_unsent_bytes:
            self.end(FrameFault.SLOW_READER, "answers are not read")
        elif self._paused and few and not self._door.stopping:
            self._paused = False
            self._transport.resume_reading()

    def stop_reading(self) -> None:
        """Leave what comes from here on unread."""
        if self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def end(self, fault: FrameFault, text: str) -> None:
        """Say why, and close."""
        transport, self._transport = self._transport, None
        if transport is None:
            return
        if fault is not FrameFault.STOPPING:
            structlog.get_logger().warning("connection closed", fault=fault.name, text=text)
        transport.write(encode_frame(FrameKind.ERROR, 0, text.encode()[:1000], fault))
        if fault is FrameFault.SLOW_READER:
            transport.abort()
        else:
            transport.close()
