"""Rows that somebody changes between signature and payment pay nobody: withdrawals and returns.

Whoever can write to the database has no key of an officer. What the rows say is compared with what
was signed, by the worker and by the signer.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
import sqlalchemy as sa
from temporalio.client import WorkflowUpdateFailedError

from domain.evm_address import checksum_address
from domain.withdrawal_limits import AddressNames
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.withdrawal_addresses import WithdrawalAddressStore
from infra.wallet.keccak import keccak256
from infra.wallet.officers import pinned_path
from infra.wallet.pinned_officers import load_pins, pins_text
from tests.workflows.returning import let_go, pay_dust
from tests.workflows.wallet_books import no_violation_of_the_wallet
from tests.workflows.wallet_parts import OUTSIDE, Gate
from tests.workflows.wallet_rig import Rig
from workers import officer_desk as desk

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
USDT, USDT_ID = 10**6, 1
THIEF = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
DUST = 10**9  # wei: far below the minimum, and a thousand USDT if the asset were another


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(quiet_rig: Rig) -> AsyncIterator[Gate]:
    """Give the gate of a running worker."""
    gate = Gate()
    async with quiet_rig.worker(gate):
        yield gate


async def _change(rig: Rig, table: sa.Table, row_id: str, **values: object) -> dict[str, Any]:
    """Change a row as nobody should; return what it said before."""
    (key,) = table.primary_key
    mine = key == (row_id if isinstance(key.type, sa.Text) else UUID(row_id))
    async with rig.engine.begin() as connection:
        before = (await connection.execute(sa.select(table).where(mine))).one()
        await connection.execute(sa.update(table).where(mine).values(**values))
    return {name: getattr(before, name) for name in values}


async def _parked(rig: Rig, workflow_id: str) -> bool:
    details = await rig.client.get_workflow_handle(workflow_id).query(
        "__temporal_workflow_metadata"
    )
    return "Parked at" in str(details)


async def test_a_withdrawal_whose_row_is_changed_after_its_approval_is_not_paid(
    quiet_rig: Rig, gate: Gate
) -> None:
    """Each field, before its nonce and after it; as it was signed it is paid, once.

    But the asset: so many units of another one are below what needs an officer at all.
    """
    rig = quiet_rig
    await rig.funded_customer(1, "USDT", 3_000 * USDT)
    await rig.new_customer(2)
    listed = WithdrawalAddressStore(rig.engine, AuditStore(), dt.timedelta())
    await listed.add(1, "ETH", THIEF, AddressNames(beneficiary="the customer"))
    outside, nonce = await rig.coins(OUTSIDE, "USDT"), await rig.hot_nonce()
    name = await rig.withdraw(1, "USDT", 2_000 * USDT)
    workflow_id = f"withdrawal-{name}"
    await rig.until_approvable(name)
    gate.close_after("conclude_approval")
    decision = await rig.decision(name)
    await rig.handle(name).execute_update("approve", decision)
    await asyncio.wait_for(gate.reached.wait(), 30)
    changes: list[dict[str, object]] = [
        {"amount": 2_001 * USDT},
        {"amount": 1_999 * USDT},
        {"address": THIEF},
        {"customer_id": 2},
        {"fee": -5 * USDT},
    ]
    for number, change in enumerate(changes):
        before = await _change(rig, tables.withdrawal, name, **change)
        if number == 0:
            gate.opened.set()
        else:
            await desk.retry(rig.settings, name, "a test")
        await rig.until(lambda: rig.stage(name), "failed:nonce")
        await rig.until(lambda: _parked(rig, workflow_id), True)
        assert (await rig.row(name)).nonce is None, change
        await _change(rig, tables.withdrawal, name, **before)

    gate.close_after("allocate_nonce")
    await desk.retry(rig.settings, name, "a test")
    await asyncio.wait_for(gate.reached.wait(), 30)
    before = await _change(rig, tables.withdrawal, name, address=THIEF)
    gate.opened.set()
    await rig.until(lambda: rig.stage(name), "failed:sign")
    await rig.until(lambda: _parked(rig, workflow_id), True)
    assert await rig.withdrawals.transactions(name) == []
    assert await rig.hot_nonce() == nonce
    await _change(rig, tables.withdrawal, name, **before)
    await desk.retry(rig.settings, name, "a test")
    await rig.until_settled(name)
    assert await rig.coins(OUTSIDE, "USDT") - outside == 1_999 * USDT
    assert await rig.coins(THIEF, "USDT") == 0
    await no_violation_of_the_wallet(rig)


@pytest.mark.long
async def test_an_officer_does_not_let_out_his_own_coins(quiet_rig: Rig, gate: Gate) -> None:
    """His key is pinned with his account: the workflow takes another's signature, and not his."""
    rig, path = quiet_rig, pinned_path(quiet_rig.settings.data_dir)
    text, pins = path.read_text(), load_pins(path)
    hers = replace(pins["marta"], officer=replace(pins["marta"].officer, customer_id=3))
    await rig.funded_customer(3, "USDT", 3_000 * USDT)
    path.write_text(pins_text({**pins, "marta": hers}))
    try:
        name = await rig.withdraw(3, "USDT", 2_000 * USDT)
        await rig.until_approvable(name)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await rig.handle(name).execute_update("approve", await rig.decision(name))
        assert "officer_is_requester" in str(refused.value.cause)
        assert await rig.state(name) == "screened"
        other = await rig.decision(name, officer="piero")
        await rig.handle(name).execute_update("approve", other)
        await rig.until_settled(name)
    finally:
        path.write_text(text)


