"""Seal small secrets (API secrets) with AES-256-GCM under one key file."""

from __future__ import annotations

import hmac
import os
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES = 32
_NONCE_BYTES = 12


def gateway_key_path(secrets_dir: Path) -> Path:
    """Return the file of the key under which API secrets are sealed."""
    return secrets_dir / "gateway-key"


def history_key_path(secrets_dir: Path) -> Path:
    """Return where the key is under which exported histories are sealed."""
    return secrets_dir / "history-key"


def key_for(path: Path, purpose: str) -> bytes:
    """Return 32 bytes that only who reads the key at `path` can make, other ones per purpose."""
    SecretBox.from_file(path)  # which makes the file on first use
    return hmac.digest(path.read_bytes(), purpose.encode(), "sha256")


class SecretBox:
    """AES-256-GCM: 12 random bytes of nonce, then ciphertext and tag."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @staticmethod
    def from_file(path: Path) -> SecretBox:
        """Return the box of the key at `path`, creating the key (mode 0600) on first use.

        Two processes may race for the first use: the exclusive link lets exactly one key win.
        """
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(os.urandom(_KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(temporary, path)
            except FileExistsError:
                pass
            finally:
                temporary.unlink()
        key = path.read_bytes()
        if len(key) != _KEY_BYTES:
            raise ValueError(f"{path} does not hold a {_KEY_BYTES}-byte key")
        return SecretBox(key)

    def seal(self, secret: bytes, context: str) -> bytes:
        """Encrypt `secret`, bound to `context` (the key id): a sealed secret cannot be moved."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """Decrypt what `seal` made; a changed byte or another context raises `InvalidTag`."""
        return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode())
