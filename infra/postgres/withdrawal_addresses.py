"""Allow-lists of customers, and what list and limits say about a withdrawal."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.withdrawal import GIVEN_BACK_STATES
from domain.withdrawal_limits import (
    ADDRESS_LISTED,
    ADDRESS_REMOVED,
    MAX_ADDRESSES,
    WINDOW_SPAN,
    AddressNames,
    Allowance,
    ListedAddress,
    Window,
)
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.customer_lock import lock_customer
from infra.postgres.reading import reading, writing

_TABLE = tables.withdrawal_address
_ROW = _TABLE.c
_WITHDRAWAL = tables.withdrawal.c


class WithdrawalAddressStore:
    """A customer's own list; the customer is in every condition. A new one has to cool off."""

    def __init__(self, engine: AsyncEngine, audit: AuditStore, cooling_off: dt.timedelta) -> None:
        self._engine = engine
        self._audit = audit
        self._cooling_off = cooling_off

    async def listed(self, customer_id: int) -> list[ListedAddress]:
        """Return the customer's addresses, oldest first; never more than `MAX_ADDRESSES`."""
        query = (
            sa.select(_TABLE)
            .where(_ROW.customer_id == customer_id)
            .order_by(_ROW.created_at, _ROW.address)
        )
        async with reading(self._engine) as connection:
            return [_listed(row) for row in await connection.execute(query)]

    async def add(
        self, customer_id: int, chain: str, address: str, names: AddressNames
    ) -> tuple[ListedAddress, bool] | None:
        """Add an address; return (it, whether it is new), None when the list is full.

        One that is there already stays as it is: adding it again neither shortens nor renews its
        cooling-off.
        """
        mine = _ROW.customer_id == customer_id
        query = sa.select(_TABLE).where(mine, _ROW.chain == chain, _ROW.address == address)
        async with writing(self._engine) as connection:
            await lock_customer(connection, customer_id)
            found = (await connection.execute(query)).one_or_none()
            if found is not None:
                return _listed(found), False
            count = sa.select(sa.func.count()).select_from(_TABLE).where(mine)
            if int(await connection.scalar(count) or 0) >= MAX_ADDRESSES:
                return None
            await connection.execute(
                insert(_TABLE).values(
                    customer_id=customer_id,
                    chain=chain,
                    address=address,
                    label=names.label,
                    beneficiary=names.beneficiary,
                    institution=names.institution,
                    usable_at=sa.func.now() + self._cooling_off,
                )
            )
            made = _listed((await connection.execute(query)).one())
            await self._log(connection, customer_id, ADDRESS_LISTED, made)
        return made, True

    async def remove(self, customer_id: int, chain: str, address: str) -> ListedAddress | None:
        """Take an address off the list and return it; None when it is not there."""
        async with writing(self._engine) as connection:
            await lock_customer(connection, customer_id)
            gone = (
                await connection.execute(
                    sa.delete(_TABLE)
                    .where(
                        _ROW.customer_id == customer_id,
                        _ROW.chain == chain,
                        _ROW.address == address,
                    )
                    .returning(_TABLE)
                )
            ).one_or_none()
            if gone is None:
                return None
            await self._log(connection, customer_id, ADDRESS_REMOVED, _listed(gone))
        return _listed(gone)

    async def allowance(self, customer_id: int) -> Allowance:
        """Return the customer's tier and what each window of time holds now."""
        async with reading(self._engine) as connection:
            return await allowance(
                connection, customer_id=customer_id, chain="", address="", value_cents=0
            )

    async def _log(
        self, connection: AsyncConnection, customer_id: int, action: str, what: ListedAddress
    ) -> None:
        await self._audit.append(
            connection,
            f"customer-{customer_id}",
            f"customer:{customer_id}",
            action,
            f"{action}:{uuid4()}",
            {
                "chain": what.chain,
                "address": what.address,
                "label": what.label,
                "beneficiary": what.beneficiary,
                "institution": what.institution,
                "usable_at": what.usable_at.isoformat(),
            },
        )


async def allowance(
    connection: AsyncConnection,
    *,
    customer_id: int,
    chain: str,
    address: str,
    value_cents: int | None,
    asked: tuple[UUID, dt.datetime] | None = None,
) -> Allowance:
    """Return what list and limits say about a withdrawal that is being asked for now.

    `asked` is (id, time) of one that was asked for already: then only those before it count, so
    that a later one never stops an earlier one that was let pass.
    """
    customer = tables.customer.c
    at: Any = sa.func.now() if asked is None else sa.literal(asked[1], tables.Timestamp)
    usable_at = (
        sa.select(_ROW.usable_at)
        .where(_ROW.customer_id == customer_id, _ROW.chain == chain, _ROW.address == address)
        .scalar_subquery()
    )
    query = sa.select(at.label("at"), customer.tier, usable_at.label("usable_at"))
    row = (await connection.execute(query.where(customer.customer_id == customer_id))).one()
    return Allowance(
        at=row.at,
        usable_at=row.usable_at,
        tier=row.tier,
        value_cents=value_cents,
        earlier_cents=await _earlier(connection, customer_id, row.at, asked),
    )


async def _earlier(
    connection: AsyncConnection,
    customer_id: int,
    at: dt.datetime,
    asked: tuple[UUID, dt.datetime] | None,
) -> dict[Window, int]:
    """Return the value of a customer's withdrawals in each window, in cents."""
    worth = sa.func.sum(_WITHDRAWAL.value_cents)
    sums = [
        worth.filter(_WITHDRAWAL.created_at > at - span).label(window)
        for window, span in WINDOW_SPAN.items()
    ]
    query = sa.select(*sums).where(
        _WITHDRAWAL.customer_id == customer_id,
        _WITHDRAWAL.created_at > at - max(WINDOW_SPAN.values()),
        _WITHDRAWAL.state.not_in(sorted(GIVEN_BACK_STATES)),
    )
    if asked is not None:
        query = query.where(_WITHDRAWAL.created_at <= at, _WITHDRAWAL.withdrawal_id != asked[0])
    found = (await connection.execute(query)).one()
    return {window: int(cents or 0) for window, cents in zip(WINDOW_SPAN, found, strict=True)}


def _listed(row: Any) -> ListedAddress:
    return ListedAddress(
        chain=row.chain,
        address=row.address,
        label=row.label,
        usable_at=row.usable_at,
        created_at=row.created_at,
        beneficiary=row.beneficiary,
        institution=row.institution,
    )


async def listed_address(
    connection: AsyncConnection, customer_id: int, chain: str, address: str
) -> ListedAddress | None:
    """Return an address of a customer's list."""
    query = sa.select(_TABLE).where(
        _ROW.customer_id == customer_id, _ROW.chain == chain, _ROW.address == address
    )
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _listed(row)
