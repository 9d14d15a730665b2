"""The seed at rest: a file that Argon2id and AES-256-GCM close, and the port for other keepers.

The file is one JSON object (format, version, parameters, sealed bytes). Everything but the sealed
bytes is their associated data, so no parameter can be changed unnoticed; parameters outside the
bounds below are refused before any work is done. The derived bytes are the key and a check, whose
hash is in the file: a wrong passphrase can thus be told from a file that was tampered with.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

FORMAT = "rialto-seed"
VERSION = 1
SEED_BYTES = 32
MIN_PASSPHRASE_BYTES = 12
_KEY_BYTES, _CHECK_BYTES, _SALT_BYTES, _NONCE_BYTES, _TAG_BYTES = 32, 32, 16, 12, 16
_FIELDS = frozenset({"format", "version", "kdf", "check", "nonce", "sealed"})
_KDF_FIELDS = frozenset({"name", "memory_kib", "iterations", "lanes", "salt"})
_BOUNDS = {"memory_kib": (19_456, 1 << 20), "iterations": (2, 16), "lanes": (1, 16)}
_PLAIN = re.compile(r"[0-9a-fA-F]{64}\s*")


class VaultRefusal(StrEnum):
    """Why a sealed file gives no seed; checked in this order."""

    MISSING = "missing"
    NOT_ENCRYPTED = "not_encrypted"
    NOT_A_VAULT = "not_a_vault"
    UNKNOWN_VERSION = "unknown_version"
    PARAMETERS_OUT_OF_BOUNDS = "parameters_out_of_bounds"
    WRONG_PASSPHRASE = "wrong_passphrase"  # noqa: S105 - a reason, not a secret
    TAMPERED = "tampered"


_ADVICE = {
    VaultRefusal.MISSING: "there is no seed; `rialto up` makes one",
    VaultRefusal.NOT_ENCRYPTED: "the seed lies open, as earlier versions kept it; encrypt it by "
    "`rialto signer passphrase`, or begin anew with `rialto reset`",
    VaultRefusal.NOT_A_VAULT: "this is no sealed seed; restore the file from its backup",
    VaultRefusal.UNKNOWN_VERSION: "another version of Rialto has written it; use that one",
    VaultRefusal.PARAMETERS_OUT_OF_BOUNDS: "its Argon2id parameters are weaker or dearer than "
    "allowed: somebody has changed them; restore the file from its backup",
    VaultRefusal.WRONG_PASSPHRASE: "the passphrase is not this file's, or its salt or parameters "
    "were changed",
    VaultRefusal.TAMPERED: "the passphrase is right, but the file was changed; restore it from its "
    "backup",
}


class VaultError(Exception):
    """The seed cannot be had; the message says what to do, and never has a secret in it."""

    def __init__(self, reason: VaultRefusal, path: Path) -> None:
        super().__init__(f"{path}: {_ADVICE[reason]} ({reason})")
        self.reason = reason


class SeedVault(Protocol):
    """Keeps the seed; a key-management service implements it by unwrapping a wrapped seed.

    `open` returns 32 bytes, or raises an error whose message says what an operator has to do.
    """

    def open(self) -> bytes:
        """Return the seed."""


@dataclass(frozen=True, slots=True)
class KdfParameters:
    """What Argon2id costs; the default is RFC 9106's second choice (64 MiB, 3 passes, 4 lanes)."""

    memory_kib: int = 65_536
    iterations: int = 3
    lanes: int = 4

    def in_bounds(self) -> bool:
        """Return whether these are neither too weak nor so dear that they stop the machine."""
        return all(low <= getattr(self, name) <= high for name, (low, high) in _BOUNDS.items())


