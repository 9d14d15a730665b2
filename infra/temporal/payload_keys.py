"""The ring of keys under which payloads are sealed: one seals, all open.

A file of mode 0600, `{"active": id, "keys": {id: 64 hex digits}}`. Every process looks at it before
each use, so that a rotation counts at once and without a restart. A former key stays for as long
as something that it sealed may be read: Temporal's retention, and the exported histories.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from infra.private_files import replace_private, write_private

PAYLOAD_KEYS_FILE = "payload-keys.json"
_KEY_BYTES = 32
_KEY = re.compile(r"[0-9a-f]{64}")
_KEY_ID = re.compile(r"[0-9a-f]{8}")


class PayloadKeysError(RuntimeError):
    """The ring is missing or malformed, or lacks the key that a payload names."""


def signer_payload_keys_path(data_dir: Path) -> Path:
    """Return the signer's copy of the ring: it runs as a user who cannot read the other."""
    return data_dir / "signer" / PAYLOAD_KEYS_FILE


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by id, 32 bytes each, and which of them seals."""

    active: str
    keys: Mapping[str, bytes]

    def text(self) -> str:
        """Return the text of the ring's file."""
        keys = {name: key.hex() for name, key in self.keys.items()}
        return json.dumps({"active": self.active, "keys": keys}, indent=1) + "\n"

    def with_new_key(self) -> tuple[KeyRing, str]:
        """Return the ring with one more key, which only opens as yet, and that key's id."""
        fresh = _new_id(self.keys)
        return KeyRing(self.active, {**self.keys, fresh: secrets.token_bytes(_KEY_BYTES)}), fresh


def _new_id(taken: Mapping[str, bytes]) -> str:
    while (name := secrets.token_hex(4)) in taken:
        continue
    return name


def load_ring(path: Path) -> KeyRing:
    """Return the ring of a file; `PayloadKeysError` when it is missing or malformed."""
    try:
        found = json.loads(path.read_text())
        keys = {name: bytes.fromhex(_checked(name, key)) for name, key in found["keys"].items()}
        active = found["active"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PayloadKeysError(f"{path} holds no payload keys: {error!r}") from error
    if active not in keys:
        raise PayloadKeysError(f"{path} lacks the key {active!r} that it says is active")
    return KeyRing(active, keys)


def _checked(name: object, key: object) -> str:
    if not isinstance(name, str) or not isinstance(key, str):
        raise TypeError("ids and keys are texts")
    if _KEY_ID.fullmatch(name) is None or _KEY.fullmatch(key) is None:
        raise ValueError("an id has 8, a key 64 lower-case hex digits")
    return key


def ensure_payload_keys(path: Path) -> None:
    """Make a ring of one key (mode 0600) where there is none.

    Two processes may race for it: the exclusive link lets one ring win.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    name = _new_id({})
    write_private(fresh, KeyRing(name, {name: secrets.token_bytes(_KEY_BYTES)}).text())
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()


def give_ring_to_signer(data_dir: Path, ring_path: Path) -> None:
    """Bring the signer's copy to what the ring is; nothing is written when it is that already."""
    copy, text = signer_payload_keys_path(data_dir), load_ring(ring_path).text()
    copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not copy.exists() or copy.read_text() != text:
        replace_private(copy, text)


def rotate_payload_keys(data_dir: Path, ring_path: Path) -> KeyRing:
    """Let a new key seal from now on, and return the ring.

    Whoever is on the other side must open it from the first moment: both files get the key first,
    and only then is it made the active one. The signer's is left alone where it is not kept here.
    """
    wider, fresh = load_ring(ring_path).with_new_key()
    copy = signer_payload_keys_path(data_dir)
    files = [path for path in (copy, ring_path) if path.exists()]
    ring = KeyRing(fresh, wider.keys)
    for state in (wider, ring):
        for path in files:
            replace_private(path, state.text())
    return ring


class PayloadKeys:
    """The ciphers of a ring's file, read anew when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._active = ""
        self._ciphers: dict[str, AESGCM] = {}
        self._look()

    def active(self) -> tuple[str, AESGCM]:
        """Return the id and the cipher that seals now."""
        self._look()
        return self._active, self._ciphers[self._active]

    def cipher(self, key_id: str) -> AESGCM:
        """Return the cipher of a key; `PayloadKeysError` when the ring lacks it."""
        if key_id not in self._ciphers:
            self._look()
        try:
            return self._ciphers[key_id]
        except KeyError:
            raise PayloadKeysError(f"{self._path} lacks the payload key {key_id!r}") from None

    def _look(self) -> None:
        try:
            found = self._path.stat()
        except OSError as error:
            raise PayloadKeysError(f"the payload keys are missing: {error}") from error
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if seen != self._seen:
            ring = load_ring(self._path)
            self._ciphers = {name: AESGCM(key) for name, key in ring.keys.items()}
            self._active, self._seen = ring.active, seen
