"""Withdrawals end to end: real chain, Temporal, PostgreSQL, ledger and engine rules."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from functools import partial
from uuid import UUID

import pytest
import sqlalchemy as sa
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateStage
from temporalio.service import RPCError

from domain.withdrawal_limits import AddressNames
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.withdrawal_addresses import WithdrawalAddressStore
from infra.wallet import demo
from tests.workflows.wallet_parts import OUTSIDE
from tests.workflows.wallet_rig import Rig
from workflows.search_attributes import STAGE
from workflows.withdrawal_messages import WithdrawalResult

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
USDT = 10**6


async def test_small_withdrawal_is_paid_and_booked(rig: Rig) -> None:
    """The net amount arrives, the fee and the network's fee are booked, nothing stays pending."""
    await rig.funded_customer(1, "USDT", 500 * USDT)
    before = await rig.coins(OUTSIDE, "USDT")
    withdrawal_id = await rig.withdraw(1, "USDT", 100 * USDT)
    await rig.until_settled(withdrawal_id)

    row = await rig.row(withdrawal_id)
    assert await rig.coins(OUTSIDE, "USDT") - before == 99 * USDT
    assert await rig.balance("withdrawal:pending:USDT") == 0
    assert await rig.balance("customer:1:trading.0:USDT") == 400 * USDT
    assert await rig.balance("wallet_fees:USDT") == USDT
    assert row.network_fee is not None
    assert await rig.balance("network_fees:ETH") == -row.network_fee
    assert await rig.audit(row.subject) == [
        "requested",
        "held",
        "screened",
        "approved",
        "numbered",
        "signed",
        "broadcast",
        "confirmed",
        "settled",
    ]


async def test_engine_refuses_what_is_not_free(rig: Rig) -> None:
    """More than the trading balance is rejected, and nothing has moved."""
    await rig.new_customer(2)
    withdrawal_id = await rig.withdraw(2, "USDT", 100 * USDT)
    await rig.until(lambda: rig.state(withdrawal_id), "rejected")
    row = await rig.row(withdrawal_id)
    assert row.reason == "insufficient_funds"
    assert row.nonce is None
    assert await rig.audit(row.subject) == ["requested", "rejected"]
    assert await rig.balance("transit.0:USDT") == 0


async def test_amount_that_no_command_can_carry_is_rejected(rig: Rig) -> None:
    """A row that came past the gateway's check ends cleanly instead of being tried for ever."""
    await rig.new_customer(10)
    withdrawal_id = await rig.request(10, "USDT", 100 * USDT)
    async with rig.engine.begin() as connection:
        for table in (tables.withdrawal, tables.transfer):
            mine = table.c.transfer_id == UUID((await rig.row(withdrawal_id)).transfer_id)
            await connection.execute(sa.update(table).where(mine).values(amount=2**63))
    await rig.start(withdrawal_id)
    await rig.until(lambda: rig.state(withdrawal_id), "rejected")
    row = await rig.row(withdrawal_id)
    assert (row.reason, row.nonce) == ("overflow", None)
    assert await rig.audit(row.subject) == ["requested", "rejected"]


async def test_debit_with_a_lost_answer_is_held_once(rig: Rig) -> None:
    """The same command again, under the same id, and the engine says that it knows it."""
    await rig.funded_customer(3, "USDT", 300 * USDT)
    rig.treasury.fails_after_commands = 2
    withdrawal_id = await rig.withdraw(3, "USDT", 100 * USDT)
    await rig.until_settled(withdrawal_id)
    assert await rig.balance("customer:3:trading.0:USDT") == 200 * USDT


async def test_hold_waits_for_settlement(rig: Rig) -> None:
    """Until the Debited event is posted, the amount is not pending; then all goes on."""
    await rig.funded_customer(4, "USDT", 300 * USDT)
    rig.treasury.settles = False
    withdrawal_id = await rig.withdraw(4, "USDT", 100 * USDT)
    await rig.until(lambda: _has_debit(rig, withdrawal_id), True)
    assert await rig.state(withdrawal_id) == "requested"
    rig.treasury.settles = True
    await rig.treasury.settle()
    await rig.until_settled(withdrawal_id)


