"""Fundings as rows that follow the engine's events."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.events import FundingSettled
from domain.perpetual_record import PastFunding
from infra.postgres.funding_rates import FundingRates
from infra.postgres.order_history_store import OrderHistoryStore

pytestmark = pytest.mark.servers


def _settled(sequence: int, funding_time_us: int) -> FundingSettled:
    return FundingSettled(sequence, 0, sequence, 1, funding_time_us, -50, -40, 250_000, 1, 3)


async def test_fundings_are_kept_newest_first_and_by_pages(database: AsyncEngine) -> None:
    """Each once, however often its command is read again."""
    history, rates = OrderHistoryStore(database), FundingRates(database)
    for sequence in (1, 2, 3, 3):
        events = [_settled(sequence, sequence * 60_000_000)]
        await history.apply(0, sequence, sequence, [], events)
    newest, second = await rates.fundings(1, None, 2)
    assert newest == PastFunding(180_000_000, 3, -50, -40, 250_000, 3)
    assert second.funding_time_us == 120_000_000
    assert [one.sequence for one in await rates.fundings(1, (120_000_000,), 9)] == [1]
    assert await rates.fundings(2, None, 9) == []
