"""The signer's own user and folder: where root allows it, and what is said where not."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.embedded.unprivileged import server_user, signer_user
from infra.wallet import signer_home
from infra.wallet.local_vault import made_path
from infra.wallet.signer_home import SHARED, prepare_home

_PROBE = """
import json, os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
def may(act):
    try:
        act()
    except OSError:
        return False
    return True
print(json.dumps({
    "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(),
    "reads_seed": may((folder / "signer" / "seed").read_text),
    "writes_journal": may(lambda: (folder / "signer" / "signed.jsonl").write_text("x")),
    "beats": may(lambda: (folder / "run" / "wallet-signer.json").write_text("x")),
    "replaces_beat": may(lambda: (folder / "run" / "gateway.json").unlink()),
    "writes_secrets": may(lambda: (folder / "secrets" / "x").write_text("x")),
    "changes_secret": may(lambda: (folder / "secrets" / "token").write_text("x")),
}))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a data folder as root's set-up leaves it."""
    for name in ("run", "secrets", "signer"):
        (tmp_path / name).mkdir(mode=0o700)
    for path in (tmp_path / "signer" / "seed", made_path(tmp_path), tmp_path / "secrets" / "token"):
        path.write_text("secret")
        path.chmod(0o600)
    (tmp_path / "run" / "gateway.json").write_text("{}")
    (tmp_path / "run" / "wallet-signer.json").write_text("{}")
    return tmp_path


def _prepare(folder: Path) -> Any:
    return prepare_home(folder, folder / "run" / "wallet-signer.json")


def test_child_is_a_user_of_its_own(folder: Path) -> None:
    """It has its folder and its heartbeat, and can change nothing of anybody else's."""
    home = _prepare(folder)
    if os.geteuid() != 0:
        assert home == SHARED
        return
    result = subprocess.run(
        [sys.executable, "-c", _PROBE, str(folder)],
        preexec_fn=home,
        capture_output=True,
        text=True,
        check=True,
    )
    user = signer_user()
    assert json.loads(result.stdout) == {
        "uid": user.uid,
        "gid": user.gid,
        "groups": [],
        "reads_seed": True,
        "writes_journal": True,
        "beats": True,
        "replaces_beat": False,
        "writes_secrets": False,
        "changes_secret": False,
    }


def test_folder_and_passphrase_are_its_own(folder: Path) -> None:
    """Nothing else runs as this user: not root, and not the database's."""
    home, user = _prepare(folder), signer_user()
    if os.geteuid() != 0:
        assert home == SHARED
        return
    assert user.uid not in {0, server_user().uid}
    for path in (folder / "signer", folder / "signer" / "seed", made_path(folder)):
        assert (path.stat().st_uid, path.stat().st_mode & 0o077) == (user.uid, 0)
    assert stat.S_IMODE((folder / "signer").stat().st_mode) == 0o700


def test_without_root_one_line_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is closed to others all the same."""
    monkeypatch.setattr(signer_home, "runs_as_root", lambda: False)
    (folder / "signer").chmod(0o755)
    assert _prepare(folder) == SHARED
    assert stat.S_IMODE((folder / "signer").stat().st_mode) == 0o700


def test_root_that_may_not_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root of a container may lack the right, or that user's number."""
    monkeypatch.setattr(signer_home, "runs_as_root", lambda: True)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    said = _prepare(folder)
    assert said.startswith(SHARED)
    assert "Operation not permitted" in said
