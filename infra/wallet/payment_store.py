"""The rows of payments between our own addresses; each method is one transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.approval import Decision
from domain.chain import FeeQuote
from domain.instrument import Asset
from domain.ledger import posted
from domain.wallet_payment import (
    FINAL_STATES,
    NEXT_STATES,
    NewPayment,
    PaymentChange,
    PaymentKind,
    PaymentState,
    WalletPayment,
    wallet_payment_workflow_id,
)
from domain.withdrawal import REPLACED, VOID_SIGNED, StoredTransaction
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import LedgerStore
from infra.wallet.commitments import Shortage, committed, take_nonce
from infra.wallet.posting import post_or_raise
from infra.wallet.return_rows import end_return, with_approvals
from infra.wallet.stored_transactions import next_nonce, store_transaction, stored_transactions

ACTOR = "hot-wallet"
_p, _a, _t = tables.wallet_payment.c, tables.asset.c, tables.wallet_transaction.c
_JOINED = sa.select(
    tables.wallet_payment,
    _a.code,
    _a.contract,
    _a.chain_decimals,
    _a.engine_decimals,
    _a.confirmations,
).join_from(tables.wallet_payment, tables.asset)


def _payment(row: Any) -> WalletPayment:
    return WalletPayment(
        payment_id=str(row.payment_id),
        kind=PaymentKind(row.kind),
        chain=row.chain,
        source=row.source,
        destination=row.destination,
        deposit_path=row.deposit_path,
        asset=Asset(row.asset_id, row.code, row.chain_decimals, row.engine_decimals),
        contract=row.contract,
        amount=int(row.amount),
        confirmations=row.confirmations,
        state=PaymentState(row.state),
        nonce=row.nonce,
        gas=row.gas,
        fees=None if row.max_fee is None else FeeQuote(int(row.max_fee), int(row.priority_fee)),
    )


class PaymentStore:
    """Plan payments, and move one from state to state together with ledger and audit log."""

    def __init__(self, engine: AsyncEngine, ledger: LedgerStore, audit: AuditStore) -> None:
        self._engine = engine
        self._ledger = ledger
        self._audit = audit

    async def load(self, payment_id: str) -> WalletPayment | None:
        """Return the payment as it stands."""
        async with self._engine.connect() as connection:
            return await self._read(connection, payment_id)

    async def open(self) -> list[WalletPayment]:
        """Return the payments that are not final, oldest first."""
        query = _JOINED.where(_p.state.not_in(sorted(FINAL_STATES))).order_by(_p.created_at)
        async with self._engine.connect() as connection:
            return [_payment(row) for row in await connection.execute(query)]

    async def now(self) -> dt.datetime:
        """Return the database's time, with which rows are marked."""
        async with self._engine.connect() as connection:
            found: dt.datetime = (
                await connection.execute(sa.select(sa.func.clock_timestamp()))
            ).scalar_one()
        return found

    async def plan(self, wanted: Iterable[NewPayment], looked_at: dt.datetime) -> list[str]:
        """Write payments down and return their ids, of which some may be left out.

        What was to be paid was found in a look that began at `looked_at`. Where another payment of
        the same address, or to the cold address of the same asset, is open, or has changed since
        then, the look is out of date, and this one is not made. Unique indexes decide between two
        that do this at once; the order is always the same, so that they do not wait in a circle.
        """
        made = []
        async with self._engine.begin() as connection:
            for payment in sorted(wanted, key=lambda it: (it.deposit_path, it.asset_id)):
                payment_id = await self._plan_one(connection, payment, looked_at)
                if payment_id is not None:
                    made.append((payment_id, payment))
            for payment_id, payment in made:
                subject = wallet_payment_workflow_id(str(payment_id))
                detail = {
                    "kind": str(payment.kind),
                    "source": payment.source,
                    "destination": payment.destination,
                    "amount": str(payment.amount),
                }
                await self._audit.append(
                    connection, subject, ACTOR, "planned", f"{subject}:planned", detail
                )
        return [str(payment_id) for payment_id, _ in made]

    async def _plan_one(
        self, connection: AsyncConnection, payment: NewPayment, looked_at: dt.datetime
    ) -> UUID | None:
        values = {
            "payment_id": uuid4(),
            "kind": payment.kind,
            "chain": payment.chain,
            "source": payment.source,
            "destination": payment.destination,
            "deposit_path": payment.deposit_path,
            "asset_id": payment.asset_id,
            "amount": payment.amount,
            "state": PaymentState.PLANNED,
        }
        the_same = (
            sa.and_(_p.kind == PaymentKind.COLD, _p.asset_id == payment.asset_id)
            if payment.kind is PaymentKind.COLD
            else _p.deposit_path == payment.deposit_path
        )
        changed = sa.or_(_p.state.not_in(sorted(FINAL_STATES)), _p.updated_at >= looked_at)
        other = sa.exists().where(_p.chain == payment.chain, the_same, changed)
        columns = tables.wallet_payment.c
        typed = [sa.literal(value, columns[name].type) for name, value in values.items()]
        written = await connection.execute(
            insert(tables.wallet_payment)
            .from_select(list(values), sa.select(*typed).where(sa.not_(other)))
            .on_conflict_do_nothing()
            .returning(_p.payment_id)
        )
        taken: UUID | None = written.scalar_one_or_none()
        return taken

    async def move(self, payment_id: str, change: PaymentChange) -> WalletPayment:
        """Carry out `change` when the row is in its `source` state, else nothing; return the row.

        State, columns, journal and audit record are one transaction: all or none, and once.
        """
        assert change.target in NEXT_STATES[change.source]
        async with self._engine.begin() as connection:
            found = await self._require(connection, payment_id)
            if found.state is not change.source:
                return found
            return await self._carry_out(connection, found, change)

    async def _carry_out(
        self, connection: AsyncConnection, found: WalletPayment, change: PaymentChange
    ) -> WalletPayment:
        if change.journal is not None:
            await post_or_raise(self._ledger, connection, change.journal)
        await connection.execute(
            sa.update(tables.wallet_payment)
            .where(_p.payment_id == UUID(found.payment_id))
            .values(state=change.target, updated_at=sa.func.now(), **change.columns)
        )
        await end_return(connection, self._audit, found, change)
        await self._audit.append(
            connection,
            found.subject,
            ACTOR,
            change.target,
            f"{found.subject}:{change.target}",
            {**change.detail, **posted(change.journal)},
        )
        return await self._require(connection, found.payment_id)

    async def allocate_nonce(
        self, fixed: WalletPayment, chain_nonce: int, shortage: Shortage
    ) -> WalletPayment | str:
        """Give a planned payment its source's next nonce; return the row, or what is missing.

        `fixed` is the payment with the amount, the gas and the fees that its transaction will
        have. `shortage` is told, under the nonce's lock, what is promised already.
        """
        async with self._engine.begin() as connection:
            found = await self._require(connection, fixed.payment_id)
            if found.state is not PaymentState.PLANNED:
                return found
            taken = await take_nonce(connection, found.chain, found.source, chain_nonce)
            promised = await committed(connection, found.chain, found.source, chain_nonce)
            short = shortage(*promised)
            if short is not None:
                await connection.rollback()
                return short
            assert fixed.fees is not None
            change = PaymentChange(
                source=PaymentState.PLANNED,
                target=PaymentState.NUMBERED,
                columns={
                    "nonce": taken,
                    "amount": fixed.amount,
                    "gas": fixed.gas,
                    "max_fee": fixed.fees.max_fee,
                    "priority_fee": fixed.fees.priority_fee,
                },
                detail={"nonce": taken, "source": found.source, "amount": str(fixed.amount)},
            )
            return await self._carry_out(connection, found, change)

    async def next_nonce(self, chain: str, address: str) -> int | None:
        """Return the nonce that comes next; None before the first."""
        return await next_nonce(self._engine, chain, address)

    async def store_transaction(
        self, payment: WalletPayment, raw: bytes, tx_hash: str
    ) -> WalletPayment:
        """Store the raw transaction, before any node sees it; the first one stored stays."""
        async with self._engine.begin() as connection:
            await self._store(connection, payment, raw, tx_hash, 0)
        stored = await self.transactions(payment.payment_id)
        assert stored, "another payment's transaction holds this nonce"
        return await self.move(
            payment.payment_id,
            PaymentChange(
                source=PaymentState.NUMBERED,
                target=PaymentState.SIGNED,
                columns={"tx_hash": stored[0].tx_hash},
                detail={"tx_hash": stored[0].tx_hash, "nonce": payment.nonce},
            ),
        )

    async def store_replacement(
        self, payment: WalletPayment, transaction: StoredTransaction
    ) -> None:
        """Store another transaction with the same nonce, before any node sees it; once.

        A dearer payment only while it waits for a block, a void only once it was given up.
        """
        wanted = PaymentState.VOIDING if transaction.voids else PaymentState.BROADCAST
        action = VOID_SIGNED if transaction.voids else REPLACED
        async with self._engine.begin() as connection:
            found = await self._require(connection, payment.payment_id)
            if found.state is not wanted:
                return
            if await self._store(
                connection,
                found,
                transaction.raw,
                transaction.tx_hash,
                transaction.replacement,
                voids=transaction.voids,
            ):
                await self._audit.append(
                    connection,
                    found.subject,
                    ACTOR,
                    action,
                    f"{found.subject}:{action}:{transaction.replacement}",
                    {"tx_hash": transaction.tx_hash, "nonce": found.nonce},
                )

    async def voids(self, payment_id: str) -> list[Decision]:
        """Return the officers' decisions to give it up, each officer's newest."""
        query = sa.select(_p.voids).where(_p.payment_id == UUID(payment_id))
        async with self._engine.connect() as connection:
            return [Decision(**one) for one in await connection.scalar(query) or ()]

    async def record_void(self, payment_id: str, decision: Decision) -> None:
        """Store an officer's decision to give it up, and log it; a newer one replaces an older."""
        async with self._engine.begin() as connection:
            found = await self._require(connection, payment_id)
            query = sa.select(_p.voids).where(_p.payment_id == UUID(payment_id))
            kept = [
                one
                for one in await connection.scalar(query) or ()
                if one["officer"] != decision.officer
            ]
            await connection.execute(
                sa.update(tables.wallet_payment)
                .where(_p.payment_id == UUID(payment_id))
                .values(voids=[*kept, asdict(decision)], updated_at=sa.func.now())
            )
            await self._audit.append(
                connection,
                found.subject,
                f"officer:{decision.officer}",
                decision.action,
                f"{found.subject}:{decision.action}:{decision.signature_hex}",
                {"statement": decision.statement, "signature": decision.signature_hex},
            )

    async def _store(
        self,
        connection: AsyncConnection,
        payment: WalletPayment,
        raw: bytes,
        tx_hash: str,
        number: int,
        *,
        voids: bool = False,
    ) -> bool:
        return await store_transaction(
            connection,
            tx_hash=tx_hash,
            payment_id=UUID(payment.payment_id),
            chain=payment.chain,
            address=payment.source,
            nonce=payment.nonce,
            replacement=number,
            voids=voids,
            raw=raw,
        )

    async def transactions(self, payment_id: str) -> list[StoredTransaction]:
        """Return the stored transactions, the first one first."""
        return await stored_transactions(self._engine, _t.payment_id, payment_id)

    async def _read(
        self, connection: AsyncConnection, payment_id: str, *, lock: bool = False
    ) -> WalletPayment | None:
        query = _JOINED.where(_p.payment_id == UUID(payment_id))
        if lock:
            query = query.with_for_update(of=tables.wallet_payment)
        row = (await connection.execute(query)).one_or_none()
        return None if row is None else await with_approvals(connection, _payment(row))

    async def _require(self, connection: AsyncConnection, payment_id: str) -> WalletPayment:
        """Return the row, locked."""
        found = await self._read(connection, payment_id, lock=True)
        if found is None:
            raise LookupError(f"no payment {payment_id}")
        return found
