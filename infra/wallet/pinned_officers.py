"""The files of pinned officers: read anew when they change, so that a revoked key ends at once."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from domain.approval import Officer
from infra.private_files import replace_private

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")


class PinRefusal(StrEnum):
    """Why a pin is not changed; checked in this order."""

    UNKNOWN_OFFICER = "unknown_officer"
    ALREADY_PINNED = "already_pinned"
    MALFORMED_NAME = "malformed_name"
    ALREADY_REVOKED = "already_revoked"
    MALFORMED_KEY = "malformed_key"
    KEY_OF_AN_OFFICER = "key_of_an_officer"


@dataclass(frozen=True, slots=True)
class Revocation:
    """Who took an officer's key away, when and why."""

    at: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Pin:
    """An officer with his present key, the keys he had before, and whether they were revoked."""

    officer: Officer
    former_keys: tuple[str, ...] = ()
    revoked: Revocation | None = None

    def keys_ever(self) -> tuple[str, ...]:
        """Return every public key that was his: what he once signed stays signed by him."""
        return (self.officer.public_key_hex, *self.former_keys)


class PinnedOfficers(Mapping[str, Officer]):
    """The officers who may decide now, by name; looks at the file before each answer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._officers: dict[str, Officer] = {}

    def __getitem__(self, name: str) -> Officer:
        """Return the officer; `KeyError` when there is none, or he was revoked."""
        return self._now()[name]

    def __iter__(self) -> Iterator[str]:
        """Return the names of those who may decide."""
        return iter(dict(self._now()))

    def __len__(self) -> int:
        """Return how many may decide."""
        return len(self._now())

    def _now(self) -> dict[str, Officer]:
        found = self._path.stat()
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if seen != self._seen:
            pins = load_pins(self._path)
            self._officers = {name: pin.officer for name, pin in pins.items() if not pin.revoked}
            self._seen = seen
        return self._officers


def load_pins(path: Path) -> dict[str, Pin]:
    """Return the pins of a file by name, revoked ones too."""
    return {name: _pin(name, fields) for name, fields in json.loads(path.read_text()).items()}


def _pin(name: str, fields: Mapping[str, Any]) -> Pin:
    revoked = fields.get("revoked")
    return Pin(
        officer=Officer(name, str(fields["public_key"]), fields["customer_id"]),
        former_keys=tuple(fields.get("former_keys", ())),
        revoked=None if revoked is None else Revocation(**revoked),
    )


def pins_text(pins: Mapping[str, Pin]) -> str:
    """Return the text of a file of pins."""
    content: dict[str, Any] = {}
    for name, pin in pins.items():
        content[name] = {
            "public_key": pin.officer.public_key_hex,
            "customer_id": pin.officer.customer_id,
        }
        if pin.former_keys:
            content[name]["former_keys"] = list(pin.former_keys)
        if pin.revoked is not None:
            content[name]["revoked"] = {
                "at": pin.revoked.at,
                "by": pin.revoked.by,
                "reason": pin.revoked.reason,
            }
    return json.dumps(content, indent=1) + "\n"


def add_pin(
    path: Path, name: str, public_key_hex: str, customer_id: int | None = None
) -> Pin | PinRefusal:
    """Pin an additional officer; `customer_id` is his own account, if he has one.

    He decides no withdrawal of that account. A name that was revoked stays so: what it once signed
    must not be another person's.
    """
    pins = load_pins(path)
    if name in pins:
        return PinRefusal.ALREADY_REVOKED if pins[name].revoked else PinRefusal.ALREADY_PINNED
    if _NAME.fullmatch(name) is None:
        return PinRefusal.MALFORMED_NAME
    refusal = _key_refusal(pins, public_key_hex)
    return refusal or _write(path, pins, Pin(Officer(name, public_key_hex, customer_id)))


def rotate_pin(path: Path, name: str, public_key_hex: str) -> Pin | PinRefusal:
    """Pin another public key for an officer; what the former one signs no longer counts."""
    pins = load_pins(path)
    found = _active(pins, name)
    if isinstance(found, PinRefusal):
        return found
    if refusal := _key_refusal(pins, public_key_hex):
        return refusal
    officer = replace(found.officer, public_key_hex=public_key_hex)
    return _write(path, pins, replace(found, officer=officer, former_keys=found.keys_ever()))


def revoke_pin(path: Path, name: str, by: str, reason: str, at: dt.datetime) -> Pin | PinRefusal:
    """Let an officer decide nothing any more; his entry stays, so that history can be checked."""
    pins = load_pins(path)
    found = _active(pins, name)
    if isinstance(found, PinRefusal):
        return found
    revocation = Revocation(at.isoformat(timespec="seconds"), by, reason)
    return _write(path, pins, replace(found, revoked=revocation))


def _key_refusal(pins: Mapping[str, Pin], public_key_hex: str) -> PinRefusal | None:
    if _PUBLIC_KEY.fullmatch(public_key_hex) is None:
        return PinRefusal.MALFORMED_KEY
    if any(public_key_hex in pin.keys_ever() for pin in pins.values()):
        return PinRefusal.KEY_OF_AN_OFFICER
    return None


def _active(pins: Mapping[str, Pin], name: str) -> Pin | PinRefusal:
    pin = pins.get(name)
    if pin is None:
        return PinRefusal.UNKNOWN_OFFICER
    return PinRefusal.ALREADY_REVOKED if pin.revoked else pin


def _write(path: Path, pins: dict[str, Pin], pin: Pin) -> Pin:
    replace_private(path, pins_text(pins | {pin.officer.name: pin}))
    return pin
