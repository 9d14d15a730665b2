"""`rialto bench ledger | settlement | growth`: what the ledger takes, on this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from workers.cli.context import EXIT_FAILED, JsonOption


def add_to(bench: typer.Typer) -> None:
    """Add the ledger's measurements to `bench`."""
    bench.command("ledger")(ledger)
    bench.command("settlement")(settlement)
    bench.command("growth")(growth)


def ledger(
    seconds: Annotated[float, typer.Option(min=1, help="How long each part runs.")] = 10,
    accounts: Annotated[int, typer.Option(min=2, help="Accounts of the first part.")] = 1000,
    clients: Annotated[int, typer.Option(min=1, help="Transfers at a time.")] = 256,
    writers: Annotated[int, typer.Option(min=1, help="Group commits at a time.")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Measure optimistic transfers a second over many accounts, and over two.

    PostgreSQL is the product's own, and syncs at each commit. No update may be lost.
    """
    from workers.bench_servers import postgres, scratch_folder
    from workers.ledger_bench import measure

    report: dict[str, Any] = {"seconds": seconds, "clients": clients, "writers": writers}
    for name, count in (("many", accounts), ("two", 2)):
        with scratch_folder() as folder, postgres(folder) as url:
            found = asyncio.run(measure(url, count, seconds, clients, writers))
        report |= {f"{name}_{key}": value for key, value in found.items()}
        report[f"{name}_accounts"] = count
    typer.echo(json.dumps(report, indent=1) if as_json else as_table(report))
    if report["many_lost_updates"] or report["two_lost_updates"]:
        raise typer.Exit(EXIT_FAILED)


def settlement(
    trades: Annotated[int, typer.Option(min=1000, help="Trades in the journal.")] = 500_000,
    lag_seconds: Annotated[float, typer.Option(min=1, help="How long the lag is measured.")] = 15,
    as_json: JsonOption = False,
) -> None:
    """Measure settlement: an engine's journal through Temporal into PostgreSQL.

    Event rows are written, PostgreSQL syncs at each commit. `lag` is from a trade's release to
    its commit, at half the measured rate; `row_by_row` commits each command by itself, in the same
    run.
    """
    from workers import settlement_bench as bench
    from workers.bench_servers import postgres, scratch_folder, temporal
    from workers.settlement_flow import Flow

    report: dict[str, Any] = {}
    with scratch_folder() as folder:
        flow = Flow(folder / "engine", trades)
        with _part(folder, "rate") as place, postgres(place) as url, temporal(place) as address:
            report |= asyncio.run(bench.measure_rate(url, address, flow))
        with _part(folder, "rows") as place, postgres(place) as url:
            few = max(200, min(3_000, trades // 10))
            report |= asyncio.run(bench.measure_row_by_row(url, flow, few))
        rate = report["trades_per_second"] / 2
        flow = Flow(folder / "slow", min(trades, int(rate * lag_seconds) + 1))
        with _part(folder, "lag") as place, postgres(place) as url, temporal(place) as address:
            report |= asyncio.run(bench.measure_lag(url, address, flow, rate))
    typer.echo(json.dumps(report, indent=1) if as_json else as_table(report))


def growth(
    rows: Annotated[int, typer.Option(min=1000, help="Trades at the end.")] = 10_000_000,
    step: Annotated[int, typer.Option(min=1000, help="Trades between two points.")] = 100_000,
    svg: Annotated[Path | None, typer.Option(help="Where to draw the curve.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure what a trade costs as the books grow; long (10 million: ten minutes).

    Ten times on the way the first `step` trades are settled into new books on the same server:
    `ratio_to_new` is what the grown books cost beside them, whatever else the machine does.
    """
    from workers.bench_servers import postgres, scratch_folder
    from workers.settlement_flow import Flow
    from workers.settlement_growth import Point, measure_growth, plot, summary

    def tell(point: Point) -> None:
        new = "" if point.control is None else f", {point.control:.1f} in new books"
        typer.echo(f"{point.rows:>12,} rows {point.cost:8.1f} us a trade{new}", err=True)

    with scratch_folder() as folder, postgres(folder) as url:
        flow, young = Flow(folder / "engine", step), Flow(folder / "young", step)
        points = asyncio.run(measure_growth(url, flow, young, rows, step, tell))
    if svg is not None:
        svg.write_text(plot(points))
    report = summary(points)
    typer.echo(json.dumps(report, indent=1) if as_json else as_table(report))


@contextmanager
def _part(folder: Path, name: str) -> Iterator[Path]:
    """Give a folder for one part's servers."""
    place = folder / name
    place.mkdir(mode=0o755)
    yield place


def as_table(report: dict[str, Any]) -> str:
    """Return one line for each figure."""
    return "\n".join(f"{name:34} {value!s:>12}" for name, value in report.items())
