"""Runs of `rialto up --once` as processes, for tests that meddle with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from infra.embedded.server import die_with_parent
from workers.data_folder import make_folders, scatter_ports
from workers.stack import PREFERRED_PORTS

RIALTO = [sys.executable, "-P", "-m", "workers"]
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith("RIALTO_") or name in {"RIALTO_CACHE", "RIALTO_ANVIL"}
}


def once(folder: Path, *words: str) -> tuple[subprocess.Popen[bytes], Path]:
    """Start `up --once` and return the process and its log.

    The first time on ports that nobody prefers: another test may start an exchange meanwhile.
    """
    if not (folder / "data").exists():
        make_folders(folder / "data")
        scatter_ports(folder / "data", PREFERRED_PORTS)
    log = folder / "once.log"
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    command = [*RIALTO, "up", "--once", "--data", str(folder / "data"), "--report", str(report)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *words],
            stdout=output,
            stderr=output,
            env=ENVIRONMENT,
            preexec_fn=die_with_parent,
        )
    return process, log


def healthy(process: subprocess.Popen[bytes], folder: Path, log: Path) -> dict[str, Any]:
    """Wait until the exchange is healthy; return its `demo.json`."""
    path = folder / "data" / "demo.json"
    deadline = time.monotonic() + 180
    while not path.exists():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def pid_of(folder: Path, name: str) -> int:
    """Return the pid of a child that runs."""
    state = json.loads((folder / "data" / "run" / "supervisor.json").read_text())
    (child,) = [child for child in state["children"] if child["name"] == name]
    return int(child["pid"])


def sequence_of(folder: Path, shard: int) -> int:
    """Return the sequence that a shard's engine has beaten last."""
    beat = json.loads((folder / "data" / "run" / f"matching-engine-{shard}.json").read_text())
    return int(beat["sequence"])
