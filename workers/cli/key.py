"""`rialto key`: API keys of customers: issue, add a public key, list, revoke."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from workers.cli.compliance import CustomerArgument
from workers.cli.context import EXIT_FAILED, DataOption, JsonOption
from workers.cli.database import with_database

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from domain.api_keys import ListedKey, MadeKey
    from domain.customer import Network
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
    label: Annotated[str, typer.Option(help="What it is called; unique among the keys.")] = "",
    ip: Annotated[
        list[str] | None,
        typer.Option(help="An address or network that it may be used from; default: anywhere."),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=3_650, help="How long it is valid; default: for ever.")
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a customer an API key; a secret that is made is shown this once."""
    from domain.api_keys import LONGEST_LABEL, NewKey

    if len(label) > LONGEST_LABEL:
        _fail(f"a label has at most {LONGEST_LABEL} letters")
    wanted = NewKey(
        label=label,
        scopes=tuple(scope or ()),
        public_key=None if public_key is None else _ed25519(public_key),
        networks=_networks(ip or []),
        expires_at=None if days is None else dt.datetime.now(dt.UTC) + dt.timedelta(days=days),
    )

    async def work(engine: AsyncEngine, settings: Settings) -> MadeKey | str:
        from infra.postgres.customer_keys import CustomerKeys
        from workers.officer_desk import login

        return await CustomerKeys(engine, settings.secrets_dir).add(customer, wanted, by=login())

    made = with_database(data, work)
    if isinstance(made, str):
        _fail(made)
    _show(made, as_json=as_json)


def list_keys(
    customer: CustomerArgument, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """List a customer's API keys that are not revoked."""

    async def work(engine: AsyncEngine, settings: Settings) -> list[ListedKey] | str:
        from infra.postgres.customer_keys import CustomerKeys

        return await CustomerKeys(engine, settings.secrets_dir).listed(customer)

    found = with_database(data, work)
    if isinstance(found, str):
        _fail(found)
    rows = [_row(one) for one in found]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        ends, where = row["expires_at"] or "never", " ".join(row["networks"]) or "anywhere"
        typer.echo(
            f"{row['api_key']}  {row['algorithm']}  {row['scopes']}  ends {ends}  "
            f"from {where}  {row['label']}".rstrip()
        )


def _row(key: ListedKey) -> dict[str, Any]:
    return {
        "api_key": key.key_id,
        "label": key.label,
        "algorithm": key.algorithm,
        "scopes": " ".join(key.scopes),
        "networks": list(key.networks),
        "expires_at": None if key.expires_at is None else key.expires_at.isoformat(),
    }


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


def _networks(texts: list[str]) -> tuple[Network, ...]:
    """Return what an option `--ip` names; anything else ends with 1."""
    from domain.api_keys import MAX_NETWORKS, network_of

    if len(texts) > MAX_NETWORKS:
        _fail(f"a key has at most {MAX_NETWORKS} addresses or networks")
    found = []
    for text in texts:
        network = network_of(text)
        if network is None:
            _fail(f"{text!r} is no address and no network such as 10.0.0.0/8")
        found.append(network)
    return tuple(found)


def _show(made: MadeKey, *, as_json: bool) -> None:
    shown = {"api_key": made.key.key_id}
    if made.secret:
        shown["api_secret"] = made.secret
    shown["algorithm"] = made.key.algorithm.value
    if as_json:
        typer.echo(json.dumps(shown))
    else:
        for name, text in shown.items():
            typer.echo(f"{name:11} {text}")


def _fail(problem: str) -> NoReturn:
    typer.echo(problem, err=True)
    raise typer.Exit(EXIT_FAILED)
