"""Customers and their API keys; an API secret is stored sealed and shown once."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.api_keys import NewKey
from domain.customer import CUSTOMER_SCOPES, STAFF, ApiKey, Scope
from domain.withdrawal_limits import Tier
from infra.postgres import tables
from infra.postgres.api_keys import insert_key
from infra.postgres.key_lookup import KeyLookup
from infra.secret_box import SecretBox

ALL_SCOPES = tuple(scope.value for scope in CUSTOMER_SCOPES)
_ALLOCATION_LOCK = 0x52_49_41_4C_43_55_53_54  # customer ids are dense: one allocator at a time


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer; `customer_id` is also the engine's account id."""

    customer_id: int
    name: str
    kind: str
    rate_class: str
    deposit_index: int


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new API key with its secret, which cannot be read again."""

    api_key: str
    api_secret: str


class CustomerStore:
    """Create customers and keys; look keys up."""

    def __init__(self, engine: AsyncEngine, box: SecretBox) -> None:
        self._engine = engine
        self._box = box
        self._lookup = KeyLookup(engine, box)

    async def create_customer(
        self,
        name: str,
        *,
        kind: str = "customer",
        rate_class: str = "standard",
        tier: Tier = Tier.BASIC,
    ) -> Customer:
        """Return the customer called `name`, creating it when there is none.

        Ids are dense from 1; the leaf of the deposit address' path is the customer id.
        """
        table = tables.customer
        async with self._engine.begin() as connection:
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ALLOCATION_LOCK)))
            found = (
                await connection.execute(sa.select(table).where(table.c.name == name))
            ).one_or_none()
            if found is None:
                next_id = sa.select(sa.func.coalesce(sa.func.max(table.c.customer_id), 0) + 1)
                customer_id = (await connection.execute(next_id)).scalar_one()
                found = (
                    await connection.execute(
                        table.insert()
                        .values(
                            customer_id=customer_id,
                            name=name,
                            kind=kind,
                            rate_class=rate_class,
                            deposit_index=customer_id,
                            tier=tier,
                        )
                        .returning(table)
                    )
                ).one()
        return Customer(
            customer_id=found.customer_id,
            name=found.name,
            kind=found.kind,
            rate_class=found.rate_class,
            deposit_index=found.deposit_index,
        )

    async def create_api_key(
        self,
        customer_id: int,
        *,
        scopes: tuple[str, ...] = ALL_SCOPES,
        expires_at: datetime | None = None,
    ) -> IssuedKey:
        """Create an HMAC-SHA256 key with `scopes`; the only moment its secret is readable."""
        unknown = set(scopes) - {*ALL_SCOPES, Scope.COMPLIANCE}
        if unknown:
            raise ValueError(f"unknown scopes: {sorted(unknown)}")
        await self._require_kind(customer_id, staff=Scope.COMPLIANCE in scopes)
        wanted, secret = NewKey("", scopes, expires_at=expires_at), secrets.token_hex(32)
        async with self._engine.begin() as connection:
            key_id = await insert_key(connection, self._box, customer_id, wanted, secret.encode())
        return IssuedKey(key_id, secret)

    async def _require_kind(self, customer_id: int, *, staff: bool) -> None:
        """Refuse a key of staff for a customer, and a customer's for staff: nobody is both."""
        row = tables.customer.c
        async with self._engine.connect() as connection:
            kind = await connection.scalar(
                sa.select(row.kind).where(row.customer_id == customer_id)
            )
        if (kind == STAFF) is not staff:
            raise ValueError(f"customer {customer_id} is {kind}, so not for these scopes")

    async def find_key(self, key_id: str) -> ApiKey | None:
        """Return the unrevoked key `key_id`; `ConnectionError` when PostgreSQL is away."""
        return await self._lookup.find(key_id)
