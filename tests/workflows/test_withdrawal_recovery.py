"""Crash, terminate, reset, delete: nothing is stranded, and nothing is paid twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.workflows.operations import delete, operate, reset
from tests.workflows.wallet_parts import OUTSIDE, Gate
from tests.workflows.wallet_rig import Rig

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
USDT = 10**6
CUSTOMER = 1
# Every step that changes something, in order; the worker "dies" after its effect.
STEPS = (
    "hold_withdrawal",
    "take_withdrawal",
    "screen_withdrawal",
    "conclude_approval",
    "allocate_nonce",
    "store_signed",
    "broadcast_withdrawal",
    "confirm_withdrawal",
    "settle_withdrawal",
)

# Terminated after one step and reset after the next; all that can be done after each: in `--all`.
EACH = [
    pytest.param(step, operation, marks=() if number % 2 == place else (pytest.mark.long,))
    for number, step in enumerate(STEPS)
    for place, operation in enumerate(("terminate", "reset", "cancel", "delete"))
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(quiet_rig: Rig) -> AsyncIterator[Gate]:
    """Give the gate of a running worker, with a customer who can withdraw often."""
    gate = Gate()
    async with quiet_rig.worker(gate):
        await quiet_rig.funded_customer(CUSTOMER, "USDT", 90_000 * USDT)
        yield gate


async def _finish(rig: Rig, withdrawal_id: str) -> None:
    """Let the chain go on until the withdrawal is booked."""
    async with asyncio.timeout(30):
        while await rig.state(withdrawal_id) != "settled":
            await rig.mine(1)
            await asyncio.sleep(0.1)


async def _until_reached(rig: Rig, gate: Gate) -> None:
    async with asyncio.timeout(30):
        while not gate.reached.is_set():
            await rig.mine(1)
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(("step", "operation"), EACH)
async def test_whatever_is_done_to_it_after_any_step_it_is_finished(
    quiet_rig: Rig, gate: Gate, step: str, operation: str
) -> None:
    """The sweep restarts it from its row; the customer is debited once and paid once."""
    rig = quiet_rig
    trading = await rig.balance(f"customer:{CUSTOMER}:trading.0:USDT")
    outside = await rig.coins(OUTSIDE, "USDT")
    gate.close_after(step)
    withdrawal_id = await rig.withdraw(CUSTOMER, "USDT", 100 * USDT)
    await _until_reached(rig, gate)
    await operate(rig.client, f"withdrawal-{withdrawal_id}", operation)
    gate.opened.set()
    if operation == "terminate":
        final_already = step == "settle_withdrawal"
        assert await rig.sweep() == ([] if final_already else [f"withdrawal-{withdrawal_id}"])
    async with asyncio.timeout(60):
        while await rig.state(withdrawal_id) != "settled":
            await rig.sweep()
            await rig.mine(1)
            await asyncio.sleep(0.1)
    assert await rig.sweep() == []
    assert trading - await rig.balance(f"customer:{CUSTOMER}:trading.0:USDT") == 100 * USDT
    assert await rig.coins(OUTSIDE, "USDT") - outside == 99 * USDT
    assert await rig.balance("withdrawal:pending:USDT") == 0


async def test_worker_that_dies_after_broadcast_sends_one_transaction(
    quiet_rig: Rig, gate: Gate
) -> None:
    """The retried activity sends the same stored bytes, which the chain knows already."""
    rig = quiet_rig
    before = await rig.hot_nonce()
    gate.close_after("broadcast_withdrawal")
    withdrawal_id = await rig.withdraw(CUSTOMER, "USDT", 100 * USDT)
    await _until_reached(rig, gate)
    gate.opened.set()
    await _finish(rig, withdrawal_id)
    assert await rig.hot_nonce() == before + 1


@pytest.mark.parametrize(
    "step", [pytest.param("check_signing_order", marks=pytest.mark.long), "sign_withdrawal"]
)
async def test_signer_that_dies_after_its_work_signs_the_same_again(
    quiet_rig: Rig, gate: Gate, step: str
) -> None:
    """Its journal was on disk before; the same order gives the same bytes, and one is mined."""
    rig = quiet_rig
    before = await rig.hot_nonce()
    rig.signer_gate.close_after(step)
    withdrawal_id = await rig.withdraw(CUSTOMER, "USDT", 100 * USDT)
    await _until_reached(rig, rig.signer_gate)
    rig.signer_gate.opened.set()
    await _finish(rig, withdrawal_id)
    assert await rig.hot_nonce() == before + 1
    assert len(await rig.withdrawals.transactions(withdrawal_id)) == 1


async def test_reset_at_any_time_never_pays_again(quiet_rig: Rig, gate: Gate) -> None:
    """Reset after the broadcast, and once more after the end: the row decides."""
    rig = quiet_rig
    outside = await rig.coins(OUTSIDE, "USDT")
    gate.close_after("broadcast_withdrawal")
    withdrawal_id = await rig.withdraw(CUSTOMER, "USDT", 100 * USDT)
    await _until_reached(rig, gate)
    await reset(rig.client, f"withdrawal-{withdrawal_id}")
    gate.opened.set()
    await _finish(rig, withdrawal_id)
    await rig.handle(withdrawal_id).result()
    story = await rig.audit(f"withdrawal-{withdrawal_id}")

    await reset(rig.client, f"withdrawal-{withdrawal_id}")
    result = await rig.handle(withdrawal_id).result()
    assert result == {"state": "settled"}
    assert await rig.coins(OUTSIDE, "USDT") - outside == 99 * USDT
    assert await rig.audit(f"withdrawal-{withdrawal_id}") == story


async def test_deleted_workflow_is_started_again(quiet_rig: Rig, gate: Gate) -> None:
    """Deleting the history in the UI does not delete the withdrawal."""
    rig = quiet_rig
    gate.close_after("store_signed")
    withdrawal_id = await rig.withdraw(CUSTOMER, "USDT", 100 * USDT)
    await _until_reached(rig, gate)
    await delete(rig.client, f"withdrawal-{withdrawal_id}")
    gate.opened.set()
    await rig.until(rig.sweep, [f"withdrawal-{withdrawal_id}"])
    await _finish(rig, withdrawal_id)


async def test_withdrawal_that_was_never_started_is_found(quiet_rig: Rig, gate: Gate) -> None:
    """The gateway wrote the row while Temporal was away."""
    rig = quiet_rig
    withdrawal_id = await rig.request(CUSTOMER, "USDT", 100 * USDT)
    assert await rig.sweep() == [f"withdrawal-{withdrawal_id}"]
    await _finish(rig, withdrawal_id)


async def test_chain_that_lost_blocks_stops_withdrawals(quiet_rig: Rig, gate: Gate) -> None:
    """A node behind the stored height is not trusted; the stage and its reason say so."""
    rig = quiet_rig
    snapshot = await rig.rpc("evm_snapshot")
    await rig.mine(40)
    await rig.until(lambda: _seen_head(rig), True)
    await rig.rpc("evm_revert", snapshot)
    withdrawal_id = await rig.withdraw(CUSTOMER, "USDT", 100 * USDT)
    await rig.until(lambda: rig.stage(withdrawal_id), "failed:nonce")
    assert "behind" in rig.watcher.state.trouble
    actions = await rig.audit(f"withdrawal-{withdrawal_id}")
    assert actions[-1] == "parked"
    await rig.handle(withdrawal_id).terminate("the chain is gone")


async def _seen_head(rig: Rig) -> bool:
    head = await rig.chain.head()
    return rig.watcher.state.height >= head - 1
