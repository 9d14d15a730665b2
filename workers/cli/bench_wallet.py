"""`rialto bench wallet`: what the wallet takes, on this machine."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer

from workers.cli.context import EXIT_FAILED, JsonOption


def add_to(bench: typer.Typer) -> None:
    """Add the wallet's measurement to `bench`."""
    bench.command("wallet")(wallet)


def wallet(
    deposits: Annotated[int, typer.Option(min=1, help="Deposits, all sent at once.")] = 600,
    burst: Annotated[int, typer.Option(min=1, help="Withdrawals, all asked for at once.")] = 300,
    paced: Annotated[int, typer.Option(min=1, help="Withdrawals of the steady flow.")] = 100,
    pace: Annotated[float, typer.Option(min=0.1, help="How many of those a second.")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Measure deposits and withdrawals a minute, of a whole exchange of its own, without bots.

    A deposit counts from the first payment sent to the last one credited, a withdrawal from the
    first request to the last one booked; both wait for confirmations, a block a second.
    `request_to_broadcast` is of the steady flow, none of which needs an officer. The books
    have to add up afterwards.
    """
    from workers.chaos.drill import scratch
    from workers.cli.bench_ledger import as_table
    from workers.wallet_bench import Load, measure

    load = Load(deposits, burst, paced, pace)
    with scratch({"RIALTO_WITHDRAWAL_COOLING_SECONDS": "0"}) as folder:
        report = asyncio.run(measure(folder, load, lambda text: typer.echo(text, err=True)))
    typer.echo(json.dumps(report, indent=1) if as_json else as_table(report))
    if report["problems"]:
        raise typer.Exit(EXIT_FAILED)
