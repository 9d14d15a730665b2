"""What the signer's operator does with its files: pinned officers, and the word about it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from infra.staff_file import load_staff, staff_path
from infra.wallet import officers
from infra.wallet.pinned_officers import Pin, PinRefusal, add_pin, load_pins, revoke_pin, rotate_pin
from infra.wallet.signer_log import SignerLog, signer_log_path

if TYPE_CHECKING:
    from infra.settings import Settings

_ADVICE = {
    PinRefusal.UNKNOWN_OFFICER: "no such officer is pinned; `rialto signer keys` lists them",
    PinRefusal.ALREADY_PINNED: "this officer is pinned; `rialto signer rotate` changes the key",
    PinRefusal.MALFORMED_NAME: "a name has small letters, digits and _, and begins with a letter",
    PinRefusal.ALREADY_REVOKED: "this officer was revoked, and stays so",
    PinRefusal.MALFORMED_KEY: "an Ed25519 public key is 64 lower-case hexadecimal digits",
    PinRefusal.KEY_OF_AN_OFFICER: "an officer has, or had, this key: two names must not be one key",
}


class CustodyError(Exception):
    """The request makes no sense as things are; the message says why."""


def pinned(data_dir: Path) -> dict[str, Pin]:
    """Return the pins of the signer's own file; `CustodyError` when there is none."""
    path = officers.signer_pinned_path(data_dir)
    try:
        return load_pins(path)
    except FileNotFoundError as error:
        raise CustodyError(f"there is no signer in {data_dir}: {path} is missing") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CustodyError(f"{path} cannot be read: {error}") from error


def pin(
    data_dir: Path, name: str, public_key_hex: str, customer_id: int | None, by: str, reason: str
) -> Pin:
    """Pin an additional officer with the public half of a key that he has made himself."""
    if name in load_staff(staff_path(data_dir / "secrets")):
        raise CustodyError(f"{name} is on the staff with another key: `rialto staff remove` first")
    made = _change(data_dir, lambda path: add_pin(path, name, public_key_hex, customer_id))
    _log(
        data_dir,
        "officer_pinned",
        {"officer": name, "by": by, "reason": reason, "public_key": public_key_hex},
    )
    return made


def rotate(data_dir: Path, name: str, public_key_hex: str, by: str, reason: str) -> Pin:
    """Pin another key for an officer; without one, make the key pair that lies on this machine."""
    found = pinned(data_dir).get(name)
    if found is not None and found.revoked is None and not public_key_hex:
        try:
            public_key_hex = officers.make_new_key(data_dir, name)
        except FileNotFoundError as error:
            raise CustodyError(
                f"{name}'s private key is not on this machine: let {name} make one, and give its "
                "public half with --public-key"
            ) from error
    rotated = _change(data_dir, lambda path: rotate_pin(path, name, public_key_hex))
    detail = {"officer": name, "by": by, "reason": reason}
    detail |= {"public_key": rotated.officer.public_key_hex, "former_key": rotated.former_keys[0]}
    _log(data_dir, "officer_key_rotated", detail)
    return rotated


def revoke(data_dir: Path, name: str, by: str, reason: str) -> Pin:
    """Take an officer's right to decide away, at once; his approvals not paid yet are refused."""
    now = dt.datetime.now(dt.UTC)
    revoked = _change(data_dir, lambda path: revoke_pin(path, name, by, reason, now))
    detail = {"officer": name, "by": by, "reason": reason}
    _log(data_dir, "officer_revoked", detail | {"public_key": revoked.officer.public_key_hex})
    return revoked


def _change(data_dir: Path, change: Callable[[Path], Pin | PinRefusal]) -> Pin:
    """Change the signer's file, which decides, and then the worker's if it lies here too."""
    pinned(data_dir)
    changed = change(officers.signer_pinned_path(data_dir))
    if isinstance(changed, PinRefusal):
        raise CustodyError(f"{_ADVICE[changed]} ({changed})")
    workers_own = officers.pinned_path(data_dir)
    if workers_own.exists():
        change(workers_own)  # one that has another officer there, or none, is the worker's matter
    return changed


def _log(data_dir: Path, action: str, detail: dict[str, str]) -> None:
    SignerLog(signer_log_path(data_dir)).append(dt.datetime.now(dt.UTC), action, detail)


async def tell_audit_log(settings: Settings, name: str, by: str, action: str, reason: str) -> None:
    """Write the change into the exchange's audit log, too."""
    from infra.postgres.audit_store import AuditStore
    from infra.postgres.engine import create

    engine = create(settings.database_url, pool_size=1)
    try:
        async with engine.begin() as connection:
            await AuditStore().append(
                connection,
                f"officer-{name}",
                f"staff:{by}",
                action,
                f"{action}:{name}:{uuid4()}",
                {"officer": name, "reason": reason},
            )
    finally:
        await engine.dispose()
