"""Rows of liquidations: one a liquidation and one a step, written once, when it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.ledger import settlement_stream
from domain.liquidation_story import (
    LiquidationRecord,
    LiquidationRequest,
    StepRecord,
    step_of,
)
from infra.postgres import tables

_L, _S = tables.liquidation, tables.liquidation_step
_COLUMNS = ("number", "kind", "key", "symbol_id", "sequence", "time_us", "refusal")


class LiquidationStore:
    """Each method is one transaction."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def write(self, records: Sequence[LiquidationRecord]) -> None:
        """Write records; what was written before stands."""
        rows = [_row_of(record) for record in records]
        steps = [
            _row(record.request.liquidation_id, step) for record in records for step in record.steps
        ]
        async with self._engine.begin() as conn:
            await conn.execute(insert(_L).on_conflict_do_nothing(), rows)
            if steps:
                await conn.execute(insert(_S).on_conflict_do_nothing(), steps)

    async def settled(self, shard: int) -> int:
        """Return up to which sequence the ledger has a shard's money."""
        cursor = tables.cursor.c
        query = sa.select(cursor.last_sequence).where(cursor.stream == settlement_stream(shard))
        async with self._engine.connect() as conn:
            return int(await conn.scalar(query) or 0)

    async def read(self, liquidation_id: str) -> LiquidationRecord | None:
        """Return a record; None when there is none."""
        async with self._engine.connect() as conn:
            query = sa.select(_L).where(_L.c.liquidation_id == liquidation_id)
            row = (await conn.execute(query)).one_or_none()
            if row is None:
                return None
            steps = await conn.execute(
                sa.select(_S.c.detail)
                .where(_S.c.liquidation_id == liquidation_id)
                .order_by(_S.c.number)
            )
            found = [step_of(detail) for detail in steps.scalars()]
        return _record(row, found)

    async def newest(self, limit: int, account_id: int = 0) -> list[LiquidationRecord]:
        """Return the newest records without their steps, of one account or (0) of all."""
        query = sa.select(_L).order_by(_L.c.ended_us.desc()).limit(limit)
        if account_id:
            query = query.where(_L.c.account_id == account_id)
        async with self._engine.connect() as conn:
            return [_record(row, []) for row in await conn.execute(query)]


def _row_of(record: LiquidationRecord) -> dict[str, Any]:
    request = record.request
    return {
        "liquidation_id": request.liquidation_id,
        "shard": request.shard,
        "account_id": request.account_id,
        "symbol_id": request.symbol_id,
        "frozen_sequence": request.frozen_sequence,
        "last_sequence": record.last_sequence,
        "began_us": record.began_us,
        "ended_us": record.ended_us,
        "ended": record.ended,
        "signatures": record.signatures,
    }


def _row(liquidation_id: str, step: StepRecord) -> dict[str, Any]:
    columns = {name: getattr(step, name) for name in _COLUMNS}
    return {"liquidation_id": liquidation_id, **columns, "detail": asdict(step)}


def _record(row: Any, steps: list[StepRecord]) -> LiquidationRecord:
    request = LiquidationRequest(
        row.shard, row.account_id, row.symbol_id, row.liquidation_id, row.frozen_sequence
    )
    return LiquidationRecord(
        request,
        row.ended,
        row.began_us,
        row.ended_us,
        row.last_sequence,
        dict(row.signatures),
        steps,
    )
