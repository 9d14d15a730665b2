"""`rialto bench engine`: the engine's process under load, beside a bare echo."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from workers.cli.context import EXIT_FAILED, EXIT_USAGE, JsonOption

AckPolicy = Literal["os", "fsync"]
Door = Literal["frames", "grpc"]
Priority = Literal["high", "normal"]
_WINDOW_COMMANDS = 8_000
_COLUMNS = (
    *("scenario", "achieved_rate", "p50_us", "p99_us", "p999_us", "service_p99_us"),
    *("control_p50_us", "control_p99_us", "control_p999_us", "p50_ratio", "p99_ratio"),
)
_GRPC_COLUMNS = ("scenario", "achieved_rate", "p50_us", "p99_us", "p999_us")  # of a batch


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
    door: Annotated[
        Door,
        typer.Option(
            help="Binary frames, or gRPC: always a closed loop (--rate is max), latencies of a "
            "batch, and no control."
        ),
    ] = "frames",
    scenario: Annotated[str, typer.Option(help="One scenario by name, or `all`.")] = "all",
    in_flight: Annotated[
        int | None,
        typer.Option(min=1, help="Closed loop with so many commands on the way, not a rate."),
    ] = None,
    batch: Annotated[
        int, typer.Option(min=1, max=1_000, help="Commands in a frame or message (closed loop).")
    ] = 250,
    priority: Annotated[
        Priority,
        typer.Option(
            help="Of the engine's loop, the client and the control; high: real time where the "
            "system permits it, else short slices."
        ),
    ] = "high",
    seed: Annotated[int, typer.Option(help="Of the drawn flows.")] = 1,
    folder: Annotated[
        Path | None, typer.Option(help="Where the journal goes: the disk that is measured.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the engine process from a client and back; beside it, a bare echo.

    Open loop: latency counts from when a command should have left. The control is a C++ echo that
    writes and answers as many bytes, by turns under the same client. Wrong is a command
    that was refused, an answer that is missing, and what engine, journal and client disagree on.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # it reports each process that we start
    from workers.bench import engine as frames_door
    from workers.bench import grpc_door
    from workers.bench.native import NothingToMeasureError

    def say(text: str) -> None:
        typer.echo(text, err=True)

    if rate != "max" and (not rate.isdecimal() or int(rate) == 0):
        typer.echo("--rate is a number of commands a second, or max", err=True)
        raise typer.Exit(EXIT_USAGE)
    window = in_flight or _WINDOW_COMMANDS
    batch = min(batch, window)
    try:
        names = _scenarios(scenario, frames_door.descriptions())
        if door == "grpc":
            batches = grpc_door.GrpcLoad(names, policy, seconds, batch, window // batch, seed)
            report = grpc_door.measure(batches, folder, say)
        else:
            offered = 0 if in_flight or rate == "max" else int(rate)
            load = frames_door.Load(names, policy, seconds, offered, window, batch, seed, priority)
            report = frames_door.measure(load, folder, say)
    except (frames_door.MeasurementFailedError, NothingToMeasureError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from None
    typer.echo(json.dumps(report, indent=1) if as_json else _table(report))


def _scenarios(wanted: str, known: dict[str, str]) -> tuple[str, ...]:
    """Return the scenarios to run; an unknown one ends the verb as a usage error."""
    if wanted == "all":
        return tuple(known)
    if wanted not in known:
        typer.echo(f"no scenario {wanted!r}; there are: all, {', '.join(known)}", err=True)
        raise typer.Exit(EXIT_USAGE)
    return (wanted,)


def _table(report: dict[str, Any]) -> str:
    columns = _GRPC_COLUMNS if report["door"] == "grpc" else _COLUMNS
    width = max(len(name) for name in columns) + 2
    rows = [columns, *([row[name] for name in columns] for row in report["scenarios"])]
    lines = ["".join(f"{value!s:>{width}}" for value in row) for row in rows]
    lines.append(f"worst: {report['worst']}; policy {report['policy']}, door {report['door']}")
    return "\n".join(lines)
