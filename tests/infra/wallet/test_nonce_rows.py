"""Whose the hot wallet's nonces are: withdrawals and payments of ours stand in one sequence."""

from __future__ import annotations

from uuid import UUID

import pytest

from domain.nonce_gap import Numbered
from infra.postgres import tables
from infra.postgres.engine import create
from infra.wallet.nonce_rows import NonceRows
from tests.infra.postgres.conftest import ETH_ROW

pytestmark = pytest.mark.servers
HOT, DEPOSIT = "0xHot", "0xDeposit"


async def test_a_payment_of_ours_is_named(fresh_database: str) -> None:
    """What goes cold has a nonce of the hot wallet, a sweep one of its deposit address."""
    cold, sweep = UUID(int=1), UUID(int=2)
    payment = {"chain": "ETH", "asset_id": 2, "amount": 5, "state": "numbered", "nonce": 3}
    rows = (
        payment | {"payment_id": cold, "kind": "cold", "source": HOT, "destination": "0xCold"},
        payment | {"payment_id": sweep, "kind": "sweep", "source": DEPOSIT, "destination": HOT},
    )
    engine = create(fresh_database)
    try:
        async with engine.begin() as connection:
            await connection.execute(tables.asset.insert(), ETH_ROW)
            await connection.execute(tables.wallet_payment.insert(), list(rows))
            next_one = {"chain": "ETH", "address": HOT, "next_nonce": 4}
            await connection.execute(tables.wallet_nonce.insert(), next_one)
        found = await NonceRows(engine, "ETH", HOT).numbered(0, 200)
        assert found == (4, (Numbered(3, f"payment-{cold}", "sign"),))
    finally:
        await engine.dispose()
