"""`rialto fees`: who traded how much in 30 days, and the fee tiers that gave."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli.context import EXIT_FAILED, EXIT_USAGE, DataOption, JsonOption
from workers.cli.database import at_desk

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from infra.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("fees")(fees)


def fees(
    day: Annotated[str, typer.Option("--day", help="A date; default: the newest assessment.")] = "",
    assess: Annotated[
        bool, typer.Option("--assess", help="Start today's assessment now; once a day it stands.")
    ] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the 30-day volumes and fee tiers of a day, largest first.

    A day's window is the 30 whole UTC days before it. The schedule `fee-tiers` assesses every day
    at 00:05 UTC and tells the engines what changes.
    """
    import datetime as dt

    try:
        wanted = dt.date.fromisoformat(day) if day else None
    except ValueError as error:
        typer.echo(f"--day takes a date such as 2026-11-27, not {day[:32]!r}", err=True)
        raise typer.Exit(EXIT_USAGE) from error

    async def work(engine: AsyncEngine, settings: Settings) -> dict[str, Any] | None:
        from workers import fee_desk

        if assess:
            await fee_desk.assess_now(settings)
        return await fee_desk.assessment(engine, wanted)

    found = at_desk(data, work)
    if found is None:
        typer.echo("That day was not assessed." if day else "No day was assessed yet.", err=True)
        raise typer.Exit(EXIT_FAILED)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    typer.echo(
        f"{found['day']}: the {found['window_days']} days before, in {found['volume_asset']}"
    )
    for row in found["customers"]:
        name = row["name"] or row["customer_id"]
        typer.echo(f"  {name!s:<16} {row['volume']:>24}  tier {row['tier']}")
    if not found["customers"]:
        typer.echo("  nobody traded")
