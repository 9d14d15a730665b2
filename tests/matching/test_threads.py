"""What crosses threads in the engine's process has no data race, says ThreadSanitizer."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from workers.fuzz_run import ROOT, find_compiler

pytestmark = pytest.mark.long

_MATCHING = ROOT / "matching"
_SOURCES = (
    ROOT / "tests" / "fuzz" / "threads.cpp",
    _MATCHING / "server" / "mailbox.cpp",
    _MATCHING / "server" / "files.cpp",
)
_FOUND = 66  # how ThreadSanitizer ends a program


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program, compiled with the sanitizer."""
    made = tmp_path_factory.mktemp("threads") / "threads"
    include = [f"-I{_MATCHING / folder}" for folder in ("", "core", "server")]
    flags = ["-std=gnu++20", "-O1", "-g1", "-fsanitize=thread"]
    command = [find_compiler().command, *flags, *include, *map(str, _SOURCES), "-o", str(made)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return made


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    command = [str(program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_questions_and_mail_are_handed_over_without_a_race(program: Path) -> None:
    """Asked while the loop drives and while it goes; sent and answered all the time."""
    done = run(program)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[:4_000]


def test_a_race_would_be_found(program: Path) -> None:
    """Who reads the engine without asking is told so: the proof is not an empty one."""
    done = run(program, "unasked")
    assert done.returncode == _FOUND
    assert "data race" in done.stderr
