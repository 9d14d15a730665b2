"""The ledger's measurements run on real servers and say whether the books add up."""

from __future__ import annotations

import json
from pathlib import Path

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


@pytest.mark.long
def test_settlement_is_measured_through_temporal() -> None:
    """All trades of a real journal are settled, with what each figure needs."""
    arguments = ["bench", "settlement", "--trades", "2000", "--lag-seconds", "1", "--json"]
    result = CliRunner().invoke(build(), arguments)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["trades"] >= 2000
    assert report["synchronous_commit"] == "on"
    assert report["bytes_per_trade"] > 100
    assert report["lag_p50_ms"] <= report["lag_p99_ms"] <= report["lag_max_ms"]
    assert report["row_by_row_trades_per_second"] > 0
    assert report["history_events"] > 0


@pytest.mark.long
def test_growth_is_measured_and_drawn(tmp_path: Path) -> None:
    """The cost a trade is measured step by step, and the curve is an SVG."""
    svg = tmp_path / "growth.svg"
    arguments = ["bench", "growth", "--rows", "3000", "--step", "1000", "--svg", str(svg), "--json"]
    result = CliRunner().invoke(build(), arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["rows"] >= 3000
    assert svg.read_text().startswith("<svg")
