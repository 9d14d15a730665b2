"""`rialto up`: the whole exchange with one command, and `--once`, the same without a terminal."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Annotated

import typer

from workers.cli.context import EXIT_FAILED, EXIT_USAGE, DataOption, data_dir
from workers.processes import MOST_GATEWAYS


def register(app: typer.Typer) -> None:
    """Add `up`."""
    app.command("up")(up)


def up(
    data: DataOption = None,
    once: Annotated[
        bool, typer.Option("--once", help="Trade for a while, check everything, stop, report.")
    ] = False,
    seconds: Annotated[int, typer.Option("--seconds", min=1, help="Trading time of --once.")] = 20,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write the report of --once to this file.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report of --once, also where it is a file.")
    ] = False,
    shards: Annotated[
        int | None,
        typer.Option(
            "--shards", min=1, max=2, help="Engines to run.", show_default="as before, or 1"
        ),
    ] = None,
    gateways: Annotated[
        int,
        typer.Option(
            "--gateways", min=1, max=MOST_GATEWAYS, help="Gateways to run, on consecutive ports."
        ),
    ] = 1,
    no_bots: Annotated[bool, typer.Option("--no-bots", help="Start without the bots.")] = False,
) -> None:
    """Start the whole exchange: servers, processes, a demo market with bots. Ctrl-C stops it."""
    import asyncio

    from infra.embedded.server import ServerFailedError
    from workers.data_folder import FewerShardsError, FolderInUseError, owned, shard_count
    from workers.foreground import run_interactive, run_once

    folder = data_dir(data)
    try:
        with owned(folder):
            count = shard_count(folder, shards)
            if once:
                code = asyncio.run(
                    run_once(folder, count, seconds, report, prints=as_json, gateways=gateways)
                )
            else:
                named = data is not None
                code = asyncio.run(
                    run_interactive(folder, count, named, bots=not no_bots, gateways=gateways)
                )
    except (FolderInUseError, FewerShardsError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_USAGE) from error
    except PermissionError as error:
        typer.echo(
            f"Cannot write to {error.filename}. Name a folder of your own with --data DIR.",
            err=True,
        )
        raise typer.Exit(EXIT_FAILED) from error
    except ServerFailedError as error:
        typer.echo(
            f"Rialto did not start: {error}\n`./rialto doctor` looks for the cause.", err=True
        )
        raise typer.Exit(EXIT_FAILED) from error
    except Exception as error:
        log = folder / "logs" / "up.log"
        log.write_text(traceback.format_exc())
        typer.echo(
            f"Rialto did not start: {type(error).__name__}: {error}\n"
            f"That is a defect; its trace is in {log}.",
            err=True,
        )
        raise typer.Exit(EXIT_FAILED) from error
    raise typer.Exit(code)
