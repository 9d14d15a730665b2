"""Care for the ledger: started by a schedule every hour."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from domain.ledger_care import CareRequest, CareResult
from domain.plain_text import PlainText

LEDGER_CARE_WORKFLOW = "LedgerCareWorkflow"
LEDGER_CARE_ID = "ledger-care"
EVERY_SECONDS = 3600


@workflow.defn(name=LEDGER_CARE_WORKFLOW)
class LedgerCareWorkflow:
    """Partitions ahead of the writers, old ones into the archive."""

    @workflow.run
    async def run(self, request: CareRequest) -> CareResult:
        """Run the activity once; writers in the way only delay it."""
        result: CareResult = await workflow.execute_activity(
            "care_for_ledger",
            request,
            result_type=CareResult,
            start_to_close_timeout=timedelta(minutes=10),
            schedule_to_close_timeout=timedelta(minutes=14),
            retry_policy=RetryPolicy(
                initial_interval=timedelta(seconds=5), maximum_interval=timedelta(minutes=1)
            ),
            summary=PlainText("partitions and retention"),
        )
        workflow.set_current_details(
            f"{result.made} partitions made ahead; archived: {', '.join(result.detached) or '-'}"
        )
        return result
