"""The customer's side of the wallet: main balances, addresses, deposits, withdrawal requests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
import uuid_utils.compat as uuid_utils
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.hash_chain import JsonValue
from domain.ledger import main
from domain.payment_pause import PauseState
from domain.transfer import FROM_TRADING, NewTransfer, TransferState
from domain.wallet_record import (
    Barred,
    DepositRecord,
    NewWithdrawal,
    RowPlace,
    Unfunded,
    WithdrawalRecord,
)
from domain.withdrawal import (
    CANCEL_REQUESTED,
    CANCELLABLE_STATES,
    FINAL_STATES,
    STAGE_OF,
    WITHDRAWAL_REFUSED,
    WithdrawalState,
    policy_refusal,
    withdrawal_workflow_id,
)
from domain.withdrawal_limits import Allowance, allowance_checks, value_cents
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.by_time import page
from infra.postgres.reading import reading, writing
from infra.postgres.usd_price import usd_price
from infra.postgres.withdrawal_addresses import allowance
from infra.wallet.keys import deposit_path

_DEPOSIT = tables.deposit
_WITHDRAWAL = tables.withdrawal
_PAUSED = (
    sa.exists().where(tables.payment_pause.c.state == PauseState.IN_FORCE).label("payments_paused")
)


class CustomerWalletStore:
    """Deposits and withdrawals as their owner sees them; the customer is in every condition."""

    def __init__(
        self, engine: AsyncEngine, audit: AuditStore, derive_address: Callable[[int], str]
    ) -> None:
        self._engine = engine
        self._audit = audit
        self._derive_address = derive_address

    async def main_balances(self, customer_id: int) -> dict[str, int]:
        """Return asset code -> chain units of the customer's main accounts."""
        table = tables.ledger_account
        query = sa.select(table.c.code, table.c.asset, table.c.balance).where(
            table.c.customer_id == customer_id
        )
        async with reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return {
            row.asset: int(row.balance) for row in rows if row.code == main(customer_id, row.asset)
        }

    async def withdrawing(self, customer_id: int) -> dict[int, int]:
        """Return asset id -> chain units that withdrawals have taken and not paid or given back.

        One counts from the moment that settlement has booked its debit until it is paid, or until
        the booking of the credit that gives it back.
        """
        inward, back = tables.transfer.alias("inward"), tables.transfer.alias("back")
        row = _WITHDRAWAL.c
        query = (
            sa.select(row.asset_id, sa.func.sum(row.amount).label("amount"))
            .select_from(
                _WITHDRAWAL.join(inward, inward.c.transfer_id == row.transfer_id).outerjoin(
                    back, back.c.transfer_id == row.release_transfer_id
                )
            )
            .where(
                row.customer_id == customer_id,
                row.state.not_in(sorted(FINAL_STATES)),
                inward.c.state == TransferState.POSTED,
                sa.or_(back.c.state.is_(None), back.c.state == TransferState.OPEN),
            )
            .group_by(row.asset_id)
        )
        async with reading(self._engine) as connection:
            return {found.asset_id: int(found.amount) for found in await connection.execute(query)}

    async def deposit_address(self, customer_id: int, chain: str) -> str:
        """Return the customer's own address on `chain`, allocating it on first use."""
        table = tables.deposit_address
        query = sa.select(table.c.address).where(
            table.c.chain == chain, table.c.customer_id == customer_id
        )
        async with reading(self._engine) as connection:
            address: str | None = (await connection.execute(query)).scalar()
        if address is not None:
            return address
        async with writing(self._engine) as connection:
            index = (
                await connection.execute(
                    sa.select(tables.customer.c.deposit_index).where(
                        tables.customer.c.customer_id == customer_id
                    )
                )
            ).scalar_one()
            await connection.execute(
                insert(table)
                .values(
                    chain=chain,
                    address=self._derive_address(index),
                    customer_id=customer_id,
                    path=deposit_path(index),
                )
                .on_conflict_do_nothing()
            )
            return str((await connection.execute(query)).scalar_one())

    async def deposits(
        self, customer_id: int, before: RowPlace | None, limit: int
    ) -> list[DepositRecord]:
        """Return deposits, newest first, before (creation time, id)."""
        query = sa.select(_DEPOSIT).where(_DEPOSIT.c.customer_id == customer_id)
        query = page(query, _DEPOSIT.c.created_at, _DEPOSIT.c.deposit_id, before, limit)
        async with reading(self._engine) as connection:
            return [_deposit(row) for row in (await connection.execute(query)).all()]

    async def withdrawals(
        self, customer_id: int, before: RowPlace | None, limit: int
    ) -> list[WithdrawalRecord]:
        """Return withdrawals, newest first, before (creation time, id)."""
        query = sa.select(_WITHDRAWAL, _PAUSED).where(_WITHDRAWAL.c.customer_id == customer_id)
        row = _WITHDRAWAL.c
        query = page(query, row.created_at, row.withdrawal_id, before, limit)
        async with reading(self._engine) as connection:
            return [_withdrawal(row) for row in (await connection.execute(query)).all()]

    async def withdrawal(self, customer_id: int, withdrawal_id: UUID) -> WithdrawalRecord | None:
        """Return one withdrawal of the customer."""
        query = sa.select(_WITHDRAWAL, _PAUSED).where(
            _WITHDRAWAL.c.customer_id == customer_id, _WITHDRAWAL.c.withdrawal_id == withdrawal_id
        )
        async with reading(self._engine) as connection:
            row = (await connection.execute(query)).one_or_none()
        return _withdrawal(row) if row is not None else None

    async def create_withdrawal(
        self, request: NewWithdrawal
    ) -> tuple[WithdrawalRecord, bool] | Barred | Unfunded | None:
        """Write withdrawal, transfer and audit record in one transaction; (record, created).

        Allow-list and limits are looked at under the customer's lock, and again by the workflow.
        The same idempotency key gives the first record; with another content None. A customer's
        requests come one after the other, so that the same money is not promised to many of them.
        """
        request_hash = _request_hash(request)
        query = sa.select(_WITHDRAWAL).where(
            _WITHDRAWAL.c.customer_id == request.customer_id,
            _WITHDRAWAL.c.idempotency_key == request.idempotency_key,
        )
        customer = tables.customer.c.customer_id
        async with writing(self._engine) as connection:
            await connection.execute(
                sa.select(customer)
                .where(customer == request.customer_id)
                .with_for_update(key_share=True)
            )
            row = (await connection.execute(query)).one_or_none()
            if row is not None:
                same = bytes(row.request_hash) == request_hash
                return (_withdrawal(row), False) if same else None
            asset = await _asset(connection, request.asset_id)
            allowed = await _allowance(connection, request, asset)
            rule = policy_refusal(allowance_checks(allowed))
            if rule is not None:
                return Barred(rule, allowed)
            if request.free is not None:
                awaiting = await _awaiting_debit(connection, request)
                if request.amount > request.free - awaiting:
                    return Unfunded(awaiting)
            await self._insert(connection, request, request_hash, asset, allowed.value_cents)
            row = (await connection.execute(query)).one()
        return _withdrawal(row), True

    async def request_cancel(
        self, customer_id: int, withdrawal_id: UUID, request_id: str
    ) -> WithdrawalRecord | None:
        """Record the customer's wish, once, if it is not too late; None if it is not theirs.

        The record's `cancel_requested` says whether it was recorded, now or before.
        """
        query = sa.select(_WITHDRAWAL).where(
            _WITHDRAWAL.c.customer_id == customer_id, _WITHDRAWAL.c.withdrawal_id == withdrawal_id
        )
        subject = withdrawal_workflow_id(str(withdrawal_id))
        async with writing(self._engine) as connection:
            row = (await connection.execute(query.with_for_update())).one_or_none()
            if row is None:
                return None
            if row.cancel_requested_at is None and row.state in CANCELLABLE_STATES:
                await connection.execute(
                    sa.update(_WITHDRAWAL)
                    .where(_WITHDRAWAL.c.withdrawal_id == withdrawal_id)
                    .values(cancel_requested_at=sa.func.now(), updated_at=sa.func.now())
                )
                await self._audit.append(
                    connection,
                    subject,
                    f"customer:{customer_id}",
                    CANCEL_REQUESTED,
                    f"{subject}:{CANCEL_REQUESTED}",
                    {"request_id": request_id},
                )
                row = (await connection.execute(query)).one()
        return _withdrawal(row)

    async def note_refusal(self, customer_id: int, detail: Mapping[str, JsonValue]) -> None:
        """Write down a request that never becomes a withdrawal, in the customer's own records."""
        async with writing(self._engine) as connection:
            await self._audit.append(
                connection,
                f"customer-{customer_id}",
                f"customer:{customer_id}",
                WITHDRAWAL_REFUSED,
                f"{WITHDRAWAL_REFUSED}:{uuid4()}",
                detail,
            )

    async def _insert(
        self,
        connection: AsyncConnection,
        request: NewWithdrawal,
        request_hash: bytes,
        asset: Any,
        cents: int | None,
    ) -> None:
        withdrawal_id, transfer_id = uuid_utils.uuid7(), uuid_utils.uuid7()
        subject = withdrawal_workflow_id(str(withdrawal_id))
        await connection.execute(
            insert(_WITHDRAWAL).values(
                withdrawal_id=withdrawal_id,
                customer_id=request.customer_id,
                idempotency_key=request.idempotency_key,
                request_hash=request_hash,
                asset_id=request.asset_id,
                amount=request.amount,
                fee=request.fee,
                address=request.address,
                value_cents=cents,
                state=WithdrawalState.REQUESTED,
                stage=STAGE_OF[WithdrawalState.REQUESTED],
                transfer_id=transfer_id,
            )
        )
        transfer = NewTransfer(
            transfer_id=transfer_id,
            customer_id=request.customer_id,
            asset_id=request.asset_id,
            shard=request.shard,
            direction=FROM_TRADING,
            amount=request.amount,
            cause=subject,
        )
        await connection.execute(insert(tables.transfer).values(**transfer.row()))
        await self._audit.append(
            connection,
            subject,
            f"customer:{request.customer_id}",
            WithdrawalState.REQUESTED,
            f"{subject}:{WithdrawalState.REQUESTED}",
            {
                "asset": asset.code,
                "chain": asset.chain,
                "decimals": asset.chain_decimals,
                "amount": str(request.amount),
                "fee": str(request.fee),
                "address": request.address,
                "value_cents": None if cents is None else str(cents),
                "request_id": request.request_id,
            },
        )


