"""The withdrawals' rows: one change once, one nonce each, funds counted under the lock."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Mapping

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.approval import Decision
from domain.ledger import JournalRequest, Posting
from domain.withdrawal import StateChange, Withdrawal, WithdrawalState
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.engine import create
from infra.postgres.ledger_store import LedgerStore
from infra.postgres.open_rows import withdrawals
from infra.wallet.posting import LedgerRefusedError
from infra.wallet.withdrawal_store import WithdrawalStore

pytestmark = pytest.mark.servers
HOT = "0xHot"
AMOUNT, FEE = 1_000, 10
_State = WithdrawalState


@pytest.fixture
async def engine(fresh_database: str) -> AsyncIterator[AsyncEngine]:
    """Give a database with one customer and a token."""
    engine = create(fresh_database)
    async with engine.begin() as connection:
        await connection.execute(
            tables.customer.insert(), {"customer_id": 1, "name": "c1", "deposit_index": 1}
        )
        await connection.execute(
            tables.asset.insert(),
            {
                "asset_id": 1,
                "code": "USDT",
                "chain": "ETH",
                "contract": "0xToken",
                "chain_decimals": 6,
                "engine_decimals": 6,
                "confirmations": 2,
                "deposit_minimum": 1,
                "withdrawal_minimum": 1,
                "withdrawal_fee": FEE,
                "approval_above": 10**9,
            },
        )
    yield engine
    await engine.dispose()


@pytest.fixture
def store(engine: AsyncEngine) -> WithdrawalStore:
    """Give the store."""
    return WithdrawalStore(engine, LedgerStore(), AuditStore())


async def _row(engine: AsyncEngine, state: WithdrawalState) -> str:
    withdrawal_id = uuid.uuid4()
    async with engine.begin() as connection:
        await connection.execute(
            tables.withdrawal.insert(),
            {
                "withdrawal_id": withdrawal_id,
                "customer_id": 1,
                "idempotency_key": str(withdrawal_id),
                "request_hash": b"",
                "asset_id": 1,
                "amount": AMOUNT,
                "fee": FEE,
                "address": "0xReceiver",
                "state": state,
                "stage": "",
                "transfer_id": uuid.uuid4(),
            },
        )
    return str(withdrawal_id)


def _nobody_is_short(committed: Mapping[str | None, int], waiting: int) -> str | None:
    return None


async def test_nonces_are_dense_and_each_has_one_owner(
    engine: AsyncEngine, store: WithdrawalStore
) -> None:
    """Many at once, and each asks twice: nobody gets two, nothing is left out."""
    names = [await _row(engine, _State.APPROVED) for _ in range(8)]
    rows = await asyncio.gather(
        *(store.allocate_nonce(name, HOT, 5, _nobody_is_short) for name in names + names)
    )
    nonces = {row.withdrawal_id: row.nonce for row in rows if isinstance(row, Withdrawal)}
    assert sorted(nonce or 0 for nonce in nonces.values()) == list(range(5, 13))
    assert await store.next_nonce("ETH", HOT) == 13


async def test_funds_for_one_are_not_promised_to_two(
    engine: AsyncEngine, store: WithdrawalStore
) -> None:
    """What has a nonce and is not mined counts against the balance, under the same lock."""
    names = [await _row(engine, _State.APPROVED) for _ in range(4)]

    def one_more(committed: Mapping[str | None, int], waiting: int) -> str | None:
        assert committed.get("0xToken", 0) == waiting * (AMOUNT - FEE)
        return "short" if waiting >= 1 else None

    answers = await asyncio.gather(
        *(store.allocate_nonce(name, HOT, 0, one_more) for name in names)
    )
    assert answers.count("short") == 3
    assert await store.next_nonce("ETH", HOT) == 1


async def test_payment_mined_after_the_balance_was_read_still_counts(
    engine: AsyncEngine, store: WithdrawalStore
) -> None:
    """The balance is of an older block than the row's state: its coins are not there any more."""
    first, second = [await _row(engine, _State.APPROVED) for _ in range(2)]
    await store.allocate_nonce(first, HOT, 0, _nobody_is_short)
    async with engine.begin() as connection:
        await connection.execute(
            tables.withdrawal.update()
            .where(tables.withdrawal.c.withdrawal_id == uuid.UUID(first))
            .values(state=_State.SETTLED)
        )
    seen = []

    def look(committed: Mapping[str | None, int], waiting: int) -> str | None:
        seen.append((dict(committed), waiting))
        return None

    await store.allocate_nonce(second, HOT, 0, look)
    assert seen == [({"0xToken": AMOUNT - FEE}, 1)]