def seal(seed: bytes, passphrase: bytes, parameters: KdfParameters | None = None) -> str:
    """Return the text of a file that only `passphrase` opens; salt and nonce are fresh."""
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a seed has {SEED_BYTES} bytes")
    if len(passphrase) < MIN_PASSPHRASE_BYTES:
        raise ValueError(f"a passphrase has at least {MIN_PASSPHRASE_BYTES} bytes")
    chosen = parameters or KdfParameters()
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    key, check = _derive(passphrase, salt, chosen)
    header: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "kdf": {
            "name": "argon2id",
            "memory_kib": chosen.memory_kib,
            "iterations": chosen.iterations,
            "lanes": chosen.lanes,
            "salt": salt.hex(),
        },
        "check": check.hex(),
        "nonce": nonce.hex(),
    }
    sealed = AESGCM(key).encrypt(nonce, seed, _associated(header))
    return json.dumps(header | {"sealed": sealed.hex()}, indent=1) + "\n"


def unseal(text: str, passphrase: bytes) -> bytes | VaultRefusal:
    """Return the seed of a sealed file's text, or the first reason why there is none."""
    if is_plain(text):
        return VaultRefusal.NOT_ENCRYPTED
    try:
        fields = json.loads(text)
    except ValueError:
        return VaultRefusal.NOT_A_VAULT
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        return VaultRefusal.NOT_A_VAULT
    if fields.get("version") != VERSION:
        return VaultRefusal.UNKNOWN_VERSION
    parsed = _parse(fields)
    if parsed is None:
        return VaultRefusal.NOT_A_VAULT
    if not parsed.parameters.in_bounds():
        return VaultRefusal.PARAMETERS_OUT_OF_BOUNDS
    key, check = _derive(passphrase, parsed.salt, parsed.parameters)
    if not hmac.compare_digest(check, parsed.check):
        return VaultRefusal.WRONG_PASSPHRASE
    header = {name: value for name, value in fields.items() if name != "sealed"}
    try:
        return AESGCM(key).decrypt(parsed.nonce, parsed.sealed, _associated(header))
    except InvalidTag:
        return VaultRefusal.TAMPERED


def is_plain(text: str) -> bool:
    """Return whether `text` is a seed that an earlier version wrote without encryption."""
    return _PLAIN.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class _Parsed:
    parameters: KdfParameters
    salt: bytes
    check: bytes
    nonce: bytes
    sealed: bytes


def _parse(fields: dict[str, Any]) -> _Parsed | None:
    """Return the parts of version 1; None when a field is missing, unknown, or of a wrong shape."""
    kdf = fields.get("kdf")
    if set(fields) != _FIELDS or not isinstance(kdf, dict) or set(kdf) != _KDF_FIELDS:
        return None
    numbers = {name: kdf[name] for name in _BOUNDS}
    if kdf["name"] != "argon2id" or not all(type(number) is int for number in numbers.values()):
        return None
    salt = _hex(kdf["salt"], _SALT_BYTES)
    check = _hex(fields["check"], _CHECK_BYTES)
    nonce = _hex(fields["nonce"], _NONCE_BYTES)
    sealed = _hex(fields["sealed"], SEED_BYTES + _TAG_BYTES)
    if salt is None or check is None or nonce is None or sealed is None:
        return None
    return _Parsed(KdfParameters(**numbers), salt, check, nonce, sealed)


def _hex(text: object, size: int) -> bytes | None:
    """Return exactly `size` bytes of lower-case hexadecimal text; None for anything else."""
    if not isinstance(text, str) or re.fullmatch(f"[0-9a-f]{{{2 * size}}}", text) is None:
        return None
    return bytes.fromhex(text)


def _derive(passphrase: bytes, salt: bytes, cost: KdfParameters) -> tuple[bytes, bytes]:
    """Return (key, hash of the check bytes)."""
    derived = Argon2id(
        salt=salt,
        length=_KEY_BYTES + _CHECK_BYTES,
        iterations=cost.iterations,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
    ).derive(passphrase)
    return derived[:_KEY_BYTES], hashlib.sha256(derived[_KEY_BYTES:]).digest()


def _associated(header: dict[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":")).encode("ascii")
