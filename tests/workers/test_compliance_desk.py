"""The compliance file against a running wallet: a story that outlives its workflow."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.testing import ActivityEnvironment

from activities.history_export import HistoryExportActivities
from domain.approval import APPROVE
from domain.customer import Standing
from domain.wallet_record import WithdrawalFilter
from domain.workflow_history import ExportRequest, ExportResult
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.customer_file import CustomerFileStore
from infra.postgres.history_archive import HistoryArchive
from infra.secret_box import SecretBox, history_key_path
from infra.temporal.histories import WorkflowHistories
from infra.wallet.screening import denied_path
from tests.workflows.wallet_parts import OUTSIDE
from tests.workflows.wallet_rig import Rig
from workers import officer_desk as desk
from workers.cli.story_page import period_page, story_page
from workers.compliance_desk import compliance_file

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]
USDT = 10**6


async def export(rig: Rig) -> ExportResult:
    """Run the exporting activity once."""
    box = SecretBox.from_file(history_key_path(rig.settings.secrets_dir))
    activities = HistoryExportActivities(
        WorkflowHistories(rig.client),
        HistoryArchive(rig.engine, AuditStore(), box),
        lambda: datetime.now(UTC),
    )
    result: ExportResult = await ActivityEnvironment().run(
        activities.export, ExportRequest(keep_days=2557)
    )
    return result


async def exported(rig: Rig, workflow_id: str) -> bool:
    """Export what has closed; return whether the workflow's history is among it by now."""
    await export(rig)
    file = compliance_file(rig.settings, rig.engine)
    return bool(await file.histories(workflow_id))


async def test_story_outlives_the_workflow(rig: Rig) -> None:
    """Compared with Temporal's history, then with its export when the run is deleted there."""
    await rig.funded_customer(1, "USDT", 3_000 * USDT)
    name = await rig.withdraw(1, "USDT", 2_000 * USDT + 1)
    await rig.until_approvable(name)
    await desk.decide(rig.settings, "marta", await desk.statement_for(rig.settings, name, APPROVE))
    await rig.until_settled(name)
    await rig.handle(name).result()

    file = compliance_file(rig.settings, rig.engine)
    story = await file.withdrawal(UUID(name), "staff:clara")
    assert story is not None
    assert [run["source"] for run in story["history"]] == ["temporal"]
    assert (story["state"], story["amount"], story["differences"]) == ("settled", "2000.000001", [])
    assert "officer:marta signed: approve" in story["answer"]
    assert {record["fault"] for record in story["records"]} == {""}
    details = {record["action"]: record["detail"] for record in story["records"]}
    assert details["screened"]["checks"] == {
        "customer_may_withdraw": True,
        "destination_is_own_address": True,
        "not_blocked_by_sanctions": True,
        "not_blocked_by_travel_rule": True,
        "destination_is_listed": True,
        "destination_has_cooled_off": True,
        "value_is_known": True,
        "within_1h_limit": True,
        "within_24h_limit": True,
        "within_30d_limit": True,
    }
    assert details["settled"]["postings"][0][0] == "withdrawal:pending:USDT"
    assert story["records"][-1]["actor"] == "staff:clara"  # having looked is on record

    (listed,) = await file.withdrawals(WithdrawalFilter(customer_id=1), None, 10)
    assert (str(listed.withdrawal_id), listed.amount_text) == (name, "2000.000001")
    assert await file.withdrawals(WithdrawalFilter(state="rejected"), None, 10) == []
    assert await file.withdrawals(WithdrawalFilter(), listed.place, 10) == []

    workflow_id = f"withdrawal-{name}"
    await rig.until(lambda: exported(rig, workflow_id), True)
    assert (await export(rig)).exported == 0
    await rig.client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=rig.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id),
        )
    )
    server = WorkflowHistories(rig.client)
    await rig.until(lambda: server.run_ids(workflow_id), [])
    file = compliance_file(rig.settings, rig.engine)
    story = await file.withdrawal(UUID(name), "staff:clara")
    assert story is not None
    assert [(run["source"], run["fault"]) for run in story["history"]] == [("export", "")]
    assert story["differences"] == []
    page = story_page(story)
    assert "officer:marta signed: approve" in page
    assert story["tx_hash"] in page

    await tamper(rig, workflow_id)
    file = compliance_file(rig.settings, rig.engine)
    story = await file.withdrawal(UUID(name), "staff:clara")
    assert story is not None
    (run,) = story["history"]
    assert story["differences"] == [f"history {run['run_id']}: changed since it was exported"]
    assert "NOT GENUINE: changed since it was exported" in story_page(story)


