"""One folder, one exchange."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from infra.embedded.ports import free_port
from workers.data_folder import (
    FolderInUseError,
    choose_ports,
    make_folders,
    owned,
    supervisor_pid,
    write_json,
)


def test_second_owner_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    """The refusal names the process and says what to do."""
    with owned(tmp_path), pytest.raises(FolderInUseError) as caught:  # noqa: PT012
        assert supervisor_pid(tmp_path) == os.getpid()
        with owned(tmp_path):
            raise AssertionError("two owners")
    assert caught.value.pid == os.getpid()
    assert "--data" in str(caught.value)


def test_folder_is_free_after_its_owner_was_killed(tmp_path: Path) -> None:
    """A lock dies with its process, whatever its file says."""
    program = (
        "import os, sys, pathlib, signal\n"
        "from workers.data_folder import owned\n"
        "with owned(pathlib.Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=root, check=False)
    assert supervisor_pid(tmp_path) is None
    with owned(tmp_path):
        assert supervisor_pid(tmp_path) == os.getpid()


def test_secrets_are_for_the_owner_only(tmp_path: Path) -> None:
    """Folders are 0700, files of settings 0600."""
    make_folders(tmp_path)
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {"0o700"}
    write_json(tmp_path / "run" / "env.json", {"a": 1})
    assert oct((tmp_path / "run" / "env.json").stat().st_mode & 0o777) == "0o600"


def test_ports_are_kept_while_they_are_free(tmp_path: Path) -> None:
    """The page keeps its address from start to start; a taken port is replaced."""
    make_folders(tmp_path)
    first = choose_ports(tmp_path, {"page": 0, "ui": 0})
    assert choose_ports(tmp_path, {"page": 0, "ui": 0}) == first
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", first["page"]))
        busy.listen()
        second = choose_ports(tmp_path, {"page": 0, "ui": 0})
    assert second["ui"] == first["ui"]
    assert second["page"] != first["page"]


_CHOOSES = (
    "import json, pathlib, sys; from workers.data_folder import choose_ports;"
    "print(json.dumps(choose_ports(pathlib.Path(sys.argv[1]), json.loads(sys.argv[2]))))"
)


def test_two_exchanges_that_start_together_take_other_ports(tmp_path: Path) -> None:
    """Before a server has bound its port, and with the same wishes."""
    for name in ("first", "second"):
        make_folders(tmp_path / name)
    chosen = choose_ports(tmp_path / "first", {"page": free_port(), "ui": 0})
    words = [sys.executable, "-c", _CHOOSES, str(tmp_path / "second"), json.dumps(chosen)]
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60)
    second = json.loads(done.stdout)
    assert second.keys() == chosen.keys()
    assert not set(second.values()) & set(chosen.values())
