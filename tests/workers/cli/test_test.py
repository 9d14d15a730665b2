"""`rialto test` ends, whatever becomes of the processes that it runs tests in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from workers.cli.test import pytest_command

pytestmark = pytest.mark.long  # four processes of pytest's

DIES = """
import os, time

def test_first():
    pass

def test_that_dies():
    os.kill(os.getpid(), 9)

def test_after():
    pass
"""
HANGS = """
import threading

def test_that_hangs():
    threading.Event().wait()
"""


def _run(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = long\n    servers\n")
    command = [*pytest_command(quick=True, everything=False), *more]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def test_it_ends_when_processes_die(tmp_path: Path) -> None:
    """Each process that dies names the test that it was in; the run has failed."""
    for name in ("one", "two"):
        (tmp_path / f"test_{name}.py").write_text(DIES)
    (tmp_path / "test_well.py").write_text("def test_well():\n    pass\n")
    done = _run(tmp_path)
    assert done.returncode != 0
    for name in ("one", "two"):
        said = f"crashed while running 'test_{name}.py::test_that_dies'"
        assert said in done.stdout, done.stdout


def test_it_ends_when_a_test_hangs(tmp_path: Path) -> None:
    """The process is ended, the hanging test is named, and so is the line where it hangs."""
    (tmp_path / "test_hangs.py").write_text(HANGS)
    (tmp_path / "test_well.py").write_text("def test_well():\n    pass\n")
    done = _run(tmp_path, "-o", "faulthandler_timeout=2")
    assert done.returncode != 0
    assert "crashed while running 'test_hangs.py::test_that_hangs'" in done.stdout
    assert 'test_hangs.py", line 5 in test_that_hangs' in done.stderr, done.stderr
