"""One process that has imported the libraries, and forks the exchange's processes from itself.

Imports are most of a process' start (two seconds of CPU each); done once, the whole exchange
starts in a few seconds and its processes share the libraries' memory. The nursery runs no thread,
opens no connection and reads no secret. A process is forked twice, so that it becomes the child
of the supervisor (a "subreaper"), which watches it and with which it dies.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

from infra.embedded.server import (
    Child,
    ServerFailedError,
    die_with_parent,
    open_log,
    spawn,
    take_orphans,
)
from workers.processes import PROCESSES

_LARGEST_MESSAGE = 1 << 17
_READY = b"ready"


class ForkedProcess:
    """A child that the nursery made; with the interface of `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Look whether it has ended."""
        if self.returncode is None:
            try:
                found, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                self.returncode = 1  # somebody else has seen its end
            else:
                if found:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            time.sleep(0.02)
        return code

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)


class Nursery(Child):
    """The supervisor's side: starts the nursery and asks it for processes."""

    def __init__(self, log_path: Path) -> None:
        super().__init__("nursery", log_path)
        self._socket: socket.socket | None = None
        self._ready = False

    def command(self) -> list[str]:
        """Return the command line, without the socket."""
        return [sys.executable, "-P", "-m", "workers.nursery"]

    def environment(self) -> dict[str, str]:
        """Return our environment; no library may start threads of its own in the nursery."""
        return {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

    def launch(self) -> None:
        """Start the nursery with a socket to us."""
        take_orphans()
        if self._socket is not None:
            self._socket.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket, self._ready = ours, False
        with theirs:
            self.process = spawn(
                [*self.command(), str(theirs.fileno()), str(os.getpid())],
                log_path=self.log_path,
                env=self.environment(),
                pass_fds=(theirs.fileno(),),
            )

    def answers(self) -> bool:
        """Tell whether the imports are done."""
        if not self._ready and self._socket is not None:
            with contextlib.suppress(BlockingIOError):
                self._ready = self._socket.recv(len(_READY), socket.MSG_DONTWAIT) == _READY
        return self._ready

    def fork(self, module: str, log_path: Path, environment: Mapping[str, str]) -> ForkedProcess:
        """Return a new process that runs `module`'s `main`."""
        if self._socket is None or not self.alive() or not self.answers():
            raise ServerFailedError("the nursery does not run")
        request = {"module": module, "log": str(log_path), "environment": dict(environment)}
        self._socket.settimeout(5)
        try:
            self._socket.send(json.dumps(request).encode())
            answer = self._socket.recv(32)
        except OSError as error:
            raise ServerFailedError(f"the nursery does not answer: {error}") from error
        if not answer:
            raise ServerFailedError("the nursery died")
        return ForkedProcess(int(answer))


@contextlib.contextmanager
def rest_of_a_fork() -> Iterator[None]:
    """Give all that a forked process does yet: with the block it ends, and says why in its log."""
    code = 1
    try:
        yield
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it is, it belongs in the log
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    """Import, then fork on request until the supervisor goes away."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    supervisor = int(sys.argv[2])
    for spec in PROCESSES:
        if not spec.apart:
            try:
                import_module(spec.module)
            except Exception:  # noqa: BLE001 - the process itself will say it in its own log
                traceback.print_exc()
    gc.collect()
    gc.freeze()  # what is imported is never garbage: leave its pages shared
    connection.send(_READY)
    while message := connection.recv(_LARGEST_MESSAGE):
        pid = _fork_twice(connection, supervisor, json.loads(message))
        connection.send(str(pid).encode())


def _fork_twice(connection: socket.socket, supervisor: int, request: Mapping[str, object]) -> int:
    """Return the pid of a grandchild whose parent has gone, so that the supervisor gets it."""
    reader, writer = os.pipe()
    between = os.fork()
    if between == 0:
        pid = os.fork()
        if pid == 0:
            connection.close()
            os.close(reader)
            os.close(writer)
            _become(supervisor, request)
        os.write(writer, str(pid).encode())
        os._exit(0)
    os.close(writer)
    pid = int(os.read(reader, 32))
    os.close(reader)
    os.waitpid(between, 0)
    return pid


def _become(supervisor: int, request: Mapping[str, object]) -> None:
    """Turn into the process that was asked for; never returns."""
    with rest_of_a_fork():
        os.setsid()
        deadline = time.monotonic() + 5
        while os.getppid() != supervisor and time.monotonic() < deadline:
            time.sleep(0.001)
        die_with_parent(signal.SIGTERM)
        if os.getppid() != supervisor:
            os._exit(1)
        with open_log(Path(str(request["log"]))) as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        environment = request["environment"]
        assert isinstance(environment, dict)
        os.environ.clear()
        os.environ.update(environment)
        module = str(request["module"])
        sys.argv[:] = ["rialto", module]
        import_module(module).main()


if __name__ == "__main__":
    serve()
