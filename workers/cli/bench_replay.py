"""`rialto bench replay`: how fast a journal becomes a state again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from workers.cli.context import EXIT_FAILED, JsonOption


def add_to(bench: typer.Typer) -> None:
    """Add the verb."""
    bench.command("replay")(replay)


def replay(
    commands: Annotated[int, typer.Option(min=2, help="Orders and cancels of the journal.")] = (
        2_000_000
    ),
    group: Annotated[
        int,
        typer.Option(min=1, max=16_000, help="Commands in a block, committed at once."),
    ] = 100,
    passes: Annotated[int, typer.Option(min=1, help="Passes; the median counts.")] = 5,
    folder: Annotated[Path | None, typer.Option(help="Where the temporary journal goes.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the replay of a journal, from the beginning and from a snapshot half-way.

    A real sequencer writes the journal first. Every check is on: checksum, hash chain, numbering,
    epochs. A replay has to give the digest of the engine that wrote.
    """
    from workers.bench.native import NothingToMeasureError
    from workers.bench.replay import measure

    try:
        report = measure(commands, group, passes, folder, lambda text: typer.echo(text, err=True))
    except NothingToMeasureError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from None
    typer.echo(json.dumps(report, indent=1) if as_json else _table(report))
    if not report["digest_equal"]:
        raise typer.Exit(EXIT_FAILED)


def _table(report: dict[str, Any]) -> str:
    numbers = {name: value for name, value in report.items() if name != "machine"}
    return "\n".join(
        f"{name.replace('_', ' '):36}{f'{value:,}' if type(value) is int else str(value):>16}"
        for name, value in numbers.items()
    )
