"""What positions of perpetuals have been through, and what became of the insurance fund's cash."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.event_type import EventType
from domain.ledger import insurance
from domain.perpetual_record import FundChange, PositionEvent, PositionEventKind
from infra.postgres import tables
from infra.postgres.by_time import microseconds
from infra.postgres.reading import reading

_KINDS = {
    EventType.FUNDING_PAID: PositionEventKind.FUNDING,
    EventType.TAKEN_OVER: PositionEventKind.TAKEOVER,
    EventType.DELEVERAGED: PositionEventKind.DELEVERAGING,
    EventType.POSITION_SETTLED: PositionEventKind.SETTLEMENT,
}
_EVENT = tables.perpetual_event.c
_PLACE = ("time_us", "shard", "sequence", "index")
_ROLES = {  # whose columns: the account's own, or those of the other side
    False: ("account_id", "amount_units", "lots"),
    True: ("counterparty_id", "counterparty_units", "counterparty_lots"),
}


class PositionHistory:
    """Reads what settlement has written."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def realised(self, customer_id: int) -> dict[int, int]:
        """Return symbol id -> the profit that closing has made, as settled, before fees."""
        row = tables.position.c
        query = (
            sa.select(row.symbol_id, sa.func.sum(row.realised_units).label("units"))
            .where(row.shard >= 0, row.account_id == customer_id)
            .group_by(row.symbol_id)
        )
        async with reading(self._engine) as connection:
            return {one.symbol_id: int(one.units) for one in await connection.execute(query)}

    async def events(
        self,
        customer_id: int,
        symbol_id: int,
        kind: PositionEventKind | None,
        before: tuple[int, ...] | None,
        limit: int,
    ) -> list[PositionEvent]:
        """Return events of positions, newest first, before (time, shard, sequence, index).

        `symbol_id` 0 and `kind` None mean any.
        """
        sides = sa.union_all(
            *(_own(customer_id, symbol_id, kind, before, limit, role) for role in _ROLES)
        ).subquery()
        rate = tables.funding_rate.c
        query = (
            sa.select(sides, rate.rate_ppm)
            .outerjoin(
                tables.funding_rate,
                sa.and_(
                    rate.symbol_id == sides.c.symbol_id,
                    rate.funding_time_us == sides.c.funding_time_us,
                ),
            )
            .order_by(*(sides.c[name].desc() for name in _PLACE))
            .limit(limit)
        )
        async with reading(self._engine) as connection:
            return [_position_event(row) for row in (await connection.execute(query)).all()]

    async def fund_changes(
        self, shard: int, asset: str, before: tuple[int, ...] | None, limit: int
    ) -> list[FundChange]:
        """Return what changed the fund's cash, newest first, before (journal id)."""
        entry, journal, account = tables.entry.c, tables.journal.c, tables.ledger_account.c
        found = sa.select(account.account_id).where(account.code == insurance(shard, asset))
        query = (
            sa.select(
                entry.journal_id,
                entry.amount,
                entry.balance_after,
                journal.kind,
                microseconds(journal.created_at).label("time_us"),
            )
            .join(tables.journal, journal.journal_id == entry.journal_id)
            .where(entry.account_id == found.scalar_subquery())
        )
        if before is not None:
            query = query.where(entry.journal_id < before[0])
        query = query.order_by(entry.journal_id.desc()).limit(limit)
        async with reading(self._engine) as connection:
            return [
                FundChange(
                    journal_id=row.journal_id,
                    time_us=row.time_us,
                    kind=row.kind,
                    change=int(row.amount),
                    cash=int(row.balance_after),
                )
                for row in (await connection.execute(query)).all()
            ]


def _own(
    customer_id: int,
    symbol_id: int,
    kind: PositionEventKind | None,
    before: tuple[int, ...] | None,
    limit: int,
    is_counterparty: bool,
) -> sa.Select[Any]:
    """Return the newest events of one role; each branch has its index and its own limit."""
    account, amount, lots = (_EVENT[name] for name in _ROLES[is_counterparty])
    wanted = [number for number, named in _KINDS.items() if kind in (None, named)]
    query = sa.select(
        *(_EVENT[name] for name in (*_PLACE, "event_type", "symbol_id", "funding_time_us")),
        amount.label("amount_units"),
        lots.label("lots"),
        sa.literal(int(is_counterparty)).label("is_counterparty"),
    ).where(account == customer_id, _EVENT.event_type.in_(wanted))
    if symbol_id:
        query = query.where(_EVENT.symbol_id == symbol_id)
    if before is not None:
        query = query.where(sa.tuple_(*(_EVENT[name] for name in _PLACE)) < before)
    ordered = query.order_by(*(_EVENT[name].desc() for name in _PLACE)).limit(limit)
    return sa.select(ordered.subquery())


def _position_event(row: Any) -> PositionEvent:
    return PositionEvent(
        shard=row.shard,
        sequence=row.sequence,
        index=row.index,
        time_us=row.time_us,
        kind=_KINDS[EventType(row.event_type)],
        symbol_id=row.symbol_id,
        amount_units=row.amount_units,
        lots=row.lots,
        is_counterparty=bool(row.is_counterparty),
        rate_ppm=row.rate_ppm,
    )
