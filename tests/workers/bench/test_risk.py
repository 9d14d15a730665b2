"""`rialto bench risk` scans what it says, and its falls find whoever they should."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from workers.__main__ import build


def _report(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(build(), ["bench", "risk", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_small_book_is_scanned() -> None:
    """Every account has its positions, and a deeper fall breaches more of them."""
    report = _report("--accounts", "300", "--only", "scan_ms")
    assert (report["accounts"], report["positions"]) == (300, 600)
    assert report["scan_ms"] > 0
    assert report["changes_per_second"] > 0
    breached = [
        report["breached"],
        *(row["breached"] for row in report["after_a_fall_of"].values()),
    ]
    assert breached == sorted(breached)
    assert breached[-1] > breached[0]
    text = (
        CliRunner()
        .invoke(build(), ["bench", "risk", "--accounts", "300", "--only", "scan_ms"])
        .stdout
    )
    assert "scan ms" in text


def test_what_it_cannot_measure_is_said() -> None:
    """An unknown field, and more scopes than there are accounts for."""
    for arguments, words in (
        (["--only", "speed"], "--only takes"),
        (["--accounts", "100", "--scopes", "500"], "longs in a market"),
    ):
        result = CliRunner().invoke(build(), ["bench", "risk", *arguments])
        assert result.exit_code == 2
        assert words in result.output


@pytest.mark.long
@pytest.mark.servers
def test_real_processes_are_measured() -> None:
    """Every part on a small exchange of its own: everybody is final, every field is there."""
    report = _report("--accounts", "2000", "--scopes", "100", "--marks", "3")
    assert report["mass_final"]
    assert report["freeze_all_scopes"] == report["mass_scopes"] == 100
    assert sum(report["mass_steps"].values()) >= 100
    assert report["funding_entries"] == report["accounts"] == 2_000
    assert report["tick_scopes"] == 30
    assert 0 < report["tick_to_order_p50_ms"] <= report["tick_to_order_p99_ms"]
    assert report["waiting_cost"]["missing_units_at_once"] > 0
