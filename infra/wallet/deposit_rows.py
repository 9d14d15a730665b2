"""Deposits as they are read from their rows, with the terms of their assets."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.deposit import Deposit, DepositState, confirmation_tiers, tier_of
from domain.instrument import Asset
from infra.postgres import tables
from infra.postgres.reading import reading

_d, _a = tables.deposit.c, tables.asset.c
_dust = tables.deposit.alias("dust")
DEPOSITS = sa.select(
    tables.deposit,
    _a.code,
    _a.chain_decimals,
    _a.engine_decimals,
    _a.confirmations.label("asset_confirmations"),
    _a.deposit_minimum,
    _a.approval_above,
    sa.select(sa.func.coalesce(sa.func.sum(_dust.c.amount), 0))
    .where(_dust.c.collected_into == _d.deposit_id)
    .scalar_subquery()
    .label("collected"),
    sa.exists()
    .where(tables.cold_address.c.chain == _d.chain, tables.cold_address.c.address == _d.address)
    .label("is_cold"),
).join_from(tables.deposit, tables.asset)
REVERSED = _d.turns % 2 == 1


def deposit_of(row: Any) -> Deposit:
    """Return the deposit of a row of `DEPOSITS`."""
    amount = int(row.amount)
    return Deposit(
        deposit_id=row.deposit_id,
        chain=row.chain,
        tx_hash=row.tx_hash,
        log_index=row.log_index,
        block_number=row.block_number,
        block_hash=row.block_hash,
        address=row.address,
        sender=row.sender,
        customer_id=row.customer_id,
        asset=Asset(row.asset_id, row.code, row.chain_decimals, row.engine_decimals),
        amount=amount,
        minimum=int(row.deposit_minimum),
        state=DepositState(row.state),
        confirmations=row.confirmations,
        tier=tier_of(amount, confirmation_tiers(row.asset_confirmations, int(row.approval_above))),
        transfer_id=None if row.transfer_id is None else str(row.transfer_id),
        reason=row.reason,
        collected=int(row.collected),
        turns=row.turns,
        is_cold=row.is_cold,
    )


async def read_deposit(
    connection: AsyncConnection, deposit_id: str, *, lock: bool = False
) -> Deposit | None:
    """Return one deposit, locked when something follows from how it stands."""
    query = DEPOSITS.where(_d.deposit_id == deposit_id)
    if lock:
        query = query.with_for_update(of=tables.deposit)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else deposit_of(row)


async def reversed_deposits(engine: AsyncEngine) -> list[Deposit]:
    """Return the deposits that the chain has lost after they were booked, at most a hundred."""
    query = DEPOSITS.where(REVERSED).order_by(_d.deposit_id).limit(100)
    async with reading(engine) as connection:
        return [deposit_of(row) for row in await connection.execute(query)]


async def lock_customers(connection: AsyncConnection, customers: Collection[int]) -> None:
    """Take customers' rows before their deposits', as every writer does who needs both.

    What a customer's deposits do together happens one after the other, then.
    """
    row = tables.customer.c
    await connection.execute(
        sa.select(row.customer_id)
        .where(row.customer_id.in_(customers))
        .order_by(row.customer_id)
        .with_for_update(key_share=True)
    )
