"""The ledger's measurements run on real servers and say whether the books add up."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from workers.__main__ import build

pytestmark = pytest.mark.servers


def test_transfers_are_measured_and_none_is_lost() -> None:
    """Many accounts and two: something moved, conflicts were met, no update was lost."""
    arguments = ["bench", "ledger", "--seconds", "1", "--accounts", "20", "--json"]
    result = CliRunner().invoke(build(), arguments)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    for part in ("many", "two"):
        assert report[f"{part}_transfers"] > 0
        assert report[f"{part}_conflict_rate"] > 0
        assert report[f"{part}_lost_updates"] == 0
        assert report[f"{part}_refused"] == 0
