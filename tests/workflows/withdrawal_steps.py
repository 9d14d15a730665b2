"""A withdrawal's activities as a script, for tests of its workflow alone."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from temporalio import activity

from activities.withdrawal_review import StepResult, WithdrawalNote, WithdrawalView
from domain.withdrawal import WithdrawalRequest
from workflows.withdrawal import WithdrawalWorkflow

RECEIVER = "0xReceiver"


def view_of(request: WithdrawalRequest, **fields: Any) -> WithdrawalView:
    """Return what a withdrawal's row says, with these fields."""
    common: dict[str, Any] = {
        "customer_id": 7,
        "asset": "USDT",
        "amount": 5_000,
        "amount_text": "0.005",
        "address": RECEIVER,
    }
    return WithdrawalView(withdrawal_id=request.withdrawal_id, **(common | fields))


class ApprovedSteps:
    """An approved withdrawal; its signing order is the test's own."""

    def __init__(self, address: str = RECEIVER) -> None:
        self.notes: list[WithdrawalNote] = []
        self._address = address

    @activity.defn(name="load_withdrawal")
    async def load(self, request: WithdrawalRequest) -> WithdrawalView:
        return view_of(request, address=self._address, state="approved", approvals_needed=0)

    @activity.defn(name="note_withdrawal")
    async def note(self, note: WithdrawalNote) -> None:
        self.notes.append(note)


async def until_parked(handle: Any) -> None:
    """Wait until an approved withdrawal has parked before its nonce."""
    parked = StepResult("approved", "failed:nonce")
    deadline = time.monotonic() + 30
    while (found := await handle.query(WithdrawalWorkflow.status)) != parked:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)
