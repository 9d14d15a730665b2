"""The rows of a return: the adjustment that two officers signed, and the deposit that it is of."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.approval import Decision
from domain.deposit import NEXT_STATES, DepositState
from domain.wallet_payment import (
    FINAL_STATES,
    PaymentChange,
    PaymentKind,
    PaymentState,
    WalletPayment,
)
from infra.postgres import tables
from infra.postgres.adjustment_store import adjustment_of
from infra.postgres.audit_store import AuditStore

_d, _a = tables.deposit.c, tables.adjustment.c


async def with_approvals(connection: AsyncConnection, payment: WalletPayment) -> WalletPayment:
    """Return a return with its deposit and the signatures that let it go; others as they are."""
    if payment.kind is not PaymentKind.RETURN:
        return payment
    query = sa.select(tables.adjustment).where(_a.adjustment_id == UUID(payment.payment_id))
    row = (await connection.execute(query)).one()
    adjustment = adjustment_of(row)
    statement = adjustment.statement()
    return replace(
        payment,
        deposit_id=adjustment.deposit_id,
        approvals=tuple(
            Decision(officer, adjustment.action, statement, signature)
            for officer, signature in sorted(row.signatures.items())
        ),
    )


async def end_return(
    connection: AsyncConnection, audit: AuditStore, payment: WalletPayment, change: PaymentChange
) -> None:
    """Let the deposit follow its return's end: sent back, or in suspense as it was before."""
    if payment.kind is not PaymentKind.RETURN or change.target not in FINAL_STATES:
        return
    mine = _d.deposit_id == payment.deposit_id
    row = (
        await connection.execute(sa.select(_d.state, _d.reason).where(mine).with_for_update())
    ).one()
    state = DepositState.RETURNED
    if change.target is not PaymentState.BOOKED:
        small = row.reason == DepositState.BELOW_MINIMUM
        state = DepositState.BELOW_MINIMUM if small else DepositState.SUSPENDED
    assert state in NEXT_STATES[DepositState(row.state)]
    await connection.execute(
        sa.update(tables.deposit).where(mine).values(state=state, updated_at=sa.func.now())
    )
    await audit.append(
        connection,
        payment.deposit_id,
        "wallet",
        state,
        f"{payment.deposit_id}:{state}:{payment.payment_id}",
        {"payment": payment.subject, "ended": change.target, **_why(change)},
    )


def _why(change: PaymentChange) -> dict[str, str]:
    return {name: str(change.detail[name]) for name in ("why", "tx_hash") if name in change.detail}
