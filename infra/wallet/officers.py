"""Officers: who may approve withdrawals, and their Ed25519 keys.

Public keys are pinned in two files that no network service writes: one for the workflow worker,
one for the signer. A process that can write the first still cannot make the signer sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from domain.approval import Decision, Officer, Statement
from infra.private_files import replace_private, write_private
from infra.wallet.pinned_officers import Pin, pins_text

DEMO_OFFICERS = ("marta", "piero")


def pinned_path(data_dir: Path) -> Path:
    """Return the worker's file of pinned keys."""
    return data_dir / "secrets" / "officers.json"


def signer_pinned_path(data_dir: Path) -> Path:
    """Return the signer's own file of pinned keys."""
    return data_dir / "signer" / "officers.json"


def private_key_path(data_dir: Path, officer: str) -> Path:
    """Return the file of a demo officer's private key."""
    return data_dir / "secrets" / f"officer-{officer}.pem"


def create_officers(data_dir: Path, names: Sequence[str] = DEMO_OFFICERS) -> dict[str, Officer]:
    """Make the demo officers' keys where they are missing and pin the public halves."""
    officers = {name: Officer(name, public_hex(_ensure_key(data_dir, name))) for name in names}
    for path in (pinned_path(data_dir), signer_pinned_path(data_dir)):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            write_private(path, pins_text({name: Pin(it) for name, it in officers.items()}))
    return officers


def _ensure_key(data_dir: Path, name: str) -> Ed25519PrivateKey:
    path = private_key_path(data_dir, name)
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, pem_of(Ed25519PrivateKey.generate()))
    return load_private_key(path)


def pem_of(key: Ed25519PrivateKey) -> str:
    """Return the text of a private key's file."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode("ascii")


def public_hex(key: Ed25519PrivateKey) -> str:
    """Return the public half of a key."""
    return key.public_key().public_bytes_raw().hex()


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Return the Ed25519 private key of a PEM file."""
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(f"{path.name} is not an Ed25519 key")
    return key


def make_new_key(data_dir: Path, name: str) -> str:
    """Put a new private key in the place of an officer's on this machine; return its public half.

    `FileNotFoundError` when his key is not kept here.
    """
    path = private_key_path(data_dir, name)
    if not path.exists():
        raise FileNotFoundError(path)
    key = Ed25519PrivateKey.generate()
    replace_private(path, pem_of(key))
    return public_hex(key)


def sign_statement(key: Ed25519PrivateKey, officer: str, statement: Statement) -> Decision:
    """Return the officer's signed decision."""
    text = statement.canonical()
    return Decision(
        officer=officer,
        action=statement.action,
        statement=text,
        signature_hex=key.sign(text.encode("utf-8")).hex(),
    )


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether `signature` over `message` is the key's."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
