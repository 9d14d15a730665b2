"""Customers' own API keys in memory: those that are made are those that requests are signed by."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import MutableMapping

from domain.api_keys import MAX_KEYS, KeyRefusal, ListedKey, MadeKey, NewKey
from domain.customer import ApiKey, KeyAlgorithm

MADE_AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class KeyMemory:
    """Lists, makes and revokes the keys of `keys`; `told` is what the audit log would say."""

    def __init__(self, keys: MutableMapping[str, ApiKey]) -> None:
        self.keys = keys
        self.labels: dict[str, str] = {}
        self.told: list[tuple[str, str, str]] = []

    async def listed(self, customer_id: int) -> list[ListedKey]:
        return [self._listed(one) for one in self.keys.values() if one.customer_id == customer_id]

    async def add(self, customer_id: int, wanted: NewKey, *, by: str) -> MadeKey | KeyRefusal:
        mine = await self.listed(customer_id)
        if wanted.label in [one.label for one in mine]:
            return KeyRefusal.LABEL_TAKEN
        if len(mine) >= MAX_KEYS:
            return KeyRefusal.TOO_MANY
        secret = "" if wanted.public_key else secrets.token_hex(32)
        made = ApiKey(
            key_id=f"rk_{secrets.token_hex(12)}",
            customer_id=customer_id,
            secret=wanted.public_key or secret.encode(),
            scopes=frozenset(wanted.scopes),
            rate_class="standard",
            customer_status="active",
            expires_at=wanted.expires_at,
            algorithm=KeyAlgorithm.ED25519 if wanted.public_key else KeyAlgorithm.HMAC_SHA256,
            networks=wanted.networks,
        )
        self.keys[made.key_id], self.labels[made.key_id] = made, wanted.label
        self.told.append((by, "issued", made.key_id))
        return MadeKey(self._listed(made), secret)

    async def revoke(self, customer_id: int, key_id: str, *, by: str) -> ListedKey | None:
        found = self.keys.get(key_id)
        if found is None or found.customer_id != customer_id:
            return None
        del self.keys[key_id]
        self.told.append((by, "revoked", key_id))
        return self._listed(found)

    def _listed(self, key: ApiKey) -> ListedKey:
        return ListedKey(
            key_id=key.key_id,
            label=self.labels.get(key.key_id, ""),
            algorithm=key.algorithm,
            scopes=tuple(sorted(key.scopes)),
            networks=tuple(str(one) for one in key.networks),
            expires_at=key.expires_at,
            created_at=MADE_AT,
        )


class EndedKeyMemory:
    """What was told to have ended; `away` stands for Redis."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.away = False

    async def tell(self, key_id: str) -> None:
        if self.away:
            raise ConnectionError("played")
        self.told.append(key_id)