async def _asset(connection: AsyncConnection, asset_id: int) -> Any:
    table = tables.asset
    return (await connection.execute(sa.select(table).where(table.c.asset_id == asset_id))).one()


async def _allowance(connection: AsyncConnection, request: NewWithdrawal, asset: Any) -> Allowance:
    """Return what list and limits say, with the value by the last price."""
    price = await usd_price(connection, asset.code)
    return await allowance(
        connection,
        customer_id=request.customer_id,
        chain=asset.chain,
        address=request.address,
        value_cents=(
            None if price is None else value_cents(request.amount, asset.chain_decimals, price)
        ),
    )


async def _awaiting_debit(connection: AsyncConnection, request: NewWithdrawal) -> int:
    """Return what the customer's earlier requests will take and the ledger has not seen taken."""
    query = (
        sa.select(sa.func.coalesce(sa.func.sum(_WITHDRAWAL.c.amount), 0))
        .join_from(
            _WITHDRAWAL,
            tables.transfer,
            tables.transfer.c.transfer_id == _WITHDRAWAL.c.transfer_id,
        )
        .where(
            _WITHDRAWAL.c.customer_id == request.customer_id,
            _WITHDRAWAL.c.asset_id == request.asset_id,
            _WITHDRAWAL.c.state == WithdrawalState.REQUESTED,
            tables.transfer.c.state == TransferState.OPEN,
        )
    )
    return int((await connection.execute(query)).scalar_one())


