"""A deposit goes back by two signatures, and no secret is left where others read."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs
from temporalio.client import Client

from activities.adjustment import AdjustmentActivities
from domain.evm_address import checksum_address
from infra.log_privacy import WithoutMessages
from infra.wallet.keccak import keccak256
from infra.wallet.officers import pinned_path, verify_ed25519
from infra.wallet.pinned_officers import PinnedOfficers
from tests.workflows.returning import pay_dust, store_of
from tests.workflows.wallet_rig import Rig
from workers import adjust_desk, suspense_desk
from workers.chaos.canaries import leaks_in_tables, secrets_of
from workers.temporal_worker import worker_of
from workers.wiring import Wiring
from workflows import task_queues
from workflows.adjustment import AdjustmentWorkflow

pytestmark = [
    pytest.mark.servers,
    pytest.mark.long,
    pytest.mark.asyncio(loop_scope="module"),
]
PLANTED = "Ludovico Planted has asked for it"


@contextmanager
def _logged() -> Iterator[io.StringIO]:
    """Give what processes of ours would have logged."""
    text, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(text)
    handler.addFilter(WithoutMessages())
    root.addHandler(handler)
    with capture_logs() as entries:
        yield text
    text.write(repr(entries))
    root.removeHandler(handler)


async def test_a_whole_return_leaves_no_secret_and_no_name(quiet_rig: Rig) -> None:
    """Seed, hot key and officers' keys: nowhere. What people wrote: in our books alone."""
    rig = quiet_rig
    secrets = secrets_of(rig.settings.data_dir, {})
    sender = checksum_address((await rig.rpc("eth_accounts"))[6], keccak256)
    pinned = PinnedOfficers(pinned_path(rig.settings.data_dir))
    steps = AdjustmentActivities(store_of(rig), pinned, verify_ed25519, lambda: int(time.time()))
    settling = Wiring(
        task_queue=task_queues.SETTLEMENT,
        workflows=(AdjustmentWorkflow,),
        activities=(steps.load, steps.sign, steps.post, steps.expire),
    )
    with _logged() as log:
        async with rig.worker(), worker_of(rig.client, settling):
            address = await rig.new_customer(1)
            (deposit,) = await pay_dust(rig, sender, address, [10**12])
            made = await suspense_desk.propose_return(rig.engine, rig.settings, deposit, PLANTED)
            for officer in ("marta", "piero"):
                await adjust_desk.sign(rig.settings, officer, made)
            await rig.until(lambda: _deposit_state(rig, deposit), "returning")
            await rig.sweep()
            await rig.until(lambda: _deposit_state(rig, deposit), "returned")
    bare = await Client.connect(rig.settings.temporal_address, namespace=rig.client.namespace)
    told = log.getvalue()
    for workflow_id in (f"adjustment-{made.adjustment_id}", f"payment-{made.adjustment_id}"):
        told += json.dumps(
            (await bare.get_workflow_handle(workflow_id).fetch_history()).to_json_dict()
        )
    assert made.adjustment_id in told  # what is there is found
    assert "Ludovico" not in told
    for name, forms in secrets.items():
        assert not any(form in told.encode() for form in forms), name
    assert await leaks_in_tables(rig.engine, secrets) == []
    assert await leaks_in_tables(rig.engine, {"it": [PLANTED.encode()]}) == [
        "it is in table adjustment",
        "it is in table audit_log",
        "it is in table journal",
    ]


async def _deposit_state(rig: Rig, deposit: str) -> str:
    await rig.mine(1)
    return str((await suspense_desk.story(rig.engine, deposit))["state"])
