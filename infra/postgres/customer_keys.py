"""Customers' API keys as the command line gives and takes them, each change in the audit log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.customer import STAFF, KeyAlgorithm
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.customers import ALL_SCOPES, CustomerStore
from infra.secret_box import SecretBox, gateway_key_path


class CustomerKeys:
    """Gives, lists and revokes keys; a text instead of a result says what is wrong."""

    def __init__(self, engine: AsyncEngine, secrets_dir: Path) -> None:
        self._engine = engine
        self._store = CustomerStore(engine, SecretBox.from_file(gateway_key_path(secrets_dir)))

    async def add(
        self, customer: str, public_key: bytes | None, scopes: tuple[str, ...], *, by: str
    ) -> dict[str, str] | str:
        """Return a new key's id and algorithm, with its secret unless it is a public key's."""
        customer_id = await self._customer(customer)
        if customer_id is None:
            return f"there is no customer {customer!r}"
        unknown = set(scopes) - set(ALL_SCOPES)
        if unknown:
            return f"unknown scopes {sorted(unknown)}; there are {', '.join(ALL_SCOPES)}"
        scopes = scopes or ALL_SCOPES
        if public_key is None:
            issued = await self._store.create_api_key(customer_id, scopes=scopes)
            key_id, secret = issued.api_key, {"api_secret": issued.api_secret}
            algorithm = KeyAlgorithm.HMAC_SHA256
        else:
            key_id = await self._store.add_public_key(customer_id, public_key, scopes=scopes)
            algorithm, secret = KeyAlgorithm.ED25519, {}
        detail = {"name": customer, "api_key": key_id, "scope": " ".join(scopes)}
        await self._note(customer_id, by, "key_issued", {**detail, "algorithm": algorithm.value})
        return {"api_key": key_id, **secret, "algorithm": algorithm.value}

    async def listed(self, customer: str) -> list[dict[str, Any]] | str:
        """Return the keys that are not revoked, oldest first."""
        customer_id = await self._customer(customer)
        if customer_id is None:
            return f"there is no customer {customer!r}"
        row = tables.api_key.c
        query = (
            sa.select(row.key_id, row.algorithm, row.scopes, row.expires_at)
            .where(row.customer_id == customer_id, row.revoked_at.is_(None))
            .order_by(row.created_at, row.key_id)
        )
        async with self._engine.connect() as connection:
            found = (await connection.execute(query)).all()
        return [
            {
                "api_key": one.key_id,
                "algorithm": one.algorithm,
                "scopes": one.scopes,
                "expires_at": None if one.expires_at is None else one.expires_at.isoformat(),
            }
            for one in found
        ]

    async def revoke(self, key_id: str, *, by: str) -> str | None:
        """Revoke a key; None when that is done."""
        row = tables.api_key.c
        async with self._engine.connect() as connection:
            owner = await connection.scalar(sa.select(row.customer_id).where(row.key_id == key_id))
        if owner is None or not await self._store.revoke_api_key(key_id):
            return f"there is no key {key_id!r} that is not revoked"
        await self._note(owner, by, "key_revoked", {"api_key": key_id})
        return None

    async def _customer(self, name: str) -> int | None:
        row = tables.customer.c
        query = sa.select(row.customer_id).where(row.name == name, row.kind != STAFF)
        async with self._engine.connect() as connection:
            return await connection.scalar(query)

    async def _note(self, customer_id: int, by: str, action: str, detail: dict[str, str]) -> None:
        async with self._engine.begin() as connection:
            await AuditStore().append(
                connection,
                f"customer-{customer_id}",
                f"staff:{by}",
                action,
                f"{action}:{detail['api_key']}",
                detail,
            )
