"""`rialto bench replay` replays what it wrote, and to the same state."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from workers.__main__ import build


def test_a_journal_is_written_and_replayed() -> None:
    """Counts are those of the flow, and both replays give the writer's digest."""
    arguments = ["bench", "replay", "--commands", "3000", "--group", "70", "--passes", "1"]
    result = CliRunner().invoke(build(), [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    opening = 2_002  # epoch, listing, two payments to each of 1,000 accounts
    assert report["commands"] == 3_000 + opening
    assert report["commands_after_snapshot"] == 3_000 - (report["snapshot_at"] - opening)
    assert report["digest_equal"] is True
    assert report["event_bytes"] > report["commands"] * 64
    assert all(report[name] > 0 for name in report if "per_second" in name)