async def _has_debit(rig: Rig, withdrawal_id: str) -> bool:
    history = await rig.handle(withdrawal_id).fetch_history()
    scheduled = [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
    ]
    return "take_withdrawal" in scheduled


async def test_policy_refuses_our_own_addresses_as_receiver(rig: Rig) -> None:
    """Paying ourselves would turn a customer's money into the owners'; the hold is given back.

    What a token's contract gets is lost.
    """
    await rig.funded_customer(5, "USDT", 300 * USDT)
    names = [
        await rig.withdraw(5, "USDT", 100 * USDT, address=address)
        for address in (rig.wallet.contracts["USDT"], rig.wallet.public.hot_address)
    ]
    for withdrawal_id in names:
        await rig.until(partial(rig.state, withdrawal_id), "rejected")
        row = await rig.row(withdrawal_id)
        assert row.reason == "policy:destination_is_own_address"
    assert await rig.balance("customer:5:trading.0:USDT") == 300 * USDT
    assert await rig.balance("withdrawal:pending:USDT") == 0
    assert await rig.audit(row.subject) == [
        "requested",
        "held",
        "rejecting",
        "release_begun",
        "rejected",
    ]


async def test_list_and_limits_are_looked_at_again(rig: Rig) -> None:
    """What the gateway let pass is given back when address or tier have been taken since."""
    await rig.funded_customer(13, "USDT", 300 * USDT)
    unlisted, above = [await rig.request(13, "USDT", 100 * USDT) for _ in range(2)]
    store = WithdrawalAddressStore(rig.engine, AuditStore(), dt.timedelta())
    await store.remove(13, "ETH", OUTSIDE)
    await rig.start(unlisted)
    await rig.until(lambda: rig.state(unlisted), "rejected")
    await store.add(13, "ETH", OUTSIDE, AddressNames())
    async with rig.engine.begin() as connection:
        mine = tables.withdrawal.c.withdrawal_id == UUID(above)
        await connection.execute(
            sa.update(tables.withdrawal).where(mine).values(created_at=sa.func.now())
        )
        await connection.execute(
            sa.update(tables.customer)
            .where(tables.customer.c.customer_id == 13)
            .values(tier="of a later version")
        )
    await rig.start(above)
    await rig.until(lambda: rig.state(above), "rejected")
    assert [(await rig.row(name)).reason for name in (unlisted, above)] == [
        "policy:destination_is_listed",
        "policy:within_1h_limit",
    ]
    assert await rig.balance("customer:13:trading.0:USDT") == 300 * USDT


async def test_short_hot_wallet_parks_until_refilled(rig: Rig) -> None:
    """The stage names the step, the details say what to do; a refill and a retry finish it."""
    await rig.funded_customer(6, "ETH", 60 * 10**18)
    withdrawal_id = await rig.withdraw(6, "ETH", 55 * 10**18)
    await rig.until_approvable(withdrawal_id)
    for officer in ("marta", "piero"):
        decision = await rig.decision(withdrawal_id, officer=officer)
        await rig.handle(withdrawal_id).execute_update("approve", decision)
    await rig.until(lambda: rig.stage(withdrawal_id), "failed:nonce")

    async def shown() -> str | None:
        return (await rig.handle(withdrawal_id).describe()).typed_search_attributes.get(STAGE)

    await rig.until(shown, "failed:nonce")
    await rig.fund(rig.wallet.public.hot_address, "ETH", 20 * 10**18)
    await rig.handle(withdrawal_id).signal("retry_parked")
    await rig.until_settled(withdrawal_id)
    actions = await rig.audit(f"withdrawal-{withdrawal_id}")
    assert actions[actions.index("approved") :][:4] == ["approved", "parked", "resumed", "numbered"]


