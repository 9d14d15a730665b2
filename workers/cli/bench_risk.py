"""`rialto bench risk`: from a mark to an order, to everybody frozen, to everybody final."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import typer

from workers.cli.context import EXIT_FAILED, EXIT_USAGE, JsonOption

_SCOPES, _MARKS, _A_MARK = 10_000, 40, 10


def add_to(bench: typer.Typer) -> None:
    """Add the verb."""
    bench.command("risk")(risk)


def risk(
    accounts: Annotated[int, typer.Option(min=2, help="Accounts, each with a position.")] = 100_000,
    scopes: Annotated[
        int,
        typer.Option(
            min=0,
            help="How many fall below their margin at one mark.",
            show_default="10000, or a tenth of the accounts",
        ),
    ] = 0,
    marks: Annotated[
        int,
        typer.Option(
            min=0,
            help=f"Marks that breach {_A_MARK} scopes each.",
            show_default="40, or as many as there are accounts for",
        ),
    ] = 0,
    only: Annotated[
        str, typer.Option("--only", metavar="FIELD", help="Measure the part that gives this field.")
    ] = "",
    seconds: Annotated[
        int, typer.Option(min=1, help="How long to wait for the last of the many.")
    ] = 900,
    policy: Annotated[
        Literal["os", "fsync"], typer.Option(help="When the engine acknowledges a command.")
    ] = "os",
    seed: Annotated[int, typer.Option(help="Draws the scanned book and the mark's walk.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Measure the risk service: the scan alone, then the real processes under many accounts.

    scan_ms                every account judged, exactly, at new marks (two positions each);
    funding_pause_ms       the longest that a customer waits while every position is funded;
    tick_to_order_p99_ms   from a mark to each liquidation's order in the book, engine time;
    freeze_all_ms          many scopes frozen and their orders cancelled: first batch to last;
    mass_seconds           from that mark until every one of them is final, as real workflows;
    waiting_cost           what is missing at each first step beyond what was at the freeze.

    All of it takes some ten minutes. Everybody has to be final by then.
    """
    from workers.bench.risk import PARTS, Load, measure

    if only and only not in PARTS:
        typer.echo(f"--only takes {', '.join(PARTS)}", err=True)
        raise typer.Exit(EXIT_USAGE)
    most_marks = max(1, (accounts // 2 - accounts // 10) // _A_MARK)
    load = Load(
        accounts,
        scopes or max(1, min(_SCOPES, accounts // 10)),
        marks or min(_MARKS, most_marks),
        _A_MARK if accounts >= 4 * _A_MARK else 1,
        seed,
        policy,
        seconds,
    )
    if load.refusal and PARTS.get(only) != "scan":
        typer.echo(load.refusal, err=True)
        raise typer.Exit(EXIT_USAGE)
    report = measure(load, only, lambda text: typer.echo(text, err=True))
    typer.echo(json.dumps(report, indent=1) if as_json else _table(report))
    if not report.get("mass_final", True):
        raise typer.Exit(EXIT_FAILED)


def _table(report: dict[str, Any]) -> str:
    lines = []
    for name, value in report.items():
        if name == "machine":
            continue
        if isinstance(value, dict):
            lines.append(name.replace("_", " "))
            lines += [
                f"  {key.replace('_', ' '):36}{_shown(one):>14}" for key, one in value.items()
            ]
        else:
            lines.append(f"{name.replace('_', ' '):38}{_shown(value):>14}")
    return "\n".join(lines)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {one}" for key, one in value.items())
    return f"{value:,}" if type(value) is int else str(value)
