"""The default vault: a sealed file in the signer's folder, and a passphrase from elsewhere.

The passphrase is never on a command line nor in the environment, which children inherit and /proc
shows; the environment only names its file, `RIALTO_SIGNER_PASSPHRASE_FILE`, which may be an
inherited descriptor (`/dev/fd/3`). Without that it is the file that set-up made.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from infra.private_files import replace_private
from infra.wallet.vault import VaultError, VaultRefusal, is_plain, seal, unseal

VARIABLE = "RIALTO_SIGNER_PASSPHRASE_FILE"
_MADE_BYTES = 32
_LARGEST = 4096
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class PassphraseError(Exception):
    """There is no passphrase to use; the message says why."""


def seed_path(data_dir: Path) -> Path:
    """Return the file of the sealed seed, in the folder that only the signer may read."""
    return data_dir / "signer" / "seed"


def made_path(data_dir: Path) -> Path:
    """Return the file in which set-up keeps the passphrase that it has made."""
    return data_dir / "secrets" / "signer-passphrase"


def passphrase_path(data_dir: Path) -> Path:
    """Return the file that holds the passphrase."""
    named = os.environ.get(VARIABLE, "")
    return Path(named) if named else made_path(data_dir)


def read_passphrase(path: Path) -> bytes:
    """Return the file's content without the end of its line; `PassphraseError` if unfit."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise PassphraseError(
            f"the signer's passphrase cannot be read: {error}; name its file by {VARIABLE}"
        ) from error
    if stat.S_ISREG(mode) and mode & _OTHERS:
        raise PassphraseError(f"{path} can be read by others; take that away: chmod 600 {path}")
    passphrase = content.rstrip(b"\r\n")
    if not passphrase or len(content) > _LARGEST:
        raise PassphraseError(f"{path} is empty, or longer than {_LARGEST} bytes")
    return passphrase


def ensure_passphrase(data_dir: Path) -> bytes:
    """Return the passphrase, making it at first when no other file is named."""
    path = passphrase_path(data_dir)
    if path == made_path(data_dir) and not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_private(path, _new_passphrase() + "\n")
    return read_passphrase(path)


class LocalVault:
    """The vault of a data folder; a `SeedVault`."""

    def __init__(self, data_dir: Path) -> None:
        self._path = seed_path(data_dir)
        self._made = made_path(data_dir)
        self._current = passphrase_path(data_dir)

    def open(self) -> bytes:
        """Return the seed; finishes a change of passphrase that a crash has cut off.

        `VaultError` or `PassphraseError` when it is not to be had.
        """
        text = self._text()
        if is_plain(text):
            raise VaultError(VaultRefusal.NOT_ENCRYPTED, self._path)
        seed = unseal(text, read_passphrase(self._current))
        coming = self._coming()
        if seed is VaultRefusal.WRONG_PASSPHRASE and coming.exists():
            seed = unseal(text, read_passphrase(coming))
            if isinstance(seed, bytes):
                with contextlib.suppress(PermissionError):  # the signer's user may only read there
                    coming.replace(self._current)
        if isinstance(seed, VaultRefusal):
            raise VaultError(seed, self._path)
        return seed

    def change_passphrase(self, new_file: Path | None = None) -> Path:
        """Seal the seed, a plain one too, under another passphrase; return the passphrase's file.

        Without `new_file` a new one is made in the place of the one that set-up made. A crash at
        any step leaves a pair that opens: the new passphrase is on disk before the file needs it.
        """
        text = self._text()
        seed = bytes.fromhex(text.strip()) if is_plain(text) else self.open()
        if new_file is not None:
            replace_private(self._path, seal(seed, read_passphrase(new_file)))
            return new_file
        if self._current != self._made:
            raise PassphraseError(
                f"the passphrase is in a file of your own ({VARIABLE}); write the new one to "
                "another file, and name that with --new-file"
            )
        passphrase = _new_passphrase()
        self._made.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_private(self._coming(), passphrase + "\n")
        replace_private(self._path, seal(seed, passphrase.encode("ascii")))
        self._coming().replace(self._current)
        return self._current

    def _text(self) -> str:
        try:
            return self._path.read_text(errors="replace")
        except FileNotFoundError as error:
            raise VaultError(VaultRefusal.MISSING, self._path) from error

    def _coming(self) -> Path:
        """Return the file of the passphrase that is about to replace the one that was made."""
        return self._made.with_name(self._made.name + ".coming")


def _new_passphrase() -> str:
    return secrets.token_hex(_MADE_BYTES)
