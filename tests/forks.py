"""Processes of the exchange, forked from one that has imported what they need.

Importing is most of a process' start: a second of processor time, and a fork takes a hundredth. The
exchange itself starts most of its processes so (`workers/nursery.py`). The one that is forked from
is started once by each process of the tests, runs no thread and ends with it, as what it made does.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

from infra.embedded.server import die_with_parent
from workers.nursery import ForkedProcess, rest_of_a_fork

ROOT = Path(__file__).resolve().parents[1]


class Forked(ForkedProcess):
    """A process that was forked here; it is no child of ours, so another one looks after it."""

    def poll(self) -> int | None:
        """Look whether it has ended; its id is not given to another process before that."""
        if self.returncode is None:
            self.returncode = _server().ask(poll=self.pid)
        return self.returncode

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def fork_main(
    module: str, log: Path, environment: Mapping[str, str], arguments: Sequence[str] = ()
) -> Forked:
    """Return a new process that runs `module`'s `main` and appends what it writes to `log`.

    `environment` is the whole of it.
    """
    wish = {"module": module, "log": str(log), "environment": dict(environment)}
    return Forked(_server().ask(**wish, arguments=list(arguments)))


class _Server:
    """The process that is forked from; it ends when the tests' process does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from tests.forks import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            # No library may start threads of its own where forks are made.
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "OPENBLAS_NUM_THREADS": "1",
                "OMP_NUM_THREADS": "1",
            },
        )

    def ask(self, **wish: Any) -> Any:
        """Send one request and return its answer."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with self._lock:
            process.stdin.write(json.dumps(wish) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        assert line, "the process that others are forked from has ended"
        return json.loads(line)


@cache
def _server() -> _Server:
    return _Server()


def serve() -> None:
    """Fork on request, until the tests' process goes away."""
    back: IO[str] = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries write is no answer
    for line in sys.stdin:
        wish = json.loads(line)
        found = _ended(wish["poll"]) if "poll" in wish else _fork(wish)
        back.write(json.dumps(found) + "\n")
        back.flush()


def _ended(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _fork(wish: dict[str, Any]) -> int:
    importlib.import_module(wish["module"])
    gc.collect()
    gc.freeze()  # what is imported is never garbage: its pages stay shared
    assert threading.active_count() == 1
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _become(parent, wish)
    return child


def _become(parent: int, wish: dict[str, Any]) -> None:
    """Turn into the process that was asked for; never returns."""
    with rest_of_a_fork():
        die_with_parent()
        if os.getppid() != parent:
            os._exit(1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        log = os.open(wish["log"], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.clear()
        os.environ.update(wish["environment"])
        importlib.reload(importlib.import_module("matching.failpoint"))  # it reads them once
        sys.argv[:] = [wish["module"], *wish["arguments"]]
        importlib.import_module(wish["module"]).main()
