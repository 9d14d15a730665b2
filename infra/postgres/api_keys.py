"""API keys as rows: made, listed and revoked, each change with its record in the audit log."""

from __future__ import annotations

import secrets
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.api_keys import (
    KEY_ISSUED,
    KEY_REVOKED,
    MAX_KEYS,
    KeyRefusal,
    ListedKey,
    MadeKey,
    NewKey,
)
from domain.customer import KeyAlgorithm
from domain.hash_chain import JsonValue
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.customer_lock import lock_customer
from infra.postgres.reading import reading, writing
from infra.secret_box import SecretBox

_TABLE = tables.api_key
_ROW = _TABLE.c
_COLUMNS = (
    _ROW.key_id, _ROW.label, _ROW.algorithm, _ROW.scopes, _ROW.networks, _ROW.expires_at,
    _ROW.created_at,
)  # fmt: skip


class ApiKeyStore:
    """A customer's own keys; the customer is in every condition. `by` is who does it, for audit."""

    def __init__(self, engine: AsyncEngine, box: SecretBox, audit: AuditStore) -> None:
        self._engine = engine
        self._box = box
        self._audit = audit

    async def listed(self, customer_id: int) -> list[ListedKey]:
        """Return the keys that are not revoked, oldest first; never more than `MAX_KEYS`."""
        query = (
            sa.select(*_COLUMNS)
            .where(_ROW.customer_id == customer_id, _ROW.revoked_at.is_(None))
            .order_by(_ROW.created_at, _ROW.key_id)
        )
        async with reading(self._engine) as connection:
            return [_listed(row) for row in await connection.execute(query)]

    async def add(self, customer_id: int, wanted: NewKey, *, by: str) -> MadeKey | KeyRefusal:
        """Make a key; the only moment in which a secret can be read."""
        async with writing(self._engine) as connection:
            await lock_customer(connection, customer_id)
            refusal = await self._refusal(connection, customer_id, wanted)
            if refusal is not None:
                return refusal
            secret = secrets.token_hex(32) if wanted.public_key is None else ""
            key_id = await insert_key(
                connection, self._box, customer_id, wanted, wanted.public_key or secret.encode()
            )
            query = sa.select(*_COLUMNS).where(_ROW.key_id == key_id)
            made = _listed((await connection.execute(query)).one())
            await self._note(connection, customer_id, by, KEY_ISSUED, made)
        return MadeKey(made, secret)

    async def revoke(self, customer_id: int, key_id: str, *, by: str) -> ListedKey | None:
        """Revoke a key from now on and return it; None when the customer has no such key."""
        async with writing(self._engine) as connection:
            gone = (
                await connection.execute(
                    sa.update(_TABLE)
                    .where(
                        _ROW.customer_id == customer_id,
                        _ROW.key_id == key_id,
                        _ROW.revoked_at.is_(None),
                    )
                    .values(revoked_at=sa.func.now())
                    .returning(*_COLUMNS)
                )
            ).one_or_none()
            if gone is None:
                return None
            await self._note(connection, customer_id, by, KEY_REVOKED, _listed(gone))
        return _listed(gone)

    async def _refusal(
        self, connection: AsyncConnection, customer_id: int, wanted: NewKey
    ) -> KeyRefusal | None:
        query = sa.select(_ROW.label).where(
            _ROW.customer_id == customer_id, _ROW.revoked_at.is_(None)
        )
        labels = list(await connection.scalars(query))
        if wanted.label and wanted.label in labels:
            return KeyRefusal.LABEL_TAKEN
        return KeyRefusal.TOO_MANY if len(labels) >= MAX_KEYS else None

    async def _note(
        self, connection: AsyncConnection, customer_id: int, by: str, action: str, key: ListedKey
    ) -> None:
        networks: list[JsonValue] = [*key.networks]
        await self._audit.append(
            connection,
            f"customer-{customer_id}",
            by,
            action,
            f"{action}:{key.key_id}",
            {
                "api_key": key.key_id,
                "label": key.label,
                "algorithm": key.algorithm.value,
                "scope": " ".join(key.scopes),
                "networks": networks,
                "expires_at": None if key.expires_at is None else key.expires_at.isoformat(),
            },
        )


async def insert_key(
    connection: AsyncConnection, box: SecretBox, customer_id: int, wanted: NewKey, secret: bytes
) -> str:
    """Write a key's row, its `secret` (or public key) sealed; return the key's id."""
    key_id = f"rk_{secrets.token_hex(12)}"
    hmac = wanted.public_key is None
    await connection.execute(
        sa.insert(_TABLE).values(
            key_id=key_id,
            customer_id=customer_id,
            algorithm=KeyAlgorithm.HMAC_SHA256 if hmac else KeyAlgorithm.ED25519,
            secret_sealed=box.seal(secret, key_id),
            scopes=" ".join(wanted.scopes),
            label=wanted.label,
            networks=" ".join(str(one) for one in wanted.networks),
            expires_at=wanted.expires_at,
        )
    )
    return key_id


def _listed(row: Any) -> ListedKey:
    return ListedKey(
        key_id=row.key_id,
        label=row.label,
        algorithm=KeyAlgorithm(row.algorithm),
        scopes=tuple(row.scopes.split()),
        networks=tuple(row.networks.split()),
        expires_at=row.expires_at,
        created_at=row.created_at,
    )
