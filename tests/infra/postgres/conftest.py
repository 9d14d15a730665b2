"""A connection pool on the shared database, and one on a database of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from infra.postgres import tables
from infra.postgres.customers import CustomerStore
from infra.postgres.engine import create
from infra.secret_box import SecretBox

ETH_ROW: dict[str, Any] = {
    "asset_id": 2,
    "code": "ETH",
    "chain": "ETH",
    "chain_decimals": 18,
    "engine_decimals": 9,
    "confirmations": 2,
    "deposit_minimum": 1,
    "withdrawal_minimum": 1,
    "withdrawal_fee": 0,
    "approval_above": 10**18,
}
"""The chain's coin alone, for tests that need no market."""
SPOT_ROW: dict[str, Any] = {
    "symbol_id": 1,
    "symbol": "ETH/USDT",
    "base_asset_id": 2,
    "quote_asset_id": 1,
    "tick_size": "0.01",
    "lot_size": "0.0001",
    "listing_price": "2500",
    "max_order": "1000",
    "maker_fee_ppm": 1000,
    "taker_fee_ppm": 2000,
    "max_taker_fee_ppm": 2000,
    "band_ppm": 100_000,
    "max_open_orders": 200,
}


@pytest.fixture
async def database(fresh_database: str) -> AsyncIterator[AsyncEngine]:
    """Give a pool on a migrated database that only this test sees, with assets and markets."""
    engine = create(fresh_database)
    async with engine.begin() as conn:
        await seed_listings(conn)
    yield engine
    await engine.dispose()


@pytest.fixture
async def two_customers(
    fresh_database: str, tmp_path: Path
) -> AsyncIterator[tuple[AsyncEngine, SecretBox]]:
    """Give a pool on a database with customers 1 and 2, alice and bob, and the box of its keys."""
    engine, box = create(fresh_database), SecretBox.from_file(tmp_path / "key")
    for name in ("alice", "bob"):
        await CustomerStore(engine, box).create_customer(name)
    yield engine, box
    await engine.dispose()


async def seed_listings(conn: AsyncConnection) -> None:
    """Insert two customers' worth of listings: USDT, ETH and the market ETH/USDT."""
    terms = {
        "chain": "ETH",
        "confirmations": 3,
        "deposit_minimum": 1,
        "withdrawal_minimum": 1,
        "withdrawal_fee": 1,
        "approval_above": 10**12,
    }
    await conn.execute(
        sa.insert(tables.asset),
        [
            {"asset_id": 1, "code": "USDT", "chain_decimals": 6, "engine_decimals": 6, **terms},
            {"asset_id": 2, "code": "ETH", "chain_decimals": 18, "engine_decimals": 9, **terms},
        ],
    )
    await conn.execute(sa.insert(tables.instrument), SPOT_ROW)
    await conn.execute(
        sa.insert(tables.customer),
        [
            {"customer_id": number, "name": f"customer-{number}", "deposit_index": number}
            for number in range(1, 9)
        ],
    )
