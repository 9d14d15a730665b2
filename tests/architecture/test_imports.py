"""The layers: who may import whom is written in pyproject.toml."""

from __future__ import annotations

from pathlib import Path

import pytest
from importlinter.cli import lint_imports

_ROOT = Path(__file__).resolve().parents[2]


def test_import_contracts_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every import contract is kept."""
    monkeypatch.chdir(_ROOT)
    monkeypatch.syspath_prepend(str(_ROOT))
    code = lint_imports(config_filename=str(_ROOT / "pyproject.toml"), no_cache=True)
    assert code == 0, capsys.readouterr().out
