"""Steps of an adjustment: look at it, check a signature, post it, or let it expire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from temporalio import activity
from temporalio.exceptions import ApplicationError

from domain.adjustment import (
    Adjustment,
    AdjustmentRequest,
    AdjustmentView,
    event_place,
)
from domain.approval import Decision, Officer, VerifySignature, parse_decision
from domain.two_signatures import SignRequest


class AdjustmentRows(Protocol):
    """The rows of adjustments."""

    async def load(self, adjustment_id: str) -> tuple[Adjustment, dict[str, str]]:
        """Return the adjustment and its signatures."""

    async def sign(
        self,
        adjustment_id: str,
        decision: Decision,
        officers: Mapping[str, Officer],
        verify: VerifySignature,
        now: int,
    ) -> str | None:
        """Add a signature, or return why it does not count."""

    async def post(self, adjustment_id: str) -> str | None:
        """Post it once, or return why the ledger refuses."""

    async def expire(self, adjustment_id: str) -> None:
        """Close it unposted."""


class AdjustmentActivities:
    """The activities of the adjustment workflow; `officers` are the worker's pinned keys."""

    def __init__(
        self,
        rows: AdjustmentRows,
        officers: Mapping[str, Officer],
        verify: VerifySignature,
        now: Callable[[], int],
    ) -> None:
        self._rows = rows
        self._officers = officers
        self._verify = verify
        self._now = now

    @activity.defn(name="load_adjustment")
    async def load(self, request: AdjustmentRequest) -> AdjustmentView:
        """Return how it stands."""
        adjustment, signatures = await self._rows.load(request.adjustment_id)
        place = event_place(adjustment.event)
        return AdjustmentView(
            state=adjustment.state,
            kind=adjustment.kind,
            reason=adjustment.reason,
            signatures=len(signatures),
            seconds_left=max(0, adjustment.expiry - self._now()),
            settlement_shard=None if place is None else place[0],
        )

    @activity.defn(name="sign_adjustment")
    async def sign(self, request: SignRequest) -> str:
        """Return "" when the signature counts, else why it does not."""
        decision = parse_decision(request.decision)
        if decision is None:
            return "not a signed decision"
        refusal = await self._rows.sign(
            request.proposal_id, decision, self._officers, self._verify, self._now()
        )
        return refusal or ""

    @activity.defn(name="post_adjustment")
    async def post(self, request: AdjustmentRequest) -> None:
        """Post it; what the ledger refuses parks the workflow."""
        refusal = await self._rows.post(request.adjustment_id)
        if refusal is not None:
            raise ApplicationError(refusal, type="PublicLedgerRefusedError", non_retryable=True)

    @activity.defn(name="expire_adjustment")
    async def expire(self, request: AdjustmentRequest) -> None:
        """Close it unposted."""
        await self._rows.expire(request.adjustment_id)
