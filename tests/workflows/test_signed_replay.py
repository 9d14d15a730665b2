"""Recorded histories of changes of markets, adjustments and fee tiers still lead where they did."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from workflows.adjustment import AdjustmentWorkflow
from workflows.fee_tiers import FeeTiersWorkflow
from workflows.market_change import MarketChangeWorkflow

HISTORIES = Path(__file__).parents[1] / "histories"
KINDS = ("market-change", "adjustment", "fee-tiers")
RECORDED = sorted(path for kind in KINDS for path in HISTORIES.glob(f"{kind}-*.json"))


@pytest.fixture(params=RECORDED, ids=lambda path: path.stem)
def history(request: pytest.FixtureRequest) -> WorkflowHistory:
    """Give each recorded history."""
    return WorkflowHistory.from_json(request.param.stem, request.param.read_text())


async def test_history_replays(history: WorkflowHistory) -> None:
    """A change that would break a running workflow fails here first."""
    replayer = Replayer(
        workflows=[AdjustmentWorkflow, FeeTiersWorkflow, MarketChangeWorkflow], build_id="test"
    )
    await replayer.replay_workflow(history)


def test_the_ways_through_are_recorded() -> None:
    """Applied, expired, refused twice and given up; posted; a day's tiers."""
    names = {path.stem.rsplit("-", 1)[0] for path in RECORDED}
    assert names == {
        "adjustment-posted",
        "fee-tiers",
        "market-change-abandoned",
        "market-change-applied",
        "market-change-expired",
    }
