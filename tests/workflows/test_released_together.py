"""Hundreds of workflows parked behind one dead dependency: released together, in one action."""

from __future__ import annotations

import asyncio
import uuid

import pytest
import sqlalchemy as sa
from temporalio.api.batch.v1 import BatchOperationSignal
from temporalio.api.workflowservice.v1 import StartBatchOperationRequest

from infra.postgres import tables
from tests.workflows.wallet_parts import OUTSIDE
from tests.workflows.wallet_rig import Rig
from workers import officer_desk as desk
from workers.wallet_queries import PARKED

pytestmark = [
    pytest.mark.servers,
    pytest.mark.long,
    pytest.mark.asyncio(loop_scope="module"),
]
USDT = 10**6
CUSTOMERS, EACH = (1, 2), 100
ALL = len(CUSTOMERS) * EACH
PATIENCE_SECONDS = 180.0


async def _by_state(rig: Rig) -> dict[str, int]:
    row = tables.withdrawal.c
    async with rig.engine.connect() as conn:
        found = await conn.execute(
            sa.select(row.state, sa.func.count().label("number")).group_by(row.state)
        )
        return {row.state: row.number for row in found}


async def _parked(rig: Rig, query: str = PARKED) -> int:
    return len(await desk.open_work(rig.settings, query))


async def _lose_blocks(rig: Rig) -> None:
    """Put an older copy of the chain in the node's place, as a restored disk would."""
    snapshot = await rig.rpc("evm_snapshot")
    await rig.mine(400)  # at a block a second it would take minutes to catch up by itself
    head = await rig.chain.head()
    async with asyncio.timeout(30):
        while rig.watcher.state.height < head - 1:  # noqa: ASYNC110 - the watcher's own count
            await asyncio.sleep(0.05)
    await rig.rpc("evm_revert", snapshot)


async def _signal_all(rig: Rig, query: str) -> None:
    """Send what `temporal workflow signal --query` sends: one batch operation, no argument."""
    await rig.client.workflow_service.start_batch_operation(
        StartBatchOperationRequest(
            namespace=rig.client.namespace,
            job_id=str(uuid.uuid4()),
            visibility_query=query,
            reason="the chain is back",
            signal_operation=BatchOperationSignal(signal="retry_parked", identity="operator"),
        )
    )


async def test_two_hundred_behind_a_chain_that_lost_blocks(rig: Rig) -> None:
    """All park and say why; a batch of the server, and one `ops retry --query`, let all pay."""
    for customer in CUSTOMERS:
        await rig.funded_customer(customer, "USDT", EACH * 100 * USDT)
    outside = await rig.coins(OUTSIDE, "USDT")
    nonce = await rig.hot_nonce()
    await _lose_blocks(rig)
    names = [await rig.withdraw(c, "USDT", 100 * USDT) for _ in range(EACH) for c in CUSTOMERS]
    await rig.until(lambda: _parked(rig), ALL, PATIENCE_SECONDS)
    assert {work.stage for work in await desk.open_work(rig.settings, PARKED)} == {"failed:nonce"}
    details = await rig.details(names[0])
    assert "Parked at `nonce`: ChainBehind" in details
    assert "rialto ops retry" in details

    await rig.mine(450)
    await _signal_all(rig, f"{PARKED} AND AccountId = '1'")
    await rig.until(lambda: _parked(rig, f"{PARKED} AND AccountId = '1'"), 0, PATIENCE_SECONDS)
    assert await _parked(rig) == EACH
    batch = await desk.retry_all(rig.settings, "Stage = 'failed:nonce'")
    assert (len(batch.asked), batch.skipped) == (EACH, {})
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await _by_state(rig)).get("settled") != ALL:
            await rig.mine(1)
            await asyncio.sleep(0.5)
    assert await rig.coins(OUTSIDE, "USDT") - outside == ALL * 99 * USDT
    assert await rig.hot_nonce() - nonce == ALL
    assert await rig.balance("withdrawal:pending:USDT") == 0
    assert await rig.balance("transit.0:USDT") == 0
