"""Runs of `rialto` in a row: each is a process of its own, forked from one that has the imports."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_SECONDS = 60  # for one run


def run_verbs(lines: Sequence[Sequence[str]], warm: str) -> list[tuple[int, str, str]]:
    """Run `rialto` once with each line of words; return exit codes, outputs and error outputs.

    `warm` is the module that these verbs need: it is imported once for all of them.
    """
    result = subprocess.run(
        [sys.executable, "-P", __file__, warm],
        input=json.dumps([list(line) for line in lines]),
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS * (1 + len(lines)),
    )
    assert result.returncode == 0, result.stderr
    found: list[Any] = json.loads(result.stdout)
    return [(code, out, err) for code, out, err in found]


def _fork(words: list[str], folder: Path) -> tuple[int, str, str]:
    outputs = [folder / "out", folder / "err"]
    child = os.fork()
    if child == 0:
        for number, path in enumerate(outputs, start=1):
            os.dup2(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), number)
        sys.argv = ["rialto", *words]
        try:
            importlib.import_module("workers.__main__").main()
        except SystemExit as finished:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(finished.code if isinstance(finished.code, int) else 0)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    out, err = (path.read_text() for path in outputs)
    return os.waitstatus_to_exitcode(status), out, err


if __name__ == "__main__":
    importlib.import_module("workers.__main__").build()
    importlib.import_module(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps([_fork(words, Path(folder)) for words in json.load(sys.stdin)]))
