"""A payment that is given up: its nonce is used up first, then the money goes back; nonce gaps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
import sqlalchemy as sa
from temporalio.client import WorkflowUpdateFailedError

from domain.approval import VOID
from domain.nonce_gap import NonceGap
from domain.withdrawal_story import story_of
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.wallet.transaction import decode_signed
from tests.workflows.operations import reset
from tests.workflows.wallet_books import no_violation_of_the_wallet
from tests.workflows.wallet_parts import OUTSIDE, Gate
from tests.workflows.wallet_rig import Rig
from workers import officer_desk as desk

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
USDT, ETH = 10**6, 10**18
REFUSES = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
REVERTS = "0x60006000fd"  # a contract that refuses every payment


@asynccontextmanager
async def _no_blocks(rig: Rig) -> AsyncIterator[None]:
    """Mine nothing within the block but what is asked for."""
    await rig.rpc("evm_setAutomine", False)
    await rig.rpc("evm_setIntervalMining", 0)
    try:
        yield
    finally:
        await rig.rpc("evm_setIntervalMining", 1)


async def _void(rig: Rig, name: str, *officers: str) -> None:
    """Sign as these officers do at their desks."""
    for officer in officers:
        await desk.decide(rig.settings, officer, await desk.statement_for(rig.settings, name, VOID))


async def _has_void(rig: Rig, name: str) -> bool:
    """Return whether the node has taken a void."""
    stored = await rig.withdrawals.transactions(name)
    return any([one.voids and await rig.chain.knows(one.tx_hash) for one in stored])


async def _stuck(rig: Rig, customer_id: int) -> str:
    """Return a withdrawal of 50 USDT that no block takes, and for which no more is to be paid."""
    now = await rig.chain.fee_quote()
    async with rig.worker(stuck_seconds=0.0, max_fee=now.max_fee):
        name = await rig.withdraw(customer_id, "USDT", 50 * USDT)
        await rig.until(lambda: rig.stage(name), "failed:confirm")
    return name


async def _funded(rig: Rig, customer_id: int, asset: str = "USDT", amount: int = 300 * USDT) -> int:
    """Give the customer money, and return the hot wallet's nonce."""
    async with rig.worker():
        await rig.funded_customer(customer_id, asset, amount)
    return await rig.hot_nonce()


async def test_two_officers_give_a_stuck_payment_up_and_the_customer_has_it_back(
    quiet_rig: Rig,
) -> None:
    """Not before the void is mined and deep; hashes, gas and signatures are all on record.

    Signer and worker die after their parts of it, and do them again.
    """
    rig, gate = quiet_rig, Gate()
    nonce = await _funded(rig, 1)
    outside = await rig.coins(OUTSIDE, "USDT")
    async with _no_blocks(rig):
        name = await _stuck(rig, 1)
        async with rig.worker(gate):
            for wrong in (nonce + 1, None):
                bad = await rig.decision(name, action=VOID, nonce=wrong)
                with pytest.raises(WorkflowUpdateFailedError):
                    await rig.handle(name).execute_update("void", bad)
            await _void(rig, name, "marta")
            with pytest.raises(desk.DeskError, match="already_decided"):
                await _void(rig, name, "marta")
            assert (await rig.state(name), await rig.stage(name)) == ("broadcast", "failed:confirm")

            rig.signer_gate.close_after("sign_void")
            gate.close_after("send_void")
            await _void(rig, name, "piero")
            for one in (rig.signer_gate, gate):
                await asyncio.wait_for(one.reached.wait(), 30)
                one.opened.set()
            await rig.until(lambda: _has_void(rig, name), True)
            await rig.mine(1)
            assert await rig.state(name) == "voiding"  # mined, and not deep yet
            assert await rig.balance("withdrawal:pending:USDT") == 50 * USDT
            await rig.mine(2)
            await rig.until(lambda: rig.state(name), "rejected")
    await _nothing_was_paid(rig, name, nonce)
    assert await rig.coins(OUTSIDE, "USDT") == outside
    assert await rig.balance("customer:1:trading.0:USDT") == 300 * USDT
    assert await rig.balance("withdrawal:pending:USDT") == 0
    await no_violation_of_the_wallet(rig)


async def _nothing_was_paid(rig: Rig, name: str, nonce: int) -> None:
    """Check that the void was mined at this nonce, and that the story tells who wanted it."""
    row = await rig.row(name)
    stored = await rig.withdrawals.transactions(name)
    assert (row.reason, row.tx_hash, stored[-1].voids) == ("voided", stored[-1].tx_hash, True)
    assert {decode_signed(one.raw).nonce for one in stored} == {nonce}
    assert await rig.hot_nonce() > nonce
    async with rig.engine.connect() as connection:
        story = story_of(name, await AuditStore().read(connection, row.subject))
    assert story is not None
    assert (story.state, story.tx_hash) == ("rejected", row.tx_hash)
    assert any("given up by marta, piero" in line for line in story.answer)


