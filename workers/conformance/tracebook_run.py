"""Runs `tracebook-conformance` with our engine as its candidate and gathers its verdicts."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_SECONDS_AN_ANSWER = "120"  # the first one is our start, perhaps on a busy machine


def program() -> str | None:
    """Return the package's program beside this interpreter; None where it is not installed."""
    path = Path(sys.executable).with_name("tracebook-conformance")
    return str(path) if path.exists() else None


def run(
    program: str, suite: Path | None, kind: str, *, traces: int, events: int, seed: int
) -> list[dict[str, Any]]:
    """Return one row for each fixed case and one for the campaign of generated traces.

    A row has `case`, `engine`, `ok` and, where it is not ok, `difference`: what the package says,
    a reduced trace among it.
    """
    candidate = shlex.join(
        [sys.executable, "-m", "workers", "conform", "tracebook-adapter", "--engine", kind]
    )
    common = ["--timeout", _SECONDS_AN_ANSWER, "--candidate-cmd", candidate]
    rows = []
    with tempfile.TemporaryDirectory(prefix="rialto-") as folder:
        if suite is None:
            suite = Path(folder) / "suite"
            _call([program, "sample", str(suite)])
        for case in json.loads((suite / "manifest.json").read_text())["cases"]:
            config = case["config"]
            if config["matching_algorithm"] != "fifo":
                continue
            options = [
                "--tick-size",
                str(config["tick_size"]),
                "--self-trade-policy",
                config["self_trade_policy"],
                "--quantity-decimal-places",
                str(config["quantity_decimal_places"]),
            ]
            trace = str(suite / case["events"])
            done = _call([program, "run", trace, *options, *common])
            rows.append(_row(case["name"], kind, done))
        size = ["--traces", str(traces), "--events-per-trace", str(events), "--seed", str(seed)]
        target = ["--profile", "fifo-full-v1", "--output-dir", f"{folder}/campaign"]
        done = _call([program, "campaign", *target, *size, *common])
        row = _row(f"campaign of {traces} traces", kind, done)
        report = Path(folder) / "campaign" / "campaign.json"
        if not row["ok"] and report.exists():
            row["difference"] += "\n" + report.read_text()
        rows.append(row)
    return rows


def _row(case: str, kind: str, done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    ok = done.returncode == 0
    said = (done.stdout + done.stderr).strip()
    return {"case": case, "engine": kind, "ok": ok, "difference": "" if ok else said}


def _call(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
