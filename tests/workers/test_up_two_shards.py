"""`rialto up --shards 2`: both trade, one dies while the other trades on, all books hold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.servers

_RIALTO = [sys.executable, "-P", "-m", "workers"]
_ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith("RIALTO_") or name in {"RIALTO_CACHE", "RIALTO_ANVIL"}
}


def _once(folder: Path, *words: str) -> tuple[subprocess.Popen[bytes], Path]:
    """Start `up --once` and return the process and its log."""
    log = folder / "once.log"
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    command = [*_RIALTO, "up", "--once", "--data", str(folder / "data"), "--report", str(report)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *words], stdout=output, stderr=output, env=_ENVIRONMENT
        )
    return process, log


def _healthy(process: subprocess.Popen[bytes], folder: Path, log: Path) -> dict[str, Any]:
    """Wait until the exchange is healthy; return its `demo.json`."""
    path = folder / "data" / "demo.json"
    deadline = time.monotonic() + 180
    while not path.exists():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _orders(folder: Path, shard: int) -> int:
    """Return the sequence that a shard's engine has beaten last."""
    beat = json.loads((folder / "data" / "run" / f"matching-engine-{shard}.json").read_text())
    return int(beat["sequence"])


def _pid(folder: Path, name: str) -> int:
    """Return the pid of a child that runs."""
    state = json.loads((folder / "data" / "run" / "supervisor.json").read_text())
    (child,) = [child for child in state["children"] if child["name"] == name]
    return int(child["pid"])


def _clean(folder: Path, log: Path) -> dict[str, Any]:
    """Return the report of a run in which everything held and both shards traded."""
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    assert report["problems"] == [], log.read_text()
    assert report["violations"] == []
    for invariant in report["invariants"]:
        assert (invariant["ok"], invariant["rows"] > 0) == (True, True), invariant
    assert [shard["shard"] for shard in report["shards"]] == [0, 1]
    for shard in report["shards"]:
        assert shard["trades"] == shard["settled_trades"] > 0, shard
    return report


def test_one_shard_dies_and_the_other_trades_on(tmp_path: Path) -> None:
    """Kill -9 of the second engine, again and again: the first goes on, and the books are right."""
    process, log = _once(tmp_path, "--shards", "2", "--seconds", "14")
    _healthy(process, tmp_path, log)
    time.sleep(3)
    before = _orders(tmp_path, 0)
    for _ in range(2):
        os.kill(_pid(tmp_path, "matching-engine-1"), signal.SIGKILL)
        time.sleep(3)
    assert _orders(tmp_path, 0) > before
    assert process.wait(240) == 0, log.read_text()
    assert _clean(tmp_path, log)["restarts"] == 2
    assert "matching-engine-1 died (code -9)" in log.read_text()

    refused, log = _once(tmp_path, "--shards", "1")
    assert refused.wait(60) == 2
    assert "has 2 shards" in log.read_text()


@pytest.mark.long
def test_an_exchange_grows(tmp_path: Path) -> None:
    """One shard for a while, then two on the same books; without the option it stays at two."""
    process, log = _once(tmp_path, "--seconds", "3")
    assert process.wait(240) == 0, log.read_text()
    for words in (("--shards", "2"), ()):
        process, log = _once(tmp_path, *words, "--seconds", "8")
        assert process.wait(300) == 0, log.read_text()
        _clean(tmp_path, log)
