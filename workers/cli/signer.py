"""`rialto signer`: the signer's passphrase, its pinned officers, and its own log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from workers.cli.context import (
    EXIT_FAILED,
    EXIT_USAGE,
    DataOption,
    JsonOption,
    data_dir,
    environment,
)
from workers.data_folder import supervisor_pid

if TYPE_CHECKING:
    from infra.wallet.pinned_officers import Pin

Answer = TypeVar("Answer")
NameArgument = Annotated[str, typer.Argument(metavar="OFFICER")]
_QUORUM = 2  # officers that the largest withdrawals need


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    group = typer.Typer(
        help="The signer's custody: passphrase, pinned officers, log. Run it where the signer runs."
    )
    group.command("keys")(keys)
    group.command("pin")(pin)
    group.command("rotate")(rotate)
    group.command("revoke")(revoke)
    group.command("passphrase")(passphrase)
    group.command("log")(log)
    app.add_typer(group, name="signer")


def keys(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the officers whose signatures the signer counts, with their public keys."""
    from workers import custody_desk as desk

    pins = _try(lambda: desk.pinned(data_dir(data)))
    if as_json:
        typer.echo(json.dumps([_as_json(one) for one in pins.values()], indent=1))
        return
    for name, one in pins.items():
        state = f"revoked {one.revoked.at}: {one.revoked.reason}" if one.revoked else "active"
        former = f", {len(one.former_keys)} former" if one.former_keys else ""
        typer.echo(f"{name:<16} {one.officer.public_key_hex}  {state}{former}")


def pin(
    name: NameArgument,
    public_key: Annotated[str, typer.Option("--public-key", help="64 hex digits; the officer's.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept.")],
    customer_id: Annotated[
        int | None,
        typer.Option("--customer-id", help="The officer's own account, if there is one."),
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pin an additional officer, whose signatures count from the next withdrawal on."""
    from workers import custody_desk as desk
    from workers.officer_desk import login

    _want_reason(reason)
    folder = data_dir(data)
    made = _try(lambda: desk.pin(folder, name, public_key, customer_id, login(), reason))
    if as_json:
        typer.echo(json.dumps(_as_json(made)))
    else:
        typer.echo(f"{name} signs with {public_key}")
    _tell(folder, name, login(), "officer_pinned", reason)


def _want_reason(reason: str) -> None:
    if not reason.strip():
        typer.echo("say why: --reason TEXT", err=True)
        raise typer.Exit(EXIT_USAGE)


def rotate(
    name: NameArgument,
    public_key: Annotated[
        str,
        typer.Option("--public-key", help="His new public key; default: a new pair made here."),
    ] = "",
    reason: Annotated[str, typer.Option("--reason", help="For the record.")] = "rotation",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pin a new key for an officer; the former one counts no longer, without a restart."""
    from workers import custody_desk as desk
    from workers.officer_desk import login

    folder = data_dir(data)
    found = _try(lambda: desk.rotate(folder, name, public_key, login(), reason))
    if as_json:
        typer.echo(json.dumps(_as_json(found)))
    else:
        typer.echo(f"{name} signs with {found.officer.public_key_hex} from now on")
        typer.echo("approvals with the former key that are not paid yet must be signed again")
    _tell(folder, name, login(), "officer_key_rotated", reason)


def revoke(
    name: NameArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let an officer approve nothing any more, at once; what he signed and is not paid, neither."""
    from workers import custody_desk as desk
    from workers.officer_desk import login

    _want_reason(reason)
    folder = data_dir(data)
    found = _try(lambda: desk.revoke(folder, name, login(), reason))
    typer.echo(json.dumps(_as_json(found)) if as_json else f"{name} is revoked")
    active = [one for one in desk.pinned(folder).values() if not one.revoked]
    if len(active) < _QUORUM:
        typer.echo(
            f"{len(active)} officers are left: withdrawals that need two cannot be approved",
            err=True,
        )
    _tell(folder, name, login(), "officer_revoked", reason)


def passphrase(
    new_file: Annotated[
        Path | None,
        typer.Option(
            "--new-file", help="File of the new passphrase; default: a random one is made."
        ),
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Encrypt the seed under a new passphrase; also encrypts the plain seed of an old folder."""
    import datetime as dt

    from infra.wallet.local_vault import VARIABLE, LocalVault, made_path
    from infra.wallet.signer_log import SignerLog, signer_log_path
    from workers.officer_desk import login

    folder = data_dir(data)
    path = _try(lambda: LocalVault(folder).change_passphrase(new_file))
    SignerLog(signer_log_path(folder)).append(
        dt.datetime.now(dt.UTC), "passphrase_changed", {"by": login(), "file": str(path)}
    )
    if as_json:
        typer.echo(json.dumps({"passphrase_file": str(path)}))
        return
    typer.echo(f"the seed is encrypted under the passphrase in {path}")
    if path != made_path(folder):
        typer.echo(f"start the signer with {VARIABLE}={path}")
    typer.echo("old backups of the seed still open with the old passphrase: destroy them")


def log(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Show what the signer refused and whose key changed, and whether a line was changed."""
    from infra.wallet.signer_log import SignerLog, log_fault, signer_log_path

    records = _try(SignerLog(signer_log_path(data_dir(data))).records)
    fault = log_fault(records)
    if as_json:
        typer.echo(json.dumps({"records": records, "first_bad": fault}, indent=1))
    else:
        for record in records[: None if fault is None else fault - 1]:
            detail = json.dumps(record["detail"], sort_keys=True)
            typer.echo(f"{record['at'][:19]}  {record['action']:<20} {detail}")
        typer.echo(f"{len(records)} records" if fault is None else f"record {fault} was changed")
    if fault is not None:
        raise typer.Exit(EXIT_FAILED)


def _as_json(pin: Pin) -> dict[str, object]:
    revoked = pin.revoked
    return {
        "officer": pin.officer.name,
        "public_key": pin.officer.public_key_hex,
        "customer_id": pin.officer.customer_id,
        "former_keys": list(pin.former_keys),
        "revoked": revoked and {"at": revoked.at, "by": revoked.by, "reason": revoked.reason},
    }


def _tell(folder: Path, name: str, by: str, action: str, reason: str) -> None:
    """Write into the exchange's audit log if it runs; the signer's own log has it in any case."""
    from sqlalchemy.exc import SQLAlchemyError

    from infra.settings import Settings
    from workers.custody_desk import tell_audit_log

    if supervisor_pid(folder) is None:
        typer.echo("the exchange does not run: only the signer's own log has it", err=True)
        return
    try:
        settings = Settings.of(environment(folder))
        asyncio.run(tell_audit_log(settings, name, by, action, reason))
    except (SQLAlchemyError, OSError, ValueError) as error:
        typer.echo(f"only the signer's own log has it; the audit log: {error}", err=True)


def _try(work: Callable[[], Answer]) -> Answer:
    """Return what `work` does; what makes no sense ends the verb with 1 and a message."""
    from infra.wallet.local_vault import PassphraseError
    from infra.wallet.vault import VaultError
    from workers.custody_desk import CustodyError

    try:
        return work()
    except (CustodyError, PassphraseError, VaultError, OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from error
