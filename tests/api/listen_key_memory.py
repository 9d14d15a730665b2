"""What only the dialect has, in the memory of a test: listen keys, and names of order lists."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
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


@dataclass
class ListNameMemory:
    """Names in memory, the newest last; `away` stands for PostgreSQL."""

    names: dict[tuple[int, str], str] = field(default_factory=dict)
    away: bool = False

    async def name(self, customer_id: int, client_order_ids: Sequence[str], name: str) -> list[str]:
        self._check()
        new = [one for one in client_order_ids if (customer_id, one) not in self.names]
        await self.rename(customer_id, new, name)
        return new

    async def rename(self, customer_id: int, client_order_ids: Sequence[str], name: str) -> None:
        self._check()
        for one in client_order_ids:
            self.names.pop((customer_id, one), None)
            self.names[customer_id, one] = name

    async def forget(self, customer_id: int, client_order_ids: Sequence[str], name: str) -> None:
        self._check()
        for one in client_order_ids:
            if self.names.get((customer_id, one)) == name:
                del self.names[customer_id, one]

    async def of_orders(self, customer_id: int, client_order_ids: Sequence[str]) -> dict[str, str]:
        self._check()
        found = {one: self.names.get((customer_id, one)) for one in client_order_ids}
        return {one: name for one, name in found.items() if name is not None}

    async def order_in(self, customer_id: int, name: str) -> str | None:
        self._check()
        mine = [
            one for (who, one), named in self.names.items() if (who, named) == (customer_id, name)
        ]
        return mine[-1] if mine else None

    def _check(self) -> None:
        if self.away:
            raise ConnectionError("played")
