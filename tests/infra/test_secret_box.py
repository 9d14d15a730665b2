"""Sealed secrets: bound to their key id, useless without the key file."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from infra.secret_box import SecretBox, gateway_key_path


def test_what_was_sealed_opens(tmp_path: Path) -> None:
    """Another process with the same key file opens it."""
    path = gateway_key_path(tmp_path / "secrets")
    sealed = SecretBox.from_file(path).seal(b"secret", "key-1")
    assert SecretBox.from_file(path).open(sealed, "key-1") == b"secret"
    assert b"secret" not in sealed


def test_the_key_file_is_private_and_made_once(tmp_path: Path) -> None:
    """Mode 0600, and never replaced."""
    path = tmp_path / "gateway-key"
    SecretBox.from_file(path)
    first = path.read_bytes()
    SecretBox.from_file(path)
    assert path.read_bytes() == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in tmp_path.iterdir()] == ["gateway-key"]


def test_a_sealed_secret_cannot_be_moved_or_changed(tmp_path: Path) -> None:
    """Under another key id, or with a flipped bit, it does not open."""
    box = SecretBox.from_file(tmp_path / "key")
    sealed = box.seal(b"secret", "key-1")
    with pytest.raises(InvalidTag):
        box.open(sealed, "key-2")
    with pytest.raises(InvalidTag):
        box.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "key-1")


def test_a_short_key_file_is_refused(tmp_path: Path) -> None:
    """A damaged key is noticed at start."""
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(ValueError, match="32-byte key"):
        SecretBox.from_file(tmp_path / "key")