async def test_customer_cancels_a_parked_withdrawal(rig: Rig) -> None:
    """Before signing the hold goes back to trading; afterwards nothing can be retried."""
    await rig.funded_customer(7, "ETH", 900 * 10**18)
    withdrawal_id = await rig.withdraw(7, "ETH", 800 * 10**18)
    await rig.until_approvable(withdrawal_id)
    for officer in ("marta", "piero"):
        decision = await rig.decision(withdrawal_id, officer=officer)
        await rig.handle(withdrawal_id).execute_update("approve", decision)
    await rig.until(lambda: rig.stage(withdrawal_id), "failed:nonce")
    assert await rig.record_cancellation(7, withdrawal_id)
    result = await rig.handle(withdrawal_id).execute_update("cancel", result_type=WithdrawalResult)
    assert result.state == "cancelling"
    await rig.until(lambda: rig.state(withdrawal_id), "cancelled")
    assert await rig.balance("customer:7:trading.0:ETH") == 900 * 10**18
    assert await rig.balance("withdrawal:pending:ETH") == 0


@pytest.mark.parametrize("is_carried_out", [True, False])
async def test_engine_that_is_away_during_the_debit_while_the_customer_cancels(
    rig: Rig, is_carried_out: bool
) -> None:
    """Silent after the debit, or not there: what has become of it is known before it is undone."""
    customer = 14 + is_carried_out
    await rig.funded_customer(customer, "USDT", 300 * USDT)
    rig.treasury.away, rig.treasury.missed = ("silent" if is_carried_out else "down"), 0
    rig.treasury.settles = False  # else the ledger tells what the engine does not
    withdrawal_id = await rig.withdraw(customer, "USDT", 100 * USDT)
    await rig.until(lambda: _is_tried_again(rig), True)
    assert await rig.record_cancellation(customer, withdrawal_id)
    await rig.handle(withdrawal_id).signal("cancel_requested")
    assert await rig.state(withdrawal_id) == "requested"
    rig.treasury.away, rig.treasury.settles = "", True
    await rig.treasury.settle()
    await rig.until(lambda: rig.state(withdrawal_id), "cancelled")
    assert await rig.balance(f"customer:{customer}:trading.0:USDT") == 300 * USDT
    assert await rig.balance("withdrawal:pending:USDT") == 0
    assert await rig.balance("transit.0:USDT") == 0


async def _is_tried_again(rig: Rig) -> bool:
    return rig.treasury.missed >= 2


async def test_cancel_before_the_debit_is_answered_waits_for_it(rig: Rig) -> None:
    """A debit that is under way is not forgotten: first held, then given back."""
    await rig.funded_customer(8, "USDT", 300 * USDT)
    rig.treasury.settles = False
    withdrawal_id = await rig.withdraw(8, "USDT", 100 * USDT)
    handle = rig.handle(withdrawal_id)
    await rig.until(lambda: _has_debit(rig, withdrawal_id), True)
    assert await rig.record_cancellation(8, withdrawal_id)
    cancelling = await handle.start_update(
        "cancel",
        wait_for_stage=WorkflowUpdateStage.ACCEPTED,
        result_type=WithdrawalResult,
    )
    rig.treasury.settles = True
    await rig.treasury.settle()
    assert (await cancelling.result()).state == "cancelling"
    await rig.until(lambda: rig.state(withdrawal_id), "cancelled")
    assert await rig.balance("customer:8:trading.0:USDT") == 300 * USDT


async def test_forged_cancellation_releases_nothing(rig: Rig) -> None:
    """Whoever reaches Temporal may say anything: only the recorded wish of the customer counts."""
    await rig.funded_customer(11, "USDT", 3_000 * USDT)
    withdrawal_id = await rig.withdraw(11, "USDT", 2_000 * USDT)
    await rig.until_approvable(withdrawal_id)
    handle = rig.handle(withdrawal_id)
    for forged in ([], [{"customer_id": 11}], [11, "please"]):
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("cancel", args=forged)
    await handle.signal("cancel_requested")
    assert not await rig.record_cancellation(10, withdrawal_id)  # another customer's wish
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update("cancel")
    assert "has not cancelled" in str(refused.value.cause)
    assert (await rig.state(withdrawal_id), await rig.stage(withdrawal_id)) == (
        "screened",
        "approval",
    )
    assert await rig.balance("withdrawal:pending:USDT") == 2_000 * USDT

    assert await rig.record_cancellation(11, withdrawal_id)
    await handle.signal("cancel_requested")
    await rig.until(lambda: rig.state(withdrawal_id), "cancelled")
    assert await rig.balance("customer:11:trading.0:USDT") == 3_000 * USDT
    async with rig.engine.connect() as connection:
        story = await AuditStore().read(connection, f"withdrawal-{withdrawal_id}")
    actors = {record.action: record.actor for record in story}
    assert actors["cancel_requested"] == actors["cancelling"] == "customer:11"


