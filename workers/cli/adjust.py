"""`rialto adjust`: new entries by hand, with a reason and two signatures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli.context import DataOption, JsonOption
from workers.cli.database import at_desk

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from domain.adjustment import Adjustment
    from infra.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    group = typer.Typer(
        help="Post by hand: a reason, two officers' signatures, a new entry; nothing is changed.",
        no_args_is_help=True,
    )
    group.command("propose")(propose)
    group.command("quarantine")(quarantine)
    group.command("sign")(sign)
    group.command("list")(list_open)
    app.add_typer(group, name="adjust")


def propose(
    source: Annotated[str, typer.Option("--from", help="Account code that gives.")],
    target: Annotated[str, typer.Option("--to", help="Account code that gets.")],
    asset: Annotated[str, typer.Option(help="Asset code.")],
    amount: Annotated[str, typer.Option(help="Decimal amount.")],
    reason: Annotated[str, typer.Option(help="Why; it is signed and stored for ever.")],
    event: Annotated[
        str, typer.Option(help="The parked event that this corrects: shard:sequence.index.")
    ] = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose a posting; two officers must sign it within a day."""

    async def work(engine: AsyncEngine, settings: Settings) -> Adjustment:
        from workers import adjust_desk as desk

        posting = await desk.posting_of(engine, source, target, asset, amount)
        return await desk.propose(engine, settings, (posting,), reason, event)

    tell(at_desk(data, work), as_json=as_json)


def quarantine(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="shard:sequence.index")],
    reason: Annotated[str, typer.Option(help="How you know that it moves no money.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose to pass over an event of an unknown type: two officers attest it moves no money.

    Only for types that this version does not know; a money event is never skipped.
    """

    async def work(engine: AsyncEngine, settings: Settings) -> Adjustment:
        from workers import adjust_desk as desk

        return await desk.propose(engine, settings, (), reason, event)

    tell(at_desk(data, work), as_json=as_json)


def sign(
    adjustment_id: Annotated[str, typer.Argument(metavar="ID")],
    officer: Annotated[str, typer.Option("--officer", help="Whose key signs.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before signing.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign an adjustment; the second officer's signature posts it."""
    import sys

    async def find(engine: AsyncEngine, _: Settings) -> Adjustment:
        from workers import adjust_desk as desk

        return await desk.load(engine, adjustment_id)

    found = at_desk(data, find)
    if not as_json:
        typer.echo(f"{officer} signs: {found.statement()}")
    if not yes and not as_json and sys.stdin.isatty():
        typer.confirm("Sign this?", abort=True)

    async def work(_: AsyncEngine, settings: Settings) -> int:
        from workers import adjust_desk as desk

        return await desk.sign(settings, officer, found)

    signatures = at_desk(data, work)
    typer.echo(
        json.dumps({"signatures": signatures}) if as_json else f"recorded; {signatures} of 2"
    )


def list_open(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List what is proposed and not posted yet."""

    async def work(engine: AsyncEngine, _: Settings) -> list[dict[str, object]]:
        from workers import adjust_desk as desk

        rows = await desk.store_of(engine).open()
        return [desk.as_json(found, sorted(signed)) for found, signed in rows]

    found = at_desk(data, work)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    if not found:
        typer.echo("nothing is proposed")
    for row in found:
        typer.echo(f"{row['adjustment_id']} {row['kind']:<11} {row['signed_by']} {row['reason']}")


def tell(adjustment: Adjustment, *, as_json: bool) -> None:
    """Say what was proposed and how it is signed."""
    if as_json:
        from workers.adjust_desk import as_json as shown

        typer.echo(json.dumps(shown(adjustment, []), indent=1))
    else:
        typer.echo(f"proposed: {adjustment.statement()}")
        typer.echo(f"rialto adjust sign {adjustment.adjustment_id} --officer NAME")
