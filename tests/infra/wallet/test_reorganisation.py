"""Who is frozen when the chain loses a deposit that was booked: whoever has its money."""

from __future__ import annotations

import time
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.adjustment import Adjustment
from domain.ledger import JournalRequest, Posting, main, suspense, wallet_deposit
from infra.postgres import tables
from infra.postgres.adjustment_store import AdjustmentStore
from infra.postgres.audit_store import AuditStore
from infra.postgres.ledger_store import LedgerStore, Posted
from infra.wallet.reorganisation import Reorganisations

OWNER, RECEIVER, OTHER = 1, 2, 3
FORK = 9


async def _suspended(engine: AsyncEngine, number: int, block: int) -> str:
    """Book a deposit of one ETH into suspense, as one that screening has refused."""
    name = f"deposit-ETH-0x{number}-native"
    posting = Posting(wallet_deposit("ETH", "ETH"), suspense("ETH"), "ETH", 10**18)
    request = JournalRequest("wallet", f"{name}-post", "deposit_suspended", (posting,))
    async with engine.begin() as connection:
        assert isinstance(await LedgerStore().post(connection, request), Posted)
        await connection.execute(
            tables.deposit.insert().values(
                deposit_id=name,
                chain="ETH",
                tx_hash=f"0x{number}",
                log_index=-1,
                block_number=block,
                block_hash=f"0xb{block}",
                address="0xDeposit",
                sender="0xSender",
                customer_id=OWNER,
                asset_id=2,
                amount=10**18,
                state="suspended",
            )
        )
    return name


async def _release(
    engine: AsyncEngine, name: str, customer_id: int, *, posted: bool = True
) -> None:
    store = AdjustmentStore(engine, LedgerStore(), AuditStore())
    given = Adjustment(
        adjustment_id=str(uuid4()),
        postings=(Posting(suspense("ETH"), main(customer_id, "ETH"), "ETH", 10**18),),
        reason="case 17",
        event=name,
        expiry=int(time.time()) + 3600,
        proposed_by="test",
    )
    await store.propose(given)
    if posted:
        assert await store.post(given.adjustment_id) is None


async def _standings(engine: AsyncEngine) -> dict[int, str]:
    row = tables.customer.c
    query = sa.select(row.customer_id, row.status).where(row.customer_id <= OTHER)
    async with engine.connect() as connection:
        return {it.customer_id: it.status for it in await connection.execute(query)}


async def test_whoever_got_a_released_deposit_is_frozen_and_not_its_address_owner(
    database: AsyncEngine,
) -> None:
    """Two officers gave it to another customer; a proposal that was never signed names nobody."""
    name = await _suspended(database, 1, FORK + 1)
    await _release(database, name, OTHER, posted=False)
    await _release(database, name, RECEIVER)
    books = Reorganisations(database, LedgerStore(), AuditStore())
    assert await books.rewind("ETH", FORK) == [name]
    assert await _standings(database) == {OWNER: "active", RECEIVER: "frozen", OTHER: "active"}
    async with database.connect() as connection:
        customer = tables.customer.c
        due = sa.select(customer.customer_id).where(customer.orders_due_at.is_not(None))
        assert list((await connection.execute(due)).scalars()) == [RECEIVER]
        (record,) = await AuditStore().read(connection, f"customer-{RECEIVER}")
        assert record.action == "standing_changed"
        assert name in str(record.detail["reason"])
        about = await AuditStore().read(connection, name)
        assert about[-1].detail["released_to"] == RECEIVER
        assert await LedgerStore().balance(connection, suspense("ETH")) == -(10**18)
        assert await LedgerStore().balance(connection, main(RECEIVER, "ETH")) == 10**18


async def test_what_nobody_was_given_freezes_the_owner_of_the_address(
    database: AsyncEngine,
) -> None:
    """Still in suspense, beside a released one that lies below the fork: that stays as it is."""
    kept = await _suspended(database, 1, FORK)
    await _release(database, kept, RECEIVER)
    lost = await _suspended(database, 2, FORK + 2)
    books = Reorganisations(database, LedgerStore(), AuditStore())
    assert await books.rewind("ETH", FORK) == [lost]
    assert await _standings(database) == {OWNER: "frozen", RECEIVER: "active", OTHER: "active"}
