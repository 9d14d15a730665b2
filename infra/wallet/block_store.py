"""The blocks that the watcher has read, with what they pay us; each method is one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.chain import Block
from domain.deposit import UNPOSTED_STATES, DepositState, IgnoredPayment, NewDeposit
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore, Entry

ACTOR = "chain-watcher"
KEPT_BLOCKS = 5_000  # deeper reorganisations than this do not happen
_d, _a, _b = tables.deposit.c, tables.asset.c, tables.chain_block.c


class BlockStore:
    """What the watcher remembers: blocks by number, and whom an address belongs to."""

    def __init__(self, engine: AsyncEngine, audit: AuditStore) -> None:
        self._engine = engine
        self._audit = audit

    async def tip(self, chain: str) -> tuple[int, str] | None:
        """Return (number, hash) of the newest stored block."""
        query = (
            sa.select(_b.number, _b.hash)
            .where(_b.chain == chain)
            .order_by(_b.number.desc())
            .limit(1)
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else (row.number, row.hash)

    async def newest(self, chain: str, count: int) -> dict[int, str]:
        """Return the hashes of the newest stored blocks by number."""
        query = (
            sa.select(_b.number, _b.hash)
            .where(_b.chain == chain)
            .order_by(_b.number.desc())
            .limit(count)
        )
        async with self._engine.connect() as connection:
            return {row.number: row.hash for row in await connection.execute(query)}

    async def hash_at(self, chain: str, number: int) -> str | None:
        """Return the stored hash of a block."""
        query = sa.select(_b.hash).where(_b.chain == chain, _b.number == number)
        async with self._engine.connect() as connection:
            return await connection.scalar(query)

    async def owners(self, chain: str, addresses: Collection[str]) -> dict[str, int]:
        """Return {deposit address: customer} for those of `addresses` that are ours."""
        if not addresses:
            return {}
        known = tables.deposit_address.c
        query = sa.select(known.address, known.customer_id).where(
            known.chain == chain, known.address.in_(addresses)
        )
        async with self._engine.connect() as connection:
            return {row.address: row.customer_id for row in await connection.execute(query)}

    async def own_payments(self, tx_hashes: Collection[str]) -> set[str]:
        """Return which of these are payments between our own addresses: no deposits.

        A transaction is stored before any node sees it, so those of a block are all known.
        """
        if not tx_hashes:
            return set()
        stored = tables.wallet_transaction.c
        query = sa.select(stored.tx_hash).where(
            stored.tx_hash.in_(tx_hashes), stored.payment_id.is_not(None)
        )
        async with self._engine.connect() as connection:
            return set((await connection.execute(query)).scalars())

    async def assets(self, chain: str) -> dict[str | None, int]:
        """Return {contract: asset id} of the chain; None is its own coin.

        A token that is not deployed yet has no contract either, so the coin is told by its code,
        which is the chain's.
        """
        query = sa.select(_a.contract, _a.asset_id).where(
            _a.chain == chain, sa.or_(_a.contract.is_not(None), _a.code == chain)
        )
        async with self._engine.connect() as connection:
            return {row.contract: row.asset_id for row in await connection.execute(query)}

    async def record(
        self,
        chain: str,
        block: Block,
        deposits: Iterable[NewDeposit],
        ignored: Iterable[IgnoredPayment],
    ) -> None:
        """Store a block with what it pays us: rows first, workflows afterwards.

        The audit log's lock comes last, as everywhere, so that writers cannot wait in a circle.
        """
        deposits = list(deposits)
        async with self._engine.begin() as connection:
            await connection.execute(
                insert(tables.chain_block)
                .values(
                    chain=chain, number=block.number, hash=block.hash, parent_hash=block.parent_hash
                )
                .on_conflict_do_nothing()
            )
            await connection.execute(
                sa.delete(tables.chain_block).where(
                    _b.chain == chain, _b.number < block.number - KEPT_BLOCKS
                )
            )
            for deposit in deposits:
                await self._record_deposit(connection, deposit)
            entries = [_seen(deposit) for deposit in deposits] + [_ignored(it) for it in ignored]
            if entries:
                await self._audit.append_many(connection, entries)

    async def note_confirmations(self, chain: str, head: int) -> None:
        """Show customers how deep the blocks of deposits that are not booked yet lie.

        A row that another transaction holds is left out: the next block counts it, or its booking.
        """
        depth = sa.func.greatest(head - _d.block_number + 1, 0)
        changed = (
            sa.select(_d.deposit_id)
            .where(
                _d.chain == chain,
                _d.state.in_(sorted(UNPOSTED_STATES)),
                _d.confirmations != depth,
            )
            .with_for_update(skip_locked=True)
        )
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(tables.deposit)
                .where(_d.deposit_id.in_(changed))
                .values(confirmations=depth, updated_at=sa.func.now())
            )

    async def _record_deposit(self, connection: AsyncConnection, deposit: NewDeposit) -> None:
        """Insert the row, or move a known one to its new block; a voided one is seen again."""
        place: dict[str, str | int] = {
            "block_number": deposit.block_number,
            "block_hash": deposit.block_hash,
        }
        statement = insert(tables.deposit).values(
            deposit_id=deposit.deposit_id,
            chain=deposit.chain,
            tx_hash=deposit.tx_hash,
            log_index=deposit.log_index,
            address=deposit.address,
            sender=deposit.sender,
            customer_id=deposit.customer_id,
            asset_id=deposit.asset_id,
            amount=deposit.amount,
            state=DepositState.SEEN,
            **place,
        )
        await connection.execute(
            statement.on_conflict_do_update(
                index_elements=["deposit_id"],
                set_={
                    **place,
                    "state": sa.case(
                        (_d.state == DepositState.VOIDED, DepositState.SEEN), else_=_d.state
                    ),
                    "reason": None,
                    "updated_at": sa.func.now(),
                },
            )
        )


def _seen(deposit: NewDeposit) -> Entry:
    return Entry(
        deposit.deposit_id,
        ACTOR,
        DepositState.SEEN,
        f"{deposit.deposit_id}:{DepositState.SEEN}:{deposit.block_hash}",
        {
            "block_number": deposit.block_number,
            "block_hash": deposit.block_hash,
            "amount": str(deposit.amount),
            "address": deposit.address,
            "sender": deposit.sender,
        },
    )


def _ignored(payment: IgnoredPayment) -> Entry:
    return Entry(
        payment.subject,
        ACTOR,
        "ignored",
        f"{payment.subject}:ignored",
        {
            "reason": "unknown_token",
            "contract": payment.contract,
            "address": payment.address,
            "amount": str(payment.amount),
        },
    )
