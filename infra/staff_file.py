"""Who belongs to the staff: a file of names, public keys and roles, beside the pinned officers.

An officer is an approver with the key that is pinned for him, so that a rotated or revoked key
counts here at once, too. All others are in `secrets/staff.json`:
`{name: {"public_key": 64 hex digits, "roles": [...]}}`. Both files are looked at for each request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.approval import Officer
from domain.staff import StaffMember, StaffRole
from infra.private_files import replace_private, write_private
from infra.wallet.officers import pem_of, public_hex

DEMO_STAFF = {
    "olga": frozenset({StaffRole.OPERATOR}),
    "clara": frozenset({StaffRole.COMPLIANCE}),
    "ada": frozenset({StaffRole.ADMIN}),
}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")


class StaffFileError(ValueError):
    """The file is malformed, or a change to it makes no sense; the message says why."""


def staff_path(secrets_dir: Path) -> Path:
    """Return the file of the staff."""
    return secrets_dir / "staff.json"


def staff_key_path(secrets_dir: Path, name: str) -> Path:
    """Return the file of a demo member's private key."""
    return secrets_dir / f"staff-{name}.pem"


def load_staff(path: Path) -> dict[str, StaffMember]:
    """Return the members of the file by name; none without a file."""
    try:
        found = json.loads(path.read_text())
        return {name: _member(name, fields) for name, fields in found.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StaffFileError(f"{path} cannot be read: {error!r}") from error


def _member(name: str, fields: Mapping[str, object]) -> StaffMember:
    key, roles = fields["public_key"], fields["roles"]
    if not isinstance(key, str) or not isinstance(roles, list) or not _PUBLIC_KEY.fullmatch(key):
        raise StaffFileError(f"{name} has no public key of 64 hex digits, or no list of roles")
    return StaffMember(name, key, frozenset(map(StaffRole, roles)))


class StaffDirectory:
    """Finds members of the staff, as the two files have them now."""

    def __init__(self, path: Path, officers: Mapping[str, Officer]) -> None:
        self._path = path
        self._officers = officers

    def find(self, name: str) -> StaffMember | None:
        """Return the member, or None."""
        officer = self._officers.get(name)
        if officer is not None:
            return StaffMember(name, officer.public_key_hex, frozenset({StaffRole.APPROVER}))
        return load_staff(self._path).get(name)


def add_member(
    secrets_dir: Path, name: str, roles: Iterable[StaffRole], public_key_hex: str = ""
) -> StaffMember:
    """Let somebody in; without a key a pair is made, whose private half lies in the secrets."""
    secrets_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = staff_path(secrets_dir)
    members = load_staff(path)
    if _NAME.fullmatch(name) is None:
        raise StaffFileError("a name has small letters, digits and _, and begins with a letter")
    if name in members:
        raise StaffFileError(f"{name} is on the staff already; remove the entry first")
    wanted = frozenset(roles)
    if not wanted:
        raise StaffFileError("somebody without a role may do nothing: give at least one")
    if StaffRole.APPROVER in wanted:
        raise StaffFileError("approvers are the officers that the signer pins")
    if public_key_hex and _PUBLIC_KEY.fullmatch(public_key_hex) is None:
        raise StaffFileError("an Ed25519 public key is 64 lower-case hexadecimal digits")
    if public_key_hex in {member.public_key_hex for member in members.values()}:
        raise StaffFileError("two names must not be one key")
    if not public_key_hex:
        public_key_hex = _make_key(staff_key_path(secrets_dir, name))
    member = StaffMember(name, public_key_hex, wanted)
    _write(path, members | {name: member})
    return member


def remove_member(secrets_dir: Path, name: str) -> None:
    """Let somebody out, at once; open sessions end with the next request."""
    path = staff_path(secrets_dir)
    members = load_staff(path)
    if members.pop(name, None) is None:
        raise StaffFileError(f"there is no {name} on the staff; officers: `rialto signer revoke`")
    _write(path, members)


def create_demo_staff(secrets_dir: Path) -> None:
    """Make the demo's staff where there is no file yet."""
    if staff_path(secrets_dir).exists():
        return
    for name, roles in DEMO_STAFF.items():
        add_member(secrets_dir, name, roles)


def _make_key(path: Path) -> str:
    key = Ed25519PrivateKey.generate()
    path.unlink(missing_ok=True)  # of somebody who was removed
    write_private(path, pem_of(key))
    return public_hex(key)


def _write(path: Path, members: Mapping[str, StaffMember]) -> None:
    content = {
        name: {"public_key": member.public_key_hex, "roles": sorted(member.roles)}
        for name, member in members.items()
    }
    replace_private(path, json.dumps(content, indent=1) + "\n")
