"""Starting, watching and stopping the servers and processes of one exchange on one machine.

Crash-only: a child that dies is started again with backoff, and its own start-up is its recovery.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psutil

from infra.embedded.server import LOG_BYTES, Child, ServerFailedError, rotate_log
from infra.wallet.signer_home import prepare_home
from workers.data_folder import write_json
from workers.nursery import Nursery
from workers.processes import ProcessSpec

_POLL_SECONDS = 0.1
_START_ATTEMPTS = 3
_BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_STABLE_SECONDS = 30  # alive for so long: the next death starts the backoff anew
_LOGS_EVERY_SECONDS = 1
HANG_SECONDS = 20.0  # without a heartbeat, a process that waits or was stopped is killed
_BUSY_FACTOR = 4  # one that computes, or waits for the disk, has so much longer


class WorkerProcess(Child):
    """One process of the exchange; ready when it has written a heartbeat with its own pid."""

    start_timeout_seconds: ClassVar[float] = 60

    def __init__(
        self,
        spec: ProcessSpec,
        number: int,
        data_dir: Path,
        environment: Mapping[str, str],
        nursery: Nursery | None = None,
    ) -> None:
        name = spec.process_name(number)
        super().__init__(name, data_dir / "logs" / f"{name}.log")
        self.spec = spec
        self._data_dir = data_dir
        self._nursery = None if spec.apart else nursery
        self._beat_path = data_dir / "run" / f"{name}.json"
        self._environment = {**environment, "RIALTO_SHARD": str(number if spec.sharded else 0)}

    def command(self) -> list[str]:
        """Return the command line, as one could type it."""
        return [sys.executable, "-P", "-m", "workers", self.spec.verb]

    def launch(self) -> None:
        """Fork from the nursery; without it, start as any program."""
        if self._nursery is not None:
            with contextlib.suppress(ServerFailedError):
                self.process = self._nursery.fork(
                    self.spec.module, self.log_path, self.environment()
                )
                return
        super().launch()

    def become(self) -> Callable[[], None] | None:
        """Return what gives the process a user of its own, if it is to have one and root allows."""
        if not self.spec.own_user:
            return None
        home = prepare_home(self._data_dir, self._beat_path)
        return None if isinstance(home, str) else home

    def environment(self) -> dict[str, str]:
        """Return our environment with the exchange's settings."""
        return {**os.environ, **self._environment}

    def answers(self) -> bool:
        """Tell whether this very process has beaten."""
        return self.sign_of_life() is not None

    def sign_of_life(self) -> object:
        """Return the time of this very process' last heartbeat."""
        try:
            beat = json.loads(self._beat_path.read_bytes())
        except (OSError, ValueError):
            return None
        return beat.get("updated_at") if beat.get("pid") == self.pid else None


def _is_busy(pid: int) -> bool:
    """Tell whether a process computes, or waits for the disk or for its turn."""
    try:
        return psutil.Process(pid).status() in (psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP)
    except psutil.Error:
        return False


@dataclass(slots=True)
class _Watched:
    """A child and what the supervisor knows of it."""

    child: Child
    stage: int
    state: str = "starting"
    restarts: int = 0
    failures: int = 0  # deaths since it was last stable
    up_since: float = 0.0
    restart_at: float = 0.0
    life: object = None  # the last sign of life
    silent_seconds: float = 0.0  # since it last changed, as far as we were awake ourselves
    note: str = ""  # why it was last started again


