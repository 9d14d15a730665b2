"""`rialto bench`: measurements, never part of the tests. JSON in, JSON out, medians and ratios."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Annotated, Any

import typer

from workers.bench.drawn import drawn_flow
from workers.cli import (
    bench_api,
    bench_engine,
    bench_ledger,
    bench_picture,
    bench_replay,
    bench_risk,
    bench_wallet,
)
from workers.cli.context import EXIT_FAILED, EXIT_USAGE

WINDOW = 10_000
SMALL_WINDOW = 100
DRAWN_COMMANDS = 1_000_000
EXPECTED = ("trades", "volume", "checksum")  # what a flow's own file says of its fills
RESTING_ORDERS = 1_000_000
RESTING_METHOD = (
    f"growth of the resident set while {RESTING_ORDERS:,} orders of 1,000 accounts come to rest at "
    "1,000 prices: order, index cells, number page, levels, lists"
)


def register(app: typer.Typer) -> None:
    """Add `bench` and its parts."""
    bench = typer.Typer(
        help="Measure the exchange's parts on this machine. Say what ran beside it.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    bench.command("core")(core)
    bench_engine.add_to(bench)
    bench_ledger.add_to(bench)
    bench_replay.add_to(bench)
    bench_picture.add_to(bench)
    bench_risk.add_to(bench)
    bench_api.add_to(bench)
    bench_wallet.add_to(bench)
    app.add_typer(bench, name="bench")


def core(
    flow: Annotated[
        Path | None,
        typer.Option(
            help="Flow of 24-byte lines; FLOW.json beside it says what must come out.",
            show_default="a million drawn commands",
        ),
    ] = None,
    passes: Annotated[int, typer.Option(min=1, help="Passes; the median counts.")] = 9,
    batch: Annotated[int, typer.Option(min=1, help="Commands in a batch.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Measure the C++ core on one thread: every check, dedupe window, events and digest on.

    Beside it, in the same run: the same flow in a perpetual market; without the dedupe window,
    with a small one that evicts all the time, with input that is not in the cache, and a bare
    book without any feature. The fills have to be the flow's and the bare book's.
    """
    from matching.core_engine import load_core

    module = load_core()
    if module is None:
        typer.echo("the C++ core is not built here; install a C++ compiler", err=True)
        raise typer.Exit(EXIT_FAILED)
    if flow is not None and not flow.is_file():
        typer.echo(f"no flow at {flow}", err=True)
        raise typer.Exit(EXIT_USAGE)
    try:
        raw, expected = drawn_flow(DRAWN_COMMANDS) if flow is None else _recorded_flow(flow)
        report = measure(module, raw, passes, batch)
    except ValueError as error:
        typer.echo(f"{flow}: {error}", err=True)
        raise typer.Exit(EXIT_USAGE) from None
    if expected:
        report["as_expected"] = all(report[name] == expected[name] for name in expected)
    typer.echo(json.dumps(report, indent=1) if as_json else _table(report))
    holds = report.get("as_expected", True) and report["bare_book_agrees"]
    if not holds or report["rejected"]:
        raise typer.Exit(EXIT_FAILED)


def _recorded_flow(flow: Path) -> tuple[bytes, dict[str, Any]]:
    """Return a file's flow, and what must come out where that is known; else `ValueError`."""
    raw = flow.read_bytes()
    if not raw:
        raise ValueError("the flow is empty")
    expected_path = flow.with_name(flow.name + ".json")
    if not expected_path.is_file():
        return raw, {}
    expected = json.loads(expected_path.read_text())
    if not isinstance(expected, dict) or not expected.keys() >= set(EXPECTED):
        raise ValueError(f"{expected_path.name} has to name {', '.join(EXPECTED)}")
    return raw, {name: expected[name] for name in EXPECTED}


def measure(module: Any, raw: bytes, passes: int, batch: int) -> dict[str, Any]:
    """Return the report of one flow; rates in operations a second, medians over the passes."""

    def engine(window: int, warm: bool) -> dict[str, Any]:
        return dict(module.bench_engine(raw, passes, batch, window, warm, False))

    def once(perpetual: bool) -> tuple[float, int]:
        row = module.bench_engine(raw, 1, batch, WINDOW, True, perpetual)
        return row["seconds"][0], row["rejected"]

    def rate(row: dict[str, Any]) -> int:
        return int(row["commands"] / statistics.median(row["seconds"]))

    resting_bytes = module.bench_resting(RESTING_ORDERS)  # first, while the heap is fresh
    bare = dict(module.bench_bare_book(raw, passes))
    full = engine(WINDOW, True)
    # By turns: what the machine does to one second, it does to both.
    pairs = [(once(perpetual=False), once(perpetual=True)) for _ in range(passes)]
    in_perpetual = statistics.median(seconds for _, (seconds, _) in pairs)
    ratio = statistics.median(there / here for (here, _), (there, _) in pairs)
    rejected = max(there for _, (_, there) in pairs)
    return {
        "commands": full["commands"],
        "ops_per_second": rate(full),
        "ops_per_second_cold_input": rate(engine(WINDOW, False)),
        "ops_per_second_without_window": rate(engine(0, True)),
        "ops_per_second_evicting": rate(engine(SMALL_WINDOW, True)),
        "perpetual_ops_per_second": int(full["commands"] / in_perpetual),
        "perpetual_ratio": round(ratio, 2),
        "bare_book_ops_per_second": rate(bare),
        "p50_ns": full["p50_ns"],
        "p99_ns": full["p99_ns"],
        "p999_ns": full["p999_ns"],
        "bytes_per_resting_order": round(resting_bytes / RESTING_ORDERS, 1),
        "bytes_per_resting_order_method": RESTING_METHOD,
        "trades": full["trades"],
        "volume": full["volume"],
        "checksum": f"{full['checksum']:016x}",
        "bare_book_agrees": full["checksum"] == bare["checksum"],
        "rejected": full["rejected"] + rejected,
        "passes": passes,
        "batch": batch,
    }


def _table(report: dict[str, Any]) -> str:
    lines = []
    for name, value in report.items():
        if name.endswith("per_second") or "per_second_" in name:
            lines.append(f"{name:34} {value / 1e6:8.2f} M")
        else:
            lines.append(f"{name:34} {value!s:>10}")
    return "\n".join(lines)
