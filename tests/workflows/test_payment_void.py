"""A payment of our own that the signer refuses for good is given up; what waits behind goes on."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import sqlalchemy as sa
from temporalio.client import WorkflowUpdateFailedError

from domain.approval import VOID
from domain.nonce_gap import NonceGap
from domain.wallet_payment import (
    WALLET_PAYMENT_WORKFLOW,
    NewPayment,
    PaymentKind,
    WalletPaymentRequest,
    wallet_payment_workflow_id,
)
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import LedgerStore
from infra.wallet import officers
from infra.wallet.payment_store import PaymentStore
from infra.wallet.signer_policy import pin_cold_address, signer_policy_path
from tests.workflows.wallet_books import no_violation_of_the_wallet
from tests.workflows.wallet_parts import OUTSIDE, Gate
from tests.workflows.wallet_rig import Rig
from workers import officer_desk as desk
from workflows import task_queues

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
USDT = 10**6
COLD = "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955"
COLDER = "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720"


async def _planned(rig: Rig, kind: PaymentKind, source: str, path: str = "") -> str:
    """Return the name of a payment of 5 USDT whose workflow runs."""
    rows = PaymentStore(rig.engine, LedgerStore(), AuditStore())
    asset = tables.asset.c
    async with rig.engine.connect() as connection:
        asset_id = await connection.scalar(sa.select(asset.asset_id).where(asset.code == "USDT"))
    hot = rig.wallet.public.hot_address
    target = hot if kind is PaymentKind.SWEEP else COLD
    (made,) = await rows.plan(
        [NewPayment(kind, "ETH", source, target, int(asset_id or 0), 5 * USDT, path)],
        await rows.now(),
    )
    name = wallet_payment_workflow_id(made)
    await rig.client.start_workflow(
        WALLET_PAYMENT_WORKFLOW,
        WalletPaymentRequest(made),
        id=name,
        task_queue=task_queues.WALLET,
    )
    return name


async def _parked_stage(rig: Rig, name: str) -> bool:
    details = await rig.client.get_workflow_handle(name).query("__temporal_workflow_metadata")
    return "Parked at `sign`" in str(details)


async def _state(rig: Rig, name: str) -> str | None:
    row = tables.wallet_payment.c
    query = sa.select(row.state).where(row.payment_id == name.removeprefix("payment-"))
    async with rig.engine.connect() as connection:
        return await connection.scalar(query)


async def _mined(rig: Rig, name: str) -> str | None:
    await rig.mine(1)
    return await _state(rig, name)


async def test_two_officers_fill_the_hole_that_a_payment_of_ours_has_left(quiet_rig: Rig) -> None:
    """The cold address changes between nonce and signature; a withdrawal behind it is paid."""
    rig, gate = quiet_rig, Gate()
    policy, hot = signer_policy_path(rig.settings.data_dir), rig.wallet.public.hot_address
    pin_cold_address(policy, COLD)
    gate.close_after("allocate_payment_nonce")
    async with rig.worker(gate):
        await rig.funded_customer(1, "USDT", 300 * USDT)
        outside, nonce = await rig.coins(OUTSIDE, "USDT"), await rig.hot_nonce()
        name = await _planned(rig, PaymentKind.COLD, hot)
        await asyncio.wait_for(gate.reached.wait(), 30)
        pin_cold_address(policy, COLDER)
        gate.opened.set()
        await rig.until(lambda: _parked_stage(rig, name), True)
        waiting = await rig.withdraw(1, "USDT", 50 * USDT)
        await rig.until(lambda: rig.state(waiting), "broadcast")
        assert await rig.nonces().find() == NonceGap(nonce, name, "sign", False, 1)

        await _refused(rig, name)
        for officer in ("marta", "piero"):
            statement = await desk.statement_for(rig.settings, name, VOID)
            await desk.decide(rig.settings, officer, statement, name)
        await rig.until(lambda: _mined(rig, name), "voided")
        await rig.until_settled(waiting)
    assert await rig.coins(OUTSIDE, "USDT") > outside
    assert await rig.coins(COLD, "USDT") == 0
    await no_violation_of_the_wallet(rig)
    assert await rig.audit(name) == [
        "planned",
        "numbered",
        VOID,
        VOID,
        "voiding",
        "void_signed",
        "voided",
    ]


async def _refused(rig: Rig, name: str) -> None:
    """Try what does not count: another nonce, another's key, an approval."""
    handle = rig.client.get_workflow_handle(name)
    good = await desk.statement_for(rig.settings, name, VOID)
    for officer, key, nonce in (("marta", "marta", 77), ("marta", "piero", good.nonce)):
        path = officers.private_key_path(rig.settings.data_dir, key)
        bad = officers.sign_statement(
            officers.load_private_key(path), officer, replace(good, nonce=nonce)
        )
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("void", bad)
    with pytest.raises(desk.DeskError, match="takes no approval"):
        await desk.statement_for(rig.settings, name, "approve")


async def test_a_sweep_is_not_given_up(quiet_rig: Rig) -> None:
    """Nobody waits behind a deposit address' nonce: a retry takes it on."""
    rig = quiet_rig
    async with rig.worker():
        address = await rig.new_customer(2)
        name = await _planned(rig, PaymentKind.SWEEP, address, "m/44'/60'/0'/0/2")
        await rig.until(lambda: _state(rig, name), "dropped")  # nothing is there
    with pytest.raises(desk.DeskError, match="nonce of the hot wallet"):
        await desk.statement_for(rig.settings, name, VOID)
