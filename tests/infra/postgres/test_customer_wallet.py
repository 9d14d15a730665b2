"""Withdrawal requests, addresses and deposits on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.wallet_record import NewWithdrawal, Unfunded
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.customer_wallet import CustomerWalletStore

pytestmark = pytest.mark.servers
REQUEST = NewWithdrawal(
    customer_id=1,
    idempotency_key="w-1",
    asset_id=1,
    shard=0,
    amount=20_500_000,
    fee=1_000_000,
    address="0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    request_id="r-1",
)

DEPOSIT = {
    "chain": "ETH",
    "log_index": 0,
    "block_number": 1,
    "block_hash": "0x",
    "address": "0x",
    "asset_id": 1,
    "amount": 1,
    "state": "seen",
}


@pytest.fixture
async def engine(database: AsyncEngine) -> AsyncEngine:
    """Give a database where the first two customers may be paid at one address."""
    async with database.begin() as connection:
        for customer_id in (1, 2):
            await connection.execute(
                tables.withdrawal_address.insert().values(
                    customer_id=customer_id,
                    chain="ETH",
                    address=REQUEST.address,
                    label="",
                    usable_at=sa.func.now(),
                )
            )
    return database


@pytest.fixture
def store(engine: AsyncEngine) -> CustomerWalletStore:
    """Give the store; addresses are the index in hexadecimal."""
    return CustomerWalletStore(engine, AuditStore(), lambda index: f"0x{index:040x}")


async def _count(engine: AsyncEngine, table: sa.Table) -> int:
    async with engine.connect() as connection:
        query = sa.select(sa.func.count()).select_from(table)
        return int((await connection.execute(query)).scalar_one())


async def test_a_request_writes_withdrawal_transfer_and_audit(
    store: CustomerWalletStore, engine: AsyncEngine
) -> None:
    """All three rows come from one transaction, and belong together."""
    written = await store.create_withdrawal(REQUEST)
    assert isinstance(written, tuple)
    record, created = written
    assert created
    assert (record.state, record.stage, record.amount) == ("requested", "hold", 20_500_000)
    async with engine.connect() as connection:
        transfer = (await connection.execute(sa.select(tables.transfer))).one()
        withdrawal = (await connection.execute(sa.select(tables.withdrawal))).one()
        audit = (await connection.execute(sa.select(tables.audit_log))).one()
    assert withdrawal.transfer_id == transfer.transfer_id
    assert (transfer.state, transfer.direction) == ("open", "from_trading")
    assert transfer.amount == Decimal(20_500_000)
    assert transfer.cause == audit.subject == f"withdrawal-{record.withdrawal_id}"
    assert (audit.actor, audit.action) == ("customer:1", "requested")
    assert audit.detail["request_id"] == "r-1"
    assert (audit.detail["asset"], audit.detail["decimals"]) == ("USDT", 6)


async def test_refused_requests_are_in_the_customers_records(
    store: CustomerWalletStore, engine: AsyncEngine
) -> None:
    """The same refusal twice is two records: somebody has tried twice."""
    for _ in range(2):
        await store.note_refusal(1, {"code": "invalid_address", "amount": "5"})
    async with engine.connect() as connection:
        audit = (await connection.execute(sa.select(tables.audit_log))).all()
    found = [(entry.subject, entry.action, entry.detail["code"]) for entry in audit]
    assert found == [("customer-1", "withdrawal_refused", "invalid_address")] * 2


async def test_ten_retries_at_once_are_one_withdrawal(
    store: CustomerWalletStore, engine: AsyncEngine
) -> None:
    """The idempotency key holds under concurrency; the request id is not part of the content."""
    answers = await asyncio.gather(
        *(store.create_withdrawal(replace(REQUEST, request_id=f"r-{n}")) for n in range(10))
    )
    found = [answer for answer in answers if isinstance(answer, tuple)]
    assert len({record.withdrawal_id for record, _ in found}) == 1
    assert sum(created for _, created in found) == 1
    assert await _count(engine, tables.transfer) == 1
    assert await _count(engine, tables.audit_log) == 1


async def test_another_content_under_the_same_key_is_a_conflict(
    store: CustomerWalletStore, engine: AsyncEngine
) -> None:
    """Nothing is written for it."""
    await store.create_withdrawal(REQUEST)
    assert await store.create_withdrawal(replace(REQUEST, amount=1)) is None
    assert await _count(engine, tables.withdrawal) == 1


async def test_withdrawals_are_ones_own(store: CustomerWalletStore) -> None:
    """The customer is part of every query."""
    written = await store.create_withdrawal(REQUEST)
    assert isinstance(written, tuple)
    identity = written[0].withdrawal_id
    assert await store.withdrawal(1, identity) == written[0]
    assert await store.withdrawal(2, identity) is None
    assert await store.withdrawals(2, None, 10) == []


async def test_parallel_requests_cannot_promise_the_same_money(
    store: CustomerWalletStore, engine: AsyncEngine
) -> None:
    """A hundred at once on a balance for two: two are written, and their repeats answered."""
    requests = [
        replace(REQUEST, idempotency_key=f"w-{number}", free=45_000_000) for number in range(100)
    ]
    answers = await asyncio.gather(*(store.create_withdrawal(request) for request in requests))
    refused = [answer for answer in answers if isinstance(answer, Unfunded)]
    assert len(refused) == 98
    assert refused[-1].awaiting == 41_000_000
    assert await _count(engine, tables.withdrawal) == 2
    again = await asyncio.gather(*(store.create_withdrawal(request) for request in requests))
    assert sum(isinstance(answer, Unfunded) for answer in again) == 98
    async with engine.begin() as connection:  # settlement has booked both debits
        await connection.execute(sa.update(tables.transfer).values(state="posted"))
    third = replace(REQUEST, idempotency_key="w-new", free=4_000_000)
    assert await store.create_withdrawal(third) == Unfunded(0)


async def test_money_of_pending_withdrawals_is_counted(
    store: CustomerWalletStore, engine: AsyncEngine
) -> None:
    """From the booked debit until it is paid, or until the credit back is booked."""
    await store.create_withdrawal(REQUEST)
    assert await store.withdrawing(1) == {}  # the engine still shows it as available
    async with engine.begin() as connection:
        await connection.execute(sa.update(tables.transfer).values(state="posted"))
    assert await store.withdrawing(1) == {1: 20_500_000}
    assert await store.withdrawing(2) == {}
    for state, amounts in (
        ("broadcast", {1: 20_500_000}),
        ("reverted", {1: 20_500_000}),
        ("cancelling", {1: 20_500_000}),
        ("settled", {}),
    ):
        async with engine.begin() as connection:
            await connection.execute(sa.update(tables.withdrawal).values(state=state))
        assert await store.withdrawing(1) == amounts
    async with engine.begin() as connection:  # the credit back is booked, the row not final yet
        release = sa.select(tables.transfer.c.transfer_id).scalar_subquery()
        await connection.execute(
            sa.update(tables.withdrawal).values(state="cancelling", release_transfer_id=release)
        )
    assert await store.withdrawing(1) == {}


async def test_a_wish_to_cancel_is_recorded_once(
    store: CustomerWalletStore, engine: AsyncEngine
) -> None:
    """By its own customer, with the customer as actor; a repeat changes nothing."""
    written = await store.create_withdrawal(REQUEST)
    assert isinstance(written, tuple)
    identity = written[0].withdrawal_id
    assert await store.request_cancel(2, identity, "r-2") is None
    answers = await asyncio.gather(*(store.request_cancel(1, identity, "r-2") for _ in range(5)))
    assert all(answer is not None and answer.cancel_requested for answer in answers)
    async with engine.connect() as connection:
        audit = (await connection.execute(sa.select(tables.audit_log))).all()
    assert [(entry.actor, entry.action) for entry in audit] == [
        ("customer:1", "requested"),
        ("customer:1", "cancel_requested"),
    ]


@pytest.mark.parametrize("state", ["numbered", "signed", "broadcast", "settled", "rejected"])
async def test_a_wish_to_cancel_may_come_too_late(
    store: CustomerWalletStore, engine: AsyncEngine, state: str
) -> None:
    """From the nonce on nothing is recorded, so that no answer promises what cannot be kept."""
    written = await store.create_withdrawal(REQUEST)
    assert isinstance(written, tuple)
    async with engine.begin() as connection:
        await connection.execute(sa.update(tables.withdrawal).values(state=state))
    found = await store.request_cancel(1, written[0].withdrawal_id, "r-2")
    assert found is not None
    assert (found.state, found.cancel_requested) == (state, False)
    assert await _count(engine, tables.audit_log) == 1


async def test_withdrawals_in_pages(store: CustomerWalletStore) -> None:
    """Newest first; the position of the last one continues."""
    for number in range(5):
        await store.create_withdrawal(replace(REQUEST, idempotency_key=f"w-{number}"))
    first = await store.withdrawals(1, None, 3)
    rest = await store.withdrawals(1, first[-1].place, 3)
    keys = [record.idempotency_key for record in first + rest]
    assert keys == [f"w-{number}" for number in range(4, -1, -1)]
    assert await store.withdrawals(1, (-(2**63), ""), 3) == []
    assert await store.withdrawals(1, (2**63 - 1, "~"), 3) == first


async def test_rows_of_one_time_in_pages(store: CustomerWalletStore, engine: AsyncEngine) -> None:
    """Those of one transaction are of one time: none is lost or told twice between two pages."""
    for number in range(5):
        await store.create_withdrawal(replace(REQUEST, idempotency_key=f"w-{number}"))
    async with engine.begin() as connection:
        await connection.execute(sa.update(tables.withdrawal).values(created_at=sa.func.now()))
        rows = [
            {
                **DEPOSIT,
                "customer_id": 1,
                "deposit_id": f"deposit-{number}",
                "tx_hash": f"0x{number}",
            }
            for number in range(5)
        ]
        await connection.execute(tables.deposit.insert(), rows)
    for page in (store.withdrawals, store.deposits):
        whole = await page(1, None, 10)
        assert len({one.created_at_us for one in whole}) == 1
        found = [*(await page(1, None, 2))]
        while len(last := await page(1, found[-1].place, 2)) == 2:
            found += last
        assert [*found, *last] == whole
        assert len(whole) == 5
        assert await page(1, (whole[0].created_at_us, ""), 10) == []


async def test_an_address_is_allocated_once(
    store: CustomerWalletStore, engine: AsyncEngine
) -> None:
    """Concurrent first uses get the same address, and another customer another one."""
    found = await asyncio.gather(*(store.deposit_address(1, "ETH") for _ in range(5)))
    assert set(found) == {f"0x{1:040x}"}
    assert await store.deposit_address(2, "ETH") == f"0x{2:040x}"
    assert await _count(engine, tables.deposit_address) == 2


async def test_main_balances_are_only_the_main_accounts(
    store: CustomerWalletStore, engine: AsyncEngine
) -> None:
    """Trading money is the engine's to tell."""
    async with engine.begin() as connection:
        for code, customer, balance in (
            ("customer:1:main:USDT", 1, 5),
            ("customer:1:trading.0:USDT", 1, 7),
            ("customer:2:main:USDT", 2, 9),
        ):
            await connection.execute(
                tables.ledger_account.insert().values(
                    code=code, asset="USDT", customer_id=customer, floor=0, balance=balance
                )
            )
    assert await store.main_balances(1) == {"USDT": 5}


async def test_deposits_are_ones_own(store: CustomerWalletStore, engine: AsyncEngine) -> None:
    """Newest first, of one customer."""
    async with engine.begin() as connection:
        for number, customer in enumerate((1, 2, 1)):
            await connection.execute(
                tables.deposit.insert().values(
                    **DEPOSIT,
                    deposit_id=f"deposit-{number}",
                    tx_hash=f"0x{number}",
                    customer_id=customer,
                    created_at=sa.text(f"now() + interval '{number} second'"),
                )
            )
    found = await store.deposits(1, None, 10)
    assert [deposit.deposit_id for deposit in found] == ["deposit-2", "deposit-0"]
    older = await store.deposits(1, found[0].place, 10)
    assert [deposit.deposit_id for deposit in older] == ["deposit-0"]
