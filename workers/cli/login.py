"""`rialto login`: customers' logins: invitations by two officers, sessions ended."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli.compliance import CustomerArgument, ReasonOption
from workers.cli.context import DataOption, JsonOption
from workers.cli.database import at_desk

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from domain.login_invitation import LoginInvitation
    from infra.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    group = typer.Typer(
        help="Let customers make a login, or make it anew; two officers sign. End sessions.",
        no_args_is_help=True,
    )
    group.command("invite")(invite)
    group.command("sign")(sign)
    group.command("list")(list_open)
    group.command("end-sessions")(end_sessions)
    group.command("link")(link)
    app.add_typer(group, name="login")


def invite(
    customer: CustomerArgument,
    reason: ReasonOption,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Propose to let a customer make a login, or, who has lost one, make it anew.

    Two officers sign within a day; each gets one half of the invitation and gives it to the
    customer himself, on a way of his own. An invitation takes the place of an earlier one.
    """

    async def work(engine: AsyncEngine, _: Settings) -> LoginInvitation:
        from workers import login_desk

        return await login_desk.invite(engine, customer, reason)

    found = at_desk(data, work)
    if as_json:
        typer.echo(json.dumps(_shown(found, [])))
    else:
        typer.echo(f"proposed: {found.statement()}")
        typer.echo(f"rialto login sign {found.invitation_id} --officer NAME")


def sign(
    invitation_id: Annotated[str, typer.Argument(metavar="ID")],
    officer: Annotated[str, typer.Option("--officer", help="Whose key signs.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before signing.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign an invitation; your half of it is shown this once. Give it to the customer yourself."""
    import sys

    async def find(engine: AsyncEngine, _: Settings) -> LoginInvitation:
        from workers import login_desk

        return await login_desk.load(engine, invitation_id)

    found = at_desk(data, find)
    if not as_json:
        typer.echo(f"{officer} signs: {found.statement()}")
    if not yes and not as_json and sys.stdin.isatty():
        typer.confirm("Sign this?", abort=True)

    async def work(engine: AsyncEngine, settings: Settings) -> tuple[str, int]:
        from workers import login_desk

        return await login_desk.sign(engine, settings, officer, found)

    half, count = at_desk(data, work)
    if as_json:
        typer.echo(json.dumps({"half": half, "signatures": count}))
    else:
        typer.echo(f"half   {half}")
        typer.echo(f"recorded; {count} of 2. Nobody of the staff may see both halves.")


def list_open(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the invitations that wait for signatures."""

    async def work(engine: AsyncEngine, _: Settings) -> list[dict[str, Any]]:
        from workers import login_desk

        rows = await login_desk.store_of(engine).open()
        now = time.time()
        return [_shown(found, sorted(signed)) for found, signed in rows if found.expiry > now]

    found = at_desk(data, work)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    if not found:
        typer.echo("nobody is invited")
    for row in found:
        what = "anew" if row["resets"] else "first"
        typer.echo(
            f"{row['invitation_id']} {row['customer']} {what} {row['signed_by']} {row['reason']}"
        )


def end_sessions(customer: CustomerArgument, data: DataOption = None) -> None:
    """End all web sessions of a customer, within seconds; API keys stay (`rialto key revoke`)."""

    async def work(engine: AsyncEngine, _: Settings) -> int:
        from workers import login_desk

        return await login_desk.end_sessions(engine, customer)

    typer.echo(f"ended {at_desk(data, work)}")


def link(data: DataOption = None) -> None:
    """Print a link that signs the demo's customer in, once.

    It opens the trading page, counts for 15 minutes, and takes the place of an earlier one.
    """

    async def work(engine: AsyncEngine, settings: Settings) -> str:
        from workers import login_desk
        from workers.officer_desk import login

        return await login_desk.demo_link(engine, settings, f"staff:{login()}")

    typer.echo(at_desk(data, work))


def _shown(found: LoginInvitation, signed_by: list[str]) -> dict[str, Any]:
    return {
        "invitation_id": found.invitation_id,
        "customer": found.customer,
        "resets": found.resets,
        "reason": found.reason,
        "expiry": found.expiry,
        "proposed_by": found.proposed_by,
        "signed_by": signed_by,
    }
