"""`rialto payload-keys`: the keys that seal what goes to Temporal."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli.context import EXIT_FAILED, DataOption, JsonOption, load

if TYPE_CHECKING:
    from infra.settings import Settings
    from infra.temporal.payload_keys import KeyRing


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    group = typer.Typer(help="The keys that seal what goes to Temporal: list them, use a new one.")
    group.command("list")(list_keys)
    group.command("rotate")(rotate)
    app.add_typer(group, name="payload-keys")


def list_keys(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the keys by id; the active one seals, the others open what they once sealed."""
    from infra.temporal.payload_keys import PayloadKeysError, load_ring

    path = load(data).settings.payload_keys_path
    try:
        ring = load_ring(path)
    except PayloadKeysError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from error
    _say(ring, as_json=as_json)


def rotate(
    reason: Annotated[str, typer.Option("--reason", help="For the record.")] = "rotation",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a new key seal from now on, without a restart. Former keys stay: histories need them."""
    from infra.temporal.payload_keys import PayloadKeysError

    settings = load(data).settings
    try:
        ring = asyncio.run(_rotate(settings, reason))
    except PayloadKeysError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from error
    _say(ring, as_json=as_json)


async def _rotate(settings: Settings, reason: str) -> KeyRing:
    """Rotate, and write down who has done it."""
    from infra.postgres.audit_store import AuditStore
    from infra.postgres.engine import create
    from infra.temporal.payload_keys import rotate_payload_keys
    from workers.officer_desk import login

    engine = create(settings.database_url, pool_size=1)
    try:
        async with engine.begin() as connection:
            ring = rotate_payload_keys(settings.data_dir, settings.payload_keys_path)
            await AuditStore().append(
                connection,
                "payload-keys",
                f"staff:{login()}",
                "payload_key_rotated",
                f"payload-key:{ring.active}",
                {"key_id": ring.active, "reason": reason},
            )
    finally:
        await engine.dispose()
    return ring


def _say(ring: KeyRing, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"active": ring.active, "keys": sorted(ring.keys)}))
        return
    for name in sorted(ring.keys, key=lambda name: name != ring.active):
        typer.echo(f"{name}  {'seals and opens' if name == ring.active else 'opens'}")
