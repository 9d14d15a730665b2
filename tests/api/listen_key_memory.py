"""Listen keys in the memory of a test."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from domain.customer import ListenKey


@dataclass
class ListenKeyMemory:
    """Listen keys in memory; they do not end by themselves."""

    keys: dict[str, ListenKey] = field(default_factory=dict)

    async def issue(self, key_id: str, market: str) -> ListenKey:
        made = ListenKey(secrets.token_hex(32), key_id, market)
        self.keys[made.token] = made
        return made

    async def find(self, token: str) -> ListenKey | None:
        return self.keys.get(token)

    async def of(self, key_id: str, market: str) -> ListenKey | None:
        mine = (one for one in self.keys.values() if (one.key_id, one.market) == (key_id, market))
        return next(mine, None)

    async def extend(self, key: ListenKey) -> bool:
        return key.token in self.keys

    async def end(self, key: ListenKey) -> None:
        self.keys.pop(key.token, None)
