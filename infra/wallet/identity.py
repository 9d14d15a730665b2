"""Who knows customers: staff by default, or a service at `RIALTO_IDENTITY_URL`.

The service gets `POST` with `{"customer_id": 7, "subject": "withdrawal-..."}` and answers
`{"status": "verified" | "pending" | "refused", "rule": "...", "version": "..."}`, the last two at
most 64 letters, digits and `._:-`. It learns neither address nor amount. It is asked wherever a
withdrawal is screened; what is no answer is `ScreeningAwayError`, and nothing passes.
"""

from __future__ import annotations

from domain.screening import IDENTITY_STATUS, Screening, ScreeningResult
from infra.wallet.asked_service import AskedService


class HttpIdentity(AskedService):
    """Asks about the customer of a payment, and about nothing else."""

    async def screen(self, asked: Screening) -> ScreeningResult:
        """Ask once; the caller's retries are what makes up for an outage."""
        question = {"customer_id": asked.customer_id, "subject": asked.subject}
        return await self.ask(question, "status", IDENTITY_STATUS)
