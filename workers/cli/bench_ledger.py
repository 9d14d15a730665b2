"""`rialto bench ledger` and `rialto bench settlement`: what the ledger takes, on this machine."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

import typer

from workers.cli.context import EXIT_FAILED, JsonOption


def add_to(bench: typer.Typer) -> None:
    """Add the ledger's measurements to `bench`."""
    bench.command("ledger")(ledger)


def ledger(
    seconds: Annotated[float, typer.Option(min=1, help="How long each part runs.")] = 10,
    accounts: Annotated[int, typer.Option(min=2, help="Accounts of the first part.")] = 1000,
    clients: Annotated[int, typer.Option(min=1, help="Transfers at a time.")] = 256,
    writers: Annotated[int, typer.Option(min=1, help="Group commits at a time.")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Measure optimistic transfers a second over many accounts, and over two.

    PostgreSQL is the product's own, and syncs at each commit. Exit code 1 when an update was lost.
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


def as_table(report: dict[str, Any]) -> str:
    """Return one line for each figure."""
    return "\n".join(f"{name:34} {value!s:>12}" for name, value in report.items())
