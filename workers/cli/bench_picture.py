"""`rialto bench picture`: draw a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from workers.cli.context import EXIT_USAGE


def add_to(bench: typer.Typer) -> None:
    """Add the verb."""
    bench.command("picture")(picture)


def picture(
    report: Annotated[Path, typer.Argument(help="What `rialto bench engine --json` printed.")],
    out: Annotated[Path, typer.Option(help="The SVG to write.")] = Path("latency.svg"),
) -> None:
    """Draw the latencies of a report of the engine, beside its control's, as an SVG."""
    from workers.bench.picture import draw

    try:
        text = draw(json.loads(report.read_text()))
    except (OSError, ValueError, KeyError) as error:
        typer.echo(f"{report} is no report of `rialto bench engine --json`: {error!r}", err=True)
        raise typer.Exit(EXIT_USAGE) from None
    out.write_text(text)
    typer.echo(f"wrote {out}")
