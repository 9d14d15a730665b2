"""Customers who may trade no more and whose open orders are still to be cancelled, as rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.customer import ORDERS_CANCELLED
from domain.order import OrderStatus
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore

_c, _o = tables.customer.c, tables.order_history.c


@dataclass(frozen=True, slots=True)
class OrdersDue:
    """One of them: `since` is when his standing was changed, `seconds` how long ago that is.

    It is the same one whenever it is read.
    """

    customer_id: int
    since: dt.datetime
    seconds: float = field(compare=False)


class OrdersDueStore:
    """Read whose orders are due, and write down that they are gone."""

    def __init__(self, engine: AsyncEngine, audit: AuditStore) -> None:
        self._engine = engine
        self._audit = audit

    async def due(self) -> list[OrdersDue]:
        """Return all of them, by customer."""
        ago = sa.func.extract("epoch", sa.func.now() - _c.orders_due_at)
        query = (
            sa.select(_c.customer_id, _c.orders_due_at, ago.label("seconds"))
            .where(_c.orders_due_at.is_not(None))
            .order_by(_c.customer_id)
        )
        async with self._engine.connect() as connection:
            return [
                OrdersDue(row.customer_id, row.orders_due_at, float(row.seconds))
                for row in await connection.execute(query)
            ]

    async def has_open_orders(self, customer_id: int) -> bool:
        """Return whether the order history knows of an open one."""
        query = sa.select(
            sa.exists().where(_o.account_id == customer_id, _o.status == OrderStatus.OPEN)
        )
        async with self._engine.connect() as connection:
            return bool(await connection.scalar(query))

    async def done(self, due: OrdersDue, actor: str, cancelled: Mapping[int, int]) -> bool:
        """Write down that nothing is left; False when the standing was changed again meanwhile.

        `cancelled` is {shard: orders}.
        """
        async with self._engine.begin() as connection:
            cleared = await connection.execute(
                sa.update(tables.customer)
                .where(_c.customer_id == due.customer_id, _c.orders_due_at == due.since)
                .values(orders_due_at=None)
            )
            if not cleared.rowcount:
                return False
            await self._audit.append(
                connection,
                f"customer-{due.customer_id}",
                actor,
                ORDERS_CANCELLED,
                f"{ORDERS_CANCELLED}:{due.customer_id}:{due.since.isoformat()}",
                {f"shard_{shard}": count for shard, count in sorted(cancelled.items())},
            )
        return True
