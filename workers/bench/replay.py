"""`rialto bench replay`: a journal that a real sequencer wrote, run through a fresh engine."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matching.codec import encode_command
from matching.engine import Engine
from matching.journal_scan import Run
from matching.replay import replay_to
from matching.sequencer import Sequencer
from matching.shadow import take_snapshot
from matching.storage import FileStorage
from matching.wire import STRIPE
from workers.bench.machine import machine
from workers.bench.market import LISTING, payments
from workers.bench.native import native

_SCENARIO = "normal"


def measure(
    commands: int, group: int, passes: int, folder: Path | None, say: Callable[[str], None]
) -> dict[str, Any]:
    """Write a journal of `commands`, `group` in a block, and replay it; rates are medians."""
    with tempfile.TemporaryDirectory(prefix="rialto-bench-", dir=folder) as place:
        directory = Path(place)
        before = machine(directory)
        say(f"writing {commands:,} commands in blocks of {group:,}")
        begun = time.perf_counter()
        live, half = _write(directory, commands, group)
        written = time.perf_counter() - begun
        say("replaying from the beginning, then from a snapshot half-way")
        genesis = [_replay(directory, live, from_genesis=True) for _ in range(passes)]
        take_snapshot(directory, half)
        snapshot = [_replay(directory, live, from_genesis=False) for _ in range(passes)]
        journal_bytes = sum(file.stat().st_size for file in (directory / "journal").iterdir())
    first = genesis[0]
    return {
        "benchmark": "replay",
        "flow": _SCENARIO,
        "commands": first["commands"],
        "commands_in_block": group,
        "journal_bytes": journal_bytes,
        "event_bytes": first["event_bytes"],
        "digest_equal": all(run["digest_equal"] for run in (*genesis, *snapshot)),
        "commands_per_second": _rate(genesis, "commands"),
        "events_per_second": _rate(genesis, "event_stripes"),
        "seconds": _median(genesis),
        "snapshot_at": half,
        "commands_after_snapshot": snapshot[0]["commands"],
        "commands_per_second_from_snapshot": _rate(snapshot, "commands"),
        "seconds_from_snapshot": _median(snapshot),
        "write_commands_per_second": round(commands / written),
        "passes": passes,
        "machine": before,
    }


def _write(directory: Path, commands: int, group: int) -> tuple[Engine, int]:
    """Return the engine at the journal's end and the sequence at half of it."""
    storage = FileStorage(directory)
    try:
        sequencer = Sequencer(
            storage,
            0,
            lambda: time.time_ns() // 1000,
            fresh_journal_id=bytes(16),
            build_id=0,
            ack_policy="os",
        )
        for batch in (encode_command(LISTING), *payments(time.time_ns() // 1000)):
            sequencer.submit(batch)
        flow = native().LoadFlow(_SCENARIO, 1, 1)
        half = 0
        while flow.commands < commands:
            sequencer.submit(flow.take(min(group, commands - flow.commands))[0])
            if not half and flow.commands >= commands // 2:
                half = sequencer.sequence
        sequencer.sync()
    finally:
        storage.close()
    return sequencer.engine, half


def _replay(directory: Path, live: Engine, *, from_genesis: bool) -> dict[str, Any]:
    commands = event_bytes = 0

    def count(run: Run, out: int) -> None:
        nonlocal commands, event_bytes
        commands += run.last_sequence - run.first_sequence + 1
        event_bytes += out

    storage = FileStorage(directory, read_only=True)
    begun = time.perf_counter()
    try:
        engine = replay_to(storage, 0, None, from_genesis=from_genesis, progress=count)
    finally:
        storage.close()
    seconds = time.perf_counter() - begun
    return {
        "seconds": seconds,
        "commands": commands,
        "event_bytes": event_bytes,
        "event_stripes": event_bytes // STRIPE,
        "digest_equal": engine.digest() == live.digest(),
    }


def _rate(runs: list[dict[str, Any]], what: str) -> int:
    return int(statistics.median(run[what] / run["seconds"] for run in runs))


def _median(runs: list[dict[str, Any]]) -> float:
    return round(statistics.median(float(run["seconds"]) for run in runs), 3)
