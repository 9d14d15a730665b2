"""What can be read in an exported history."""

from __future__ import annotations

from pathlib import Path

from domain.workflow_history import completed_steps, count_events

HISTORY = (Path(__file__).parents[1] / "histories" / "withdrawal-settled-1.json").read_text()


def test_completed_steps_are_counted_by_name() -> None:
    """A recorded history of a withdrawal that was paid: each step once, two questions twice."""
    steps = completed_steps(HISTORY)
    assert steps["settle_withdrawal"] == steps["hold_withdrawal"] == 1
    assert steps["signing_order"] == 2
    assert "approve" not in steps
    assert count_events(HISTORY) == 100
