"""`rialto bench engine`: client process -> engine process -> acknowledgement, beside a control."""

from __future__ import annotations

import asyncio
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from domain.commands import Opcode
from infra.embedded.server import spawn, stop_process
from infra.engine_grpc import EngineStatus
from matching.codec import split_commands
from matching.journal_scan import JournalScan
from matching.readers import LoopTimes
from matching.replay import replay_to, shard_of
from matching.storage import FileStorage
from matching.wire import STRIPE
from workers.bench.load import READY, Plan
from workers.bench.machine import machine
from workers.bench.native import native
from workers.bench.rig import ROOT, EngineRig

_ROUND_SECONDS = 2.5  # engine and control take turns this often, so that both see the same machine
_OPCODE_BYTE, _STRIPES_BYTE = 16, 18
_OF_FLOW = (Opcode.PLACE_ORDER, Opcode.CANCEL_ORDER)
_US = 1_000
_NAMES = {500_000: "p50_us", 990_000: "p99_us", 999_000: "p999_us"}
_START_SECONDS = 30.0
NOT_SETTLED = "off, and the bound on its lag lifted (RIALTO_SETTLEMENT_LAG_BOUND=0)"


class MeasurementFailedError(RuntimeError):
    """The run is void; the text says why."""


@dataclass(frozen=True, slots=True)
class Load:
    """How an engine is loaded. `rate` 0: a closed loop with `window` commands in flight."""

    scenarios: tuple[str, ...]
    policy: str
    seconds: float
    rate: float
    window: int
    frame: int
    seed: int
    priority: str = "high"  # of the engine's loop, of the client and of the control


def descriptions() -> dict[str, str]:
    """Return what each scenario does, by its name."""
    return {scenario["name"]: scenario["description"] for scenario in native().load_scenarios()}


