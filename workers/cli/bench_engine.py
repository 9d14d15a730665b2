"""`rialto bench engine`: the engine's process under load, beside a bare echo."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from workers.cli.context import EXIT_FAILED, EXIT_USAGE

if TYPE_CHECKING:
    from workers.bench.engine import Load

AckPolicy = Literal["os", "fsync"]
_WINDOW_COMMANDS = 8_000
_COLUMNS = (
    *("scenario", "achieved_rate", "p50_us", "p99_us", "p999_us", "service_p99_us"),
    *("control_p50_us", "control_p99_us", "control_p999_us", "p50_ratio", "p99_ratio"),
)


def add_to(bench: typer.Typer) -> None:
    """Add the verb."""
    bench.command("engine")(engine)


def engine(
    rate: Annotated[
        str, typer.Option(help="Commands a second in an open loop, or `max` for a closed one.")
    ] = "100000",
    seconds: Annotated[
        float, typer.Option(min=0.1, help="For each scenario, and as long for its control.")
    ] = 20.0,
    policy: Annotated[AckPolicy, typer.Option(help="When the engine may acknowledge.")] = "os",
    scenario: Annotated[
        str, typer.Option(help="One scenario by name, or `all`.", show_default=True)
    ] = "all",
    in_flight: Annotated[
        int | None,
        typer.Option(min=1, help="Closed loop with so many commands in flight, instead of a rate."),
    ] = None,
    frame: Annotated[
        int, typer.Option(min=1, max=1_000, help="Commands in a frame (closed).")
    ] = 250,
    seed: Annotated[int, typer.Option(help="Of the drawn flows.")] = 1,
    folder: Annotated[
        Path | None, typer.Option(help="Where the journal goes: the disk that is measured.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Measure the engine process from a client over its socket and back, beside a bare echo.

    Open loop: latency counts from when a command should have left. The control is a C++ echo that
    writes and answers as many bytes, by turns under the same client. Exit code 1 when a command
    was refused, an answer is missing, or engine, journal and client disagree.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # it reports each process that we start
    from workers.bench.engine import MeasurementFailedError, measure
    from workers.bench.native import NothingToMeasureError

    try:
        load = _load_of(rate, seconds, policy, scenario, in_flight, frame, seed)
        report = measure(load, folder, lambda text: typer.echo(text, err=True))
    except (MeasurementFailedError, NothingToMeasureError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from None
    typer.echo(json.dumps(report, indent=1) if as_json else _engine_table(report))


def _load_of(
    rate: str,
    seconds: float,
    policy: AckPolicy,
    scenario: str,
    in_flight: int | None,
    frame: int,
    seed: int,
) -> Load:
    """Return the load that the options describe; a wrong one ends the verb as a usage error."""
    from workers.bench.engine import Load, scenario_names

    known = scenario_names()
    if scenario not in (*known, "all"):
        typer.echo(f"no scenario {scenario!r}; there are: all, {', '.join(known)}", err=True)
        raise typer.Exit(EXIT_USAGE)
    if rate != "max" and (not rate.isdecimal() or int(rate) == 0):
        typer.echo("--rate is a number of commands a second, or max", err=True)
        raise typer.Exit(EXIT_USAGE)
    window = in_flight or _WINDOW_COMMANDS
    return Load(
        scenarios=tuple(known) if scenario == "all" else (scenario,),
        policy=policy,
        seconds=seconds,
        rate=0 if in_flight or rate == "max" else int(rate),
        window=window,
        frame=min(frame, window),
        seed=seed,
    )


def _engine_table(report: dict[str, Any]) -> str:
    width = max(len(name) for name in _COLUMNS) + 2
    lines = ["".join(f"{name:>{width}}" for name in _COLUMNS)]
    lines += [
        "".join(f"{row[name]!s:>{width}}" for name in _COLUMNS) for row in report["scenarios"]
    ]
    lines.append(f"worst: {report['worst']}; policy {report['policy']}, loop {report['loop']}")
    return "\n".join(lines)
