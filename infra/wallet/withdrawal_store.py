"""The rows of withdrawals: each method is one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.approval import Decision
from domain.hash_chain import JsonValue
from domain.ledger import JournalRequest, posted
from domain.transfer import NewTransfer
from domain.withdrawal import (
    FINAL_STATES,
    NEXT_STATES,
    RELEASABLE_STATES,
    RELEASE_BEGUN,
    REPLACED,
    STAGE_OF,
    VOID_SIGNED,
    StateChange,
    StoredTransaction,
    Withdrawal,
    WithdrawalState,
)
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import LedgerStore
from infra.postgres.usd_price import usd_price
from infra.wallet.commitments import Shortage, committed, take_nonce
from infra.wallet.posting import post_or_raise
from infra.wallet.stored_transactions import next_nonce, store_transaction, stored_transactions
from infra.wallet.withdrawal_row import JOINED, withdrawal_of

_w, _t = tables.withdrawal.c, tables.wallet_transaction.c


class WithdrawalStore:
    """Read withdrawals, and move one from state to state together with ledger and audit log."""

    def __init__(self, engine: AsyncEngine, ledger: LedgerStore, audit: AuditStore) -> None:
        self._engine = engine
        self._ledger = ledger
        self._audit = audit

    async def load(self, withdrawal_id: str) -> Withdrawal | None:
        """Return the withdrawal as it stands."""
        async with self._engine.connect() as connection:
            return await self._read(connection, withdrawal_id)

    async def _read(
        self, connection: AsyncConnection, withdrawal_id: str, *, lock: bool = False
    ) -> Withdrawal | None:
        query = JOINED.where(_w.withdrawal_id == UUID(withdrawal_id))
        if lock:
            query = query.with_for_update(of=tables.withdrawal)
        row = (await connection.execute(query)).one_or_none()
        return None if row is None else withdrawal_of(row)

    async def move(self, withdrawal_id: str, change: StateChange) -> Withdrawal:
        """Carry out `change` when the row is in its `source` state, else nothing; return the row.

        State, columns, journal and audit record are one transaction: all or none, and once.
        """
        assert change.target in NEXT_STATES[change.source], (
            f"no way {change.source}->{change.target}"
        )
        async with self._engine.begin() as connection:
            found = await self._read(connection, withdrawal_id, lock=True)
            if found is None:
                raise LookupError(f"no withdrawal {withdrawal_id}")
            if found.state is not change.source:
                return found
            return await self._carry_out(connection, found, change)

    async def _carry_out(
        self, connection: AsyncConnection, found: Withdrawal, change: StateChange
    ) -> Withdrawal:
        """Post, update and log within the caller's transaction; return the row as it is then."""
        if change.journal is not None:
            await post_or_raise(self._ledger, connection, change.journal)
        await connection.execute(
            sa.update(tables.withdrawal)
            .where(_w.withdrawal_id == UUID(found.withdrawal_id))
            .values(
                state=change.target,
                stage=STAGE_OF[change.target],
                updated_at=sa.func.now(),
                **change.columns,
            )
        )
        await self._audit.append(
            connection,
            found.subject,
            change.actor,
            change.target,
            f"{found.subject}:{change.target}",
            {**change.detail, **posted(change.journal)},
        )
        moved = await self._read(connection, found.withdrawal_id)
        assert moved is not None
        return moved

    async def note(
        self,
        withdrawal_id: str,
        *,
        stage: str,
        actor: str,
        action: str,
        key: str,
        detail: Mapping[str, JsonValue],
    ) -> None:
        """Write down what happened without a change of state: parked, resumed, overdue."""
        async with self._engine.begin() as connection:
            found = await self._read(connection, withdrawal_id, lock=True)
            if found is None or found.state in FINAL_STATES:
                return
            await connection.execute(
                sa.update(tables.withdrawal)
                .where(_w.withdrawal_id == UUID(withdrawal_id))
                .values(stage=stage, updated_at=sa.func.now())
            )
            await self._audit.append(connection, found.subject, actor, action, key, detail)

    async def decisions(self, withdrawal_id: str) -> list[Decision]:
        """Return the recorded decisions of officers, oldest first."""
        approval = tables.approval.c
        query = (
            sa.select(tables.approval)
            .where(approval.withdrawal_id == UUID(withdrawal_id))
            .order_by(approval.created_at, approval.officer)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [
            Decision(row.officer, row.action, row.statement, bytes(row.signature).hex())
            for row in rows
        ]

    async def record_decision(self, withdrawal_id: str, decision: Decision) -> None:
        """Store an officer's decision and log it; the same one again changes nothing.

        A newer statement of the same officer replaces an older one, which the audit log keeps.
        """
        values = {
            "action": decision.action,
            "statement": decision.statement,
            "signature": bytes.fromhex(decision.signature_hex),
        }
        statement = insert(tables.approval).values(
            withdrawal_id=UUID(withdrawal_id), officer=decision.officer, **values
        )
        subject = f"withdrawal-{withdrawal_id}"
        async with self._engine.begin() as connection:
            await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["withdrawal_id", "officer"], set_=values
                )
            )
            await self._audit.append(
                connection,
                subject,
                f"officer:{decision.officer}",
                decision.action,
                f"{subject}:{decision.action}:{decision.signature_hex}",
                {"statement": decision.statement, "signature": decision.signature_hex},
            )

    async def allocate_nonce(
        self, withdrawal_id: str, address: str, chain_nonce: int, shortage: Shortage
    ) -> Withdrawal | str:
        """Give an approved withdrawal the hot wallet's next nonce, once; return the row.

        `chain_nonce` is how many transactions of the address the chain has mined. `shortage` is
        told, under the nonce's lock, what withdrawals with unmined nonces will still take, and
        how many they are; its text, if any, is returned and nothing changes. What its customer has
        cancelled gets no nonce any more.
        """
        async with self._engine.begin() as connection:
            found = await self._read(connection, withdrawal_id, lock=True)
            assert found is not None
            if found.state is not WithdrawalState.APPROVED or found.cancel_requested:
                return found
            taken = await take_nonce(connection, found.chain, address, chain_nonce)
            short = shortage(*await committed(connection, found.chain, address, chain_nonce))
            if short is not None:
                await connection.rollback()
                return short
            change = StateChange(
                source=WithdrawalState.APPROVED,
                target=WithdrawalState.NUMBERED,
                columns={"nonce": taken},
                detail={"nonce": taken, "hot_wallet": address},
            )
            return await self._carry_out(connection, found, change)

    async def attach_release(
        self, withdrawal_id: str, transfer: NewTransfer, journal: JournalRequest
    ) -> None:
        """Record the transfer that gives a hold back and take the amount into transit; once."""
        async with self._engine.begin() as connection:
            found = await self._read(connection, withdrawal_id, lock=True)
            assert found is not None
            if found.release_transfer_id is not None:
                return
            await connection.execute(insert(tables.transfer).values(**transfer.row()))
            await post_or_raise(self._ledger, connection, journal)
            await connection.execute(
                sa.update(tables.withdrawal)
                .where(_w.withdrawal_id == UUID(withdrawal_id))
                .values(release_transfer_id=transfer.transfer_id, updated_at=sa.func.now())
            )
            await self._audit.append(
                connection,
                found.subject,
                "wallet",
                RELEASE_BEGUN,
                f"{found.subject}:{RELEASE_BEGUN}",
                {"transfer": str(transfer.transfer_id), **posted(journal)},
            )

    async def next_nonce(self, chain: str, address: str) -> int | None:
        """Return the nonce that the next withdrawal would get; None before the first."""
        return await next_nonce(self._engine, chain, address)

    async def store_transaction(
        self, withdrawal: Withdrawal, *, sender: str, raw: bytes, tx_hash: str
    ) -> Withdrawal:
        """Store the raw transaction, before any node sees it; the first one stored stays."""
        async with self._engine.begin() as connection:
            await store_transaction(
                connection,
                tx_hash=tx_hash,
                withdrawal_id=UUID(withdrawal.withdrawal_id),
                chain=withdrawal.chain,
                address=sender,
                nonce=withdrawal.nonce,
                raw=raw,
            )
        stored = await self.transactions(withdrawal.withdrawal_id)
        assert stored, "another withdrawal's transaction holds this nonce"
        first_hash = stored[0].tx_hash
        return await self.move(
            withdrawal.withdrawal_id,
            StateChange(
                source=WithdrawalState.NUMBERED,
                target=WithdrawalState.SIGNED,
                columns={"tx_hash": first_hash},
                detail={"tx_hash": first_hash, "nonce": withdrawal.nonce},
            ),
        )

    async def transactions(self, withdrawal_id: str) -> list[StoredTransaction]:
        """Return the stored transactions, the first one first."""
        return await stored_transactions(self._engine, _t.withdrawal_id, withdrawal_id)

    async def store_replacement(
        self, withdrawal: Withdrawal, transaction: StoredTransaction, sender: str
    ) -> None:
        """Store another transaction with the same nonce, before any node sees it; once.

        A dearer payment only while the payment waits for a block, a void only once it was given
        up; a repeat, or one of the same number, is nothing.
        """
        wanted = WithdrawalState.VOIDING if transaction.voids else WithdrawalState.BROADCAST
        action = VOID_SIGNED if transaction.voids else REPLACED
        async with self._engine.begin() as connection:
            found = await self._read(connection, withdrawal.withdrawal_id, lock=True)
            if found is None or found.state is not wanted:
                return
            written = await store_transaction(
                connection,
                tx_hash=transaction.tx_hash,
                withdrawal_id=UUID(found.withdrawal_id),
                chain=found.chain,
                address=sender,
                nonce=found.nonce,
                replacement=transaction.replacement,
                voids=transaction.voids,
                raw=transaction.raw,
            )
            if written:
                await self._audit.append(
                    connection,
                    found.subject,
                    "wallet",
                    action,
                    f"{found.subject}:{action}:{transaction.replacement}",
                    {"tx_hash": transaction.tx_hash, "nonce": found.nonce},
                )

    async def note_broadcast(self, tx_hash: str) -> None:
        """Write down when a node first took the transaction."""
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(tables.wallet_transaction)
                .where(_t.tx_hash == tx_hash, _t.broadcast_at.is_(None))
                .values(broadcast_at=sa.func.now())
            )

    async def cancellations(self, limit: int) -> list[str]:
        """Return ids whose customer has cancelled and whose hold can still be given back."""
        query = (
            sa.select(_w.withdrawal_id)
            .where(_w.cancel_requested_at.is_not(None), _w.state.in_(sorted(RELEASABLE_STATES)))
            .order_by(_w.cancel_requested_at)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [str(value) for value in (await connection.execute(query)).scalars()]

    async def usd_price(self, asset: str) -> Decimal | None:
        """Return a rough price in USD; None without a market."""
        async with self._engine.connect() as connection:
            return await usd_price(connection, asset)
