"""One change of a customer's own things after the other."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from infra.postgres import tables


async def lock_customer(connection: AsyncConnection, customer_id: int) -> None:
    """Let a customer's changes and requests come one after the other, until the transaction ends.

    What only refers to the customer, as the rows of a deposit do, does not wait.
    """
    row = tables.customer.c.customer_id
    await connection.execute(
        sa.select(row).where(row == customer_id).with_for_update(key_share=True)
    )
