"""`rialto bench risk` scans what it says, and its falls find whoever they should."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from workers.__main__ import build


def test_a_small_book_is_scanned() -> None:
    """Every account has its positions, and a deeper fall breaches more of them."""
    arguments = ["bench", "risk", "--accounts", "300", "--positions", "3", "--passes", "2"]
    result = CliRunner().invoke(build(), [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["accounts"], report["positions"]) == (300, 900)
    assert report["scan_ms"] > 0
    assert report["changes_per_second"] > 0
    breached = [
        report["breached"],
        *(row["breached"] for row in report["after_a_fall_of"].values()),
    ]
    assert breached == sorted(breached)
    assert breached[-1] > breached[0]
    assert "after a" not in CliRunner().invoke(build(), arguments).stdout
