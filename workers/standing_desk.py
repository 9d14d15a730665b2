"""What staff may say about a customer's standing: the row first, then his open orders."""

from __future__ import annotations

import asyncio
import time

from sqlalchemy.ext.asyncio import AsyncEngine

from domain.customer import Standing
from infra.postgres.audit_store import AuditStore
from infra.postgres.customer_file import CustomerFileStore
from infra.postgres.orders_due import OrdersDue, OrdersDueStore
from infra.settings import Settings
from workers.standing_care import (
    GATEWAY_BELIEVES_SECONDS,
    ROUND_SECONDS,
    StandingCare,
    order_doors,
)

PATIENCE_SECONDS = 2 * GATEWAY_BELIEVES_SECONDS


class OrdersNotCancelledError(RuntimeError):
    """The standing is set, but open orders are still there: the chain watcher goes on with them."""


async def set_standing(
    engine: AsyncEngine,
    settings: Settings,
    customer_id: int,
    standing: Standing,
    actor: str,
    reason: str,
) -> bool:
    """Give a customer this standing; return whether it was another before.

    Whoever may trade no more has his orders cancelled on every shard, before this returns.
    """
    audit = AuditStore()
    changed = await CustomerFileStore(engine, audit).set_standing(
        customer_id, standing, actor, reason
    )
    if standing is not Standing.ACTIVE:
        await _cancel_orders(OrdersDueStore(engine, audit), settings, customer_id, actor)
    return changed


async def _cancel_orders(
    store: OrdersDueStore, settings: Settings, customer_id: int, actor: str
) -> None:
    care = StandingCare(store, lambda: order_doors(settings), actor)
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while (due := await _due(store, customer_id)) is not None:
            left = await care.cancel(due)
            if left and time.monotonic() > deadline:
                raise OrdersNotCancelledError(
                    f"the standing is set, but {left}: the chain watcher goes on with it"
                )
            if left:
                await asyncio.sleep(ROUND_SECONDS)
    finally:
        await care.close()


async def _due(store: OrdersDueStore, customer_id: int) -> OrdersDue | None:
    return next((due for due in await store.due() if due.customer_id == customer_id), None)
