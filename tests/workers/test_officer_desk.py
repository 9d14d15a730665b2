"""What staff do from the command line, against a running wallet."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from temporalio.api.workflowservice.v1 import PauseWorkflowExecutionRequest

from domain.approval import APPROVE, REJECT, Decision
from infra.postgres import tables
from tests.workflows.wallet_rig import Rig
from workers import officer_desk as desk
from workers.compliance_desk import compliance_file
from workers.wallet_queries import OPEN_WORK

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
USDT = 10**6
_NO_TRIGGERS = sa.text("SET LOCAL session_replication_role = replica")  # a superuser may


async def told(rig: Rig, name: str) -> dict[str, Any]:
    """Return a withdrawal's story, read by a member of staff."""
    file = compliance_file(rig.settings, rig.engine)
    story = await file.withdrawal(uuid.UUID(name), "staff:clara")
    assert story is not None
    return story


async def verified(rig: Rig) -> tuple[int, str]:
    """Verify the audit log."""
    file = compliance_file(rig.settings, rig.engine)
    return await file.verify()


async def test_list_approve_and_tell_the_story(rig: Rig) -> None:
    """The waiting withdrawal is listed by stage, approved by signature, and told afterwards."""
    await rig.funded_customer(1, "USDT", 3_000 * USDT)
    withdrawal_id = await rig.withdraw(1, "USDT", 2_000 * USDT + 1)
    shown = ("approval", "1", "USDT", "2000.000001", 2000)
    await rig.until(lambda: _listed(rig, f"withdrawal-{withdrawal_id}"), shown)

    statement = await desk.statement_for(rig.settings, withdrawal_id, APPROVE)
    assert statement.amount == 2_000 * USDT + 1
    result = await desk.decide(rig.settings, "marta", statement)
    assert (result.approvals, result.approvals_needed) == (1, 1)
    await rig.until_settled(withdrawal_id)

    story = await told(rig, withdrawal_id)
    assert story["state"] == "settled"
    assert story["amount"] == "2000.000001"
    assert {record["fault"] for record in story["records"]} == {""}
    actors = {record["action"]: record["actor"] for record in story["records"]}
    assert actors["requested"] == "customer:1"
    assert actors["approve"] == "officer:marta"
    await rig.until(lambda: _listed(rig, f"withdrawal-{withdrawal_id}"), None)


async def test_forged_records_are_named(rig: Rig) -> None:
    """A changed record, a missing one, and a decision that its officer did not sign."""
    await rig.funded_customer(6, "USDT", 3_000 * USDT)
    name = await rig.withdraw(6, "USDT", 2_000 * USDT)
    await rig.until_approvable(name)
    good, fault = await verified(rig)
    assert (good > 0, fault) == (True, "")
    forged = Decision("marta", APPROVE, (await rig.decision(name)).statement, "00" * 64)
    await rig.withdrawals.record_decision(name, forged)
    story = await told(rig, name)
    faults = {record["action"]: record["fault"] for record in story["records"]}
    assert faults["approve"] == "not signed by this officer"
    assert {fault for action, fault in faults.items() if action != "approve"} == {""}

    log = tables.audit_log
    last = story["records"][-1]["audit_id"]
    async with rig.engine.begin() as connection:
        await connection.execute(_NO_TRIGGERS)
        removed = (
            await connection.execute(log.delete().where(log.c.audit_id == last - 1).returning(log))
        ).one()
    faults = {one["audit_id"]: one["fault"] for one in (await told(rig, name))["records"]}
    assert faults[last] == f"record {last - 1} before it is missing"
    assert await verified(rig) == (last - 2, f"record {last - 1} is missing")
    async with rig.engine.begin() as connection:
        changed = {**removed._mapping, "actor": "nobody"}
        await connection.execute(log.insert(), changed)
    good, fault = await verified(rig)
    assert good == last - 2
    assert fault.startswith(f"record {last - 1} (withdrawal-")
    assert fault.endswith("changed since it was written")
    async with rig.engine.begin() as connection:  # the other tests' log is whole again
        await connection.execute(_NO_TRIGGERS)
        await connection.execute(
            log.update().where(log.c.audit_id == last - 1).values(actor=removed.actor)
        )
    await rig.handle(name).terminate("a test")


