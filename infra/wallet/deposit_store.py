"""The rows of deposits and the blocks they were seen in; each method is one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.chain import Block
from domain.deposit import (
    NEXT_STATES,
    UNPOSTED_STATES,
    Deposit,
    DepositChange,
    DepositMove,
    DepositState,
    IgnoredPayment,
    NewDeposit,
    required_confirmations,
)
from domain.instrument import Asset
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import LedgerStore
from infra.wallet.posting import post_or_raise

_ACTOR = "chain-watcher"
_WALLET = "wallet"
KEPT_BLOCKS = 5_000  # deeper reorganisations than this do not happen
_d, _a, _b = tables.deposit.c, tables.asset.c, tables.chain_block.c
_JOINED = sa.select(
    tables.deposit,
    _a.code,
    _a.chain_decimals,
    _a.engine_decimals,
    _a.confirmations.label("asset_confirmations"),
    _a.deposit_minimum,
    _a.approval_above,
).join_from(tables.deposit, tables.asset)


def _deposit(row: Any) -> Deposit:
    amount = int(row.amount)
    return Deposit(
        deposit_id=row.deposit_id,
        chain=row.chain,
        tx_hash=row.tx_hash,
        log_index=row.log_index,
        block_number=row.block_number,
        block_hash=row.block_hash,
        address=row.address,
        customer_id=row.customer_id,
        asset=Asset(row.asset_id, row.code, row.chain_decimals, row.engine_decimals),
        amount=amount,
        minimum=int(row.deposit_minimum),
        state=DepositState(row.state),
        confirmations=row.confirmations,
        required_confirmations=required_confirmations(
            row.asset_confirmations, amount, int(row.approval_above)
        ),
        transfer_id=None if row.transfer_id is None else str(row.transfer_id),
        reason=row.reason,
    )


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
            for deposit in deposits:
                await self._audit_deposit(connection, deposit)
            for payment in ignored:
                await self._audit.append(
                    connection,
                    payment.subject,
                    _ACTOR,
                    "ignored",
                    f"{payment.subject}:ignored",
                    {
                        "reason": "unknown_token",
                        "contract": payment.contract,
                        "address": payment.address,
                        "amount": str(payment.amount),
                    },
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

    async def _audit_deposit(self, connection: AsyncConnection, deposit: NewDeposit) -> None:
        await self._audit.append(
            connection,
            deposit.deposit_id,
            _ACTOR,
            DepositState.SEEN,
            f"{deposit.deposit_id}:{DepositState.SEEN}:{deposit.block_hash}",
            {
                "block_number": deposit.block_number,
                "block_hash": deposit.block_hash,
                "amount": str(deposit.amount),
                "address": deposit.address,
            },
        )

    async def rewind(self, chain: str, fork: int) -> list[str]:
        """Forget the blocks above `fork` and void what was not posted; return what was posted.

        What was posted already stays and is for people to decide: it is named in the audit log.
        """
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.delete(tables.chain_block).where(_b.chain == chain, _b.number > fork)
            )
            query = (
                sa.select(_d.deposit_id, _d.state, _d.block_hash)
                .where(_d.chain == chain, _d.block_number > fork, _d.state != DepositState.VOIDED)
                .order_by(_d.deposit_id)
                .with_for_update()
            )
            rows = (await connection.execute(query)).all()
            disputed = [row.deposit_id for row in rows if row.state not in UNPOSTED_STATES]
            for row in rows:
                values: dict[str, object] = {"reason": "reorganised", "updated_at": sa.func.now()}
                if row.deposit_id not in disputed:
                    values |= {"state": DepositState.VOIDED, "confirmations": 0}
                await connection.execute(
                    sa.update(tables.deposit)
                    .where(_d.deposit_id == row.deposit_id)
                    .values(**values)
                )
            for row in rows:
                posted = row.deposit_id in disputed
                action = "reorganised_after_posting" if posted else DepositState.VOIDED
                await self._audit.append(
                    connection,
                    row.deposit_id,
                    _ACTOR,
                    action,
                    f"{row.deposit_id}:{action}:{row.block_hash}:{fork}:{row.state}",
                    {"block_hash": row.block_hash, "fork": fork, "state": row.state},
                )
        return disputed


class DepositStore:
    """Read deposits, and move one from state to state together with ledger and audit log."""

    def __init__(self, engine: AsyncEngine, ledger: LedgerStore, audit: AuditStore) -> None:
        self._engine = engine
        self._ledger = ledger
        self._audit = audit

    async def load(self, deposit_id: str) -> Deposit | None:
        """Return the deposit as it stands."""
        async with self._engine.connect() as connection:
            return await self._read(connection, deposit_id)

    async def _read(
        self, connection: AsyncConnection, deposit_id: str, *, lock: bool = False
    ) -> Deposit | None:
        query = _JOINED.where(_d.deposit_id == deposit_id)
        if lock:
            query = query.with_for_update(of=tables.deposit)
        row = (await connection.execute(query)).one_or_none()
        return None if row is None else _deposit(row)

    async def note_confirmations(self, deposit_id: str, confirmations: int) -> None:
        """Show the customer how deep the block lies."""
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(tables.deposit)
                .where(_d.deposit_id == deposit_id, _d.state.in_(sorted(UNPOSTED_STATES)))
                .values(confirmations=confirmations, updated_at=sa.func.now())
            )

    async def move(
        self, deposit_id: str, change: DepositChange, block_hash: str | None = None
    ) -> Deposit:
        """Carry out `change` when the row is in its `source` state, else nothing; return the row.

        With `block_hash` the row must still lie in that block: a reorganisation between the check
        and this transaction changes nothing.
        """
        assert change.target in NEXT_STATES[change.source], (
            f"no way {change.source}->{change.target}"
        )
        async with self._engine.begin() as connection:
            found = await self._read(connection, deposit_id, lock=True)
            if found is None:
                raise LookupError(f"no deposit {deposit_id}")
            if found.state is not change.source or block_hash not in (None, found.block_hash):
                return found
            if change.journal is not None:
                await post_or_raise(self._ledger, connection, change.journal)
            await connection.execute(
                sa.update(tables.deposit)
                .where(_d.deposit_id == deposit_id)
                .values(state=change.target, updated_at=sa.func.now(), **change.columns)
            )
            await self._audit.append(
                connection,
                deposit_id,
                _WALLET,
                change.target,
                f"{deposit_id}:{change.target}:{found.block_hash}",
                change.detail,
            )
            moved = await self._read(connection, deposit_id)
        assert moved is not None
        return moved

    async def begin_move(self, deposit_id: str, move: DepositMove) -> Deposit:
        """Take a posted deposit from main into transit, once; return the row with its transfer."""
        async with self._engine.begin() as connection:
            found = await self._read(connection, deposit_id, lock=True)
            assert found is not None
            if found.state is not DepositState.POSTED or found.transfer_id is not None:
                return found
            await connection.execute(insert(tables.transfer).values(**move.transfer.row()))
            await post_or_raise(self._ledger, connection, move.journal)
            await self._set_transfer(connection, deposit_id, move.transfer.transfer_id)
            moved = await self._read(connection, deposit_id)
        assert moved is not None
        return moved

    async def forget_transfer(self, deposit_id: str) -> None:
        """Let the next attempt make a new transfer, after the engine refused this one."""
        async with self._engine.begin() as connection:
            await self._set_transfer(connection, deposit_id, None)

    async def _set_transfer(
        self, connection: AsyncConnection, deposit_id: str, transfer_id: UUID | None
    ) -> None:
        await connection.execute(
            sa.update(tables.deposit)
            .where(_d.deposit_id == deposit_id)
            .values(transfer_id=transfer_id, updated_at=sa.func.now())
        )
