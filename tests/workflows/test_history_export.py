"""The export of histories on real servers: what has closed is kept, and kept once."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

from activities.history_export import HistoryExportActivities
from domain.deposit import DEPOSIT_WORKFLOW
from domain.workflow_history import ExportRequest, ExportResult, count_events
from infra.postgres.audit_store import AuditStore
from infra.postgres.engine import create
from infra.postgres.history_archive import HistoryArchive
from infra.secret_box import SecretBox
from infra.temporal.histories import WorkflowHistories
from workflows.history_export import HistoryExportWorkflow

pytestmark = pytest.mark.servers


@workflow.defn(name=DEPOSIT_WORKFLOW, sandboxed=False)
class ShortDeposit:
    """A deposit that has nothing to do."""

    @workflow.run
    async def run(self) -> str:
        """End at once."""
        return "Alice Example"


async def test_closed_workflow_is_exported_once(
    fresh_database: str, temporal: str, tmp_path: Path
) -> None:
    """By the schedule's workflow; the history comes back whole, the next turn has nothing to do."""
    database = create(fresh_database)
    client = await Client.connect(temporal, namespace="rialto")
    archive = HistoryArchive(database, AuditStore(), SecretBox.from_file(tmp_path / "key"))
    server = WorkflowHistories(client)
    exporting = HistoryExportActivities(server, archive, lambda: dt.datetime.now(dt.UTC))
    queue, name = f"export-{uuid4()}", f"deposit-{uuid4()}"
    async with Worker(
        client,
        task_queue=queue,
        workflows=[ShortDeposit, HistoryExportWorkflow],
        activities=[exporting.export],
        build_id="test",
    ):
        await client.execute_workflow(ShortDeposit.run, id=name, task_queue=queue)
        kept = []
        for turn in range(50):  # the server's search lags behind
            result: ExportResult = await client.execute_workflow(
                HistoryExportWorkflow.run,
                ExportRequest(keep_days=10),
                id=f"{queue}-{turn}",
                task_queue=queue,
            )
            kept = await archive.of(name)
            if kept:
                break
        assert result.exported >= 1
        again = await client.execute_workflow(
            HistoryExportWorkflow.run,
            ExportRequest(keep_days=10),
            id=f"{queue}-again",
            task_queue=queue,
        )
    assert (again.exported, again.gone, len(kept)) == (0, [], 1)
    (one,) = kept
    assert (one.fault, one.run.status, count_events(one.history) > 4) == ("", "completed", True)
    assert one.keep_until == one.run.closed_at + dt.timedelta(days=10)
    assert one.history == await server.history(name, one.run.run_id)
    await database.dispose()