def _request_hash(request: NewWithdrawal) -> bytes:
    body = f"{request.asset_id}|{request.amount}|{request.address}"
    return hashlib.sha256(body.encode()).digest()


def _moment_us(row: Any) -> int:
    moment = row.created_at
    return int(moment.timestamp()) * 1_000_000 + int(moment.microsecond)


def _deposit(row: Any) -> DepositRecord:
    return DepositRecord(
        deposit_id=row.deposit_id,
        asset_id=row.asset_id,
        amount=int(row.amount),
        state=row.state,
        confirmations=row.confirmations,
        tx_hash=row.tx_hash,
        address=row.address,
        reason=row.reason,
        created_at_us=_moment_us(row),
    )


def _withdrawal(row: Any) -> WithdrawalRecord:
    return WithdrawalRecord(
        withdrawal_id=row.withdrawal_id,
        idempotency_key=row.idempotency_key,
        asset_id=row.asset_id,
        amount=int(row.amount),
        fee=int(row.fee),
        address=row.address,
        state=row.state,
        stage=row.stage,
        reason=row.reason,
        tx_hash=row.tx_hash,
        created_at_us=_moment_us(row),
        cancel_requested=row.cancel_requested_at is not None,
        paused=getattr(row, "payments_paused", False) and row.state in CANCELLABLE_STATES,
    )
