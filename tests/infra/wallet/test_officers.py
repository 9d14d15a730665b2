"""Officers' keys: made once, private, pinned for the worker and for the signer."""

from __future__ import annotations

import stat
from pathlib import Path

from domain.approval import APPROVE, Statement
from infra.wallet.officers import (
    create_officers,
    load_private_key,
    pinned_path,
    private_key_path,
    sign_statement,
    signer_pinned_path,
    verify_ed25519,
)
from infra.wallet.pinned_officers import PinnedOfficers


def test_officers_are_created_once(tmp_path: Path) -> None:
    """A second start changes neither keys nor pins."""
    officers = create_officers(tmp_path)
    assert create_officers(tmp_path) == officers
    assert PinnedOfficers(pinned_path(tmp_path)) == officers
    assert PinnedOfficers(signer_pinned_path(tmp_path)) == officers
    for name in officers:
        assert stat.S_IMODE(private_key_path(tmp_path, name).stat().st_mode) == 0o600


def test_signature_is_the_pinned_keys(tmp_path: Path) -> None:
    """Signed with the file, verified with the pin; with another pin it fails."""
    officers = create_officers(tmp_path)
    key = load_private_key(private_key_path(tmp_path, "marta"))
    statement = Statement("w-1", APPROVE, "USDT", 5, "0xReceiver", 100)
    decision = sign_statement(key, "marta", statement)
    message, signature = decision.statement.encode(), bytes.fromhex(decision.signature_hex)
    pins = {name: bytes.fromhex(officer.public_key_hex) for name, officer in officers.items()}
    assert verify_ed25519(pins["marta"], message, signature)
    assert not verify_ed25519(pins["piero"], message, signature)
    assert not verify_ed25519(pins["marta"], message + b" ", signature)
    assert not verify_ed25519(b"short", message, signature)


def test_replaced_signer_pin_is_not_overwritten(tmp_path: Path) -> None:
    """Whoever changes the worker's file does not change whom the signer believes."""
    create_officers(tmp_path)
    before = signer_pinned_path(tmp_path).read_text()
    pinned_path(tmp_path).unlink()
    create_officers(tmp_path, ("mallory",))
    assert "mallory" in pinned_path(tmp_path).read_text()
    assert signer_pinned_path(tmp_path).read_text() == before
