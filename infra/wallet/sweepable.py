"""Which deposit addresses hold more than their asset's bound, kept from look to look.

What an address holds is a sum over its booked deposits and our payments from and to it, and nothing
stores it: it cannot be wrong for long. Only addresses of which a row has changed since the last
look are summed again, through indexes; the first look, and one after a change of the bounds or
after an hour, sums all of them in pages.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.deposit import UNPOSTED_STATES, DepositState
from infra.postgres import tables

PAGE = 5_000  # addresses that are summed by one query
ALL_AGAIN = dt.timedelta(hours=1)  # whatever was missed is found then
_OVERLAP = dt.timedelta(
    minutes=1
)  # rows are stamped when their transaction begins, not when it ends
_b = tables.hot_wallet_band.c
_UNTOUCHED = tuple(sorted((*UNPOSTED_STATES, DepositState.VOIDED, DepositState.SUSPENDED)))
# Of the named addresses: deposits that are booked and were let pass, and what payments have moved
# since. One customer has one address a chain, so the customers' index finds the deposits.
SUMS = sa.text(
    "WITH ours AS ("
    " SELECT address, path, customer_id FROM deposit_address"
    "  WHERE chain = :chain AND address = ANY(CAST(:addresses AS text[]))),"
    " moved AS ("
    " SELECT o.address, o.path, p.asset_id, p.amount FROM ours o"
    "  JOIN deposit p ON p.customer_id = o.customer_id"
    "  WHERE p.chain = :chain AND p.address = o.address AND p.turns % 2 = 0"
    "  AND NOT p.state = ANY(CAST(:untouched AS text[]))"
    " UNION ALL SELECT o.address, o.path, p.asset_id,"
    "  CASE p.kind WHEN 'gas' THEN p.amount ELSE -p.amount END FROM ours o"
    "  JOIN wallet_payment p ON p.deposit_path = o.path"
    "  WHERE p.chain = :chain AND ((p.kind = 'gas' AND p.state = 'booked')"
    "   OR (p.kind = 'sweep' AND NOT p.state IN ('dropped', 'reverted')))"
    " UNION ALL SELECT o.address, o.path, a.asset_id, -p.network_fee FROM ours o"
    "  JOIN wallet_payment p ON p.deposit_path = o.path"
    "  JOIN asset a ON a.chain = p.chain AND a.code = p.chain"
    "  WHERE p.chain = :chain AND p.kind = 'sweep' AND p.network_fee IS NOT NULL)"
    " SELECT m.address, m.path, m.asset_id, sum(m.amount) AS amount FROM moved m"
    " JOIN hot_wallet_band b USING (asset_id)"
    " GROUP BY m.address, m.path, m.asset_id, b.sweep_above"
    " HAVING sum(m.amount) > b.sweep_above"
)
CHANGED = sa.text(
    "SELECT address FROM deposit"
    " WHERE updated_at >= :since AND chain = :chain AND customer_id IS NOT NULL"
    " UNION SELECT CASE kind WHEN 'gas' THEN destination ELSE source END FROM wallet_payment"
    " WHERE updated_at >= :since AND chain = :chain AND deposit_path <> ''"
)
_NEXT = sa.text(
    "SELECT address FROM deposit_address WHERE chain = :chain AND address > :after"
    " ORDER BY address LIMIT :page"
)


@dataclass(frozen=True, slots=True)
class Full:
    """An address that holds more than its asset's bound; chain units."""

    address: str
    path: str
    asset_id: int
    amount: int


@dataclass
class _Known:
    """What the looks at one chain have found so far."""

    bounds: dict[int, int | None]
    all_at: dt.datetime  # when every address was summed
    until: dt.datetime  # rows that have changed before are in `full`
    full: dict[str, list[Full]] = field(default_factory=dict)  # by address


class Sweepable:
    """Looks of one process; another process keeps its own."""

    def __init__(self, page: int = PAGE) -> None:
        self._page = page
        self._chains: dict[str, _Known] = {}

    async def look(
        self, connection: AsyncConnection, chain: str, busy: Collection[str], most: int
    ) -> list[Full]:
        """Return at most `most` of what is too full and not `busy`, the fullest first."""
        now = await connection.scalar(sa.select(sa.func.now()))
        assert now is not None
        rows = await connection.execute(sa.select(_b.asset_id, _b.sweep_above))
        bounds = {row.asset_id: row.sweep_above for row in rows}
        known = self._chains.get(chain)
        if known is None or known.bounds != bounds or now - known.all_at >= ALL_AGAIN:
            known = _Known(bounds, now, now)
            await self._all(connection, chain, known)
        else:
            since = {"chain": chain, "since": known.until - _OVERLAP}
            changed = (await connection.execute(CHANGED, since)).scalars().all()
            await self._sum(connection, chain, known, changed)
            known.until = now
        self._chains[chain] = known  # one that was broken off is done again from where it was
        found = [it for at, some in known.full.items() if at not in busy for it in some]
        return sorted(found, key=lambda it: (-it.amount, it.address, it.asset_id))[:most]

    async def _all(self, connection: AsyncConnection, chain: str, known: _Known) -> None:
        after = ""
        while True:
            asked = {"chain": chain, "after": after, "page": self._page}
            page = (await connection.execute(_NEXT, asked)).scalars().all()
            if not page:
                return
            await self._sum(connection, chain, known, page)
            after = page[-1]

    async def _sum(
        self, connection: AsyncConnection, chain: str, known: _Known, addresses: Iterable[str]
    ) -> None:
        wanted = list(addresses)
        for address in wanted:
            known.full.pop(address, None)
        for start in range(0, len(wanted), self._page):
            some = wanted[start : start + self._page]
            for row in await connection.execute(SUMS, parameters(chain, some)):
                full = Full(row.address, row.path, row.asset_id, int(row.amount))
                known.full.setdefault(row.address, []).append(full)


def parameters(chain: str, addresses: list[str]) -> dict[str, Any]:
    """Return what `SUMS` is asked with."""
    return {"chain": chain, "addresses": addresses, "untouched": list(_UNTOUCHED)}
