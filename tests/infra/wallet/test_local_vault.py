"""The vault of a data folder: where its passphrase comes from, and how it is changed safely."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from infra.private_files import write_private
from infra.wallet.keys import create_wallet, load_seed
from infra.wallet.local_vault import (
    VARIABLE,
    LocalVault,
    PassphraseError,
    made_path,
    passphrase_path,
    read_passphrase,
    seed_path,
)
from infra.wallet.vault import VaultError, VaultRefusal


@pytest.fixture(autouse=True)
def _no_file_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


def test_setup_makes_a_private_passphrase_apart_from_the_seed(tmp_path: Path) -> None:
    """One command starts an exchange; whoever copies the signer's folder has no seed."""
    create_wallet(tmp_path)
    made = made_path(tmp_path)
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert made.parent != seed_path(tmp_path).parent
    assert len(read_passphrase(made)) == 64


def test_named_file_is_used_and_none_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator's own file replaces the one that set-up would make."""
    own = tmp_path / "own"
    write_private(own, "an operator's own words\r\n")
    monkeypatch.setenv(VARIABLE, str(own))
    public = create_wallet(tmp_path)
    assert not made_path(tmp_path).exists()
    assert load_seed(LocalVault(tmp_path)).public() == public
    own.write_text("an operator's other words\n")
    with pytest.raises(VaultError, match="passphrase is not this file's"):
        LocalVault(tmp_path).open()


def test_descriptor_may_carry_the_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it lies in no file of this machine."""
    reader, writer = os.pipe()
    os.write(writer, b"through a pipe only\n")
    os.close(writer)
    try:
        monkeypatch.setenv(VARIABLE, f"/dev/fd/{reader}")
        assert read_passphrase(passphrase_path(tmp_path)) == b"through a pipe only"
    finally:
        os.close(reader)


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_file_that_others_read_is_refused(tmp_path: Path, mode: int) -> None:
    """What others can read is no secret."""
    path = tmp_path / "passphrase"
    write_private(path, "known to the group\n")
    path.chmod(mode)
    with pytest.raises(PassphraseError, match="chmod 600"):
        read_passphrase(path)


@pytest.mark.parametrize("content", ["", "\n", "x" * 5000])
def test_empty_and_endless_files_are_refused(tmp_path: Path, content: str) -> None:
    """A cut-off file is no passphrase."""
    path = tmp_path / "passphrase"
    write_private(path, content)
    with pytest.raises(PassphraseError, match="empty, or longer"):
        read_passphrase(path)


def test_missing_passphrase_names_the_variable(tmp_path: Path) -> None:
    """The operator learns where one is looked for."""
    create_wallet(tmp_path)
    made_path(tmp_path).unlink()
    with pytest.raises(PassphraseError, match=VARIABLE):
        LocalVault(tmp_path).open()


def test_missing_seed_is_told(tmp_path: Path) -> None:
    """A folder without a seed is not taken for one with another passphrase."""
    with pytest.raises(VaultError) as error:
        LocalVault(tmp_path).open()
    assert error.value.reason is VaultRefusal.MISSING


def test_plain_seed_of_an_old_folder_is_refused_and_can_be_encrypted(tmp_path: Path) -> None:
    """The message says what to do, and doing it keeps the coins."""
    path = seed_path(tmp_path)
    path.parent.mkdir()
    write_private(path, bytes(range(32)).hex() + "\n")
    with pytest.raises(VaultError, match="rialto signer passphrase"):
        LocalVault(tmp_path).open()
    LocalVault(tmp_path).change_passphrase()
    assert LocalVault(tmp_path).open() == bytes(range(32))
    assert bytes(range(32)).hex() not in path.read_text()


def test_change_makes_the_old_passphrase_useless(tmp_path: Path) -> None:
    """The seed stays, its file and the passphrase are others."""
    create_wallet(tmp_path)
    seed, sealed = LocalVault(tmp_path).open(), seed_path(tmp_path).read_text()
    before = read_passphrase(made_path(tmp_path))
    assert LocalVault(tmp_path).change_passphrase() == made_path(tmp_path)
    assert LocalVault(tmp_path).open() == seed
    assert seed_path(tmp_path).read_text() != sealed
    assert read_passphrase(made_path(tmp_path)) != before
    assert stat.S_IMODE(seed_path(tmp_path).stat().st_mode) == 0o600


def test_change_to_a_file_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From then on that file must be named; without a new file an own one is not overwritten."""
    create_wallet(tmp_path)
    seed, own = LocalVault(tmp_path).open(), tmp_path / "own"
    write_private(own, "an operator's own words\n")
    assert LocalVault(tmp_path).change_passphrase(own) == own
    with pytest.raises(VaultError):
        LocalVault(tmp_path).open()
    monkeypatch.setenv(VARIABLE, str(own))
    assert LocalVault(tmp_path).open() == seed
    with pytest.raises(PassphraseError, match="--new-file"):
        LocalVault(tmp_path).change_passphrase()


def test_change_that_a_crash_cut_off_is_finished(tmp_path: Path) -> None:
    """The seed is sealed under the coming passphrase, which was not moved yet."""
    create_wallet(tmp_path)
    seed, made = LocalVault(tmp_path).open(), made_path(tmp_path)
    before = made.read_text()
    LocalVault(tmp_path).change_passphrase()
    coming = made.with_name(made.name + ".coming")
    made.rename(coming)
    write_private(made, before)
    assert LocalVault(tmp_path).open() == seed
    assert not coming.exists()
    assert LocalVault(tmp_path).open() == seed
