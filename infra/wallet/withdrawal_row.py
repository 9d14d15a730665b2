"""A withdrawal as the wallet reads it: its row, its asset, its customer's standing."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from domain.instrument import Asset
from domain.withdrawal import Withdrawal, WithdrawalState
from infra.postgres import tables

_a = tables.asset.c
_SCREENED_AT: sa.Label[Any] = sa.literal_column(
    "(SELECT at FROM audit_log WHERE key = 'withdrawal-' || withdrawal_id || ':screened')"
).label("screened_at")
JOINED = sa.select(
    tables.withdrawal,
    _SCREENED_AT,
    _a.code,
    _a.chain,
    _a.contract,
    _a.chain_decimals,
    _a.engine_decimals,
    _a.confirmations,
    _a.approval_above,
    tables.customer.c.status,
).select_from(tables.withdrawal.join(tables.asset).join(tables.customer))


def withdrawal_of(row: Any) -> Withdrawal:
    """Return the withdrawal of a row of `JOINED`."""
    return Withdrawal(
        withdrawal_id=str(row.withdrawal_id),
        customer_id=row.customer_id,
        asset=Asset(row.asset_id, row.code, row.chain_decimals, row.engine_decimals),
        chain=row.chain,
        contract=row.contract,
        amount=int(row.amount),
        fee=int(row.fee),
        address=row.address,
        state=WithdrawalState(row.state),
        stage=row.stage,
        reason=row.reason,
        transfer_id=str(row.transfer_id),
        release_transfer_id=None
        if row.release_transfer_id is None
        else str(row.release_transfer_id),
        nonce=row.nonce,
        tx_hash=row.tx_hash,
        block_number=row.block_number,
        network_fee=None if row.network_fee is None else int(row.network_fee),
        confirmations=row.confirmations,
        approval_above=int(row.approval_above),
        standing=row.status,
        created_at=row.created_at,
        review=row.review,
        value_cents=None if row.value_cents is None else int(row.value_cents),
        screened_at=row.screened_at,
        cancel_requested=row.cancel_requested_at is not None,
    )
