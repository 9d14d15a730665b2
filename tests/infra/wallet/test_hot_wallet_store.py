"""What is swept: deposits that are booked and that nobody has refused, found look by look."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.hot_wallet import Band
from domain.instrument import Asset
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.engine import create
from infra.wallet.hot_wallet_store import HotWalletStore
from infra.wallet.sweepable import CHANGED, SUMS, parameters
from tests.infra.postgres.conftest import ETH_ROW

pytestmark = pytest.mark.servers
ADDRESS, OTHER = "0xDeposit", "0xOther"

MANY = (
    (
        "INSERT INTO customer (customer_id, name, deposit_index)"
        " SELECT n, 'c' || n, n FROM generate_series(3, 5000) AS n"
    ),
    (
        "INSERT INTO deposit_address (chain, address, customer_id, path)"
        " SELECT 'ETH', '0x' || n, n, 'm/' || n FROM generate_series(3, 5000) AS n"
    ),
    (
        "INSERT INTO deposit (deposit_id, chain, tx_hash, log_index, block_number, block_hash,"
        " address, customer_id, asset_id, amount, state, updated_at)"
        " SELECT 'deposit-ETH-0x' || n || '-' || k, 'ETH', '0x' || n, k, 1, '0xb', '0x' || n,"
        " n, 2, 1, 'credited', now() - interval '1 day'"
        " FROM generate_series(3, 5000) AS n, generate_series(0, 2) AS k"
    ),
    (
        "INSERT INTO wallet_payment (payment_id, kind, chain, source, destination,"
        " deposit_path, asset_id, amount, state, updated_at) SELECT gen_random_uuid(), 'sweep',"
        " 'ETH', '0x' || n, '0xHot', 'm/' || n, 2, 1, 'booked', now() - interval '1 day'"
        " FROM generate_series(3, 5000) AS n"
    ),
)


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


@pytest.fixture
async def engine(fresh_database: str) -> AsyncIterator[AsyncEngine]:
    """Give a database with the chain's coin, which is swept above one unit, and two addresses."""
    engine = create(fresh_database)
    async with engine.begin() as connection:
        await connection.execute(tables.asset.insert(), ETH_ROW)
        for number, address in ((1, ADDRESS), (2, OTHER)):
            owner = {"customer_id": number, "name": f"c{number}", "deposit_index": number}
            await connection.execute(tables.customer.insert(), owner)
            place = {"chain": "ETH", "customer_id": number, "path": f"m/{number}"}
            await connection.execute(tables.deposit_address.insert(), {**place, "address": address})
    await HotWalletStore(engine, AuditStore()).set_band(_band(1), "test")
    yield engine
    await engine.dispose()


def _band(above: int) -> Band:
    return Band(Asset(2, "ETH", 18, 9), None, sweep_above=above)


async def _insert(engine: AsyncEngine, table: sa.Table, **row: object) -> None:
    async with engine.begin() as connection:
        await connection.execute(table.insert().values(**row))


async def _found(store: HotWalletStore, *busy: str) -> dict[str, int]:
    return {it.address: it.amount for it in await store.to_sweep("ETH", busy, 10)}


async def test_what_screening_has_refused_stays_where_it_is(engine: AsyncEngine) -> None:
    """Coins of a listed sender are not mixed with all others before officers have decided."""
    states = {"credited": 5, "suspended": 70, "pending": 300, "voided": 1_000, "released": 20_000}
    for state, amount in states.items():
        await _insert(engine, tables.deposit, **_deposit(state, amount))
    assert await _found(HotWalletStore(engine, AuditStore())) == {ADDRESS: 20_005}


async def test_each_look_knows_what_the_first_look_of_another_would_find(
    engine: AsyncEngine,
) -> None:
    """Deposits, releases, reorganisations, gas, sweeps, their fees, and bounds that change."""
    store = HotWalletStore(engine, AuditStore())
    deposit, payment = tables.deposit, tables.wallet_payment
    sweep = {"chain": "ETH", "asset_id": 2, "deposit_path": "m/1", "payment_id": uuid4()}
    steps: list[tuple[sa.Executable | None, dict[str, int]]] = [
        (None, {}),
        (deposit.insert().values(_deposit("suspended", 70)), {}),
        (deposit.update().values(state="released", updated_at=sa.func.now()), {ADDRESS: 70}),
        (
            deposit.insert().values(
                _deposit("credited", 90) | {"address": OTHER, "customer_id": 2}
            ),
            {ADDRESS: 70, OTHER: 90},
        ),
        (
            deposit.update()
            .where(deposit.c.customer_id == 2)
            .values(turns=1, updated_at=sa.func.now()),
            {ADDRESS: 70},
        ),
        (
            payment.insert().values(
                kind="sweep",
                source=ADDRESS,
                destination="0xHot",
                amount=60,
                state="signed",
                **sweep,
            ),
            {ADDRESS: 10},
        ),
        (
            payment.update().values(state="booked", network_fee=7, updated_at=sa.func.now()),
            {ADDRESS: 3},
        ),
        (
            payment.insert().values(
                kind="gas",
                source="0xHot",
                destination=ADDRESS,
                amount=5,
                state="booked",
                **sweep | {"payment_id": uuid4()},
            ),
            {ADDRESS: 8},
        ),
    ]
    for change, expected in steps:
        if change is not None:
            async with engine.begin() as connection:
                await connection.execute(change)
        assert await _found(store) == expected
        assert await _found(HotWalletStore(engine, AuditStore())) == expected
    assert await _found(store, ADDRESS) == {}
    await store.set_band(_band(8), "test")
    assert await _found(store) == {}


async def test_a_look_reads_what_has_changed_and_nothing_else(engine: AsyncEngine) -> None:
    """A row that bears an older time than the last look is not read, until the bounds change."""
    store = HotWalletStore(engine, AuditStore())
    assert await _found(store) == {}
    an_hour_ago = sa.func.now() - sa.text("interval '1 hour'")
    await _insert(engine, tables.deposit, **_deposit("credited", 5), updated_at=an_hour_ago)
    assert await _found(store) == {}
    await _insert(engine, tables.deposit, **_deposit("credited", 20))
    assert await _found(store) == {ADDRESS: 25}  # an address is summed whole
    await _insert(
        engine,
        tables.deposit,
        **_deposit("credited", 7) | {"address": OTHER, "customer_id": 2},
        updated_at=an_hour_ago,
    )
    assert await _found(store) == {ADDRESS: 25}
    await store.set_band(_band(2), "test")
    assert await _found(store) == {ADDRESS: 25, OTHER: 7}


async def test_a_look_among_many_rows_goes_through_indexes(engine: AsyncEngine) -> None:
    """Neither what has changed nor what an address holds takes a scan of a whole table."""
    async with engine.begin() as connection:
        for insert in MANY:
            await connection.execute(sa.text(insert))
        await connection.execute(sa.text("ANALYZE"))
        since = sa.func.now() - sa.text("interval '1 minute'")
        asked: tuple[tuple[sa.TextClause, dict[str, Any]], ...] = (
            (SUMS, parameters("ETH", ["0x77", "0x4321"])),
            (CHANGED, {"chain": "ETH", "since": await connection.scalar(sa.select(since))}),
        )
        for query, values in asked:
            explained = sa.text(f"EXPLAIN {query.text}")
            plan = "\n".join((await connection.execute(explained, values)).scalars())
            assert "Index" in plan
            for table in ("deposit", "deposit_address", "wallet_payment"):
                assert f"Seq Scan on {table} " not in plan, plan