def measure(load: Load, folder: Path | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Run the scenarios one after another and return the report.

    `folder` is where temporary folders go: the disk that is measured. Raises
    `MeasurementFailedError`, `NothingToMeasureError`.
    """
    texts = descriptions()
    with tempfile.TemporaryDirectory(prefix="rialto-bench-", dir=folder) as place:
        before = machine(Path(place))
    rows = []
    for name in load.scenarios:
        say(f"{name}: {texts[name]}")
        with tempfile.TemporaryDirectory(prefix="rialto-bench-", dir=folder) as place:
            row = asyncio.run(_scenario(load, name, Path(place)))
        os.sync()  # the next one must not wait for the removal of this one's files
        rows.append({"scenario": name, "description": texts[name], **row})
    worst = max(rows, key=lambda row: float(row["p99_us"]))
    return {
        "benchmark": "engine",
        "door": "frames",
        "load": "open loop" if load.rate else "closed loop",
        "offered_rate": load.rate or "max",
        "in_flight": None if load.rate else load.window,
        "commands_in_frame": None if load.rate else load.frame,
        "policy": load.policy,
        "seconds": load.seconds,
        "seed": load.seed,
        "engine_on": "journal, events/, both doors, publisher into a Valkey of its own",
        "settlement": NOT_SETTLED,
        "machine": {
            **before,
            "load_average_after": machine(Path(tempfile.gettempdir()))["load_average"],
        },
        "worst": worst["scenario"],
        **{name: value for name, value in worst.items() if name in _HEADLINE},
        "scenarios": rows,
    }


_HEADLINE = (
    "achieved_rate",
    *("engine_kind", "engine_loop", "p50_us", "p99_us", "p999_us"),
    *("service_p50_us", "service_p99_us", "service_reason", "client_priority"),
    *("stalls", "loop_priority", "loop_queued_ms", "loop_pushed_aside", "loop_page_faults"),
    *("client_queued_ms", "control_client_queued_ms"),
    *("control_p50_us", "control_p99_us", "control_p999_us", "p50_ratio", "p99_ratio"),
    *("rounds", "round_p50_us", "round_p99_us", "round_control_p50_us", "round_control_p99_us"),
    *("round_p50_ratio", "round_p99_ratio"),
)


async def _scenario(load: Load, name: str, folder: Path) -> dict[str, Any]:
    async with EngineRig(folder, load.policy, load.priority) as rig:
        cpu = rig.cpu_seconds()
        found = await _drive(load, name, rig)
        cpu = rig.cpu_seconds() - cpu
        after = await rig.queries.status()  # before the digest, for which the loop reads all state
        status = await rig.status()
        published = rig.beat()["detail"].get("published_sequence")
        rig.stop_engine()
        checks = await asyncio.to_thread(
            compare, rig.shard, status.sequence, status.digest_hex, found["engine"]
        )
    engine, control = found["engine"], found["control"]
    row = {
        "commands": engine["measured"],
        "achieved_rate": round(engine["measured"] / engine["busy_seconds"]),
        **_percentiles(engine, ""),
        **_service(after),
        **_loop(found["before"].loop_times, after.loop_times),
        "client_priority": found["priority"],
        "client_queued_ms": round(engine["queued_ns"] / 1_000_000, 1),
        "control_client_queued_ms": round(control["queued_ns"] / 1_000_000, 1),
        **_percentiles(control, "control_"),
        "control_achieved_rate": round(control["measured"] / control["busy_seconds"]),
    }
    for part in ("p50", "p99"):
        control_us = row[f"control_{part}_us"]
        row[f"{part}_ratio"] = round(row[f"{part}_us"] / control_us, 2) if control_us else None
    return {
        **row,
        **_typical(found["rounds"]),
        "commands_a_frame": round(engine["sent"] / engine["frames"], 1),
        "event_bytes_a_command": round(engine["bytes_in"] / engine["sent"]),
        "engine_cpu_seconds": round(cpu, 1),
        "engine_kind": status.engine,
        "engine_loop": status.loop,
        "published_sequence": published,
        "checks": checks,
        "latency": _curve(engine),
        "control_latency": _curve(control),
    }


async def _drive(load: Load, name: str, rig: EngineRig) -> dict[str, Any]:
    """Start the control and the load, wait for the load; return what it reports."""
    control = rig.folder / "control.sock"
    files = rig.folder / "control"
    files.mkdir()
    arguments = [sys.executable, "-m", "workers.bench.echo", str(control), str(files)]
    arguments += [load.policy, load.priority]
    echo = spawn(arguments, log_path=rig.folder / "logs" / "echo.log", cwd=ROOT)
    plan = Plan(
        engine_socket=rig.socket,
        engine_hello_hex=rig.hello().hex(),
        control_socket=str(control),
        scenario=name,
        seed=load.seed,
        run=1,
        rounds=max(1, math.ceil(load.seconds / _ROUND_SECONDS)),
        seconds=load.seconds,
        rate=load.rate,
        window=load.window,
        frame=load.frame,
        priority=load.priority,
    )
    try:
        await asyncio.to_thread(_wait_for, control, echo)
        return await _run_plan(plan, rig)
    finally:
        stop_process(echo)


async def _run_plan(plan: Plan, rig: EngineRig) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "workers.bench.load", plan.text()),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    before = await rig.queries.status()
    try:
        if await process.stdout.readline() == READY:  # the books are open
            before = await rig.queries.status(reset_service_times=True)
        out, errors = await process.communicate(b"\n")
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise MeasurementFailedError(errors.decode().strip())
    return {**json.loads(out), "before": before}


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise MeasurementFailedError("the control did not start")
        time.sleep(0.01)


def _percentiles(report: dict[str, Any], prefix: str) -> dict[str, float]:
    points = dict(report["points"])
    return {f"{prefix}{name}": round(points[part] / _US, 1) for part, name in _NAMES.items()}


def _typical(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians over the rounds: what one bad second of a shared machine does not move."""
    found: dict[str, Any] = {"rounds": len(rounds)}
    for name in ("p50", "p99"):
        ours, bare = ([one[side][f"{name}_ns"] for one in rounds] for side in ("engine", "control"))
        found[f"round_{name}_us"] = round(statistics.median(ours) / _US, 1)
        found[f"round_control_{name}_us"] = round(statistics.median(bare) / _US, 1)
        ratios = [mine / max(1, theirs) for mine, theirs in zip(ours, bare, strict=True)]
        found[f"round_{name}_ratio"] = round(statistics.median(ratios), 2)
    return found


def _curve(report: dict[str, Any]) -> dict[str, Any]:
    """Return the distribution: [parts of a million, microseconds], and the most."""
    return {
        "points": [[part, round(ns / _US, 1)] for part, ns in report["points"]],
        "most_us": round(report["most_ns"] / _US, 1),
    }


def _service(status: EngineStatus) -> dict[str, Any]:
    """Return how long frames stayed inside, from read to answer written, without the opening."""
    times = status.service
    if not times.count:
        reason = f"the {status.loop} loop does not measure itself"
        return {"service_p50_us": None, "service_p99_us": None, "service_reason": reason}
    return {
        "service_p50_us": round(times.p50_ns / _US, 1),
        "service_p99_us": round(times.p99_ns / _US, 1),
        "service_reason": None,
    }


def _loop(before: LoopTimes, after: LoopTimes) -> dict[str, Any]:
    """Return what held the loop up since the books were open."""
    return {
        "stalls": {
            stall.work: {
                "count": stall.count,
                "total_us": round(stall.total_ns / _US, 1),
                "longest_us": round(stall.longest_ns / _US, 1),
            }
            for stall in after.stalls
        },
        "loop_priority": after.priority,
        "loop_queued_ms": round((after.queued_ns - before.queued_ns) / 1_000_000, 1),
        "loop_pushed_aside": after.pushed_aside - before.pushed_aside,
        "loop_page_faults": after.page_faults - before.page_faults,
    }


def compare(shard: Path, sequence: int, digest_hex: str, sent: dict[str, Any]) -> dict[str, Any]:
    """Hold the journal against the engine's digest at `sequence` and the client's counts.

    Return what was found; what disagrees is a `MeasurementFailedError`.
    """
    storage = FileStorage(shard, read_only=True)
    try:
        number = shard_of(storage)
        scan = JournalScan(storage, number)
        journalled = sum(_count_orders(run.payload) for run in scan.runs(1))
        replayed = replay_to(storage, number, sequence)
    finally:
        storage.close()
    checks = {
        "acknowledged": sent["acknowledged"],
        "journalled": journalled,
        "durable_sequence": scan.next_sequence - 1,
        "trades": replayed.trades(),
        "resting": replayed.symbols()[0].open_orders,
        "digest_equal": replayed.digest().hex() == digest_hex,
    }
    wanted = {**checks, "digest_equal": True}
    wanted["acknowledged"] = wanted["journalled"] = sent["sent"]
    wanted |= {"trades": sent["trades"], "resting": sent["resting"]}
    if checks != wanted:
        raise MeasurementFailedError(f"engine and client disagree: {checks}, expected {wanted}")
    return checks


def _count_orders(payload: bytes) -> int:
    """Return how many commands of a block are of the flow."""
    view = np.frombuffer(payload, np.uint8).reshape(-1, STRIPE)
    if (view[:, _STRIPES_BYTE] == 1).all():
        return int(np.isin(view[:, _OPCODE_BYTE], _OF_FLOW).sum())
    return sum(place.opcode in _OF_FLOW for place in split_commands(payload))