async def test_refused_decision_is_on_record_with_the_persons_login(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The validator leaves no event behind, so the console writes down who has tried."""
    monkeypatch.setenv("LOGNAME", "ursula")
    await rig.funded_customer(7, "USDT", 30_000 * USDT)
    name = await rig.withdraw(7, "USDT", 20_000 * USDT)
    await rig.until_approvable(name)
    statement = await desk.statement_for(rig.settings, name, APPROVE)
    await desk.decide(rig.settings, "marta", statement)
    with pytest.raises(desk.DeskError, match=r"^already_decided$"):
        await desk.decide(rig.settings, "marta", statement)
    story = await told(rig, name)
    refused = [r for r in story["records"] if r["action"] == "approve_refused"]
    assert [(r["actor"], r["detail"]["officer"]) for r in refused] == [("staff:ursula", "marta")]
    assert "already_decided" in refused[0]["detail"]["refused"]
    await rig.handle(name).terminate("a test")


async def _listed(rig: Rig, workflow_id: str) -> tuple[object, ...] | None:
    """Return what is shown of an open workflow."""
    for work in await desk.open_work(rig.settings, OPEN_WORK):
        if work.workflow_id == workflow_id:
            return work.stage, work.account, work.asset, work.amount, work.about_usd
    return None


async def test_parked_withdrawals_are_retried_together(rig: Rig) -> None:
    """One query finds them all; the faucet has refilled the hot wallet before."""
    await rig.funded_customer(2, "ETH", 60 * 10**18)
    withdrawal_id = await rig.withdraw(2, "ETH", 55 * 10**18)
    await rig.until_approvable(withdrawal_id)
    for officer in ("marta", "piero"):
        statement = await desk.statement_for(rig.settings, withdrawal_id, APPROVE)
        await desk.decide(rig.settings, officer, statement)
    await rig.until(lambda: rig.stage(withdrawal_id), "failed:nonce")
    await desk.faucet(rig.settings, "hot", "ETH", "20")
    await rig.until(lambda: _parked(rig), [f"withdrawal-{withdrawal_id}"])
    await rig.until_settled(withdrawal_id)


async def _parked(rig: Rig) -> list[str]:
    """Retry what is parked, as soon as search has caught up."""
    batch = await desk.retry_all(rig.settings, OPEN_WORK)
    assert batch.skipped == {}
    return batch.asked


async def test_paused_withdrawal_is_listed_and_stops_no_sweep(rig: Rig) -> None:
    """A status that the SDK does not know is no error, for it and for all others."""
    await rig.funded_customer(5, "USDT", 6_000 * USDT)
    names = [await rig.withdraw(5, "USDT", 2_000 * USDT) for _ in range(2)]
    for name in names:
        await rig.until_approvable(name)
    await rig.client.workflow_service.pause_workflow_execution(
        PauseWorkflowExecutionRequest(
            namespace=rig.client.namespace,
            workflow_id=f"withdrawal-{names[0]}",
            identity="operator",
            reason="looking at it",
            request_id=str(uuid.uuid4()),
        )
    )
    await rig.until(lambda: _paused(rig), [f"withdrawal-{names[0]}"])
    await rig.handle(names[1]).terminate("a test")
    started = await rig.sweep()
    assert f"withdrawal-{names[1]}" in started
    assert f"withdrawal-{names[0]}" not in started


async def _paused(rig: Rig) -> list[str]:
    work = await desk.open_work(rig.settings, OPEN_WORK)
    return [entry.workflow_id for entry in work if entry.paused]


async def test_batch_retry_counts_what_was_asked(rig: Rig) -> None:
    """Closed and unparked workflows are none of its business, and bad queries are named."""
    everything = await desk.retry_all(rig.settings, "WorkflowType = 'WithdrawalWorkflow'")
    assert everything == desk.Batch()
    assert await desk.retry_all(rig.settings, "parked") == desk.Batch()
    for query in ("nonsense = 4", "foo bar (", "Stage = 'x') OR (Stage = 'y'"):
        if query.startswith("Stage"):
            assert (await desk.retry_all(rig.settings, query)).asked == []
        else:
            with pytest.raises(desk.QueryError, match="does not understand"):
                await desk.retry_all(rig.settings, query)


async def test_requests_that_make_no_sense_say_why(rig: Rig) -> None:
    """Nothing parked, nobody's key, no such withdrawal, coin or customer."""
    await rig.new_customer(3)
    withdrawal_id = await rig.request(3, "USDT", 100 * USDT)
    settings = rig.settings
    statement = await desk.statement_for(settings, withdrawal_id, REJECT)
    unknown = "00000000-0000-4000-8000-000000000000"
    for attempt, words in (
        (desk.retry(settings, withdrawal_id, ""), "no such running workflow"),
        (desk.decide(settings, "marta", statement), "no such running workflow"),
        (desk.decide(settings, "mallory", statement), "no key"),
        (desk.statement_for(settings, unknown, APPROVE), "no withdrawal"),
        (desk.statement_for(settings, "seven", APPROVE), "not a withdrawal's id"),
        (desk.faucet(settings, "hot", "DOGE", "1"), "no asset"),
        (desk.faucet(settings, "nobody", "USDT", "1"), "no customer"),
        (desk.faucet(settings, "c3", "USDT", "0.0000001"), "decimals"),
    ):
        with pytest.raises(desk.DeskError, match=words):
            await attempt


async def test_faucet_pays_a_customers_own_address(rig: Rig) -> None:
    """Demo money takes the same way as anybody's."""
    await rig.new_customer(4)
    tx_hash = await desk.faucet(rig.settings, "c4", "USDT", "25")
    await rig.mine()
    await rig.until(lambda: rig.deposit_state(tx_hash), "credited")
    assert await rig.balance("customer:4:trading.0:USDT") == 25 * USDT