async def test_cancelled_withdrawal_gets_no_nonce_though_nobody_told_its_workflow(rig: Rig) -> None:
    """The record alone stops it: under the row's lock, before anything can be signed."""
    await rig.funded_customer(12, "USDT", 3_000 * USDT)
    withdrawal_id = await rig.withdraw(12, "USDT", 2_000 * USDT)
    await rig.until_approvable(withdrawal_id)
    assert await rig.record_cancellation(12, withdrawal_id)
    await rig.handle(withdrawal_id).execute_update("approve", await rig.decision(withdrawal_id))
    await rig.until(lambda: rig.state(withdrawal_id), "cancelled")
    row = await rig.row(withdrawal_id)
    assert (row.nonce, row.reason) == (None, "cancel_requested")
    assert await rig.balance("customer:12:trading.0:USDT") == 3_000 * USDT


async def test_nothing_can_be_cancelled_or_retried_at_the_end(rig: Rig) -> None:
    """A paid withdrawal's workflow is closed, so updates find nothing to change."""
    await rig.funded_customer(9, "USDT", 300 * USDT)
    withdrawal_id = await rig.withdraw(9, "USDT", 100 * USDT)
    await rig.until_settled(withdrawal_id)
    await rig.handle(withdrawal_id).result()
    assert not await rig.record_cancellation(9, withdrawal_id)
    with pytest.raises(RPCError):
        await rig.handle(withdrawal_id).execute_update("cancel")


@pytest.mark.long
async def test_a_contract_that_takes_no_coins_parks_before_the_nonce(rig: Rig) -> None:
    """The node says so before anything is signed; the customer cancels and has the money back."""
    plan, url = demo.TokenPlan("NOTAKER", "Takes nothing", 18), rig.settings.chain_url
    contract = (await demo.deploy_tokens(url, rig.settings.data_dir, [plan]))["NOTAKER"]
    await rig.funded_customer(21, "ETH", 10**18)
    nonce = await rig.hot_nonce()
    withdrawal_id = await rig.withdraw(21, "ETH", 10**17, address=contract)
    await rig.until(lambda: rig.stage(withdrawal_id), "failed:nonce")
    assert "TransactionRefusedError" in await rig.details(withdrawal_id)
    assert await rig.record_cancellation(21, withdrawal_id)
    await rig.handle(withdrawal_id).execute_update("cancel", result_type=WithdrawalResult)
    await rig.until(lambda: rig.state(withdrawal_id), "cancelled")
    assert await rig.balance("customer:21:trading.0:ETH") == 10**18
    assert await rig.hot_nonce() == nonce


@pytest.mark.long
async def test_of_a_hundred_at_once_exactly_those_that_fit_are_paid(rig: Rig) -> None:
    """One balance, a hundred withdrawals in flight: 37 fit, 63 are refused, nothing is lost."""
    await rig.funded_customer(20, "USDT", 3_799 * USDT)
    names = [await rig.request(20, "USDT", 100 * USDT) for _ in range(100)]
    outside = await rig.coins(OUTSIDE, "USDT")
    await asyncio.gather(*(rig.start(name) for name in names))

    mine = tables.withdrawal.c.customer_id == 20
    states = sa.select(tables.withdrawal.c.state).where(mine)

    async def ended() -> Counter[str]:
        await rig.mine(1)
        await asyncio.sleep(1)
        async with rig.engine.connect() as connection:
            return Counter((await connection.execute(states)).scalars())

    await rig.until(ended, Counter(settled=37, rejected=63), seconds=300)
    assert await rig.balance("customer:20:trading.0:USDT") == 99 * USDT
    assert await rig.balance("withdrawal:pending:USDT") == 0
    assert await rig.coins(OUTSIDE, "USDT") - outside == 37 * 99 * USDT
