"""`rialto doctor` names who answers questions about payments, and whom nobody can reach."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workers.__main__ import build
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
