"""Fundings that were paid, as everybody may know them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.perpetual_record import PastFunding
from infra.postgres import tables
from infra.postgres.reading import reading


class FundingRates:
    """Reads the rows that follow the engine's events."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def fundings(
        self, symbol_id: int, before: tuple[int, ...] | None, limit: int
    ) -> list[PastFunding]:
        """Return fundings of a market, newest first, before (funding time)."""
        row = tables.funding_rate.c
        query = sa.select(tables.funding_rate).where(row.symbol_id == symbol_id)
        if before is not None:
            query = query.where(row.funding_time_us < before[0])
        query = query.order_by(row.funding_time_us.desc()).limit(limit)
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return [
            PastFunding(
                funding_time_us=one.funding_time_us,
                sequence=one.sequence,
                rate_ppm=one.rate_ppm,
                premium_ppm=one.premium_ppm,
                mark_ticks=one.mark_ticks,
                entries=one.entries,
            )
            for one in rows
        ]
