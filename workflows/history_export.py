"""Export of histories: started by a schedule every few minutes."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from domain.plain_text import PlainText
from domain.workflow_history import ExportRequest, ExportResult

HISTORY_EXPORT_WORKFLOW = "HistoryExportWorkflow"
HISTORY_EXPORT_ID = "history-export"
EVERY_SECONDS = 300


@workflow.defn(name=HISTORY_EXPORT_WORKFLOW)
class HistoryExportWorkflow:
    """Closed deposits, withdrawals and liquidations into the archive of histories."""

    @workflow.run
    async def run(self, request: ExportRequest) -> ExportResult:
        """Run the activity once; what it does not reach, the next run does."""
        result: ExportResult = await workflow.execute_activity(
            "export_histories",
            request,
            result_type=ExportResult,
            start_to_close_timeout=timedelta(minutes=10),
            schedule_to_close_timeout=timedelta(minutes=14),
            heartbeat_timeout=timedelta(seconds=30),
            retry_policy=RetryPolicy(
                initial_interval=timedelta(seconds=5), maximum_interval=timedelta(minutes=1)
            ),
            summary=PlainText("closed workflows' histories into PostgreSQL"),
        )
        gone = f"; gone before export: {', '.join(result.gone)}" if result.gone else ""
        workflow.set_current_details(
            f"{result.exported} exported, {result.expired} kept long enough{gone}"
        )
        return result
