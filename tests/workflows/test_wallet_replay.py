"""Recorded histories of the wallet's workflows still lead to the same decisions."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from workflows.deposit import DepositWorkflow
from workflows.shard_transfer import ShardTransferWorkflow
from workflows.withdrawal import WithdrawalWorkflow

HISTORIES = Path(__file__).parents[1] / "histories"
KINDS = ("withdrawal", "deposit", "transfer")
RECORDED = sorted(path for kind in KINDS for path in HISTORIES.glob(f"{kind}-*.json"))


@pytest.fixture(params=RECORDED, ids=lambda path: path.stem)
def history(request: pytest.FixtureRequest) -> WorkflowHistory:
    """Give each recorded history."""
    return WorkflowHistory.from_json(request.param.stem, request.param.read_text())


async def test_history_replays(history: WorkflowHistory) -> None:
    """A change that would break a running workflow fails here first."""
    replayer = Replayer(
        workflows=[DepositWorkflow, WithdrawalWorkflow, ShardTransferWorkflow], build_id="test"
    )
    await replayer.replay_workflow(history)


def test_the_ways_through_a_withdrawal_are_recorded() -> None:
    """Paid, approved, parked, rejected, cancelled, overdue, given up; a deposit, a transfer."""
    names = {path.stem.rsplit("-", 1)[0] for path in RECORDED}
    assert names == {
        "deposit-credited",
        "deposit-voided",
        "transfer-done",
        "withdrawal-approved",
        "withdrawal-cancelled",
        "withdrawal-overdue",
        "withdrawal-parked",
        "withdrawal-rejected",
        "withdrawal-settled",
        "withdrawal-voided",
    }
