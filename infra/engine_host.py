"""The event loop around one sequencer: queue, group commit, ticks, snapshots.

Everything touches the sequencer from the loop's thread except `sync`, which runs in a thread of
its own so that the loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from domain.commands import Opcode
from domain.errors import RejectReason
from domain.events import CommandRejected
from infra.ending import end
from infra.engine_frames import split_groups
from infra.engine_house import SNAPSHOT_COMMANDS, EngineHouse, report_failure
from infra.engine_roles import ROLE_OPCODES, Role
from matching.codec import Placed, encode_event, view_events
from matching.failpoint import hit
from matching.segments import JournalError
from matching.sequencer import Sequencer
from matching.wire import STRIPE

Done = Callable[[bytes], None]
COMMANDS_PER_TURN = 2_000
_TICK_SECONDS = 0.1  # without another record
_BUSY_TICK_SECONDS = 1.0  # however many there are: marks age and sides stay empty under load, too
_PREPARE_SECONDS = 1.0


@dataclass(slots=True)
class _Job:
    commands: bytes
    placed: list[Placed]
    done: Done


class EngineHost:
    """Drive one sequencer; `failed` is set when the process must stop."""

    loop_name = "python"

    def __init__(
        self,
        sequencer: Sequencer,
        directory: Path,
        *,
        snapshot_every_commands: int = SNAPSHOT_COMMANDS,
        snapshot_every_seconds: float = 600.0,
    ) -> None:
        self.sequencer = sequencer
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._house = EngineHouse(
            sequencer,
            directory,
            snapshot_every_commands=snapshot_every_commands,
            snapshot_every_seconds=snapshot_every_seconds,
        )
        self._jobs: deque[_Job] = deque()
        self._waiting: deque[tuple[int, Done, bytes]] = deque()
        self._draining = False
        self._stopped = False
        self._last_write = self._last_tick = self._loop.time()
        self._written = asyncio.Event()
        self._durable = asyncio.Condition()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="journal-sync")
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to sync, tick and take snapshots."""
        for work in (
            self._sync_forever(),
            self._tick_forever(),
            self._prepare_forever(),
            self._house.keep(),
        ):
            task = asyncio.create_task(work)
            task.add_done_callback(self._task_done)
            self._tasks.append(task)

    async def stop(self) -> None:
        """Finish what is queued, make it durable, answer it, and end; once."""
        if self._stopped:
            return
        self._stopped = True
        while self._jobs and not self.failed.done():
            self._drain()
        await end(*self._tasks)
        if not self.failed.done():
            await self._sync_once()
            self.sequencer.cursors.save()
        self._executor.shutdown()

    def submit(self, role: Role, data: bytes, placed: list[Placed], done: Done) -> None:
        """Queue commands that lie as `placed`; `done` gets their event groups when acknowledged.

        What the role may not send is answered with FORBIDDEN_OPCODE, sequence 0, in its place,
        and is not journalled.
        """
        allowed = ROLE_OPCODES[role]
        if any(place.opcode not in allowed for place in placed):
            self._submit_allowed(role, data, placed, done)
        else:
            self._queue(_Job(data, placed, done))

    def _submit_allowed(self, role: Role, data: bytes, placed: list[Placed], done: Done) -> None:
        allowed = ROLE_OPCODES[role]
        refusals: list[bytes | None] = []
        kept: list[Placed] = []
        parts: list[bytes] = []
        size = 0
        for place in placed:
            record = data[place.offset : place.offset + place.length]
            if place.opcode in allowed:
                refusals.append(None)
                kept.append(Placed(size, place.length, place.opcode))
                parts.append(record)
                size += place.length
            else:
                refusals.append(_forbidden(record, place.opcode))
        if not kept:
            done(b"".join(refusal for refusal in refusals if refusal))
            return
        self._queue(_Job(b"".join(parts), kept, lambda out: done(_merge(refusals, out))))

    def _queue(self, job: _Job) -> None:
        if not job.placed:
            job.done(b"")
            return
        self._jobs.append(job)
        if not self._draining:
            self._draining = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        """Write and apply what is queued as one group, then let the loop breathe."""
        self._draining = False
        if self.failed.done():
            return
        taken: list[_Job] = []
        count = 0
        while self._jobs and count < COMMANDS_PER_TURN:
            job = self._jobs.popleft()
            taken.append(job)
            count += len(job.placed)
        try:
            if self._loop.time() - self._last_tick >= _BUSY_TICK_SECONDS:
                self._tick()
            self._run(taken)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing may be acknowledged
            self._fail(error)
            return
        if self._jobs:
            self._draining = True
            self._loop.call_soon(self._drain)

    def _run(self, jobs: list[_Job]) -> None:
        commands, placed = jobs[0].commands, jobs[0].placed
        if len(jobs) > 1:
            commands = b"".join(job.commands for job in jobs)
            placed, base = [], 0
            for job in jobs:
                placed += [Placed(base + p.offset, p.length, p.opcode) for p in job.placed]
                base += len(job.commands)
        result = self.sequencer.submit(commands, placed)
        self._last_write = self._loop.time()
        self._written.set()
        at_once = self.sequencer.ack_policy == "os"
        last = result.first_sequence - 1
        for job, events in zip(
            jobs, _shares(jobs, result.first_sequence, result.events), strict=True
        ):
            last += len(job.placed)
            if at_once:
                hit("before_ack")
                job.done(events)
            else:
                self._waiting.append((last, job.done, events))

    async def _sync_forever(self) -> None:
        while True:
            await self._written.wait()
            self._written.clear()
            await self._sync_once()

    async def _sync_once(self) -> None:
        durable = await self._loop.run_in_executor(self._executor, self.sequencer.sync)
        waiting = self._waiting
        while waiting and waiting[0][0] <= durable:
            hit("before_ack")
            _, done, events = waiting.popleft()
            done(events)
        async with self._durable:
            self._durable.notify_all()

    async def wait_durable(self, after: int, seconds: float) -> bool:
        """Return whether something after `after` is durable, waiting up to `seconds` for it."""
        if self.sequencer.durable_sequence > after:
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._durable:
                await self._durable.wait_for(lambda: self.sequencer.durable_sequence > after)
        return self.sequencer.durable_sequence > after

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(max(0.01, self._last_write + _TICK_SECONDS - self._loop.time()))
            if self._jobs or self._loop.time() < self._last_write + _TICK_SECONDS:
                continue
            self._tick()  # idle by the monotonic clock: the wall clock may jump

    def _tick(self) -> None:
        self.sequencer.tick()
        self._last_write = self._last_tick = self._loop.time()
        self._written.set()

    async def _prepare_forever(self) -> None:
        while True:
            await asyncio.sleep(_PREPARE_SECONDS)
            await asyncio.to_thread(self.sequencer.journal.prepare_segment)

    async def take_snapshot(self, sequence: int) -> bool:
        """Let the shadow process write the snapshot at `sequence`; return whether it did."""
        return await self._house.take_snapshot(sequence)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Stop acknowledging for good; the process ends and recovery starts over."""
        name = type(error).__name__ if not isinstance(error, JournalError) else "journal"
        report_failure(self.failed, error, name)


def _shares(jobs: list[_Job], first_sequence: int, events: bytes) -> list[bytes]:
    """Return each job's part of the events of a group."""
    if len(jobs) == 1:
        return [events]
    firsts: list[int] = []
    sequence = first_sequence
    for job in jobs:
        firsts.append(sequence)
        sequence += len(job.placed)
    starts = np.searchsorted(view_events(events)["sequence"], firsts) * STRIPE
    bounds = [*(int(start) for start in starts), len(events)]
    return [events[bounds[i] : bounds[i + 1]] for i in range(len(jobs))]


def _forbidden(record: bytes, opcode: int) -> bytes:
    account_id = int.from_bytes(record[24:32], "little")
    key = int.from_bytes(record[32:48], "little")
    return encode_event(
        CommandRejected(0, 0, 0, Opcode(opcode), RejectReason.FORBIDDEN_OPCODE, account_id, key, 0)
    )


def _merge(refusals: list[bytes | None], events: bytes) -> bytes:
    """Put the refusals among the event groups, in the order of the commands."""
    starts = [*split_groups(events), len(events)]
    groups = (events[a:b] for a, b in pairwise(starts))
    return b"".join(refusal or next(groups) for refusal in refusals)
