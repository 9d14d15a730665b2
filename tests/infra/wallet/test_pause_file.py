"""The pause of payments: one signature stops them, two of different keys let them go on."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.approval import Officer
from domain.payment_pause import PAUSED, PaymentPause, is_resumed
from infra.wallet.officers import verify_ed25519
from infra.wallet.pause_file import (
    PauseOnFile,
    pause_path,
    pause_refusal,
    read_pause,
    write_pause,
)
from infra.wallet.signer_refusal import SignerRefusal

KEYS = {name: Ed25519PrivateKey.generate() for name in ("marta", "piero", "olga")}
OFFICERS = {
    name: Officer(name, key.public_key().public_bytes_raw().hex()) for name, key in KEYS.items()
}
PAUSE = PaymentPause("01a2208a-9725-754f-9239-03cad03667e7", "marta", "a key is missing", 100)


def _signed(name: str, text: str) -> str:
    return KEYS[name].sign(text.encode()).hex()


def test_two_officers_of_different_keys_resume() -> None:
    """One is too few, another text counts for nothing, and two names of one key are one."""
    one = {"marta": _signed("marta", PAUSE.resumption())}
    two = one | {"piero": _signed("piero", PAUSE.resumption())}
    assert not is_resumed(PAUSE, {}, OFFICERS, verify_ed25519)
    assert not is_resumed(PAUSE, one, OFFICERS, verify_ed25519)
    assert is_resumed(PAUSE, two, OFFICERS, verify_ed25519)
    forged = one | {"piero": _signed("piero", PAUSE.statement())}
    assert not is_resumed(PAUSE, forged, OFFICERS, verify_ed25519)
    stranger = one | {"nobody": _signed("piero", PAUSE.resumption())}
    assert not is_resumed(PAUSE, stranger, OFFICERS, verify_ed25519)
    twice = {"marta": one["marta"], "double": one["marta"]}
    doubled = OFFICERS | {"double": Officer("double", OFFICERS["marta"].public_key_hex)}
    assert not is_resumed(PAUSE, twice, doubled, verify_ed25519)


def test_another_pause_is_not_ended_by_old_signatures() -> None:
    """Signatures name the pause that they end."""
    signatures = {name: _signed(name, PAUSE.resumption()) for name in ("marta", "piero")}
    later = PaymentPause(PAUSE.pause_id, "marta", "again", 200)
    assert not is_resumed(later, signatures, OFFICERS, verify_ed25519)


def test_the_signers_file_holds_until_two_have_signed(tmp_path: Path) -> None:
    """It survives a restart, says why, and what cannot be read stops everything."""
    path = pause_path(tmp_path)
    path.parent.mkdir()
    assert pause_refusal(path, OFFICERS) is None
    write_pause(path, PauseOnFile(PAUSE))
    refused = pause_refusal(path, OFFICERS)
    assert refused is not None
    assert refused.reason is SignerRefusal.PAYMENTS_PAUSED
    assert refused.detail.startswith(PAUSED)
    assert "a key is missing" in refused.detail
    signatures = {name: _signed(name, PAUSE.resumption()) for name in ("marta", "piero")}
    write_pause(path, PauseOnFile(PAUSE, signatures))
    assert pause_refusal(path, OFFICERS) is None
    assert read_pause(path) == PauseOnFile(PAUSE, signatures)
    for torn in ("", "[]", "{}", '{"pause": {}, "signatures": {}}'):
        path.write_text(torn)
        assert pause_refusal(path, OFFICERS) is not None
