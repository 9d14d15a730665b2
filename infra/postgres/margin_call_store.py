"""Margin calls as rows: written by risk monitors, listed for the account that was called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.margin_call import MarginCall
from infra.postgres import tables
from infra.postgres.reading import reading, writing

_ROW = tables.margin_call.c


class MarginCallStore:
    """Each method is one transaction; `ConnectionError` when PostgreSQL is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def write(self, calls: Sequence[MarginCall]) -> None:
        """Write calls; what was written before stands."""
        rows = [asdict(call) for call in calls]
        async with writing(self._engine) as conn:
            await conn.execute(insert(tables.margin_call).on_conflict_do_nothing(), rows)

    async def of(
        self, account_id: int, before: tuple[int, ...] | None, limit: int
    ) -> list[MarginCall]:
        """Return an account's calls, newest first, before (time, sequence, shard, symbol id)."""
        place = (_ROW.time_us, _ROW.sequence, _ROW.shard, _ROW.symbol_id)
        query = sa.select(tables.margin_call).where(_ROW.account_id == account_id)
        if before is not None:
            query = query.where(sa.tuple_(*place) < before)
        query = query.order_by(*(column.desc() for column in place)).limit(limit)
        async with reading(self._engine) as conn:
            return [
                MarginCall(**{name: row[name] for name in MarginCall.__slots__})
                for row in (await conn.execute(query)).mappings()
            ]
