"""What is planned between our own addresses is planned once, however many look at once."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.wallet_payment import NewPayment, PaymentKind, wallet_payment_workflow_id
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.engine import create
from infra.postgres.ledger_store import LedgerStore
from infra.wallet.payment_store import PaymentStore
from tests.infra.postgres.conftest import ETH_ROW

pytestmark = pytest.mark.servers
HOT, COLD = "0xHot", "0xCold"


@pytest.fixture
async def engine(fresh_database: str) -> AsyncIterator[AsyncEngine]:
    """Give a database with the chain's coin."""
    engine = create(fresh_database)
    async with engine.begin() as connection:
        await connection.execute(tables.asset.insert(), ETH_ROW)
    yield engine
    await engine.dispose()


def _store(engine: AsyncEngine) -> PaymentStore:
    return PaymentStore(engine, LedgerStore(), AuditStore())


def _sweep(number: int, amount: int = 5) -> NewPayment:
    return NewPayment(PaymentKind.SWEEP, "ETH", f"0x{number}", HOT, 2, amount, f"m/{number}")


def _gas(number: int) -> NewPayment:
    return NewPayment(PaymentKind.GAS, "ETH", HOT, f"0x{number}", 2, 1, f"m/{number}")


def _cold(amount: int) -> NewPayment:
    return NewPayment(PaymentKind.COLD, "ETH", HOT, COLD, 2, amount)


async def _end(engine: AsyncEngine, state: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            sa.update(tables.wallet_payment).values(state=state, updated_at=sa.func.now())
        )


async def test_two_looks_at_once_plan_each_payment_once(engine: AsyncEngine) -> None:
    """Two connections, the same finding in opposite order; one record in the log for each."""
    wanted = [_sweep(1), _sweep(2), _gas(3), _cold(9)]
    looked_at = await _store(engine).now()
    made = await asyncio.gather(
        *(_store(engine).plan(order, looked_at) for order in (wanted, wanted[::-1]) * 2)
    )
    ids = [one for some in made for one in some]
    assert len(ids) == len(wanted)
    async with engine.connect() as connection:
        row = tables.wallet_payment.c
        stored = (await connection.execute(sa.select(row.payment_id))).scalars().all()
        subjects = sa.select(tables.audit_log.c.subject).where(
            tables.audit_log.c.action == "planned"
        )
        planned = (await connection.execute(subjects)).scalars().all()
    assert sorted(map(str, stored)) == sorted(ids)
    assert sorted(planned) == sorted(wallet_payment_workflow_id(one) for one in ids)


async def test_the_database_itself_takes_no_second_one(engine: AsyncEngine) -> None:
    """Whoever writes rows past the store: one open payment of an address, one of an asset cold."""
    await _store(engine).plan([_sweep(1), _cold(9)], await _store(engine).now())
    for kind, path in (("gas", "m/1"), ("sweep", "m/1"), ("cold", "")):
        async with engine.connect() as connection:
            with pytest.raises(sa.exc.IntegrityError, match="ix_wallet_payment_one_"):
                await connection.execute(
                    tables.wallet_payment.insert().values(
                        payment_id=sa.func.gen_random_uuid(),
                        kind=kind,
                        chain="ETH",
                        source=HOT,
                        destination=HOT,
                        deposit_path=path,
                        asset_id=2,
                        amount=1,
                        state="planned",
                    )
                )


@pytest.mark.parametrize("payment", [_sweep(1), _gas(1), _cold(9)])
async def test_what_a_look_has_found_is_out_of_date_once_it_was_paid(
    engine: AsyncEngine, payment: NewPayment
) -> None:
    """The first look's payment is booked before the second, older one plans: it plans nothing."""
    store = _store(engine)
    looked_at = await store.now()
    assert len(await store.plan([payment], looked_at)) == 1
    await _end(engine, "booked")
    assert await store.plan([payment], looked_at) == []
    assert len(await store.plan([payment], await store.now())) == 1


async def test_other_addresses_and_assets_are_not_held_up(engine: AsyncEngine) -> None:
    """A payment of one address says nothing about another, nor about what goes cold."""
    store = _store(engine)
    looked_at = await store.now()
    assert len(await store.plan([_sweep(1)], looked_at)) == 1
    assert len(await store.plan([_sweep(1), _sweep(2), _cold(9)], looked_at)) == 2
    assert looked_at < await store.now() < looked_at + dt.timedelta(minutes=5)
