"""`rialto liquidation` and `rialto audit liquidation`: look at liquidations, sign a shortfall."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli.context import EXIT_FAILED, DataOption, JsonOption, load
from workers.cli.database import at_desk, with_database

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from infra.settings import Settings

ScopeArgument = Annotated[
    str, typer.Argument(metavar="SCOPE", help="As in `liquidation-SCOPE`: shard-account[-market].")
]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        help="Liquidations: what runs and what has ended; two officers sign a shortfall.",
        no_args_is_help=True,
    )
    group.command("list")(list_them)
    group.command("sign")(sign)
    app.add_typer(group, name="liquidation")


def add_to(audit: typer.Typer) -> None:
    """Add the verb to `audit`."""
    audit.command("liquidation")(audit_one)


def list_them(
    ended: Annotated[bool, typer.Option("--ended", help="The newest that have ended.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the open liquidations with their stages, or those that have ended."""

    async def work(engine: AsyncEngine, settings: Settings) -> list[dict[str, Any]]:
        from workers import liquidation_desk as desk

        return await (desk.ended_ones(engine) if ended else desk.open_ones(settings))

    found = at_desk(data, work)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    if not found:
        typer.echo("none has ended yet" if ended else "nobody is being liquidated")
    for row in found:
        if ended:
            typer.echo(
                f"{row['liquidation_id']}  account {row['account_id']:<8} {row['ended']} at "
                f"sequence {row['last_sequence']}"
            )
        else:
            typer.echo(f"{row['stage']:<20} {row['workflow_id']}")


def sign(
    scope: ScopeArgument,
    officer: Annotated[str, typer.Option("--officer", help="Whose key signs.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before signing.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign that a parked shortfall is tried again; with the second signature it goes on."""
    from workers import liquidation_desk as desk
    from workers.officer_desk import DeskError

    settings = load(data).settings
    try:
        statement = asyncio.run(desk.shortfall_of(settings, scope))
        if not as_json:
            typer.echo(f"{officer} signs: {statement}")
        if not yes and not as_json and sys.stdin.isatty():
            typer.confirm("Sign this?", abort=True)
        count = asyncio.run(desk.sign(settings, officer, scope, statement))
    except DeskError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from error
    typer.echo(json.dumps({"signatures": count}) if as_json else f"recorded; {count} of 2")


def audit_one(
    liquidation_id: Annotated[str, typer.Argument(metavar="ID", help="32 hexadecimal digits.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell a liquidation step by step, with every number that a step was computed from.

    One that goes on, or whose record nobody could write, is told from the engine's log.
    """
    from workers.liquidation_desk import text_of

    async def work(engine: AsyncEngine, settings: Settings) -> dict[str, Any] | None:
        from workers import liquidation_desk as desk

        return await desk.record(engine, settings, liquidation_id.lower())

    found = with_database(data, work)
    if found is None:
        typer.echo(
            f"there is no record of a liquidation {liquidation_id[:40]}; `rialto liquidation "
            "list --ended` names them, and without `--ended` those that still go on",
            err=True,
        )
        raise typer.Exit(EXIT_FAILED)
    typer.echo(json.dumps(found, indent=1) if as_json else text_of(found))
