"""What a withdrawal says about its customer is nowhere to be read without the keys."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from activities.signing import SigningRequest
from domain.approval import Decision
from domain.withdrawal import WithdrawalRequest
from infra.log_privacy import WithoutMessages
from infra.temporal.data_converter import data_converter
from infra.temporal.payload_keys import PayloadKeys, ensure_payload_keys
from tests.conftest import Servers
from tests.workflows.withdrawal_steps import ApprovedSteps, until_parked
from workflows.parking import RetryRequest
from workflows.withdrawal import WithdrawalWorkflow

pytestmark = pytest.mark.servers
PLANTED = ("Ludovico Planted", "0xPlantedReceiver", "planted-memo")


class Steps(ApprovedSteps):
    """An approved withdrawal whose signing order cannot be written, for a reason full of names."""

    @activity.defn(name="signing_order")
    async def signing_order(self, request: WithdrawalRequest) -> SigningRequest:
        text = f"{' '.join(PLANTED)} is not to be paid"
        if activity.info().attempt == 1:
            raise RuntimeError(text)  # is tried again, and is in the log
        raise ApplicationError(text, *PLANTED, type="SignerRefused", non_retryable=True)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Give what a process of ours would have logged."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.addFilter(WithoutMessages())
    root = logging.getLogger()
    root.addHandler(handler)
    yield text
    root.removeHandler(handler)


async def test_planted_names_are_sealed_everywhere(
    servers: Servers, log: io.StringIO, tmp_path: Path
) -> None:
    """Not in the raw history, the server's database or the log; stages and types are."""
    ring = tmp_path / "payload-keys.json"
    ensure_payload_keys(ring)
    queue, name = f"sealed-{uuid4()}", f"withdrawal-{uuid4()}"
    client = await Client.connect(
        servers.temporal, namespace="rialto", data_converter=data_converter(PayloadKeys(ring))
    )
    blind = await Client.connect(servers.temporal, namespace="rialto")
    steps = Steps(address=PLANTED[1])
    async with Worker(
        client,
        task_queue=queue,
        workflows=[WithdrawalWorkflow],
        activities=[steps.load, steps.signing_order, steps.note],
        build_id="test",
    ):
        handle = await client.start_workflow(
            WithdrawalWorkflow.run,
            WithdrawalRequest("w-1", PLANTED[0]),
            id=name,
            task_queue=queue,
            memo={"memo": PLANTED[2]},
        )
        await until_parked(handle)
        bare = Decision(PLANTED[0], "approve", PLANTED[1], "00")
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update("approve", bare)
        assert str(refused.value.cause) == "PublicRefusal: unknown_officer"
        await handle.execute_update("retry", RetryRequest(*PLANTED[:2]))
        await until_parked(handle)
        seen = str(await blind.get_workflow_handle(name).query("__temporal_workflow_metadata"))
        raw = (await blind.get_workflow_handle(name).fetch_history()).to_json()
        await handle.terminate()

    decoded = [note.text for note in steps.notes]
    assert all(word in decoded[0] for word in PLANTED), "the staff's note says it all"
    summaries = [
        event["userMetadata"]["summary"]
        for event in json.loads(raw)["events"]
        if "userMetadata" in event
    ]
    assert summaries
    assert {one["metadata"].get("plain") for one in summaries} == {"MQ=="}
    files = [*servers.temporal_folder.iterdir()]
    stored = b"".join(path.read_bytes() for path in files if path.is_file())
    for control in (b"write the signing order", b"SignerRefused", name.encode()):
        assert control in stored, "the search finds what is there"
    assert "Parked at `nonce`: SignerRefused" in seen
    assert "SignerRefused" in log.getvalue()
    for word in PLANTED:
        assert word not in seen
        assert word not in raw
        assert word.encode() not in stored
        assert word not in log.getvalue()
