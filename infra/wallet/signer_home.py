"""Gives the signer's process a user and a folder of its own, where root allows it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from infra.embedded.unprivileged import become_user, give_to, runs_as_root, signer_user
from infra.wallet.local_vault import made_path

SHARED = (
    "the signer runs as the same user as everything else: only root can give it a user and a "
    "folder of its own"
)
_RUN_MODE = 0o770 | stat.S_ISVTX  # the signer may add its heartbeat, and replace nobody else's file


def prepare_home(data_dir: Path, beat_path: Path) -> Callable[[], None] | str:
    """Return what the signer's child calls to become its own user, or why it cannot, in one line.

    Idempotent, and done before each start: files that root has written since become the signer's.
    """
    home = data_dir / "signer"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.chmod(0o700)
    if not runs_as_root():
        return SHARED
    user, run = signer_user(), beat_path.parent
    passphrase = made_path(data_dir)
    try:
        give_to(user, [home, *([passphrase] if passphrase.exists() else [])])
        beat_path.unlink(missing_ok=True)
        os.chown(run, -1, user.gid)
        run.chmod(_RUN_MODE)
    except OSError as error:  # a container without the right, or without this user's number
        return f"{SHARED}; here root may not: {error}"
    return become_user(user)
