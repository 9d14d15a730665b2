"""The ledger's care on real servers: partitions are made, and repeats change nothing."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from temporalio.client import Client
from temporalio.worker import Worker

from activities.ledger_care import LedgerCareActivities
from domain.ledger_care import CareRequest, CareResult
from infra.postgres.reconciliation_log import ReconciliationLog
from infra.postgres.retention import LedgerRetention
from workflows.ledger_care import LedgerCareWorkflow

pytestmark = pytest.mark.servers


async def test_care_makes_partitions_and_says_so(fresh_database: str, temporal: str) -> None:
    """A shard that has run far ahead gets its partitions; the next run has nothing to do."""
    database = create_async_engine(fresh_database)
    async with database.begin() as conn:
        await conn.execute(sa.text("INSERT INTO cursor VALUES ('settlement.0', 13000000)"))
    client = await Client.connect(temporal, namespace="rialto")
    caring = LedgerCareActivities(
        LedgerRetention(database), ReconciliationLog(database), lambda: dt.datetime.now(dt.UTC)
    )
    results = []
    async with Worker(
        client,
        task_queue="care",
        workflows=[LedgerCareWorkflow],
        activities=[caring.care],
        build_id="test",
    ):
        for number in range(2):
            result: CareResult = await client.execute_workflow(
                LedgerCareWorkflow.run,
                CareRequest(retention_days=400),
                id=f"care-{number}",
                task_queue="care",
            )
            results.append(result)
    await database.dispose()
    assert results == [CareResult(made=9), CareResult(made=0)]
