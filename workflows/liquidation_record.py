"""Writes a liquidation's record; apart from it, so that nobody waits for a database."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from activities.liquidation_record import LiquidationRecordActivities
    from domain.liquidation_story import CLOSING_WORKFLOW, LiquidationRecord, story_of
    from domain.plain_text import PlainText
    from workflows import search_attributes as attributes


@workflow.defn(name=CLOSING_WORKFLOW)
class LiquidationRecordWorkflow:
    """Tries until the database has it: the record is in this workflow's argument meanwhile."""

    @workflow.run
    async def run(self, record: LiquidationRecord) -> int:
        """Return up to which sequence the ledger was, then."""
        request = record.request
        self._show("writing", record)
        settled = await workflow.execute_activity_method(
            LiquidationRecordActivities.write,
            record,
            start_to_close_timeout=timedelta(seconds=60),
            heartbeat_timeout=timedelta(seconds=15),
            retry_policy=RetryPolicy(
                initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=15)
            ),
            summary=PlainText(f"write {len(record.steps)} steps of {request.liquidation_id[:8]}"),
        )
        self._show("settled", record)
        return settled

    def _show(self, stage: str, record: LiquidationRecord) -> None:
        workflow.upsert_search_attributes(
            [
                attributes.STAGE.value_set(stage),
                attributes.ACCOUNT_ID.value_set(str(record.request.account_id)),
                attributes.SHARD.value_set(record.request.shard),
            ]
        )
        lines = "".join(f"\n- {line}" for line in story_of(record.steps))
        workflow.set_current_details(
            f"**{stage}** - record of the liquidation of {record.request.name}, which ended "
            f"{record.ended} at sequence {record.last_sequence}.\n{lines}"
        )
