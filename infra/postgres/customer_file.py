"""A customer's file: standing, tier and case notes; every change is a record of the audit log."""

from __future__ import annotations

from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.customer import CASE_NOTE, STANDING_CHANGED, Standing
from domain.withdrawal_limits import TIER_CHANGED, Tier
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore


class CustomerFileStore:
    """Changes what a customer may do, with who and why, in one transaction."""

    def __init__(self, engine: AsyncEngine, audit: AuditStore) -> None:
        self._engine = engine
        self._audit = audit

    async def find(self, name: str) -> tuple[int, str] | None:
        """Return (id, standing) of the customer of this name."""
        row = tables.customer.c
        query = sa.select(row.customer_id, row.status).where(row.name == name)
        async with self._engine.connect() as connection:
            found = (await connection.execute(query)).one_or_none()
        return None if found is None else (found.customer_id, found.status)

    async def set_standing(
        self, customer_id: int, standing: Standing, actor: str, reason: str
    ) -> bool:
        """Give the customer this standing; False when it was so already, and nothing is logged.

        Whoever may trade no more has his open orders to be cancelled, from the same moment.
        """
        column = tables.customer.c.status
        due = sa.null() if standing is Standing.ACTIVE else sa.func.now()
        return await self._set(
            customer_id, column, standing, STANDING_CHANGED, actor, reason, orders_due_at=due
        )

    async def set_tier(self, customer_id: int, tier: Tier, actor: str, reason: str) -> bool:
        """Give the customer this tier; False when it was so already, and nothing is logged."""
        column = tables.customer.c.tier
        return await self._set(customer_id, column, tier, TIER_CHANGED, actor, reason)

    async def _set(
        self,
        customer_id: int,
        column: sa.Column[str],
        value: str,
        action: str,
        actor: str,
        reason: str,
        **beside: object,
    ) -> bool:
        mine = tables.customer.c.customer_id == customer_id
        async with self._engine.begin() as connection:
            before = await connection.scalar(sa.select(column).where(mine).with_for_update())
            if before is None:
                raise LookupError(f"no customer {customer_id}")
            if before == value:
                return False
            change = sa.update(tables.customer).where(mine).values({column.name: value, **beside})
            await connection.execute(change)
            await self._audit.append(
                connection,
                f"customer-{customer_id}",
                actor,
                action,
                f"{action}:{uuid4()}",
                {"from": before, "to": value, "reason": reason},
            )
        return True

    async def note(self, customer_id: int, actor: str, text: str) -> None:
        """Append a note to the customer's records; it cannot be changed or taken back.

        `LookupError` when there is no such customer.
        """
        mine = tables.customer.c.customer_id == customer_id
        async with self._engine.begin() as connection:
            if await connection.scalar(sa.select(tables.customer.c.name).where(mine)) is None:
                raise LookupError(f"no customer {customer_id}")
            await self._audit.append(
                connection,
                f"customer-{customer_id}",
                actor,
                CASE_NOTE,
                f"{CASE_NOTE}:{uuid4()}",
                {"text": text},
            )