async def test_signatures_that_count_no_more_are_renewed_before_the_void_is_signed(
    quiet_rig: Rig,
) -> None:
    """While it waited for cheaper gas, one has gone bad: its officer signs again."""
    rig = quiet_rig
    nonce = await _funded(rig, 6)
    async with _no_blocks(rig):
        name = await _stuck(rig, 6)
        async with rig.worker(max_fee=1):
            await _void(rig, name, "marta", "piero")
            await rig.until(lambda: rig.stage(name), "failed:void")
        approval = tables.approval
        async with rig.engine.begin() as connection:
            await connection.execute(
                sa.update(approval)
                .where(approval.c.withdrawal_id == UUID(name), approval.c.officer == "piero")
                .values(signature=bytes(64))
            )
        async with rig.worker():
            await desk.retry(rig.settings, name, "gas is cheap again")
            await rig.until(lambda: _is_refused(rig, name), True)
            await _void(rig, name, "piero")
            await desk.retry(rig.settings, name, "signed again")
            await rig.until(lambda: _has_void(rig, name), True)
            await rig.mine(3)
            await rig.until(lambda: rig.state(name), "rejected")
    await _nothing_was_paid(rig, name, nonce)
    await no_violation_of_the_wallet(rig)


async def _is_refused(rig: Rig, name: str) -> bool:
    """Return whether it is parked since the signer has refused."""
    return await rig.stage(name) == "failed:void" and "SignerRefused" in await rig.details(name)


async def test_payment_that_is_mined_before_its_void_is_paid_and_booked(quiet_rig: Rig) -> None:
    """Whichever is mined decides; here the block came between the decision and the void.

    The run that had decided is reset meanwhile, too: the row goes on.
    """
    rig, gate = quiet_rig, Gate()
    nonce = await _funded(rig, 2)
    outside = await rig.coins(OUTSIDE, "USDT")
    async with _no_blocks(rig):
        name = await _stuck(rig, 2)
        async with rig.worker(gate):
            gate.close_after("begin_void")
            await _void(rig, name, "marta", "piero")
            await asyncio.wait_for(gate.reached.wait(), 30)
            await rig.mine(3)
            await reset(rig.client, f"withdrawal-{name}")
            gate.opened.set()
            await rig.until(lambda: rig.state(name), "settled")
    assert await rig.coins(OUTSIDE, "USDT") - outside == 49 * USDT
    assert await rig.hot_nonce() == nonce + 1
    stored = await rig.withdrawals.transactions(name)
    assert not any(one.voids for one in stored)
    await no_violation_of_the_wallet(rig)


async def test_nonce_that_was_never_signed_is_found_and_voided_for_those_behind(
    quiet_rig: Rig,
) -> None:
    """Its receiver began to refuse payments after the nonce was given; another waits behind it."""
    rig, gate = quiet_rig, Gate()
    nonce = await _funded(rig, 3, "ETH", ETH)
    await _funded(rig, 4)
    async with rig.worker(gate):
        gate.close_after("allocate_nonce")
        name = await rig.withdraw(3, "ETH", ETH // 2, address=REFUSES)
        await asyncio.wait_for(gate.reached.wait(), 30)
        await rig.rpc("anvil_setCode", REFUSES, REVERTS)
        gate.opened.set()
        await rig.until(lambda: rig.stage(name), "failed:sign")
        behind = await rig.withdraw(4, "USDT", 50 * USDT)
        await rig.until(lambda: rig.state(behind), "broadcast")
        wanted = NonceGap(nonce, f"withdrawal-{name}", "failed:sign", is_signed=False, waiting=1)
        assert await rig.nonces().find() == wanted
        assert await rig.nonces().send_again() == []

        await _void(rig, name, "marta", "piero")
        await rig.until(lambda: _has_void(rig, name), True)
        await rig.mine(3)
        await rig.until(lambda: rig.state(name), "rejected")
        await rig.mine(3)
        await rig.until(lambda: rig.state(behind), "settled")
    assert await rig.nonces().find() is None
    await _nothing_was_paid(rig, name, nonce)
    assert await rig.balance("customer:3:trading.0:ETH") == ETH
    assert (await rig.row(behind)).nonce == nonce + 1
    await no_violation_of_the_wallet(rig)


async def test_transaction_that_the_node_forgot_is_sent_again_by_the_sweep(quiet_rig: Rig) -> None:
    """While its withdrawal is parked, so that no run of its own looks after it."""
    rig = quiet_rig
    nonce = await _funded(rig, 5)
    async with _no_blocks(rig):
        name = await _stuck(rig, 5)
        newest = (await rig.withdrawals.transactions(name))[-1]
        assert await rig.nonces().find() is None
        await rig.rpc("anvil_dropTransaction", newest.tx_hash)
        wanted = NonceGap(nonce, f"withdrawal-{name}", "failed:confirm", is_signed=True, waiting=0)
        assert await rig.nonces().find() == wanted
        assert await rig.nonces().send_again() == [f"withdrawal-{name}"]
        assert await rig.nonces().find() is None
        await rig.mine(3)
        async with rig.worker():
            await desk.retry(rig.settings, name, "sent again")
            await rig.until(lambda: rig.state(name), "settled")
    assert (await rig.row(name)).tx_hash == newest.tx_hash