async def tamper(rig: Rig, workflow_id: str) -> None:
    """Change one byte of an export."""
    table = tables.workflow_history
    mine = table.c.workflow_id == workflow_id
    async with rig.engine.begin() as connection:
        sealed = bytes(
            (await connection.execute(sa.select(table.c.sealed).where(mine))).scalar_one()
        )
        changed = sealed[:20] + bytes([sealed[20] ^ 1]) + sealed[21:]
        await connection.execute(sa.update(table).where(mine).values(sealed=changed))


async def test_history_that_says_more_than_the_log_is_a_difference(rig: Rig) -> None:
    """A forged row state, and a record that a superuser has taken out."""
    await rig.funded_customer(2, "USDT", 3_000 * USDT)
    name = await rig.withdraw(2, "USDT", 100 * USDT)
    await rig.until_settled(name)
    await rig.handle(name).result()
    log, row = tables.audit_log, tables.withdrawal
    async with rig.engine.begin() as connection:
        await connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        gone = (
            await connection.execute(
                sa.delete(log).where(log.c.key == f"withdrawal-{name}:screened").returning(log)
            )
        ).one()
        await connection.execute(
            sa.update(row).where(row.c.withdrawal_id == UUID(name)).values(state="rejected")
        )
    file = compliance_file(rig.settings, rig.engine)
    story = await file.withdrawal(UUID(name), "staff:clara")
    assert story is not None
    assert story["differences"] == [
        (
            "screen_withdrawal has completed, but there is no record of "
            "cancel_requested or rejecting or screened"
        ),
        "the row is rejected, the audit log says settled",
    ]
    async with rig.engine.begin() as connection:  # the other tests' log is whole again
        await connection.execute(log.insert(), dict(gone._mapping))
        await connection.execute(
            sa.update(row).where(row.c.withdrawal_id == UUID(name)).values(state="settled")
        )


async def test_what_waited_is_screened_again_before_its_nonce(rig: Rig) -> None:
    """Approved in vain: the customer was frozen, then the address was listed; paid after both."""
    await rig.funded_customer(3, "USDT", 3_000 * USDT)
    name = await rig.withdraw(3, "USDT", 2_000 * USDT)
    await rig.until_approvable(name)
    customers = CustomerFileStore(rig.engine, AuditStore())
    await customers.set_standing(3, Standing.FROZEN, "staff:clara", "case 17")
    await desk.decide(rig.settings, "marta", await desk.statement_for(rig.settings, name, APPROVE))
    await rig.until(lambda: rig.stage(name), "failed:nonce")
    details = await rig.details(name)
    assert "the policy would refuse it now: customer_may_withdraw" in details

    denied = denied_path(rig.settings.data_dir)
    denied.parent.mkdir(exist_ok=True)
    denied.write_text(f"{OUTSIDE}  # listed today\n")
    await customers.set_standing(3, Standing.ACTIVE, "staff:clara", "case 17 is closed")
    await desk.retry(rig.settings, name, "unfrozen")
    await rig.until(lambda: parked_for(rig, name), "not_blocked_by_sanctions")
    denied.unlink()
    await desk.retry(rig.settings, name, "taken off the list")
    await rig.until_settled(name)


async def parked_for(rig: Rig, name: str) -> str:
    """Return the rule for which the withdrawal was parked last."""
    async with rig.engine.connect() as connection:
        records = await AuditStore().read(connection, f"withdrawal-{name}")
    texts = [str(record.detail.get("text", "")) for record in records]
    return next((text.rsplit(" ", 1)[-1] for text in reversed(texts) if "policy" in text), "")


async def test_period_is_told_with_its_faults(rig: Rig) -> None:
    """Everything between two moments, in order; a changed record is named on line and page."""
    begin = datetime.now(UTC)
    async with rig.engine.begin() as connection:
        for number in range(3):
            detail = {"note": f"<script>{number}</script>"}
            await AuditStore().append(
                connection, f"customer-{number}", "staff:a", "noted", f"p:{uuid4()}", detail
            )
    end = begin + timedelta(hours=1)
    file = compliance_file(rig.settings, rig.engine)
    await file.note_export("staff:clara", begin, end)
    told = [record async for record in file.period(begin, end)]
    assert [record async for record in file.period(end, end + timedelta(days=1))] == []
    actions = [(record["action"], record["fault"]) for record in told]
    assert actions == [("noted", "")] * 3 + [("log_exported", "")]
    page = period_page(begin.isoformat(), end.isoformat(), json.loads(json.dumps(told)))
    assert "&lt;script&gt;1" in page
    assert "<script>" not in page


async def test_unknown_withdrawal_has_no_story_and_leaves_no_record(rig: Rig) -> None:
    """Whoever types a wrong id fills no log."""
    file = compliance_file(rig.settings, rig.engine)
    good, _ = await file.verify()
    assert await file.withdrawal(uuid4(), "staff:clara") is None
    assert await file.about("customer-77", "staff:clara") == []
    assert await file.verify() == (good, "")