def _changes(deposit: str, other: str) -> list[dict[sa.Table, dict[str, object]]]:
    """Return what is changed after two officers have signed for the return of `deposit`."""
    payment, adjustment, row = tables.wallet_payment, tables.adjustment, tables.deposit
    posting = ["suspense:ETH", "withdrawal:pending:ETH", "ETH"]
    marta = sa.func.jsonb_build_object("marta", adjustment.c.signatures["marta"])
    twice = sa.func.jsonb_build_object(
        "marta", adjustment.c.signatures["marta"], "piero", adjustment.c.signatures["marta"]
    )
    return [
        {payment: {"amount": DUST + 1}},
        {payment: {"amount": 1}},
        {payment: {"destination": THIEF}},
        {payment: {"asset_id": USDT_ID}},
        {payment: {"kind": "cold"}},
        {payment: {"kind": "gas", "destination": THIEF}},
        {adjustment: {"postings": [[*posting, str(2 * DUST)]]}},
        {
            adjustment: {"postings": [[*posting, str(2 * DUST)]]},
            payment: {"amount": 2 * DUST},
            row: {"amount": 2 * DUST},
        },
        {adjustment: {"address": THIEF}},
        {
            adjustment: {"address": THIEF},
            payment: {"destination": THIEF},
            row: {"sender": THIEF},
        },
        {adjustment: {"event": other}},
        {adjustment: {"expiry": sa.literal(2**33)}},
        {adjustment: {"reason": "another one"}},
        {adjustment: {"signatures": marta}},
        {adjustment: {"signatures": twice}},
        {adjustment: {"signatures": {}}},
        {row: {"sender": THIEF}},
        {row: {"customer_id": None}},
    ]


@pytest.mark.long
async def test_a_return_whose_rows_are_changed_after_both_signatures_is_not_paid(
    quiet_rig: Rig, gate: Gate
) -> None:
    """Each field of payment, adjustment and deposit, alone and together; one as signed is paid."""
    rig, hot = quiet_rig, quiet_rig.wallet.public.hot_address
    sender = checksum_address((await rig.rpc("eth_accounts"))[6], keccak256)
    address = await rig.new_customer(4)
    count = len(_changes("", ""))
    deposits = await pay_dust(rig, sender, address, [DUST] * (count + 1))
    had, of_hot, nonce = (
        await rig.coins(sender, "ETH"),
        await rig.coins(hot, "USDT"),
        await rig.hot_nonce(),
    )
    good = await let_go(rig, deposits[-1])
    changed = []
    for number, deposit in enumerate(deposits[:-1]):
        made = await let_go(rig, deposit)
        for table, values in _changes(deposit, deposits[-1])[number].items():
            row_id = deposit if table is tables.deposit else made.adjustment_id
            await _change(rig, table, row_id, **values)
        changed.append(made.adjustment_id)
    await rig.sweep()
    for number, payment_id in enumerate(changed):
        await rig.until(partial(_is_stopped, rig, payment_id), True)
        stored = sa.select(tables.wallet_transaction.c.tx_hash).where(
            tables.wallet_transaction.c.payment_id == UUID(payment_id)
        )
        async with rig.engine.connect() as connection:
            assert (await connection.execute(stored)).all() == [], number
    await rig.until(lambda: _payment_state_when_mined(rig, good.adjustment_id), "booked")
    assert await rig.coins(sender, "ETH") - had == DUST
    assert await rig.coins(THIEF, "ETH") == await rig.coins(THIEF, "USDT") == 0
    assert await rig.coins(hot, "USDT") == of_hot
    assert await rig.hot_nonce() == nonce + 1


async def _payment_state(rig: Rig, payment_id: str) -> str:
    row = tables.wallet_payment.c
    query = sa.select(row.state).where(row.payment_id == UUID(payment_id))
    async with rig.engine.connect() as connection:
        return str(await connection.scalar(query))


async def _payment_state_when_mined(rig: Rig, payment_id: str) -> str:
    await rig.mine(1)
    return await _payment_state(rig, payment_id)


async def _is_stopped(rig: Rig, payment_id: str) -> bool:
    state = await _payment_state(rig, payment_id)
    assert state in ("planned", "dropped"), state
    return state == "dropped" or await _parked(rig, f"payment-{payment_id}")
