"""Parking: a signer that is away, shown to operators and in search."""

from __future__ import annotations

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.signing import SigningRequest
from activities.withdrawal_review import StepResult
from domain.withdrawal import WithdrawalRequest
from tests.workflows.withdrawal_steps import ApprovedSteps, until_parked
from workflows import withdrawal
from workflows.parking import RetryRequest
from workflows.withdrawal import WithdrawalWorkflow

pytestmark = pytest.mark.servers
QUEUE = "wallet-parking-test"


class Steps(ApprovedSteps):
    """An approved withdrawal whose signing order nobody takes."""

    @activity.defn(name="signing_order")
    async def signing_order(self, request: WithdrawalRequest) -> SigningRequest:
        return SigningRequest(order={})


async def test_absent_signer_parks_the_withdrawal(
    temporal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It becomes visible before a nonce is spent; a retry asks the signer again."""
    monkeypatch.setattr(withdrawal, "SIGNER_SECONDS", 1)
    client = await Client.connect(temporal, namespace="rialto")
    steps = Steps()
    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=[WithdrawalWorkflow],
        activities=[steps.load, steps.signing_order, steps.note],
        build_id="test",
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        handle = await client.start_workflow(
            WithdrawalWorkflow.run,
            WithdrawalRequest("w-1"),
            id="withdrawal-w-1",
            task_queue=QUEUE,
        )
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("retry", RetryRequest())
        await until_parked(handle)
        details = str(await handle.query("__temporal_workflow_metadata"))
        assert "SignerAway" in details
        assert "wallet-signer" in details
        assert "0xReceiver" not in details
        await handle.execute_update("retry", RetryRequest("ops", "started the signer"))
        assert await handle.query(WithdrawalWorkflow.status) == StepResult("approved", "nonce")
        await handle.terminate()
    assert [note.action for note in steps.notes] == ["parked", "resumed"]
    assert steps.notes[1].text == "retry by ops: started the signer"
