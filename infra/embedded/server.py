"""A server or worker as a child process: spawn, wait until it answers, stop; it never outlives us.

The kernel signals the child when the thread that spawned it ends (`PR_SET_PDEATHSIG`), so a
killed supervisor leaves nothing running. Spawn from a thread that lives as long as the server.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Protocol

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
LOG_BYTES = 20_000_000
_LOGS_KEPT = 3  # the current one and two older ones
_LIBC = ctypes.CDLL(None, use_errno=True)


class ProcessHandle(Protocol):
    """What we need of a child: a part of `subprocess.Popen`."""

    @property
    def pid(self) -> int:
        """Return the process id."""

    @property
    def returncode(self) -> Any:
        """Return the exit code (negative: the signal), or None while it runs."""

    def poll(self) -> int | None:
        """Look whether it has ended; return the exit code or None."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; `subprocess.TimeoutExpired` when it takes longer."""

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it has ended."""


class ServerFailedError(RuntimeError):
    """A server did not start; the message says why and where its log is."""


def die_with_parent(signal_number: signal.Signals = signal.SIGTERM) -> None:
    """Ask the kernel to signal this process when its parent thread ends; for the child side."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)


def take_orphans() -> None:
    """Become the parent of those of our descendants whose own parent ends."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def spawn(
    command: Sequence[str],
    *,
    log_path: Path,
    env: Mapping[str, str] | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
    become: Callable[[], None] | None = None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own (Ctrl-C does not reach it), logging to `log_path`.

    `become` runs in the child first, e.g. to give up root.
    """
    parent = os.getpid()

    def in_child() -> None:
        if become is not None:
            become()
        die_with_parent(death_signal)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    with open_log(log_path) as log:
        return subprocess.Popen(  # noqa: S603 - our own command lines
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            pass_fds=pass_fds,
            start_new_session=True,
            preexec_fn=in_child,
        )


def open_log(path: Path) -> BinaryIO:
    """Open a log for appending; a large one is put aside first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rotate_log(path)
    return path.open("ab")


def rotate_log(path: Path, most_bytes: int = LOG_BYTES) -> bool:
    """Put a large log's content aside, as `.1`, `.2`; tell whether it was large.

    The writer holds the file open for appending, so its content is copied and then cut off: it goes
    on at the beginning. What it writes in between is lost, a few lines at most.
    """
    if not path.exists() or path.stat().st_size <= most_bytes:
        return False
    older = [path.with_name(f"{path.name}.{number}") for number in range(1, _LOGS_KEPT)]
    for target, source in zip(reversed(older), reversed(older[:-1]), strict=False):
        if source.exists():
            source.replace(target)
    shutil.copyfile(path, older[0])
    os.truncate(path, 0)
    return True


def stop_process(
    process: ProcessHandle,
    signal_number: signal.Signals = signal.SIGTERM,
    timeout_seconds: float = 10,
) -> None:
    """Ask the process to end, and kill its whole group when it does not."""
    if process.poll() is None:
        process.send_signal(signal_number)
        try:
            process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            kill_group(process)


def kill_group(process: ProcessHandle) -> None:
    """Kill the process and, when it leads a session of its own, all that it started there."""
    with contextlib.suppress(ProcessLookupError):  # it leads no group, or all of it has ended
        os.killpg(process.pid, signal.SIGKILL)
    process.send_signal(signal.SIGKILL)
    process.wait()


class Child(ABC):
    """A child process. Subclasses say how to run it and how to tell that it serves."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    start_timeout_seconds: ClassVar[float] = 30

    def __init__(self, name: str, log_path: Path) -> None:
        self.name = name
        self.log_path = log_path
        self.process: ProcessHandle | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line."""

    @abstractmethod
    def answers(self) -> bool:
        """Tell whether it serves requests; quick, and False rather than an exception."""

    def sign_of_life(self) -> object:
        """Return something that changes while the process does its work; None: cannot be told."""
        return None

    def prepare(self) -> None:  # noqa: B027 - most need nothing
        """Do what a first start needs, and what an unclean end left to do; may take seconds."""

    def after_start(self) -> None:  # noqa: B027 - most need nothing
        """Do what can only be done once it answers."""

    def environment(self) -> dict[str, str] | None:
        """Return the child's environment; None is ours."""
        return None

    def become(self) -> Callable[[], None] | None:
        """Return what the child does before it turns into the program."""
        return None

    def working_dir(self) -> Path | None:
        """Return the folder in which the child runs; None is ours."""
        return None

    def launch(self) -> None:
        """Start the process without waiting for it; from the main thread."""
        self.process = spawn(
            self.command(),
            log_path=self.log_path,
            env=self.environment(),
            death_signal=self.stop_signal,
            become=self.become(),
            cwd=self.working_dir(),
        )

    def start(self) -> None:
        """Prepare, start, and wait until it answers; `ServerFailedError` otherwise."""
        self.prepare()
        self.launch()
        deadline = time.monotonic() + self.start_timeout_seconds
        while not self.answers():
            self.raise_if_dead()
            if time.monotonic() > deadline:
                self.stop()
                raise ServerFailedError(self.silence())
            time.sleep(0.02)
        self.after_start()

    def silence(self) -> str:
        """Return what to say when it runs but does not answer in time."""
        return (
            f"{self.name} did not answer within {self.start_timeout_seconds:.0f} s; "
            f"the end of its log ({self.log_path}):\n{log_tail(self.log_path)}"
        )

    def raise_if_dead(self) -> None:
        """Raise `ServerFailedError` with the end of the log when the process has ended."""
        if self.process is not None and self.process.poll() is not None:
            raise ServerFailedError(
                f"{self.name} ended with code {self.process.returncode} while starting; "
                f"the end of its log ({self.log_path}):\n{log_tail(self.log_path)}"
            )

    @property
    def pid(self) -> int:
        """Return the process' id; 0 before the first start."""
        return self.process.pid if self.process is not None else 0

    def alive(self) -> bool:
        """Tell whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def stop(self, timeout_seconds: float = 15) -> None:
        """Stop it cleanly; kill it when it takes too long."""
        if self.process is not None:
            stop_process(self.process, self.stop_signal, timeout_seconds)

    def kill(self) -> None:
        """End it at once, without a clean stop."""
        if self.process is not None:
            kill_group(self.process)


class EmbeddedServer(Child):
    """A server binary from a package, with a data folder and a port on loopback."""

    def __init__(self, name: str, data_dir: Path, log_path: Path, port: int) -> None:
        super().__init__(name, log_path)
        self.data_dir = data_dir
        self.port = port

    @property
    @abstractmethod
    def url(self) -> str:
        """Return the address that clients use."""

    def prepare(self) -> None:
        """Make the data folder."""
        self.data_dir.mkdir(parents=True, exist_ok=True)

    def working_dir(self) -> Path | None:
        """Return the data folder, where a stray file does no harm."""
        return self.data_dir


def log_tail(path: Path, lines: int = 5) -> str:
    """Return the last lines of a log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4000))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"
