"""How a verb reaches the exchange's database without the exchange."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from workers.cli.context import EXIT_FAILED, EXIT_NOT_RUNNING, data_dir, environment

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from infra.settings import Settings

Answer = TypeVar("Answer")


def with_database(
    data: Path | None, work: Callable[[AsyncEngine, Settings], Awaitable[Answer]]
) -> Answer:
    """Run `work`; the verb ends where nothing ever ran, or the database does not answer."""
    from infra.postgres.engine import create
    from infra.settings import Settings

    known = environment(data_dir(data))
    if not known:
        typer.echo(f"No exchange has ever run in {data_dir(data)}.", err=True)
        raise typer.Exit(EXIT_NOT_RUNNING)
    settings = Settings.of(known)

    async def run() -> Answer:
        engine = create(settings.database_url, pool_size=1)
        try:
            return await work(engine, settings)
        finally:
            await engine.dispose()

    try:
        return asyncio.run(run())
    except OSError as error:
        typer.echo(f"not reachable: {error}", err=True)
        raise typer.Exit(EXIT_NOT_RUNNING) from error


def at_desk(
    data: Path | None, work: Callable[[AsyncEngine, Settings], Awaitable[Answer]]
) -> Answer:
    """Run `work` of staff; what makes no sense ends with 1, a Temporal that is away with 3."""
    from temporalio.service import RPCError

    from workers.officer_desk import DeskError

    try:
        return with_database(data, work)
    except typer.Exit:  # a RuntimeError, too, and said already
        raise
    except DeskError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from error
    except (RuntimeError, RPCError) as error:
        typer.echo(f"not reachable: {error}", err=True)
        raise typer.Exit(EXIT_NOT_RUNNING) from error
