"""`rialto key`: API keys of customers: issue, add a public key, list, revoke."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from workers.cli.compliance import CustomerArgument
from workers.cli.context import EXIT_FAILED, DataOption, JsonOption
from workers.cli.database import with_database

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from infra.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    group = typer.Typer(help="Issue, list and revoke customers' API keys.", no_args_is_help=True)
    group.command("add")(add)
    group.command("list")(list_keys)
    group.command("revoke")(revoke)
    app.add_typer(group, name="key")


def add(
    customer: CustomerArgument,
    public_key: Annotated[
        Path | None,
        typer.Option(help="PEM file of an Ed25519 public key; without it a secret is made."),
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="read, trade or withdraw; default: all three.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a customer an API key; a secret that is made is shown this once."""
    raw = None if public_key is None else _ed25519(public_key)

    async def work(engine: AsyncEngine, settings: Settings) -> dict[str, str] | str:
        from infra.postgres.customer_keys import CustomerKeys
        from workers.officer_desk import login

        keys = CustomerKeys(engine, settings.secrets_dir)
        return await keys.add(customer, raw, tuple(scope or ()), by=login())

    found = with_database(data, work)
    _show(found, as_json=as_json)


def list_keys(
    customer: CustomerArgument, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """List a customer's API keys that are not revoked."""

    async def work(engine: AsyncEngine, settings: Settings) -> list[dict[str, Any]] | str:
        from infra.postgres.customer_keys import CustomerKeys

        return await CustomerKeys(engine, settings.secrets_dir).listed(customer)

    found = with_database(data, work)
    if isinstance(found, str):
        _fail(found)
    elif as_json:
        typer.echo(json.dumps(found))
    else:
        for one in found:
            ends = one["expires_at"] or "never"
            typer.echo(f"{one['api_key']}  {one['algorithm']}  {one['scopes']}  ends {ends}")


def revoke(
    api_key: Annotated[str, typer.Argument(metavar="KEY", help="The key's id.")],
    data: DataOption = None,
) -> None:
    """Revoke an API key; requests and streams end within a few seconds."""

    async def work(engine: AsyncEngine, settings: Settings) -> str | None:
        from infra.postgres.customer_keys import CustomerKeys
        from workers.officer_desk import login

        return await CustomerKeys(engine, settings.secrets_dir).revoke(api_key, by=login())

    problem = with_database(data, work)
    if problem is not None:
        _fail(problem)
    typer.echo(f"revoked {api_key}")


def _ed25519(path: Path) -> bytes:
    """Return the 32 bytes of a public key in a PEM file; anything else ends with 1."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        found = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        _fail(f"{path} is not the PEM file of a public key: {error}")
    if not isinstance(found, Ed25519PublicKey):
        _fail(
            f"{path} holds another kind of key; make one with: openssl genpkey -algorithm ed25519"
        )
    return found.public_bytes_raw()


def _show(found: dict[str, str] | str, *, as_json: bool) -> None:
    if isinstance(found, str):
        _fail(found)
    elif as_json:
        typer.echo(json.dumps(found))
    else:
        for name, text in found.items():
            typer.echo(f"{name:11} {text}")


def _fail(problem: str) -> NoReturn:
    typer.echo(problem, err=True)
    raise typer.Exit(EXIT_FAILED)
