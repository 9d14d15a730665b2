"""`rialto bench api`: orders over HTTP and WebSockets, book updates to a thousand subscribers."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import typer

from workers.cli.context import EXIT_FAILED, EXIT_USAGE, JsonOption


def add_to(bench: typer.Typer) -> None:
    """Add the verb."""
    bench.command("api")(api)


def api(
    seconds: Annotated[float, typer.Option(min=0.5, help="For each measurement.")] = 8.0,
    only: Annotated[
        str, typer.Option("--only", metavar="PART", help="Measure only one part.")
    ] = "",
    policy: Annotated[
        Literal["os", "fsync"], typer.Option(help="When the engine acknowledges a command.")
    ] = "os",
    batch: Annotated[
        int, typer.Option(min=1, max=100, help="Orders in a message of the batched parts.")
    ] = 20,
    batch_rate: Annotated[
        float, typer.Option(min=100, help="Orders a second in the open loop of batches.")
    ] = 5_000.0,
    subscribers: Annotated[int, typer.Option(min=1, help="Who listens to the book.")] = 1_000,
    idle: Annotated[int, typer.Option(min=1, help="Sockets that do nothing.")] = 2_000,
    seed: Annotated[int, typer.Option(help="Of the drawn orders.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Measure one gateway with engine, market data, Valkey and PostgreSQL on this machine.

    rest    signed orders over HTTP: 200 a second in an open loop, then a closed loop of 16
            connections; beside it, in the same run, a bare FastAPI application;
    ws      orders over four WebSockets: 200 single ones a second, batches at a rate, then a
            closed loop with two batches in flight on each;
    fanout  a book's updates to many subscribers: how old they are by the engine's stamp while
            the market lives, then as many as the gateway can pass on;
    idle    sockets that do nothing: memory, processor, and orders beside them;
    refusals  processor time of the gateway for a request that is refused, in every way, beside
            that for an order;
    storm   thousands of connects and subscriptions at once, slow readers, floods, silent
            connections: who is refused, how long orders wait beside, memory and open files.

    Open loops count from when a request was due. Wrong is an order that was refused, a
    subscriber that was closed, something accepted that was to be refused, a file left open.
    """
    from workers.bench.api import PARTS, Load, LoadFailedError, measure

    if only and only not in PARTS:
        typer.echo(f"--only takes {', '.join(PARTS)}", err=True)
        raise typer.Exit(EXIT_USAGE)
    load = Load(seconds, policy, batch, batch_rate, subscribers, idle, seed)
    try:
        report = measure(load, only, lambda text: typer.echo(text, err=True))
    except LoadFailedError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from None
    typer.echo(json.dumps(report, indent=1) if as_json else _table(report))
    bad = (
        *("rest_refused", "ws_refused", "fanout_closed", "idle_closed"),
        *("refusals_accepted", "storm_refused", "storm_files_left"),
    )
    if any(report.get(name) for name in bad):
        raise typer.Exit(EXIT_FAILED)


def _table(report: dict[str, Any]) -> str:
    rows = {name: value for name, value in report.items() if name != "machine"}
    return "\n".join(
        f"{name.replace('_', ' '):36}{f'{value:,}' if isinstance(value, int) else value:>14}"
        for name, value in rows.items()
    )
