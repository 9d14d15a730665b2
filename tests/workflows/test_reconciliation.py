"""The reconciliation workflow shows what a run found."""

from __future__ import annotations

import pytest
from temporalio import activity
from temporalio.worker import Worker

from domain.reconciliation import ReconcileRequest, ReconcileResult
from tests.workflows.time_skipping import time_skipping
from workflows.reconciliation import ReconciliationWorkflow
from workflows.search_attributes import SHARD, STAGE
from workflows.task_queues import SETTLEMENT

pytestmark = pytest.mark.servers


@pytest.mark.parametrize(("violations", "stage"), [(0, "clean"), (3, "violated")])
async def test_outcome_can_be_searched(violations: int, stage: str) -> None:
    """Runs with violations are found by `Stage`; the first attempt's failure is not the end."""
    attempts = []

    @activity.defn(name="reconcile")
    async def reconcile(request: ReconcileRequest) -> ReconcileResult:
        attempts.append(request)
        if len(attempts) == 1:
            raise ConnectionError("the database is away")
        return ReconcileResult(request.shard, 7, 100, violations, ["floors_respected"], "first")

    async with (
        time_skipping() as environment,
        Worker(
            environment.client,
            task_queue=SETTLEMENT,
            workflows=[ReconciliationWorkflow],
            activities=[reconcile],
            build_id="test",
        ),
    ):
        handle = await environment.client.start_workflow(
            ReconciliationWorkflow.run, ReconcileRequest(2), id="r", task_queue=SETTLEMENT
        )
        result = await handle.result()
        found = (await handle.describe()).typed_search_attributes
    assert (result.sequence, result.violations) == (7, violations)
    assert (found[STAGE], found[SHARD]) == (stage, 2)
    assert len(attempts) == 2
