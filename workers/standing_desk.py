"""What staff may say about a customer's standing: the row first, then his open orders."""

from __future__ import annotations

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from domain.commands import CancelAll
from domain.customer import Standing
from infra.engine_errors import EngineError
from infra.postgres.audit_store import AuditStore
from infra.postgres.customer_file import CustomerFileStore
from infra.settings import Settings
from workers import engine_admin

GATEWAY_BELIEVES_SECONDS = 2.5  # a key that it has in memory is two seconds old at most


class OrdersNotCancelledError(RuntimeError):
    """The standing is set, but open orders are still there; to be done again."""


async def set_standing(
    engine: AsyncEngine,
    settings: Settings,
    customer_id: int,
    standing: Standing,
    actor: str,
    reason: str,
) -> bool:
    """Give a customer this standing; return whether it was another before.

    Whoever may trade no more has his orders cancelled on every shard. Repeating it repeats that,
    harmlessly.
    """
    store = CustomerFileStore(engine, AuditStore())
    changed = await store.set_standing(customer_id, standing, actor, reason)
    if standing is not Standing.ACTIVE:
        await _cancel_orders(settings, customer_id)
    return changed


async def _cancel_orders(settings: Settings, account_id: int) -> None:
    """Cancel after the gateway believes the standing, so that no order comes after."""
    await asyncio.sleep(GATEWAY_BELIEVES_SECONDS)
    for shard in range(settings.shard_count):
        try:
            await _cancel_on(settings, account_id, shard)
        except (EngineError, OSError) as error:
            raise OrdersNotCancelledError(
                f"the standing is set, but orders on shard {shard} are not cancelled "
                f"({error}): do this again"
            ) from error


async def _cancel_on(settings: Settings, account_id: int, shard: int) -> None:
    engine = engine_admin.connect(settings, "gateway", shard)
    try:
        await engine.submit(CancelAll(account_id))
    finally:
        await engine.close()
