"""`rialto compliance`: what a customer may do, case notes, and keys of compliance staff."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli.context import EXIT_FAILED, EXIT_USAGE, DataOption, JsonOption
from workers.cli.database import at_desk, with_database

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from infra.postgres.customers import IssuedKey
    from infra.settings import Settings
    from infra.wallet.rescreening import Rescreening


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    group = typer.Typer(
        help="Freeze and unfreeze customers, set tiers, screen again, issue keys of staff.",
        no_args_is_help=True,
    )
    group.command("key")(key)
    group.command("freeze")(freeze)
    group.command("withdraw-only")(withdraw_only)
    group.command("unfreeze")(unfreeze)
    group.command("tier")(tier)
    group.command("rescreen")(rescreen)
    group.command("note")(note)
    group.callback()(_compliance)
    app.add_typer(group, name="compliance")


CustomerArgument = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's name.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; for the record.")]


def _compliance() -> None:
    """Freeze and unfreeze customers, set tiers, screen again, issue keys of staff."""


def key(
    name: Annotated[str, typer.Argument(help="The member of staff; a customer's name is refused.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Issue a key that reads /v1/compliance and nothing else; its secret is shown once."""

    async def work(engine: AsyncEngine, settings: Settings) -> IssuedKey | str:
        from domain.customer import STAFF, Scope
        from infra.postgres.audit_store import AuditStore
        from infra.postgres.customers import CustomerStore
        from infra.secret_box import SecretBox, gateway_key_path
        from workers.officer_desk import login

        store = CustomerStore(engine, SecretBox.from_file(gateway_key_path(settings.secrets_dir)))
        member = await store.create_customer(name, kind=STAFF)
        try:
            issued = await store.create_api_key(member.customer_id, scopes=(Scope.COMPLIANCE,))
        except ValueError:
            return f"{name!r} is a {member.kind}'s name: a key of staff needs one of its own"
        async with engine.begin() as connection:
            await AuditStore().append(
                connection,
                f"staff-{member.customer_id}",
                f"staff:{login()}",
                "key_issued",
                f"key_issued:{issued.api_key}",
                {"name": name, "api_key": issued.api_key, "scope": Scope.COMPLIANCE},
            )
        return issued

    issued = with_database(data, work)
    if isinstance(issued, str):
        typer.echo(issued, err=True)
        raise typer.Exit(EXIT_FAILED)
    if as_json:
        typer.echo(json.dumps({"api_key": issued.api_key, "api_secret": issued.api_secret}))
    else:
        typer.echo(f"key     {issued.api_key}")
        typer.echo(f"secret  {issued.api_secret}")


def freeze(customer: CustomerArgument, reason: ReasonOption, data: DataOption = None) -> None:
    """Refuse a customer everything: the API, new withdrawals, those without a nonce; cancel orders.

    A withdrawal that waits parks before its nonce, until the freeze ends or an officer rejects it.
    """
    _set(customer, "frozen", reason, data)


def withdraw_only(
    customer: CustomerArgument, reason: ReasonOption, data: DataOption = None
) -> None:
    """Let a customer only cancel, move money between own places, and withdraw; cancel orders."""
    _set(customer, "withdraw_only", reason, data)


def unfreeze(customer: CustomerArgument, reason: ReasonOption, data: DataOption = None) -> None:
    """Let a customer do everything again."""
    _set(customer, "active", reason, data)


def _set(customer: str, standing: str, reason: str, data: Path | None) -> None:
    async def work(engine: AsyncEngine, settings: Settings) -> bool | None:
        from domain.customer import Standing
        from infra.postgres.audit_store import AuditStore
        from infra.postgres.customer_file import CustomerFileStore
        from workers.officer_desk import login
        from workers.standing_desk import set_standing

        found = await CustomerFileStore(engine, AuditStore()).find(customer)
        if found is None:
            return None
        return await set_standing(
            engine, settings, found[0], Standing(standing), f"staff:{login()}", reason
        )

    if not reason.strip():
        typer.echo("give a reason: --reason TEXT", err=True)
        raise typer.Exit(EXIT_USAGE)
    changed = at_desk(data, work)
    if changed is None:
        typer.echo(f"there is no customer {customer!r}", err=True)
        raise typer.Exit(EXIT_FAILED)
    typer.echo(f"{customer} is {standing}" + ("" if changed else " already"))


