"""`rialto up --shards 2`: both trade, one dies while the other trades on, all books hold."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.workers.once_run import healthy, once, pid_of, sequence_of

# The short form is in test_up: an exchange that grows to two shards, of which one dies.
pytestmark = [pytest.mark.servers, pytest.mark.long]


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
    process, log = once(tmp_path, "--shards", "2", "--seconds", "14")
    healthy(process, tmp_path, log)
    time.sleep(3)
    before = sequence_of(tmp_path, 0)
    for _ in range(2):
        os.kill(pid_of(tmp_path, "matching-engine-1"), signal.SIGKILL)
        time.sleep(3)
    assert sequence_of(tmp_path, 0) > before
    assert process.wait(240) == 0, log.read_text()
    assert _clean(tmp_path, log)["restarts"] == 2
    assert "matching-engine-1 died (code -9)" in log.read_text()

    refused, log = once(tmp_path, "--shards", "1")
    assert refused.wait(60) == 2
    assert "has 2 shards" in log.read_text()


def test_an_exchange_grows(tmp_path: Path) -> None:
    """One shard for a while, then two on the same books; without the option it stays at two."""
    process, log = once(tmp_path, "--seconds", "3")
    assert process.wait(240) == 0, log.read_text()
    for words in (("--shards", "2"), ()):
        process, log = once(tmp_path, *words, "--seconds", "8")
        assert process.wait(300) == 0, log.read_text()
        _clean(tmp_path, log)
