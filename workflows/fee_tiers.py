"""Once a day: every account pays by what it traded in the 30 days before.

The day's rows decide: they are written once, so a second run, or a reset one, tells the engines
the same, and under the same keys.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey

with workflow.unsafe.imports_passed_through():
    from activities.fee_tiers import FeeTierActivities
    from domain.fee_tiers import Assessed, ShardTiers, TierRequest, TiersSet
    from domain.plain_text import PlainText
    from workflows.search_attributes import STAGE

FEE_TIERS_WORKFLOW = "FeeTiersWorkflow"
FEE_TIERS_ID = "fee-tiers"
EVERY_SECONDS = 86_400
AFTER_MIDNIGHT_SECONDS = 300
_SCHEDULED = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")
_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    maximum_interval=timedelta(seconds=30),
    non_retryable_error_types=["LookupError", "ValueError"],
)


@workflow.defn(name=FEE_TIERS_WORKFLOW)
class FeeTiersWorkflow:
    """One run is one day's assessment, told to every shard."""

    @workflow.run
    async def run(self, request: TierRequest) -> list[TiersSet]:
        """Return what was changed, by shard."""
        day = request.day or self._day()
        self._show("volumes", f"The 30 days before {day}.")
        found = await workflow.execute_activity_method(
            FeeTierActivities.assess,
            TierRequest(day),
            start_to_close_timeout=timedelta(minutes=10),
            heartbeat_timeout=timedelta(minutes=2),
            retry_policy=_RETRY,
            summary=PlainText("add up what was traded and assess it"),
        )
        results = []
        for shard in found.shards:
            self._show("tiers", f"{_told(found)} Telling shard {shard}.")
            results.append(
                await workflow.execute_activity_method(
                    FeeTierActivities.set_tiers,
                    ShardTiers(day, shard),
                    start_to_close_timeout=timedelta(minutes=10),
                    heartbeat_timeout=timedelta(minutes=2),
                    retry_policy=_RETRY,
                    summary=PlainText(f"set the tiers of shard {shard} that change"),
                )
            )
        changed = ", ".join(f"{result.changed} on shard {result.shard}" for result in results)
        self._show("done", f"{_told(found)} Changed: {changed}.")
        return results

    def _day(self) -> str:
        """Return the day for which the schedule meant this run, or on which it was started."""
        scheduled: datetime | None = workflow.info().typed_search_attributes.get(_SCHEDULED)
        return (scheduled or workflow.info().start_time).date().isoformat()

    def _show(self, stage: str, text: str) -> None:
        workflow.upsert_search_attributes([STAGE.value_set(stage)])
        workflow.set_current_details(f"**{stage}** - {text}")


def _told(found: Assessed) -> str:
    tiers = ", ".join(f"{count} in tier {tier}" for tier, count in found.tiers.items())
    return f"{found.day}: {found.accounts} accounts have traded; {tiers or 'all in tier 0'}."
