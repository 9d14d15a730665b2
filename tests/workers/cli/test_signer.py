"""`rialto signer` on the files of a signer: no server is needed for any of it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner, Result

from domain.approval import Officer
from infra.private_files import write_private
from infra.staff_file import create_demo_staff
from infra.wallet.keys import create_wallet
from infra.wallet.local_vault import VARIABLE, LocalVault, made_path
from infra.wallet.officers import (
    create_officers,
    load_private_key,
    pinned_path,
    private_key_path,
    signer_pinned_path,
)
from infra.wallet.pinned_officers import PinnedOfficers
from infra.wallet.signer_log import signer_log_path
from workers.__main__ import build


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a data folder with a seed and two officers."""
    monkeypatch.delenv(VARIABLE, raising=False)
    create_wallet(tmp_path)
    create_officers(tmp_path)
    return tmp_path


def _rialto(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(build(), ["signer", *words, "--data", str(folder)])


def test_keys_lists_the_pinned_officers(folder: Path) -> None:
    """With the public keys that the signer counts, for people and for machines."""
    plain = _rialto(folder, "keys")
    listed = json.loads(_rialto(folder, "keys", "--json").stdout)
    assert [entry["officer"] for entry in listed] == ["marta", "piero"]
    assert all(entry["public_key"] in plain.stdout for entry in listed)
    assert all(entry["revoked"] is None for entry in listed)


def test_revoked_officer_is_gone_from_both_files(folder: Path) -> None:
    """And stays in the list, with the reason and who did it."""
    done = _rialto(folder, "revoke", "piero", "--reason", "left the company")
    assert done.exit_code == 0
    assert "withdrawals that need two cannot be approved" in done.stderr
    for path in (pinned_path(folder), signer_pinned_path(folder)):
        assert list(PinnedOfficers(path)) == ["marta"]
    assert "left the company" in _rialto(folder, "keys").stdout
    again = _rialto(folder, "revoke", "piero", "--reason", "again")
    assert (again.exit_code, "already_revoked" in again.stderr) == (1, True)


def test_revoking_needs_a_reason(folder: Path) -> None:
    """An empty one is none."""
    assert _rialto(folder, "revoke", "piero").exit_code == 2
    assert _rialto(folder, "revoke", "piero", "--reason", " ").exit_code == 2
    assert len(PinnedOfficers(signer_pinned_path(folder))) == 2


def test_rotation_makes_a_new_pair_here(folder: Path) -> None:
    """The key file and both pins have the new key; the former one is kept for history."""
    before = PinnedOfficers(signer_pinned_path(folder))["marta"].public_key_hex
    done = json.loads(_rialto(folder, "rotate", "marta", "--json").stdout)
    key = load_private_key(private_key_path(folder, "marta")).public_key().public_bytes_raw().hex()
    assert done["public_key"] == key != before
    assert done["former_keys"] == [before]
    for path in (pinned_path(folder), signer_pinned_path(folder)):
        assert PinnedOfficers(path)["marta"].public_key_hex == key
    assert stat.S_IMODE(private_key_path(folder, "marta").stat().st_mode) == 0o600


def test_rotation_to_a_key_that_is_kept_elsewhere(folder: Path) -> None:
    """The officer made it himself; a key that somebody has or had is refused."""
    public = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    assert _rialto(folder, "rotate", "marta", "--public-key", public).exit_code == 0
    assert PinnedOfficers(signer_pinned_path(folder))["marta"].public_key_hex == public
    shared = _rialto(folder, "rotate", "piero", "--public-key", public)
    assert (shared.exit_code, "key_of_an_officer" in shared.stderr) == (1, True)
    malformed = _rialto(folder, "rotate", "piero", "--public-key", "abc")
    assert (malformed.exit_code, "malformed_key" in malformed.stderr) == (1, True)


def test_an_additional_officer_is_pinned(folder: Path) -> None:
    """In both files and the log, with the own account; who is pinned already, by whom, is told."""
    public = Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    words = ("--public-key", public, "--reason", "third officer")
    done = _rialto(folder, "pin", "nora", *words, "--customer-id", "7", "--json")
    assert json.loads(done.stdout)["customer_id"] == 7
    for path in (pinned_path(folder), signer_pinned_path(folder)):
        assert PinnedOfficers(path)["nora"] == Officer("nora", public, 7)
    logged = _rialto(folder, "log").stdout
    assert "officer_pinned" in logged
    assert "third officer" in logged


@pytest.mark.parametrize(
    ("name", "key", "words"),
    [
        ("marta", "ab" * 32, "already_pinned"),
        ("piero", "ab" * 32, "already_revoked"),
        ("Nora", "ab" * 32, "malformed_name"),
        ("nora", "AB" * 32, "malformed_key"),
        ("nora", "", "malformed_key"),
        ("nora", "of marta", "key_of_an_officer"),
        ("olga", "ab" * 32, "rialto staff remove"),
    ],
)
def test_pins_that_make_no_sense(folder: Path, name: str, key: str, words: str) -> None:
    """Two names are never one key or one person, and nothing is written."""
    create_demo_staff(folder / "secrets")
    _rialto(folder, "revoke", "piero", "--reason", "left")
    before = signer_pinned_path(folder).read_text()
    if key == "of marta":
        key = PinnedOfficers(signer_pinned_path(folder))["marta"].public_key_hex
    done = _rialto(folder, "pin", name, "--public-key", key, "--reason", "x")
    assert (done.exit_code, words in done.stderr) == (1, True), done.output
    assert _rialto(folder, "pin", "nora", "--public-key", key, "--reason", " ").exit_code == 2
    assert signer_pinned_path(folder).read_text() == before


def test_unknown_officer_is_told(folder: Path) -> None:
    """With the verb that lists who there is."""
    for words in (["rotate", "mallory"], ["revoke", "mallory", "--reason", "x"]):
        done = _rialto(folder, *words)
        assert (done.exit_code, "rialto signer keys" in done.stderr) == (1, True)


def test_changes_are_in_the_signers_own_log(folder: Path) -> None:
    """Chained: a line that was changed afterwards is named."""
    _rialto(folder, "rotate", "marta", "--reason", "yearly")
    _rialto(folder, "revoke", "piero", "--reason", "left")
    _rialto(folder, "passphrase")
    done = _rialto(folder, "log")
    assert done.exit_code == 0
    for word in ("officer_key_rotated", "yearly", "officer_revoked", "left", "passphrase_changed"):
        assert word in done.stdout
    path = signer_log_path(folder)
    path.write_text(path.read_text().replace("left", "lost"))
    changed = _rialto(folder, "log")
    assert (changed.exit_code, "record 2 was changed" in changed.stdout) == (1, True)


def test_passphrase_is_changed(folder: Path) -> None:
    """The seed stays; neither passphrase is ever printed."""
    seed, before = LocalVault(folder).open(), made_path(folder).read_text().strip()
    done = _rialto(folder, "passphrase")
    after = made_path(folder).read_text().strip()
    assert (done.exit_code, after != before) == (0, True)
    assert LocalVault(folder).open() == seed
    assert before not in done.output
    assert after not in done.output


def test_passphrase_of_ones_own(folder: Path, tmp_path: Path) -> None:
    """The verb says how the signer finds it from now on; a short one is refused."""
    own = tmp_path / "own"
    write_private(own, "short")
    refused = _rialto(folder, "passphrase", "--new-file", str(own))
    assert (refused.exit_code, "at least 12 bytes" in refused.stderr) == (1, True)
    own.write_text("an operator's own words")
    done = _rialto(folder, "passphrase", "--new-file", str(own))
    assert (done.exit_code, f"{VARIABLE}={own}" in done.stdout) == (0, True)


def test_folder_without_a_signer_is_told(tmp_path: Path) -> None:
    """A wrong --data is no crash."""
    for words in (["keys"], ["passphrase"], ["revoke", "marta", "--reason", "x"]):
        done = _rialto(tmp_path, *words)
        assert (done.exit_code, str(tmp_path) in done.stderr) == (1, True)
