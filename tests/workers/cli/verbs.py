"""Runs of `rialto`: each is a process of its own, forked from one that has the imports.

Importing what a verb needs takes a second of processor time, a fork a hundredth. The process that
is forked from is started once by each process of the tests; what a verb had to import, it imports
afterwards, so that the next one has it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, Any

_SECONDS = 180  # for one run; then it is killed


def run_verb(
    *words: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `rialto` with these words, in the environment of the tests unless told another."""
    ask = {"words": words, "environment": dict(os.environ if environment is None else environment)}
    server = _server()
    with server.lock:
        server.to.write(json.dumps(ask) + "\n")
        server.to.flush()
        line = server.back.readline()
    assert line, "the process that verbs are forked from has ended"
    code, out, err = json.loads(line)
    return subprocess.CompletedProcess(["rialto", *words], code, out, err)


def run_verbs(lines: Sequence[Sequence[str]]) -> list[tuple[int, str, str]]:
    """Run `rialto` once with each line of words; return exit codes, outputs and error outputs."""
    found = [run_verb(*words) for words in lines]
    return [(one.returncode, one.stdout, one.stderr) for one in found]


class _Server:
    """The process that is forked from; it ends when the tests' process does."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        self.to: IO[str] = process.stdin
        self.back: IO[str] = process.stdout


@cache
def _server() -> _Server:
    return _Server()


def _fork(words: list[str], environment: dict[str, str], folder: Path) -> tuple[int, str, str]:
    outputs = [folder / "out", folder / "err"]
    imported = folder / "imported"
    child = os.fork()
    if child == 0:
        signal.alarm(_SECONDS)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, path in enumerate(outputs, start=1):
            os.dup2(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), number)
        os.environ.clear()
        os.environ.update(environment)
        _become(words, imported)
    _, status = os.waitpid(child, 0)
    out, err = (path.read_text() for path in outputs)
    if imported.exists():
        for name in json.loads(imported.read_text()):
            with suppress(Exception):  # made by others at run time: the next verb does it, too
                importlib.import_module(name)
    return os.waitstatus_to_exitcode(status), out, err


def _become(words: list[str], imported: Path) -> None:
    """Be `rialto`; leave the names of the modules that it needed."""
    known = set(sys.modules)
    sys.argv = ["rialto", *words]
    leave = os._exit

    def tell_and_leave(code: int) -> None:
        imported.write_text(json.dumps([name for name in sys.modules if name not in known]))
        leave(code)

    os._exit = tell_and_leave  # type: ignore[assignment]  # also where `rialto` itself leaves so
    try:
        importlib.import_module("workers.__main__").main()
    except SystemExit as finished:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(finished.code if isinstance(finished.code, int) else 0)
    os._exit(0)


def _serve(back: IO[str]) -> None:
    importlib.import_module("workers.__main__").build()
    with tempfile.TemporaryDirectory() as folder:
        for number, line in enumerate(sys.stdin):
            ask: dict[str, Any] = json.loads(line)
            place = Path(folder) / str(number)
            place.mkdir()
            found = _fork(ask["words"], ask["environment"], place)
            back.write(json.dumps(found) + "\n")
            back.flush()


if __name__ == "__main__":
    _serve(sys.stdout)
