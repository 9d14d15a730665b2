"""`rialto suspense`: money that is on our addresses and nobody's balance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import adjust
from workers.cli.context import DataOption, JsonOption
from workers.cli.database import at_desk

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from domain.adjustment import Adjustment
    from infra.settings import Settings

DepositArgument = Annotated[str, typer.Argument(metavar="DEPOSIT_ID")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    group = typer.Typer(
        help="Deposits that could not be credited: look, release or return them by two signatures.",
        no_args_is_help=True,
    )
    group.command("list")(list_all)
    group.command("show")(show)
    group.command("release")(release)
    group.command("return")(send_back)
    group.command("sign")(adjust.sign)
    app.add_typer(group, name="suspense")


def list_all(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List what is in suspense and why; what a reorganisation took is short, a negative amount."""

    async def work(engine: AsyncEngine, _: Settings) -> dict[str, Any]:
        from workers import suspense_desk as desk

        return {
            "deposits": await desk.in_suspense(engine),
            "ledger": await desk.totals(engine),
        }

    found = at_desk(data, work)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    if not found["deposits"]:
        typer.echo("no deposit is in suspense")
    for row in found["deposits"]:
        typer.echo(
            f"{row['deposit_id']}  {row['amount']} {row['asset']}  {row['reason']}  "
            f"customer {row['customer_id']}"
        )
    for asset, amount in found["ledger"].items():
        typer.echo(f"the ledger has {amount} {asset} in suspense")


def show(deposit_id: DepositArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show a deposit: where it came from, its audit records, what is proposed about it."""

    async def work(engine: AsyncEngine, _: Settings) -> dict[str, Any]:
        from workers import suspense_desk as desk

        return await desk.story(engine, deposit_id)

    found = at_desk(data, work)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    records, proposals = found.pop("audit"), found.pop("proposals")
    for name, value in found.items():
        typer.echo(f"{name:<13} {value}")
    for record in records:
        typer.echo(f"{record['at']}  {record['actor']}  {record['action']}")
    for proposal in proposals:
        typer.echo(
            f"proposed: {proposal['adjustment_id']} by {proposal['proposed_by']}, "
            f"signed by {proposal['signed_by'] or 'nobody'}: {proposal['reason']}"
        )


def release(
    deposit_id: DepositArgument,
    customer: Annotated[str, typer.Option("--to", help="The customer's name who gets it.")],
    reason: Annotated[str, typer.Option(help="Why; it is signed and stored for ever.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose to release a deposit to a customer's main account; two officers must sign it."""

    async def work(engine: AsyncEngine, settings: Settings) -> Adjustment:
        from workers import suspense_desk as desk

        return await desk.propose_release(engine, settings, deposit_id, customer, reason)

    adjust.tell(at_desk(data, work), as_json=as_json)


def send_back(
    deposit_id: DepositArgument,
    reason: Annotated[str, typer.Option(help="Why; it is signed and stored for ever.")],
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also to a contract or an exchange's address.")
    ] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose to pay a deposit back to the address that sent it; two officers must sign it.

    The hot wallet pays the whole amount and the gas. A sender that screening blocks is never paid.
    """

    async def work(engine: AsyncEngine, settings: Settings) -> Adjustment:
        from workers import suspense_desk as desk

        return await desk.propose_return(engine, settings, deposit_id, reason, anyway=anyway)

    adjust.tell(at_desk(data, work), as_json=as_json)
