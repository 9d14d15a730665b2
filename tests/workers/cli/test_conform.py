"""`rialto conform`: verdicts as text and JSON, exit code 1 at a difference, 2 without data."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.workers.conformance.test_flow import OWN
from tests.workers.conformance.test_meb import FLOW, REPORTS
from workers.__main__ import build
from workers.conformance.meb import COLUMNS


def _run(*arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(build(), ["conform", *arguments], input=text)


def _write_meb(folder: Path, reports: str) -> None:
    flow = ",".join(COLUMNS) + "\n" + FLOW
    (folder / "own.orders.csv.xz").write_bytes(lzma.compress(flow.encode()))
    (folder / "own.reports.txt.xz").write_bytes(lzma.compress(reports.encode()))


def test_meb(tmp_path: Path) -> None:
    """Both engines over every flow of a folder; a difference is shown with both lines."""
    _write_meb(tmp_path, REPORTS)
    done = _run("meb", str(tmp_path), "--engine", "both", "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["ok"]) == (0, True)
    assert [row["engine"] for row in found["results"]] == ["core", "reference"]
    assert "equal" in _run("meb", str(tmp_path), "--limit", "3").stdout
    _write_meb(tmp_path, REPORTS.replace("1,7,103", "1,7,104"))
    done = _run("meb", str(tmp_path))
    assert done.exit_code == 1
    assert "line 10 is '1,7,103,4,4,1', recorded is '1,7,104,4,4,1'" in done.stdout


def test_scenarios(tmp_path: Path) -> None:
    """One row a script; what Rialto does not have is named."""
    (tmp_path / "a.txt").write_text("add book 0\nadd limit buy 1 0 5 5\nadd aon limit buy 2 0 5 5")
    done = _run("scenarios", str(tmp_path))
    assert done.exit_code == 0
    assert "a: 2 commands, 0 trades, equal\n  not supported: add aon" in done.stdout
    (tmp_path / "b.txt").write_text("sell the farm")
    assert _run("scenarios", str(tmp_path), "--json").exit_code == 2


def test_flow() -> None:
    """The flow's counts and the digest on which the engines agree."""
    done = _run("flow", str(OWN), "--limit", "300", "--json")
    (row,) = json.loads(done.stdout)["results"]
    assert (done.exit_code, row["commands"], row["ok"]) == (0, 300, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("meb", "{}"),
        ("meb", "{}", "--engine", "other"),
        ("scenarios", "{}"),
        ("flow", "{}/none.csv.xz"),
        ("tracebook", "--engine", "other"),
    ],
)
def test_without_data(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A folder without flows and an engine that there is not are usage errors."""
    assert _run(*(word.format(tmp_path) for word in arguments)).exit_code == 2


def test_tracebook_adapter() -> None:
    """Over standard input and output: an answer a line, or one error and exit code 2."""
    hello = {"type": "hello", "protocol": "tracebook.conformance", "protocol_version": 1}
    good = [{**hello, "config": {}}, {"type": "finish", "event_count": 0}]
    done = _run("tracebook-adapter", text="\n".join(map(json.dumps, good)))
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()] == ["ready", "complete"]
    done = _run("tracebook-adapter", text="nonsense\n")
    assert (done.exit_code, json.loads(done.stdout)["type"]) == (2, "error")
