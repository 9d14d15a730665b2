"""Customers' API keys as the command line gives and takes them: by the customer's name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.api_keys import KeyRefusal, ListedKey, MadeKey, NewKey
from domain.customer import STAFF
from infra.postgres import tables
from infra.postgres.api_keys import ApiKeyStore
from infra.postgres.audit_store import AuditStore
from infra.postgres.customers import ALL_SCOPES
from infra.secret_box import SecretBox, gateway_key_path

_REFUSED = {
    KeyRefusal.LABEL_TAKEN: "the customer has a key of this label: revoke it first",
    KeyRefusal.TOO_MANY: "the customer has as many keys as there may be: revoke one",
}


class CustomerKeys:
    """Gives, lists and revokes keys; a text instead of a result says what is wrong."""

    def __init__(self, engine: AsyncEngine, secrets_dir: Path) -> None:
        self._engine = engine
        box = SecretBox.from_file(gateway_key_path(secrets_dir))
        self._keys = ApiKeyStore(engine, box, AuditStore())

    async def add(self, customer: str, wanted: NewKey, *, by: str) -> MadeKey | str:
        """Make a key; without scopes it has all that a customer's may have."""
        customer_id = await self._customer(customer)
        if customer_id is None:
            return f"there is no customer {customer!r}"
        unknown = set(wanted.scopes) - set(ALL_SCOPES)
        if unknown:
            return f"unknown scopes {sorted(unknown)}; there are {', '.join(ALL_SCOPES)}"
        wanted = replace(wanted, scopes=wanted.scopes or ALL_SCOPES)
        made = await self._keys.add(customer_id, wanted, by=f"staff:{by}")
        return _REFUSED[made] if isinstance(made, KeyRefusal) else made

    async def listed(self, customer: str) -> list[ListedKey] | str:
        """Return the keys that are not revoked, oldest first."""
        customer_id = await self._customer(customer)
        if customer_id is None:
            return f"there is no customer {customer!r}"
        return await self._keys.listed(customer_id)

    async def revoke(self, key_id: str, *, by: str) -> str | None:
        """Revoke a key; None when that is done."""
        row = tables.api_key.c
        async with self._engine.connect() as connection:
            owner = await connection.scalar(sa.select(row.customer_id).where(row.key_id == key_id))
        if owner is None or await self._keys.revoke(owner, key_id, by=f"staff:{by}") is None:
            return f"there is no key {key_id!r} that is not revoked"
        return None

    async def _customer(self, name: str) -> int | None:
        row = tables.customer.c
        query = sa.select(row.customer_id).where(row.name == name, row.kind != STAFF)
        async with self._engine.connect() as connection:
            return await connection.scalar(query)