def tier(
    customer: CustomerArgument,
    name: Annotated[str, typer.Argument(metavar="TIER", help="basic, verified or institutional.")],
    reason: ReasonOption,
    data: DataOption = None,
) -> None:
    """Say how well a customer is known; the limits of withdrawals follow, at once."""
    from domain.withdrawal_limits import Tier

    async def work(engine: AsyncEngine, settings: Settings) -> bool | None:
        from infra.postgres.audit_store import AuditStore
        from infra.postgres.customer_file import CustomerFileStore
        from workers.officer_desk import login

        store = CustomerFileStore(engine, AuditStore())
        found = await store.find(customer)
        if found is None:
            return None
        return await store.set_tier(found[0], Tier(name), f"staff:{login()}", reason)

    if name not in list(Tier):
        typer.echo(f"{name!r} is no tier: one of {', '.join(Tier)}", err=True)
        raise typer.Exit(EXIT_USAGE)
    if not reason.strip():
        typer.echo("give a reason: --reason TEXT", err=True)
        raise typer.Exit(EXIT_USAGE)
    changed = with_database(data, work)
    if changed is None:
        typer.echo(f"there is no customer {customer!r}", err=True)
        raise typer.Exit(EXIT_FAILED)
    typer.echo(f"{customer} is {name}" + ("" if changed else " already"))


def rescreen(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Ask again about every open withdrawal and listed address; ends with 1 if one is not clear.

    Run it when a list has changed. What is open and blocked is not paid, whether this runs or not.
    """
    from dataclasses import asdict

    async def work(engine: AsyncEngine, settings: Settings) -> Rescreening | str:
        from infra.postgres.audit_store import AuditStore
        from infra.wallet.asked_service import ScreeningAwayError
        from infra.wallet.rescreening import rescreen as look_again
        from infra.wallet.screening import screeners_of
        from workers.officer_desk import login

        try:
            return await look_again(
                engine, AuditStore(), screeners_of(settings), f"staff:{login()}"
            )
        except ScreeningAwayError as error:
            return f"nobody answers, so nothing is known: {error}"

    done = with_database(data, work)
    if isinstance(done, str):
        typer.echo(done, err=True)
        raise typer.Exit(EXIT_FAILED)
    if as_json:
        typer.echo(json.dumps(asdict(done)))
    else:
        for found in done.findings:
            result = found.result
            typer.echo(
                f"{result.verdict}  {found.subject}  {found.address}  "
                f"{found.screener}: {result.rule} ({result.version})"
            )
        typer.echo(f"{done.withdrawals} open withdrawals, {done.addresses} listed addresses")
    if done.findings:
        raise typer.Exit(EXIT_FAILED)


def note(
    customer: CustomerArgument,
    text: Annotated[str, typer.Argument(help="What there is to remember; it stays for ever.")],
    data: DataOption = None,
) -> None:
    """Append a note to a customer's records; `rialto audit about customer-ID` shows them."""

    async def work(engine: AsyncEngine, settings: Settings) -> bool:
        from infra.postgres.audit_store import AuditStore
        from infra.postgres.customer_file import CustomerFileStore
        from workers.officer_desk import login

        store = CustomerFileStore(engine, AuditStore())
        found = await store.find(customer)
        if found is not None:
            await store.note(found[0], f"staff:{login()}", text)
        return found is not None

    from domain.customer import LONGEST_NOTE

    if not text.strip() or len(text) > LONGEST_NOTE:
        typer.echo(f"a note has 1 to {LONGEST_NOTE} letters", err=True)
        raise typer.Exit(EXIT_USAGE)
    if not with_database(data, work):
        typer.echo(f"there is no customer {customer!r}", err=True)
        raise typer.Exit(EXIT_FAILED)
    typer.echo("noted")
