"""The rows of deposits; each method is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.deposit import (
    NEXT_STATES,
    Deposit,
    DepositChange,
    DepositMove,
    DepositState,
    Dust,
)
from domain.hash_chain import JsonValue
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import LedgerStore
from infra.wallet.deposit_rows import REVERSED, lock_customers, read_deposit
from infra.wallet.posting import post_or_raise

_WALLET = "wallet"
_d = tables.deposit.c


class DepositStore:
    """Read deposits, and move one from state to state together with ledger and audit log."""

    def __init__(self, engine: AsyncEngine, ledger: LedgerStore, audit: AuditStore) -> None:
        self._engine = engine
        self._ledger = ledger
        self._audit = audit

    async def load(self, deposit_id: str) -> Deposit | None:
        """Return the deposit as it stands."""
        async with self._engine.connect() as connection:
            return await read_deposit(connection, deposit_id)

    async def move(self, deposit_id: str, change: DepositChange) -> Deposit:
        """Carry out `change` when the row is in its `source` state, else nothing; return the row.

        What moves money is booked by `post` and `begin_move`.
        """
        assert change.journal is None
        async with self._engine.begin() as connection:
            found = await self._locked(connection, deposit_id)
            if found.state is not change.source:
                return found
            await self._apply(connection, found, change)
            return await self._locked(connection, deposit_id)

    async def post(
        self,
        deposit_id: str,
        block_hash: str,
        book: Callable[[Deposit, Sequence[Dust]], DepositChange],
    ) -> Deposit:
        """Book a pending deposit that lies in this block, once; return the row.

        A reorganisation between the check and this transaction changes nothing. `book` is told what
        the owner has in suspense because it was below the minimum: the owner's row is locked, so
        that two small deposits cannot miss each other.
        """
        async with self._engine.begin() as connection:
            owner = await connection.scalar(
                sa.select(_d.customer_id).where(_d.deposit_id == deposit_id)
            )
            if owner is not None:
                await lock_customers(connection, (owner,))
            found = await self._locked(connection, deposit_id)
            if found.state is not DepositState.PENDING or found.block_hash != block_hash:
                return found
            change = book(found, await self._dust(connection, found))
            assert change.journal is not None
            await post_or_raise(self._ledger, connection, change.journal)
            await self._collect(connection, found, change.collects)
            await self._apply(connection, found, change)
            for name in change.collects:
                await self._note(connection, name, DepositState.COLLECTED, {"into": deposit_id})
            return await self._locked(connection, deposit_id)

    async def _dust(self, connection: AsyncConnection, row: Deposit) -> list[Dust]:
        """Return the owner's deposits of the asset that wait in suspense, locked."""
        if row.customer_id is None:
            return []
        query = (
            sa.select(_d.deposit_id, _d.amount)
            .where(
                _d.customer_id == row.customer_id,
                _d.asset_id == row.asset.asset_id,
                _d.state == DepositState.BELOW_MINIMUM,
                sa.not_(REVERSED),
            )
            .order_by(_d.deposit_id)
            .with_for_update()
        )
        return [Dust(it.deposit_id, int(it.amount)) for it in await connection.execute(query)]

    async def _collect(
        self, connection: AsyncConnection, row: Deposit, names: Collection[str]
    ) -> None:
        if names:
            await connection.execute(
                sa.update(tables.deposit)
                .where(_d.deposit_id.in_(names))
                .values(
                    state=DepositState.COLLECTED,
                    collected_into=row.deposit_id,
                    reason=None,
                    updated_at=sa.func.now(),
                )
            )

    async def _apply(
        self, connection: AsyncConnection, found: Deposit, change: DepositChange
    ) -> None:
        """Set the state that follows, and log it; the audit log's lock comes last."""
        assert change.target in NEXT_STATES[change.source], (
            f"no way {change.source}->{change.target}"
        )
        await connection.execute(
            sa.update(tables.deposit)
            .where(_d.deposit_id == found.deposit_id)
            .values(state=change.target, updated_at=sa.func.now(), **change.columns)
        )
        await self._note(
            connection, found.deposit_id, change.target, change.detail, f":{found.block_hash}"
        )

    async def _note(
        self,
        connection: AsyncConnection,
        deposit_id: str,
        action: str,
        detail: Mapping[str, JsonValue],
        once: str = "",
    ) -> None:
        key = f"{deposit_id}:{action}{once}"
        await self._audit.append(connection, deposit_id, _WALLET, action, key, detail)

    async def _locked(self, connection: AsyncConnection, deposit_id: str) -> Deposit:
        found = await read_deposit(connection, deposit_id, lock=True)
        if found is None:
            raise LookupError(f"no deposit {deposit_id}")
        return found

    async def begin_move(self, deposit_id: str, move: DepositMove) -> Deposit:
        """Take a posted deposit from main into transit, once; return the row with its transfer."""
        async with self._engine.begin() as connection:
            found = await self._locked(connection, deposit_id)
            if found.state is not DepositState.POSTED or found.transfer_id is not None:
                return found
            await connection.execute(insert(tables.transfer).values(**move.transfer.row()))
            await post_or_raise(self._ledger, connection, move.journal)
            await self._set_transfer(connection, deposit_id, move.transfer.transfer_id)
            return await self._locked(connection, deposit_id)

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
