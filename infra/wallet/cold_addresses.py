"""Cold addresses as rows: pinned by people, taken into the books by the watcher."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.cold_address import COLD_ADDRESS_COUNTED, opening
from domain.ledger import posted
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import LedgerStore
from infra.wallet.posting import post_or_raise

_ACTOR, _SUBJECT = "chain-watcher", "hot-wallet"
_c, _a, _b = tables.cold_address.c, tables.asset.c, tables.chain_block.c


async def add_cold_address(connection: AsyncConnection, chain: str, address: str) -> None:
    """Write a pinned address down; one that is known already stays as it is."""
    await connection.execute(
        insert(tables.cold_address).values(chain=chain, address=address).on_conflict_do_nothing()
    )


class ColdAddresses:
    """Every address that was ever pinned: its coins are ours whatever is pinned today."""

    def __init__(self, engine: AsyncEngine, ledger: LedgerStore, audit: AuditStore) -> None:
        self._engine = engine
        self._ledger = ledger
        self._audit = audit

    async def known(self, chain: str) -> dict[str, int | None]:
        """Return {address: the block whose coins were its opening, None: not in the books}."""
        query = sa.select(_c.address, _c.since_block).where(_c.chain == chain)
        async with self._engine.connect() as connection:
            return {row.address: row.since_block for row in await connection.execute(query)}

    async def contracts(self, chain: str) -> dict[str, str | None]:
        """Return {asset: contract} of what the chain carries; None is its own coin."""
        query = sa.select(_a.code, _a.contract).where(
            _a.chain == chain, sa.or_(_a.contract.is_not(None), _a.code == chain)
        )
        async with self._engine.connect() as connection:
            return {row.code: row.contract for row in await connection.execute(query)}

    async def count(
        self, chain: str, address: str, block: tuple[int, str], coins: Mapping[str, int]
    ) -> bool:
        """Take what an address has at `block` (number, hash) into the books, once.

        Return False, and change nothing, when it is counted already or that block is not the
        newest that is stored: payments of later ones were not looked for at this address.
        """
        async with self._engine.begin() as connection:
            row = sa.and_(_c.chain == chain, _c.address == address, _c.since_block.is_(None))
            waiting = await connection.execute(sa.select(_c.address).where(row).with_for_update())
            newest = sa.select(_b.number, _b.hash).where(_b.chain == chain)
            tip = await connection.execute(newest.order_by(_b.number.desc()).limit(1))
            if waiting.one_or_none() is None or tuple(tip.one_or_none() or ()) != block:
                return False
            journal = opening(chain, address, coins)
            if journal is not None:
                await post_or_raise(self._ledger, connection, journal)
            await connection.execute(
                sa.update(tables.cold_address).where(row).values(since_block=block[0])
            )
            await self._audit.append(
                connection,
                _SUBJECT,
                _ACTOR,
                COLD_ADDRESS_COUNTED,
                f"{COLD_ADDRESS_COUNTED}:{chain}:{address}",
                {"address": address, "block_number": block[0], **posted(journal)},
            )
        return True
