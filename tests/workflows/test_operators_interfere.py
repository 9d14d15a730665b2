"""Terminate, cancel, reset, delete at every stage of whatever has a business row."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import pytest
import pytest_asyncio
from temporalio.worker import Worker

from activities.adjustment import AdjustmentActivities
from domain.ledger import Posting
from domain.shard_transfer import NewShardTransfer, ShardTransferRequest
from infra.postgres.adjustment_store import AdjustmentStore
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import LedgerStore
from infra.postgres.settlement_store import SettlementStore
from infra.wallet.officers import pinned_path, verify_ed25519
from infra.wallet.pinned_officers import PinnedOfficers
from infra.wallet.shard_transfer_store import ShardTransferStore
from tests.workflows.operations import OPERATIONS, operate
from tests.workflows.wallet_parts import ETH_USDT, EngineInProcess, Gate
from tests.workflows.wallet_rig import Rig
from workers import adjust_desk
from workflows import task_queues
from workflows.adjustment import AdjustmentWorkflow
from workflows.shard_transfer import ShardTransferWorkflow

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
USDT = 10**6
ALICE = 1
_NUMBERS = itertools.count(10)


@dataclass
class House:
    """A wallet of two shards and the worker of adjustments, both with a gate."""

    rig: Rig
    gate: Gate
    transfers: ShardTransferStore

    async def interrupt(self, workflow_id: str, operation: str) -> None:
        """Wait until the gate's step is done and cannot report; do it; let the worker go on."""
        async with asyncio.timeout(30):
            while not self.gate.reached.is_set():
                await self.rig.mine(1)
                await asyncio.sleep(0.05)
        await operate(self.rig.client, workflow_id, operation)
        self.gate.opened.set()

    async def sweep_until(self, look: Callable[[], Awaitable[object]], wanted: object) -> None:
        """Sweep as the entity does, until the row is where it should be."""
        async with asyncio.timeout(60):
            while await look() != wanted:
                await self.rig.sweep()
                await self.rig.mine(1)
                await asyncio.sleep(0.1)

    async def transfer_state(self, name: UUID) -> str:
        return (await self.transfers.load(name)).state


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(quiet_rig: Rig) -> AsyncIterator[House]:
    """Give the house; Alice has money on shard 0, and shard 2 lists nothing."""
    rig, gate = quiet_rig, Gate()
    second = EngineInProcess(SettlementStore(rig.engine), 1)
    await second.submit(ETH_USDT)
    treasuries = {0: rig.treasury, 1: second, 2: EngineInProcess(SettlementStore(rig.engine), 2)}
    steps = AdjustmentActivities(
        AdjustmentStore(rig.engine, LedgerStore(), AuditStore()),
        PinnedOfficers(pinned_path(rig.settings.data_dir)),
        verify_ed25519,
        lambda: int(time.time()),
    )
    adjusting = Worker(
        rig.client,
        task_queue=task_queues.SETTLEMENT,
        workflows=[AdjustmentWorkflow],
        activities=[steps.load, steps.sign, steps.post, steps.expire],
        interceptors=[gate],
        build_id="test",
    )
    async with rig.worker(gate, treasuries=treasuries), adjusting:
        await rig.funded_customer(ALICE, "USDT", 90_000 * USDT)
        yield House(rig, gate, ShardTransferStore(rig.engine, LedgerStore()))


# Step, where it goes (shard 2 lists nothing, so it declines), how it ends, where the money is.
TRANSFERS = [
    ("take_shard_transfer", 1, "done", "trading.1"),
    ("give_shard_transfer", 1, "done", "trading.1"),
    ("take_shard_transfer", None, "done", "main"),
    ("give_shard_transfer", 2, "returned", "trading.0"),
    ("return_shard_transfer", 2, "returned", "trading.0"),
]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("step", "target", "state", "place"), TRANSFERS)
async def test_transfer(
    house: House, step: str, target: int | None, state: str, place: str, operation: str
) -> None:
    """It goes on from its row, and the money is in one place."""
    rig = house.rig
    account = f"customer:{ALICE}:{place}:USDT"
    before = await rig.balance(account), await rig.balance(f"customer:{ALICE}:trading.0:USDT")
    house.gate.close_after(step)
    made = await house.transfers.create(
        NewShardTransfer(ALICE, f"k{next(_NUMBERS)}", 1, 10 * USDT, 0, target)
    )
    assert isinstance(made, tuple)
    name = made[0].shard_transfer_id
    workflow_id = f"transfer-{name}"
    await rig.client.start_workflow(
        ShardTransferWorkflow.run,
        ShardTransferRequest(str(name)),
        id=workflow_id,
        task_queue=task_queues.WALLET,
    )
    await house.interrupt(workflow_id, operation)
    await house.sweep_until(lambda: house.transfer_state(name), state)
    arrived = 0 if place == "trading.0" else 10 * USDT
    assert await rig.balance(account) - before[0] == arrived
    assert before[1] - await rig.balance(f"customer:{ALICE}:trading.0:USDT") == arrived
    for shard in (0, 1, 2):
        assert await rig.balance(f"transit.{shard}:USDT") == 0


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("step", ["announce_deposit", "confirm_deposit", "credit_deposit"])
async def test_deposit(house: House, step: str, operation: str) -> None:
    """It is credited once."""
    rig, customer = house.rig, next(_NUMBERS)
    address = await rig.new_customer(customer)
    house.gate.close_after(step)
    tx_hash = await rig.fund(address, "USDT", 25 * USDT)
    async with asyncio.timeout(30):
        while not (found := await rig.deposit_names(tx_hash)):
            await rig.mine(1)
            await asyncio.sleep(0.05)
    await house.interrupt(found[0], operation)
    await house.sweep_until(lambda: rig.deposit_state(tx_hash), "credited")
    assert await rig.balance(f"customer:{customer}:trading.0:USDT") == 25 * USDT
    assert await rig.balance(f"customer:{customer}:main:USDT") == 0


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("step", ["sign_adjustment", "post_adjustment"])
async def test_adjustment(house: House, step: str, operation: str) -> None:
    """Signatures that were given count, and it is posted once."""
    rig, customer = house.rig, next(_NUMBERS)
    gift = Posting("capital:USDT", f"customer:{customer}:main:USDT", "USDT", 7 * USDT)
    proposed = await adjust_desk.propose(rig.engine, rig.settings, (gift,), "a gift", "")
    workflow_id = f"adjustment-{proposed.adjustment_id}"
    if step == "post_adjustment":
        await adjust_desk.sign(rig.settings, "marta", proposed)
    house.gate.close_after(step)
    last = "marta" if step == "sign_adjustment" else "piero"
    signing = asyncio.create_task(adjust_desk.sign(rig.settings, last, proposed))
    await house.interrupt(workflow_id, operation)
    await asyncio.gather(signing, return_exceptions=True)  # its workflow may be gone
    if step == "sign_adjustment":
        await rig.sweep()
        await adjust_desk.sign(rig.settings, "piero", proposed)
    await house.sweep_until(lambda: rig.balance(gift.destination), gift.amount)
    assert (await adjust_desk.load(rig.engine, proposed.adjustment_id)).state == "posted"