class Supervisor:
    """Keeps children alive. They stop in the reverse order of their `stage`.

    A child that lives and has given no sign of life for `hang_seconds` is killed, and so started
    again; logs above `log_bytes` are put aside while they are written.
    """

    def __init__(
        self,
        state_path: Path,
        report: Callable[[str], None],
        on_restart: Callable[[], None] = lambda: None,
        *,
        hang_seconds: float = HANG_SECONDS,
        log_bytes: int = LOG_BYTES,
    ) -> None:
        self._state_path = state_path
        self._tell = report
        self._on_restart = on_restart
        self._hang_seconds = hang_seconds
        self._log_bytes = log_bytes
        self._troubles: Counter[str] = Counter()
        self._watched: dict[str, _Watched] = {}
        self._started_at = time.time()
        self._watching: asyncio.Task[None] | None = None
        self._restarting: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def children(self) -> list[Child]:
        """Return all children in the order in which they were started."""
        return [watched.child for watched in self._watched.values()]

    def pids(self) -> dict[str, int]:
        """Return the pid of each child by name."""
        return {name: watched.child.pid for name, watched in self._watched.items()}

    def restarts(self) -> int:
        """Return how often any child had to be started again."""
        return sum(watched.restarts for watched in self._watched.values())

    async def start(self, *children: Child, stage: int) -> None:
        """Start children side by side and wait until all answer; `ServerFailedError` if not."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        async with asyncio.TaskGroup() as group:
            for child in children:
                group.create_task(self._start_one(child, stage))
        self._write_state()  # who is told that it is up may look at once

    async def stop_child(self, name: str, timeout_seconds: float = 15) -> None:
        """Stop one child for good."""
        watched = self._watched.get(name)
        if watched is not None:
            watched.state = "stopped"
            await asyncio.to_thread(watched.child.stop, timeout_seconds)
            self._write_state()

    async def stop(self) -> None:
        """Stop all children: the last stage first, those of one stage side by side."""
        self._stopping = True
        for task in (self._watching, *self._restarting):
            if task is not None:
                task.cancel()
        for stage in sorted({watched.stage for watched in self._watched.values()}, reverse=True):
            of_stage = [w for w in self._watched.values() if w.stage == stage]
            for watched in of_stage:
                watched.state = "stopped"
            await asyncio.gather(*(asyncio.to_thread(w.child.stop) for w in of_stage))
        self._write_state()

    def kill(self) -> None:
        """End all children at once."""
        for watched in self._watched.values():
            watched.child.kill()

    async def _start_one(self, child: Child, stage: int) -> None:
        watched = _Watched(child, stage)
        self._watched[child.name] = watched
        await asyncio.to_thread(child.prepare)
        for attempt in range(1, _START_ATTEMPTS + 1):
            if self._stopping:
                return
            child.launch()
            try:
                await self._until_it_answers(child)
                break
            except ServerFailedError:
                await asyncio.to_thread(child.stop)
                if attempt == _START_ATTEMPTS:
                    raise
        await asyncio.to_thread(child.after_start)
        watched.state, watched.up_since = "running", time.monotonic()

    async def _until_it_answers(self, child: Child) -> None:
        deadline = time.monotonic() + child.start_timeout_seconds
        while not await asyncio.to_thread(child.answers):
            child.raise_if_dead()
            if time.monotonic() > deadline:
                raise ServerFailedError(child.silence())
            await asyncio.sleep(0.03)

    def _report(self, text: str) -> None:
        """Say it; a terminal that is gone is no reason to stop watching."""
        with contextlib.suppress(OSError):
            self._tell(text)

    async def _watch(self) -> None:
        """Watch for ever: no error of one look (a full disk, say) ends the watching."""
        written = rotated = 0.0
        while True:
            now = time.monotonic()
            for watched in list(self._watched.values()):
                self._try(f"watching {watched.child.name}", self._look_after, watched, now)
            if now - written >= 1:
                passed = min(now - written, 1.5)  # what we slept through counts for nobody
                self._try("looking for hung processes", self._find_hung, passed)
                self._try(f"writing {self._state_path.name}", self._write_state)
                written = now
            if now - rotated >= _LOGS_EVERY_SECONDS:
                await asyncio.to_thread(self._try, "putting logs aside", self._rotate_logs)
                rotated = now
            await asyncio.sleep(_POLL_SECONDS)

    def _try(self, what: str, action: Callable[..., None], *arguments: object) -> None:
        """Act; say it once when that begins to fail, and once when it works again."""
        try:
            action(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, the watching goes on
            self._troubles[what] += 1
            if self._troubles[what] == 1:
                self._report(f"{what} fails: {error}")
        else:
            if self._troubles.pop(what, 0):
                self._report(f"{what} works again")

    def _rotate_logs(self) -> None:
        for child in self.children:
            rotate_log(child.log_path, self._log_bytes)

    def _find_hung(self, passed: float) -> None:
        """Kill who lives without a sign of life; its death is then noticed like any other."""
        for watched in self._watched.values():
            life = watched.child.sign_of_life() if watched.state == "running" else None
            if life is None or life != watched.life:
                watched.life, watched.silent_seconds = life, 0.0
                continue
            watched.silent_seconds += passed / (_BUSY_FACTOR if _is_busy(watched.child.pid) else 1)
            if watched.silent_seconds > self._hang_seconds:
                watched.note = f"hung: no heartbeat for {watched.silent_seconds:.0f} s"
                self._report(f"{watched.child.name} {watched.note}; killed")
                watched.silent_seconds = 0.0
                os.kill(watched.child.pid, signal.SIGKILL)

    def _look_after(self, watched: _Watched, now: float) -> None:
        """Notice a death, and start again when its time has come."""
        if watched.state == "running" and not watched.child.alive():
            if now - watched.up_since > _STABLE_SECONDS:
                watched.failures = 0
            backoff = _BACKOFF_SECONDS[min(watched.failures, len(_BACKOFF_SECONDS) - 1)]
            watched.failures += 1
            watched.state, watched.restart_at = "dead", now + backoff
            process = watched.child.process
            code = process.returncode if process is not None else None
            if not watched.note.startswith("hung") or code != -signal.SIGKILL:
                watched.note = f"died (code {code})"
            self._report(f"{watched.child.name} died (code {code}); again in {backoff:g} s")
        elif watched.state == "dead" and now >= watched.restart_at:
            watched.state = "restarting"
            task = asyncio.create_task(self._restart(watched))
            self._restarting.add(task)
            task.add_done_callback(self._restarting.discard)

    async def _restart(self, watched: _Watched) -> None:
        child = watched.child
        watched.restarts += 1
        try:
            await asyncio.to_thread(child.prepare)
            child.launch()
            watched.up_since = time.monotonic()
            await self._until_it_answers(child)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look tries again
            self._report(f"{child.name} did not come back: {error}")
            if child.alive():
                await asyncio.to_thread(child.stop)
        else:
            self._report(f"{child.name} is back (process {child.pid})")
            self._on_restart()
        watched.state = "running"  # if it is not, the next look notices

    def _write_state(self) -> None:
        write_json(
            self._state_path,
            {
                "pid": os.getpid(),
                "started_at": self._started_at,
                "updated_at": time.time(),
                "children": [
                    {
                        "name": name,
                        "pid": watched.child.pid,
                        "state": watched.state,
                        "restarts": watched.restarts,
                        "note": watched.note,
                        "log": str(watched.child.log_path),
                    }
                    for name, watched in self._watched.items()
                ],
            },
        )
