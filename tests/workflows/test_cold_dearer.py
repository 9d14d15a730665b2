"""A refill that no block takes: a dearer file for its nonce replaces it, and is paid once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from domain.wallet_payment import PaymentState
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import LedgerStore
from infra.wallet.cold_wallet import read_signed
from infra.wallet.payment_store import PaymentStore
from infra.wallet.transaction import transaction_hash
from tests.workflows.cold_parts import pinned_cold_wallet
from tests.workflows.wallet_books import no_violation_of_the_wallet
from tests.workflows.wallet_rig import Rig
from workers.cold_desk import ColdDeskError, request_dearer, submit_refill

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
USDT = 10**6


def _hash_of(text: str) -> str:
    return transaction_hash(read_signed(text)[1][0])


async def test_a_dearer_file_replaces_a_stuck_refill_and_one_of_both_is_paid(
    quiet_rig: Rig, tmp_path: Path
) -> None:
    """Parked and named; too cheap, another payment and a mined nonce are refused; booked once."""
    rig, cold = quiet_rig, await pinned_cold_wallet(quiet_rig, tmp_path)
    hot = await rig.coins(rig.wallet.public.hot_address, "USDT")
    await rig.rpc("evm_setAutomine", False)
    await rig.rpc("evm_setIntervalMining", 0)
    async with rig.worker(stuck_seconds=0.0):
        asked, first = await cold.signed(rig, USDT="250")
        _, (payment_id,) = await submit_refill(rig.engine, rig.settings, first, "me")
        name = f"payment-{payment_id}"
        await rig.until(lambda: _is_parked(rig, name), True)
        details = str(
            await rig.client.get_workflow_handle(name).query("__temporal_workflow_metadata")
        )
        assert "RefillStuck" in details
        assert "rialto cold dearer" in details

        dearer = await request_dearer(rig.engine, rig.settings, [name])
        assert (dearer.nonce, dearer.payments) == (asked.nonce, asked.payments)
        assert 8 * dearer.max_fee >= 9 * asked.max_fee
        cheap = replace(asked, max_fee=2 * asked.max_fee)  # and the tip as it was
        with pytest.raises(ColdDeskError, match="a tenth higher"):
            await submit_refill(rig.engine, rig.settings, cold.sign(cheap), "me")
        more = replace(dearer, payments=(replace(dearer.payments[0], amount=251 * USDT),))
        with pytest.raises(ColdDeskError, match="pays something else"):
            await submit_refill(rig.engine, rig.settings, cold.sign(more), "me")

        second = cold.sign(dearer)
        for _ in range(2):  # the same file again changes nothing
            assert (await submit_refill(rig.engine, rig.settings, second, "me"))[1] == [payment_id]
        await rig.until(lambda: rig.chain.knows(_hash_of(second)), True)
        await rig.rpc("evm_setIntervalMining", 1)
        await rig.until(lambda: _booked(rig, payment_id, name), True)

        with pytest.raises(ColdDeskError, match="booked: nothing is left"):
            await request_dearer(rig.engine, rig.settings, [payment_id])
        late = replace(dearer, max_fee=2 * dearer.max_fee, priority_fee=2 * dearer.priority_fee)
        with pytest.raises(ColdDeskError, match="has mined one of it"):
            await submit_refill(rig.engine, rig.settings, cold.sign(late), "me")
        assert (await submit_refill(rig.engine, rig.settings, first, "me"))[1] == [payment_id]
    store = PaymentStore(rig.engine, LedgerStore(), AuditStore())
    stored = [one.tx_hash for one in await store.transactions(payment_id)]
    assert stored == [_hash_of(first), _hash_of(second)]
    assert await rig.chain.receipt(stored[0]) is None
    assert await rig.chain.receipt(stored[1]) is not None
    assert await rig.coins(rig.wallet.public.hot_address, "USDT") == hot + 250 * USDT
    assert await rig.audit(name) == ["signed", "broadcast", "replaced", "booked"]
    await no_violation_of_the_wallet(rig)


async def test_only_refills_that_are_on_their_way_are_asked_for_again(quiet_rig: Rig) -> None:
    """No such payment, and no id at all: refused in words."""
    for name in ("payment-01a2208a-9725-754f-9239-03cad03667e7", "payment-1", "'; --"):
        with pytest.raises(ColdDeskError, match="there is no payment"):
            await request_dearer(quiet_rig.engine, quiet_rig.settings, [name])


async def _is_parked(rig: Rig, name: str) -> bool:
    handle = rig.client.get_workflow_handle(name)
    return "Parked at `confirm`" in str(await handle.query("__temporal_workflow_metadata"))


async def _booked(rig: Rig, payment_id: str, name: str) -> bool:
    """Let a block pass, and try again what is parked because none came in no time."""
    await rig.mine(1)
    row = await PaymentStore(rig.engine, LedgerStore(), AuditStore()).load(payment_id)
    assert row is not None
    if row.state is PaymentState.BOOKED:
        return True
    await rig.client.get_workflow_handle(name).signal("retry_parked")
    return False
