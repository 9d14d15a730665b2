"""`rialto bench risk`: how soon a risk monitor knows who is in need."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from workers.cli.context import JsonOption


def add_to(bench: typer.Typer) -> None:
    """Add the verb."""
    bench.command("risk")(risk)


def risk(
    accounts: Annotated[int, typer.Option(min=1, help="Accounts with cross margin.")] = 100_000,
    positions: Annotated[
        int, typer.Option(min=1, max=8, help="Positions of each, in 8 markets.")
    ] = 2,
    passes: Annotated[int, typer.Option(min=1, help="Scans; the median counts.")] = 51,
    seed: Annotated[int, typer.Option(help="Draws the book.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Measure the risk monitor's scan: every account judged, exactly, at new marks.

    `scan_ms` is a quiet market; then falls of 1, 3 and 10 per cent, in which a scan also ranks
    whoever is breached. `changes_per_second` is how fast cash and positions are taken in. From a
    mark to the end of a liquidation is not measured: this needs no engine and no workflow.
    """
    from workers.bench.risk import measure

    report = measure(accounts, positions, passes, seed, lambda text: typer.echo(text, err=True))
    typer.echo(json.dumps(report, indent=1) if as_json else _table(report))


def _table(report: dict[str, Any]) -> str:
    falls = report["after_a_fall_of"]
    lines = [
        f"{name.replace('_', ' '):28}{f'{value:,}' if type(value) is int else str(value):>14}"
        for name, value in report.items()
        if name not in ("machine", "after_a_fall_of")
    ]
    for name, row in falls.items():
        what = f"fall of {name.replace('_', ' ')}"
        lines.append(f"{what:28}{row['scan_ms']:>14} ms, {row['breached']:,} breached")
    return "\n".join(lines)
