"""Business rows of one kind, as the orphan sweep reads them: which are final, which are not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain import (
    adjustment,
    deposit,
    market_change,
    shard_transfer,
    wallet_payment,
    withdrawal,
)
from infra.postgres import tables

_CLOSED_CHANGES = frozenset(market_change.ChangeState) - {market_change.ChangeState.PROPOSED}
_CLOSED_ADJUSTMENTS = (adjustment.AdjustmentState.POSTED, adjustment.AdjustmentState.EXPIRED)


@dataclass(frozen=True, slots=True)
class OpenRows:
    """One table by its key, and the states in which nothing is left to do."""

    engine: AsyncEngine
    key: sa.Column[str] | sa.Column[UUID]
    state: sa.Column[str]
    final_states: Collection[str]

    async def unfinished(self, after: str | None, limit: int) -> list[str]:
        """Return ids that are not final, by id, behind `after`."""
        query = sa.select(self.key).where(self.state.not_in(sorted(self.final_states)))
        if after is not None:
            query = query.where(self.key > self._parsed(after))
        return await self._names(query.order_by(self.key).limit(limit))

    async def final(self, names: Sequence[str]) -> set[str]:
        """Return which of these ids name a row that is final; one without a row is not."""
        wanted = self.key.in_([self._parsed(name) for name in names])
        query = sa.select(self.key).where(wanted, self.state.in_(sorted(self.final_states)))
        return set(await self._names(query))

    def _parsed(self, name: str) -> str | UUID:
        return UUID(name) if isinstance(self.key.type, sa.Uuid) else name

    async def _names(self, query: sa.Select[Any]) -> list[str]:
        async with self.engine.connect() as conn:
            return [str(name) for name in (await conn.execute(query)).scalars()]


def withdrawals(engine: AsyncEngine) -> OpenRows:
    """Return the withdrawals."""
    row = tables.withdrawal.c
    return OpenRows(engine, row.withdrawal_id, row.state, withdrawal.FINAL_STATES)


def deposits(engine: AsyncEngine) -> OpenRows:
    """Return the deposits."""
    row = tables.deposit.c
    return OpenRows(engine, row.deposit_id, row.state, deposit.FINAL_STATES)


def shard_transfers(engine: AsyncEngine) -> OpenRows:
    """Return the transfers between main and shards."""
    row = tables.shard_transfer.c
    return OpenRows(engine, row.shard_transfer_id, row.state, shard_transfer.FINAL_STATES)


def wallet_payments(engine: AsyncEngine) -> OpenRows:
    """Return the payments between our own addresses."""
    row = tables.wallet_payment.c
    return OpenRows(engine, row.payment_id, row.state, wallet_payment.FINAL_STATES)


def adjustments(engine: AsyncEngine) -> OpenRows:
    """Return the adjustments."""
    row = tables.adjustment.c
    return OpenRows(engine, row.adjustment_id, row.state, _CLOSED_ADJUSTMENTS)


def market_changes(engine: AsyncEngine) -> OpenRows:
    """Return the changes of markets."""
    row = tables.market_change.c
    return OpenRows(engine, row.change_id, row.state, _CLOSED_CHANGES)
