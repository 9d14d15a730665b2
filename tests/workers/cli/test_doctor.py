"""`rialto doctor`: what keeps Rialto from running, or does not answer, with what to do."""

from __future__ import annotations

import errno
import json
import shutil
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from matching import core_engine
from workers.__main__ import build
from workers.cli import doctor
from workers.data_folder import make_folders, owned


def _screening(folder: Path) -> dict[str, object]:
    done = CliRunner().invoke(build(), ["doctor", "--json", "--data", str(folder)])
    (found,) = [it for it in json.loads(done.stdout) if it["name"] == "screening"]
    return dict(found)


def test_who_is_asked_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own rules by default; a service by its host, and never by what its address carries."""
    own = _screening(tmp_path)
    assert own["ok"]
    assert "identity: the tiers that staff give" in str(own["found"])
    monkeypatch.setenv("RIALTO_IDENTITY_URL", "https://us:hidden@known.example/ask?key=hidden")
    asked = _screening(tmp_path)
    assert asked["ok"]
    assert "identity: https://known.example" in str(asked["found"])
    assert "hidden" not in str(asked)


def test_an_address_that_is_none_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked there is never answered, and payments wait."""
    for address in ("nowhere", "http://["):
        monkeypatch.setenv("RIALTO_IDENTITY_URL", address)
        found = _screening(tmp_path)
        assert (found["ok"], "identity: no address" in str(found["found"])) == (False, True)


def test_a_running_exchange_speaks_for_itself(tmp_path: Path) -> None:
    """The process that asks says in its heartbeat whether it was answered."""
    away = "identity: https://known.example does not answer"
    make_folders(tmp_path)
    beat = {"detail": {"asked": {"identity": "https://known.example does not answer"}}}
    (tmp_path / "run" / "temporal-worker.json").write_text(json.dumps(beat))
    with owned(tmp_path):
        found = _screening(tmp_path)
    assert (found["ok"], found["found"]) == (False, away)


def test_a_folder_that_cannot_be_one(tmp_path: Path) -> None:
    """A file in its place, or above it."""
    file = tmp_path / "file"
    file.touch()
    for folder in (file, file / "below"):
        found = doctor._data(folder)
        assert (found.ok, found.advice) == (False, f"{file} is a file: use --data DIR.")


def test_a_folder_that_is_not_ours_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a finding of each check that wants to, and the others go on."""

    def closed(_: Path, __: int | None) -> int:
        raise PermissionError(errno.EACCES, "no", str(tmp_path))

    monkeypatch.setattr("workers.data_folder.shard_count", closed)
    done = CliRunner().invoke(build(), ["doctor", "--json", "--data", str(tmp_path)])
    (shards,) = [it for it in json.loads(done.stdout) if it["name"] == "shards"]
    assert (done.exit_code, shards["ok"]) == (1, False)
    assert shards["found"] == f"{tmp_path} is not yours to read"


def test_a_folder_yet_to_be_made(tmp_path: Path) -> None:
    """The nearest one above counts."""
    found = doctor._data(tmp_path / "a" / "b")
    assert (found.ok, found.found) == (True, str(tmp_path / "a" / "b"))
    assert doctor._disk(tmp_path / "a" / "b").found.endswith(" GB free")


@pytest.mark.parametrize(
    ("compiler", "why"),
    [(None, "there is no C++ compiler"), ("/usr/bin/c++", "/usr/bin/c++ did not build it")],
)
def test_the_plain_engine_is_told(
    monkeypatch: pytest.MonkeyPatch, compiler: str | None, why: str
) -> None:
    """It runs, slowly: no fault, and a way to the fast one."""
    monkeypatch.setattr(core_engine, "load_core", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda _: compiler)
    found = doctor._engine(Path())
    assert found.ok
    assert why in found.found
    assert "apt install g++" in found.found


def test_ports_that_are_taken(tmp_path: Path) -> None:
    """Those of the last start, or those that a first one prefers: no fault, another is taken."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "ports.json").write_text(json.dumps({"gateway": port}))
        found = doctor._ports(tmp_path)
    assert found.ok
    assert found.found == f"gateway {port} taken: the next start picks others"
    assert doctor._ports(tmp_path).found == "those of the last start are free"
