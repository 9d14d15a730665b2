"""`rialto staff`: who may sign in to the staff's origin, and as what."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from domain.staff import StaffRole
from workers.cli.context import EXIT_FAILED, DataOption, JsonOption, data_dir

Answer = TypeVar("Answer")
NameArgument = Annotated[str, typer.Argument(metavar="NAME")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    group = typer.Typer(
        help="Who may sign in for staff: operators, compliance, admins; officers are approvers."
    )
    group.command("list")(list_staff)
    group.command("add")(add)
    group.command("remove")(remove)
    app.add_typer(group, name="staff")


def list_staff(data: DataOption = None, as_json: JsonOption = False) -> None:
    """List the staff with roles and public keys; the officers that the signer pins, too."""
    from infra.staff_file import load_staff, staff_path
    from infra.wallet.officers import pinned_path
    from infra.wallet.pinned_officers import load_pins

    folder = data_dir(data)
    members = _try(lambda: load_staff(staff_path(folder / "secrets")))
    rows = [
        {"name": one.name, "roles": sorted(one.roles), "public_key": one.public_key_hex}
        for one in members.values()
    ]
    pinned = pinned_path(folder)
    for name, pin in load_pins(pinned).items() if pinned.exists() else ():
        if pin.revoked is None:
            key = pin.officer.public_key_hex
            rows.append({"name": name, "roles": [StaffRole.APPROVER], "public_key": key})
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        typer.echo(f"{row['name']:<16} {', '.join(row['roles']):<24} {row['public_key']}")


def add(
    name: NameArgument,
    role: Annotated[list[StaffRole], typer.Option("--role", help="Once for each role.")],
    public_key: Annotated[
        str, typer.Option("--public-key", help="64 hex digits; else a key is made on this machine.")
    ] = "",
    data: DataOption = None,
) -> None:
    """Let somebody in; counts at once."""
    from infra.staff_file import add_member, staff_key_path

    secrets = data_dir(data) / "secrets"
    member = _try(lambda: add_member(secrets, name, role, public_key))
    typer.echo(f"{name} may sign in as {', '.join(sorted(member.roles))}")
    if not public_key:
        typer.echo(
            f"give {name} the private key, then remove it here: {staff_key_path(secrets, name)}"
        )


def remove(name: NameArgument, data: DataOption = None) -> None:
    """Let somebody out; open sessions end with their next request."""
    from infra.staff_file import remove_member

    _try(lambda: remove_member(data_dir(data) / "secrets", name))
    typer.echo(f"{name} is out")


def _try(work: Callable[[], Answer]) -> Answer:
    """Return what `work` does; what makes no sense ends the verb with 1 and a message."""
    from infra.staff_file import StaffFileError

    try:
        return work()
    except (StaffFileError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from error
