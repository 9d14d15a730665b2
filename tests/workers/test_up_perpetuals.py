"""`rialto up --once` trades perpetuals: liquidations, deleveraging, funding, and right books."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.workers.once_run import healthy, once, pid_of

pytestmark = [pytest.mark.servers, pytest.mark.long]

KILLS = 3


def _beat(folder: Path) -> dict[str, Any]:
    beat: dict[str, Any] = json.loads((folder / "data" / "run" / "risk-monitor-0.json").read_text())
    return beat


def _kill_in_the_middle(process: subprocess.Popen[bytes], folder: Path) -> int:
    """Kill the risk monitor while somebody is frozen; return how often it was possible."""
    killed, deadline = 0, time.monotonic() + 130
    while killed < KILLS and process.poll() is None and time.monotonic() < deadline:
        if _beat(folder)["detail"]["frozen"]:
            os.kill(pid_of(folder, "risk-monitor-0"), signal.SIGKILL)
            killed += 1
            time.sleep(10)
        time.sleep(0.02)
    return killed


def test_perpetuals_live_through_kills_of_their_monitor(tmp_path: Path) -> None:
    """The demo liquidates, deleverages and funds; a monitor that was killed goes on with it."""
    process, log = once(tmp_path, "--seconds", "150", "--json")
    healthy(process, tmp_path, log)
    killed = _kill_in_the_middle(process, tmp_path)
    assert process.wait(300) == 0, log.read_text()
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["problems"] == [], log.read_text()
    assert report["restarts"] == killed > 0
    for name in ("liquidations", "adl_fills", "funding_batches"):
        assert report[name] > 0, report
    assert report["liquidation_records"] == report["liquidations"]
    for invariant in report["invariants"]:
        assert (invariant["ok"], invariant["rows"] > 0) == (True, True), invariant
    assert '"liquidations"' in log.read_text()  # --json prints it, too