async def test_change_is_carried_out_once(engine: AsyncEngine, store: WithdrawalStore) -> None:
    """A repeat finds another state and changes nothing; the audit log has one record."""
    name = await _row(engine, _State.HELD)
    change = StateChange(source=_State.HELD, target=_State.SCREENED, detail={})
    first, second = await asyncio.gather(store.move(name, change), store.move(name, change))
    assert first.state is second.state is _State.SCREENED
    async with engine.connect() as connection:
        records = await AuditStore().read(connection, f"withdrawal-{name}")
    assert [record.action for record in records] == ["screened"]


async def test_row_knows_when_it_reached_the_officers(
    engine: AsyncEngine, store: WithdrawalStore
) -> None:
    """The time of the change, whatever the age of the request; none before."""
    name = await _row(engine, _State.HELD)
    async with engine.begin() as connection:
        await connection.execute(
            tables.withdrawal.update().values(created_at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        )
    before = await store.load(name)
    assert before is not None
    assert before.screened_at is None
    after = await store.move(
        name, StateChange(source=_State.HELD, target=_State.SCREENED, detail={})
    )
    assert after.screened_at is not None
    assert dt.datetime.now(dt.UTC) - after.screened_at < dt.timedelta(minutes=5)


async def test_ledger_that_refuses_stops_the_change(
    engine: AsyncEngine, store: WithdrawalStore
) -> None:
    """State, postings and audit record are all or none."""
    name = await _row(engine, _State.CONFIRMED)
    posting = Posting("withdrawal:pending:USDT", "wallet:hot:ETH:USDT", "USDT", AMOUNT)
    change = StateChange(
        source=_State.CONFIRMED,
        target=_State.SETTLED,
        detail={},
        journal=JournalRequest("wallet", "key", "withdrawal_settle", (posting,)),
    )
    with pytest.raises(LedgerRefusedError):
        await store.move(name, change)
    row = await store.load(name)
    assert row is not None
    assert row.state is _State.CONFIRMED
    async with engine.connect() as connection:
        assert await AuditStore().read(connection, row.subject) == []


async def test_first_signed_transaction_stays(engine: AsyncEngine, store: WithdrawalStore) -> None:
    """A second signature for the same nonce is not the one that is broadcast."""
    name = await _row(engine, _State.APPROVED)
    row = await store.allocate_nonce(name, HOT, 0, _nobody_is_short)
    assert isinstance(row, Withdrawal)
    await store.store_transaction(row, sender=HOT, raw=b"first", tx_hash="0x1")
    again = await store.store_transaction(row, sender=HOT, raw=b"second", tx_hash="0x2")
    assert again.tx_hash == "0x1"
    (stored,) = await store.transactions(name)
    assert (stored.tx_hash, stored.raw, stored.replacement) == ("0x1", b"first", 0)


async def test_decisions_are_kept_and_replaced_by_newer_ones(
    engine: AsyncEngine, store: WithdrawalStore
) -> None:
    """One row an officer; the audit log keeps each."""
    name = await _row(engine, _State.SCREENED)
    old = Decision("marta", "approve", "old", "ab")
    new = Decision("marta", "approve", "new", "cd")
    await store.record_decision(name, old)
    await store.record_decision(name, old)
    await store.record_decision(name, new)
    assert await store.decisions(name) == [new]
    async with engine.connect() as connection:
        records = await AuditStore().read(connection, f"withdrawal-{name}")
    assert len(records) == 2


async def test_what_is_cancelled_gets_no_nonce(engine: AsyncEngine, store: WithdrawalStore) -> None:
    """The nonce is given under the row's lock, so a recorded wish always comes first."""
    name = await _row(engine, _State.APPROVED)
    async with engine.begin() as connection:
        await connection.execute(
            tables.withdrawal.update().values(cancel_requested_at=dt.datetime.now(dt.UTC))
        )
    row = await store.allocate_nonce(name, HOT, 0, _nobody_is_short)
    assert isinstance(row, Withdrawal)
    assert (row.state, row.nonce, row.cancel_requested) == (_State.APPROVED, None, True)
    assert await store.next_nonce("ETH", HOT) is None
    assert await store.cancellations(10) == [name]


async def test_the_sweep_reads_open_rows_page_by_page(engine: AsyncEngine) -> None:
    """What is final is left out, or named when it is asked for; an id without a row is neither."""
    rows = withdrawals(engine)
    names = sorted([await _row(engine, _State.BROADCAST) for _ in range(3)])
    final = {
        await _row(engine, state) for state in (_State.SETTLED, _State.REJECTED, _State.CANCELLED)
    }
    assert await rows.unfinished(None, 2) == names[:2]
    assert await rows.unfinished(names[1], 2) == names[2:]
    assert await rows.unfinished(names[2], 2) == []
    assert await rows.final([*names, *final, str(uuid.uuid4())]) == final
