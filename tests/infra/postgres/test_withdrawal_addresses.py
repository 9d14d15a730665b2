"""Allow-lists and limits on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import replace
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.wallet_record import Barred, NewWithdrawal
from domain.withdrawal_limits import (
    MAX_ADDRESSES,
    AddressNames,
    Allowance,
    Window,
    allowance_checks,
)
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.customer_wallet import CustomerWalletStore
from infra.postgres.withdrawal_addresses import WithdrawalAddressStore, allowance

pytestmark = pytest.mark.servers
ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
USDT = 10**6
MINE = AddressNames("mine", "Alice Example", "Another Exchange")
REQUEST = NewWithdrawal(
    customer_id=1,
    idempotency_key="w-0",
    asset_id=1,
    shard=0,
    amount=10_000 * USDT,
    fee=USDT,
    address=ADDRESS,
    request_id="r",
)


@pytest.fixture
async def engine(database: AsyncEngine) -> AsyncEngine:
    """Give a database with USDT, which is worth a dollar, and ETH, which has no price here."""
    async with database.begin() as connection:
        await connection.execute(sa.delete(tables.instrument))
    return database


def _book(engine: AsyncEngine, hours: int = 0) -> WithdrawalAddressStore:
    return WithdrawalAddressStore(engine, AuditStore(), dt.timedelta(hours=hours))


def _wallet(engine: AsyncEngine) -> CustomerWalletStore:
    return CustomerWalletStore(engine, AuditStore(), lambda index: f"0x{index:040x}")


async def _ask(engine: AsyncEngine, number: int, **changed: object) -> object:
    request = replace(REQUEST, idempotency_key=f"w-{number}", **changed)  # type: ignore[arg-type]
    return await _wallet(engine).create_withdrawal(request)


def _rule(answer: object) -> str:
    return answer.rule if isinstance(answer, Barred) else ""


async def test_cooling_off_begins_once_and_again_after_a_removal(engine: AsyncEngine) -> None:
    """A repeat keeps the first moment, whatever the setting says by then; others see nothing."""
    made = await _book(engine, hours=24).add(1, "ETH", ADDRESS, MINE)
    assert made is not None
    first, is_new = made
    assert is_new
    assert (first.label, first.beneficiary, first.institution) == (
        "mine",
        "Alice Example",
        "Another Exchange",
    )
    assert first.usable_at - first.created_at == dt.timedelta(hours=24)
    assert await _book(engine).add(1, "ETH", ADDRESS, AddressNames("other")) == (first, False)
    assert _rule(await _ask(engine, 1)) == "destination_has_cooled_off"

    assert await _book(engine).listed(2) == []
    assert await _book(engine).remove(2, "ETH", ADDRESS) is None
    assert await _book(engine).remove(1, "ETH", ADDRESS) == first
    assert _rule(await _ask(engine, 2)) == "destination_is_listed"
    await _book(engine).add(1, "ETH", ADDRESS, MINE)
    assert isinstance(await _ask(engine, 3), tuple)
    async with engine.connect() as connection:
        records = await AuditStore().read(connection, "customer-1")
    assert [record.action for record in records] == [
        "address_listed",
        "address_removed",
        "address_listed",
    ]


async def test_a_list_of_many_at_once_never_exceeds_its_end(engine: AsyncEngine) -> None:
    """The count is under the customer's lock."""
    book = _book(engine)
    async with engine.begin() as connection:
        await connection.execute(
            tables.withdrawal_address.insert(),
            [
                {
                    "customer_id": 1,
                    "chain": "ETH",
                    "address": f"0x{number}",
                    "label": "",
                    "usable_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
                }
                for number in range(MAX_ADDRESSES - 2)
            ],
        )
    answers = await asyncio.gather(
        *(book.add(1, "ETH", f"0xa{n}", AddressNames()) for n in range(6))
    )
    assert sum(answer is not None for answer in answers) == 2


async def test_parallel_requests_share_one_limit(engine: AsyncEngine) -> None:
    """A basic customer may take 25,000 USD an hour: two of five at once, and others' own."""
    for customer in (1, 2):
        await _book(engine).add(customer, "ETH", ADDRESS, AddressNames())
    answers = await asyncio.gather(*(_ask(engine, number) for number in range(5)))
    refused = [answer for answer in answers if isinstance(answer, Barred)]
    assert [answer.rule for answer in refused] == ["within_1h_limit"] * 3
    assert refused[0].allowance.left_cents(Window.HOUR) == 500_000
    assert isinstance(await _ask(engine, 6, customer_id=2), tuple)
    rest = await _ask(engine, 7, amount=5_000 * USDT)
    assert isinstance(rest, tuple)
    assert _rule(await _ask(engine, 8, amount=1)) == "within_1h_limit"


async def test_windows_end_and_what_was_given_back_does_not_count(engine: AsyncEngine) -> None:
    """Two hours later only the day counts; a rejected one counts nowhere."""
    await _book(engine).add(1, "ETH", ADDRESS, AddressNames())
    for number in range(2):
        assert isinstance(await _ask(engine, number), tuple)
    row = tables.withdrawal.c
    moved = sa.update(tables.withdrawal).values(created_at=row.created_at - dt.timedelta(hours=2))
    async with engine.begin() as connection:
        await connection.execute(moved)
    now = await _book(engine).allowance(1)
    assert now.earlier_cents == {Window.HOUR: 0, Window.DAY: 2_000_000, Window.MONTH: 2_000_000}
    async with engine.begin() as connection:
        await connection.execute(sa.update(tables.withdrawal).values(state="rejected"))
    now = await _book(engine).allowance(1)
    assert set(now.earlier_cents.values()) == {0}


async def test_the_workflow_counts_only_what_was_asked_before(engine: AsyncEngine) -> None:
    """What was let pass passes again, whatever came later; a lower tier is seen at once."""
    await _book(engine).add(1, "ETH", ADDRESS, AddressNames())
    for number in range(2):
        assert isinstance(await _ask(engine, number), tuple)
    again = [await _allowance_again(engine, number) for number in range(2)]
    assert [one.earlier_cents[Window.HOUR] for one in again] == [0, 1_000_000]
    assert all(all(allowance_checks(one).values()) for one in again)
    async with engine.begin() as connection:
        await connection.execute(sa.update(tables.customer).values(tier="of a later version"))
    assert not allowance_checks(await _allowance_again(engine, 0))["within_1h_limit"]


async def _allowance_again(engine: AsyncEngine, number: int) -> Allowance:
    row = tables.withdrawal.c
    query = sa.select(tables.withdrawal).where(row.idempotency_key == f"w-{number}")
    async with engine.connect() as connection:
        found = (await connection.execute(query)).one()
        return await allowance(
            connection,
            customer_id=1,
            chain="ETH",
            address=ADDRESS,
            value_cents=int(found.value_cents),
            asked=(UUID(str(found.withdrawal_id)), found.created_at),
        )


async def test_an_asset_without_a_price_is_not_withdrawn(engine: AsyncEngine) -> None:
    """Its value cannot be held against any limit."""
    await _book(engine).add(1, "ETH", ADDRESS, AddressNames())
    assert _rule(await _ask(engine, 1, asset_id=2)) == "value_is_known"
