"""One verb for each process of the exchange, for running it by itself."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import typer

from workers.cli.context import EXIT_USAGE
from workers.processes import PROCESSES, ProcessSpec


def register(app: typer.Typer) -> None:
    """Add a verb for each process; settings come from the environment (`RIALTO_...`)."""
    for spec in PROCESSES:
        app.command(spec.verb, help=spec.help, rich_help_panel="Processes")(_runner(spec))


def _runner(spec: ProcessSpec) -> Callable[[], None]:
    def run() -> None:
        from pydantic import ValidationError

        try:
            import_module(spec.module).main()
        except ValidationError as error:
            for wrong in error.errors(include_url=False):
                name = "_".join(["RIALTO", *map(str, wrong["loc"])]).upper()
                typer.echo(f"{name}: {wrong['msg']}", err=True)
            raise typer.Exit(EXIT_USAGE) from None

    return run
