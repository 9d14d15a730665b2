"""What is swept: deposits that are booked and that nobody has refused."""

from __future__ import annotations

from typing import Any

import pytest

from domain.hot_wallet import Band
from domain.instrument import Asset
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.engine import create
from infra.wallet.hot_wallet_store import HotWalletStore
from tests.infra.postgres.conftest import ETH_ROW

pytestmark = pytest.mark.servers
ADDRESS = "0xDeposit"


def _deposit(state: str, amount: int) -> dict[str, Any]:
    return {
        "deposit_id": f"deposit-ETH-0x{amount}-0",
        "chain": "ETH",
        "tx_hash": f"0x{amount}",
        "log_index": 0,
        "block_number": 1,
        "block_hash": "0xb1",
        "address": ADDRESS,
        "sender": "0xSender",
        "customer_id": 1,
        "asset_id": 2,
        "amount": amount,
        "state": state,
    }


async def test_what_screening_has_refused_stays_where_it_is(fresh_database: str) -> None:
    """Coins of a listed sender are not mixed with all others before officers have decided."""
    place = {"chain": "ETH", "address": ADDRESS, "customer_id": 1, "path": "m/1"}
    states = {"credited": 5, "suspended": 70, "pending": 300, "voided": 1_000, "released": 20_000}
    engine = create(fresh_database)
    try:
        async with engine.begin() as connection:
            await connection.execute(tables.asset.insert(), ETH_ROW)
            await connection.execute(
                tables.customer.insert(), {"customer_id": 1, "name": "c1", "deposit_index": 1}
            )
            await connection.execute(tables.deposit_address.insert(), place)
            rows = [_deposit(state, amount) for state, amount in states.items()]
            await connection.execute(tables.deposit.insert(), rows)
        store = HotWalletStore(engine, AuditStore())
        await store.set_band(Band(Asset(2, "ETH", 18, 9), None, sweep_above=1), "test")
        (found,) = await store.to_sweep("ETH", (), 10)
        assert (found.address, found.amount) == (ADDRESS, 20_005)
    finally:
        await engine.dispose()
