"""`rialto compliance`: keys with which compliance staff read customers' files over HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli.context import EXIT_FAILED, DataOption, JsonOption
from workers.cli.database import with_database

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from infra.postgres.customers import IssuedKey
    from infra.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    group = typer.Typer(help="Keys of compliance staff.", no_args_is_help=True)
    group.command("key")(key)
    group.callback()(_compliance)
    app.add_typer(group, name="compliance")


def _compliance() -> None:
    """Keys of compliance staff."""


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
