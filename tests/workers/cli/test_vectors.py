"""`rialto vectors`: counts and differences as text and JSON; exit code 1 at one, 2 unreadable."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from typer.testing import CliRunner, Result

from tests.architecture.sources import ROOT
from workers.__main__ import build

FOLDER = ROOT / "tests" / "vectors"


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(build(), ["vectors", *arguments])


def test_ours_pass() -> None:
    """As text and as JSON."""
    done = _run(str(FOLDER), "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["ok"], found["failed"], found["failures"]) == (0, True, 0, [])
    assert found["passed"] >= 100
    assert f"{found['passed']} passed, 0 failed, 0 skipped" in _run(str(FOLDER)).stdout


def test_a_difference_and_a_skipped_case(tmp_path: Path) -> None:
    """Each is named; a difference ends with 1."""
    shutil.copy(FOLDER / "ops.json", tmp_path)
    found = json.loads((FOLDER / "trigger.json").read_text())
    found["cases"][0]["expected"]["liquidatable"] = True
    found["cases"][1]["applies_to_spec"] = False
    (tmp_path / "trigger.json").write_text(json.dumps(found))
    done = _run(str(tmp_path))
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "1 passed, 1 failed, 1 skipped",
        "FAILED trigger.json S-trigger-001 (is_liquidatable): liquidatable is False, expected True",
        "skipped 1: applies_to_spec is false: it documents another venue's rule",
    ]
    told = json.loads(_run(str(tmp_path), "--json").stdout)
    assert [told[key] for key in ("ok", "passed", "failed", "skipped")] == [False, 1, 1, 1]
    assert [row["id"] for row in told["failures"]] == ["S-trigger-001"]
    assert [row["id"] for row in told["skips"]] == ["S-trigger-002"]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """A folder without cases, and an op that there is not: exit code 2 and a sentence."""
    done = _run(str(tmp_path))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "there are no vectors" in done.stderr
    case = {"id": "x", "op": "guess", "inputs": {}, "expected": {"a": "1"}}
    (tmp_path / "a.json").write_text(json.dumps({"cases": [case]}))
    done = _run(str(tmp_path), "--json")
    assert done.exit_code == 2
    assert "a.json x: unknown op 'guess'" in done.stderr
