"""The fuzz target is built with sanitizers and finds nothing; what it would find is reported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workers import fuzz_run
from workers.__main__ import build
from workers.fuzz_run import Compiler, FuzzError, find_compiler, reproduce, run

PLACES = 1_500  # of our own driver; well below what the seeds alone cover


def test_a_short_run_finds_nothing(tmp_path: Path) -> None:
    """Address and undefined-behaviour sanitizers and all invariants, with the system's compiler."""
    report = run(find_compiler("c++"), seconds=3, seed=1, findings=tmp_path, quick=True)
    assert report.findings == []
    assert report.driver == "own"
    assert report.runs > 5
    assert report.places > PLACES


def test_a_short_run_against_the_door(tmp_path: Path) -> None:
    """Frames in any portions: the same frames, the same fault, answers whole and in order."""
    compiler = find_compiler("c++")
    report = run(compiler, seconds=2, seed=1, findings=tmp_path, target="frames", quick=True)
    assert report.findings == []
    assert (report.target, report.runs > 20, report.places > 50) == ("frames", True, True)


def test_an_input_again() -> None:
    """One input is run alone; a good one breaks nothing."""
    folder = fuzz_run.FOLDER / "seeds"
    fuzz_run.write_seeds(folder)
    for name in ("edge-prices", "edge-times", "edge-beyond"):
        assert reproduce(find_compiler("c++"), folder / name, quick=True).findings == []


def test_without_a_compiler() -> None:
    """It says what is missing."""
    with pytest.raises(FuzzError, match="no-such-compiler is not installed"):
        find_compiler("no-such-compiler")


SCRIPT = """#!/bin/sh
echo 'INFO: Loaded 1 modules   (4000 inline 8-bit counters): 4000 [0x1, 0x2),' >&2
echo '#20 NEW    cov: 17 ft: 3 corp: 1/1b exec/s: 9' >&2
echo 'broken rule: the book is not crossed' >&2
echo '==1== ERROR: libFuzzer: deadly signal' >&2
echo "artifact_prefix='./'; Test unit written to kept/crash-1" >&2
exit 77
"""


def test_findings_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The rule that broke, the input that broke it, the command to see it again, exit code 1."""
    program = tmp_path / "target"
    program.write_text(SCRIPT)
    program.chmod(0o755)
    monkeypatch.setattr(fuzz_run, "build", lambda *_, **__: program)
    monkeypatch.setattr(fuzz_run, "find_compiler", lambda _wanted: Compiler("clang++", True))
    monkeypatch.setattr(fuzz_run, "FOLDER", tmp_path)
    done = CliRunner().invoke(build(), ["fuzz", "--seconds", "1", "--json"])
    found = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (found["runs"], found["places"], found["all_places"]) == (20, 17, 4_000)
    assert found["findings"] == [
        {
            "error": "broken rule: the book is not crossed",
            "input": "kept/crash-1",
            "reproduce": "rialto fuzz --target core --input kept/crash-1",
        }
    ]
    done = CliRunner().invoke(build(), ["fuzz", "--input", str(program)])
    assert "BROKEN: broken rule: the book is not crossed" in done.stdout
    assert CliRunner().invoke(build(), ["fuzz", "--input", "none"]).exit_code == 2
    assert CliRunner().invoke(build(), ["fuzz", "--target", "none"]).exit_code == 2


PLANTED = [
    ("matching.cpp", "maker_base.held -= base;", ";", "held is the sum"),
    ("book.hpp", "if (level.head == 0) drop(side, order.price);", ";", ""),
    ("windows.cpp", "state.pages.clear(order.number);", ";", ""),
    ("events.hpp", "if (used_ + parts > size_)", "if (false)", "ERROR"),
]


@pytest.mark.long
@pytest.mark.parametrize("compiler", [c for c in ("c++", "clang++") if shutil.which(c)])
@pytest.mark.parametrize(("file", "old", "new", "said"), PLANTED)
def test_planted_bugs_are_found(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    compiler: str,
    file: str,
    old: str,
    new: str,
    said: str,
) -> None:
    """A rule taken out of a copy of the core is missed within half a minute."""
    core = tmp_path / "core"
    shutil.copytree(fuzz_run._CORE, core)
    text = (core / file).read_text()
    assert old in text
    (core / file).write_text(text.replace(old, new))
    monkeypatch.setattr(fuzz_run, "_CORE", core)
    monkeypatch.setattr(fuzz_run, "FOLDER", tmp_path / "build")
    report = run(find_compiler(compiler), seconds=30, seed=1, findings=tmp_path / "found")
    (finding,) = report.findings
    assert said in finding["error"]
    assert reproduce(find_compiler(compiler), Path(finding["input"])).findings
