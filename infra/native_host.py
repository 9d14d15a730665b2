"""The control plane of the C++ loop: the faces of `EngineHost` and `FrameDoor` in asyncio.

The loop's thread reads, sequences and answers the binary door alone; what Python wants of it goes
through its mailbox, and one descriptor, the bell, rings here for answers, durability and the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from itertools import count
from pathlib import Path

import structlog

from infra.door_limits import DEFAULT_LIMITS, DoorLimits
from infra.ending import end
from infra.engine_frames import FrameFault
from infra.engine_host import COMMANDS_PER_TURN, Done
from infra.engine_house import SNAPSHOT_COMMANDS, EngineHouse, report_failure
from infra.engine_roles import ROLE_OPCODES, Role, Tokens
from infra.engine_server import free_socket_path
from matching.codec import Placed
from matching.native import LoopSettings, NativeSequencer
from matching.segments import JournalError
from matching.sequencer import Sequencer

_BACKLOG = 128
_NOBODY = 2**64 - 1


class NativeHost:
    """Drive the loop; `failed` is set when the process must stop."""

    loop_name = "native"

    def __init__(
        self,
        sequencer: Sequencer,
        directory: Path,
        tokens: Tokens,
        *,
        limits: DoorLimits = DEFAULT_LIMITS,
        busy_poll_us: int = 0,
        hurry: bool = False,
        snapshot_every_commands: int = SNAPSHOT_COMMANDS,
        snapshot_every_seconds: float = 600.0,
    ) -> None:
        """Take over from a recovered sequencer, which must not be used again."""
        self._loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = self._loop.create_future()
        settings = _settings(tokens, limits, busy_poll_us, hurry=hurry)
        self.sequencer = NativeSequencer(sequencer, directory, settings)
        self._server = self.sequencer.server
        self._house = EngineHouse(
            self.sequencer,
            directory,
            snapshot_every_commands=snapshot_every_commands,
            snapshot_every_seconds=snapshot_every_seconds,
        )
        self._tickets = count(1)
        self._asked: dict[int, Done] = {}
        self._readers: dict[asyncio.Future[None], int] = {}
        self._rung = asyncio.Event()
        self._housekeeping: asyncio.Task[None] | None = None
        self._stopped = self._closed = False

    def start(self) -> None:
        """Begin to serve, sync, tick and take snapshots."""
        self._loop.add_reader(self._server.bell, self._on_bell)
        self._server.start()
        self._housekeeping = asyncio.create_task(self._house.keep())
        self._housekeeping.add_done_callback(self._house_done)

    async def stop(self) -> None:
        """Finish what is queued, make it durable, answer it, and end; once."""
        if self._stopped:
            return
        self._stopped = True
        if self._housekeeping is not None:
            await end(self._housekeeping)
        self._server.drain()
        await self._rings_until(lambda: bool(self._server.drained) or self.failed.done())
        if not self.failed.done():
            self.sequencer.cursors.save()
        await self._end()

    async def close_doors(self) -> None:
        """Take no more commands over the binary door and end its connections."""
        self._server.stop_reading()
        self._server.close()
        await self._rings_until(lambda: bool(self._server.closed))
        self._closed = True
        await self._end()

    async def _end(self) -> None:
        """End the loop's threads once it has drained and closed its doors."""
        if self._stopped and self._closed:
            self._loop.remove_reader(self._server.bell)
            await asyncio.to_thread(self._server.stop)

    def submit(self, role: Role, data: bytes, placed: list[Placed], done: Done) -> None:
        """Queue commands that lie as `placed`; `done` gets their event groups when acknowledged.

        What the role may not send is answered with FORBIDDEN_OPCODE, sequence 0, in its place,
        and is not journalled.
        """
        if not placed:
            done(b"")
            return
        ticket = next(self._tickets)
        self._asked[ticket] = done
        self._server.submit(ticket, int(role), data)

    async def wait_durable(self, after: int, seconds: float) -> bool:
        """Return whether something after `after` is durable, waiting up to `seconds` for it."""
        if self.sequencer.durable_sequence > after:
            return True
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._readers[waiter] = after
        self._wake_readers()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await waiter
        finally:
            self._readers.pop(waiter, None)
        return self.sequencer.durable_sequence > after

    async def take_snapshot(self, sequence: int) -> bool:
        """Let the shadow process write the snapshot at `sequence`; return whether it did."""
        return await self._house.take_snapshot(sequence)

    def _on_bell(self) -> None:
        self._server.quiet()
        for ticket, events in self._server.take_answers():
            self._asked.pop(ticket)(events)
        for fault, text in self._server.take_closed():
            name = FrameFault(fault).name
            structlog.get_logger().warning("connection closed", fault=name, text=text)
        if (error := self.sequencer.failure()) is not None:
            kind = "journal" if isinstance(error, JournalError) else type(error).__name__
            report_failure(self.failed, error, kind)
        self._wake_readers()
        self._rung.set()

    def _wake_readers(self) -> None:
        """Tell those whose events have come; have the bell rung for the next of the others."""
        while self._readers:
            durable = self.sequencer.durable_sequence
            for waiter, after in list(self._readers.items()):
                if durable > after:
                    del self._readers[waiter]
                    if not waiter.done():
                        waiter.set_result(None)
            lowest = min(self._readers.values(), default=_NOBODY)
            if lowest == _NOBODY or not self._server.await_readable(lowest):
                return

    async def _rings_until(self, done: Callable[[], bool]) -> None:
        while not done():
            self._rung.clear()
            await self._rung.wait()

    def _house_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            report_failure(self.failed, error, type(error).__name__)


class NativeDoor:
    """The loop's listening sockets; their connections are the loop's own."""

    def __init__(self, host: NativeHost) -> None:
        self._host = host
        self._server = host.sequencer.server

    @property
    def connected(self) -> int:
        """Return how many clients there are."""
        return int(self._server.connections)

    async def listen_unix(self, path: str) -> None:
        """Listen on a unix socket that only this user may open."""
        await asyncio.to_thread(free_socket_path, path)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        await asyncio.to_thread(os.chmod, path, 0o600)  # nobody can connect before `listen`
        self._give(listener)

    async def listen_tcp(self, host: str, port: int) -> int:
        """Listen on TCP; return the port."""
        listener = socket.create_server((host, port), backlog=_BACKLOG)
        bound = int(listener.getsockname()[1])
        self._give(listener)
        return bound

    def _give(self, listener: socket.socket) -> None:
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        self._server.listen(listener.detach())

    def stop_reading(self) -> None:
        """Take no more connections and no more commands; answers still go out."""
        self._server.stop_reading()

    async def close(self) -> None:
        """End the open connections."""
        await self._host.close_doors()


def _settings(
    tokens: Tokens, limits: DoorLimits, busy_poll_us: int, *, hurry: bool
) -> LoopSettings:
    roles = [
        (int(role), tokens.of(role.name.lower()), sorted(int(opcode) for opcode in opcodes))
        for role, opcodes in ROLE_OPCODES.items()
    ]
    return LoopSettings(
        roles=roles,
        handshake_ns=int(limits.handshake_seconds * 1e9),
        hurried_handshake_ns=int(limits.hurried_handshake_seconds * 1e9),
        max_in_flight=limits.max_in_flight,
        max_unsent_bytes=limits.max_unsent_bytes,
        max_connections=limits.max_connections,
        commands_per_group=COMMANDS_PER_TURN,
        busy_poll_ns=busy_poll_us * 1_000,
        hurry=hurry,
    )
