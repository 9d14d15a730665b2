"""What the checker says of a real ledger, whole and damaged behind the stores' back."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.reconciliation import Checked, check_exchange
from domain.checker_records import EngineRecord, Opening
from domain.order import Side
from infra.postgres.audit_store import AuditStore
from infra.postgres.reconciliation_log import ReconciliationLog
from infra.postgres.record_reader import RecordReader
from infra.postgres.settlement_store import SettlementStore
from matching.event_codec import encode_events
from tests.infra.postgres.flows import accepted, credited, tick, trade
from tests.infra.postgres.transfers import deposit, to_trading

pytestmark = pytest.mark.servers

ETHER, DOLLAR = 10**9, 10**6


class KnownEngine:
    """The engine that made the events below, at any sequence."""

    async def at(self, shard: int, sequence: int) -> EngineRecord:
        bought = 1 if sequence >= 3 else 0
        return EngineRecord(
            shard=shard,
            sequence=sequence,
            balances_units={
                (1, 2): (10 - bought) * ETHER,
                (1, 1): bought * 2500 * DOLLAR - 2 * bought,
                (2, 2): bought * ETHER,
                (2, 1): 9000 * DOLLAR - bought * 2500 * DOLLAR - 4 * bought,
            },
            fees_units={1: 6 * bought, 2: 0},
            trades=bought,
        )


async def check(database: AsyncEngine, opening: Opening | None = None) -> Checked:
    return await check_exchange(RecordReader(database), KnownEngine(), None, [0], opening)


@pytest.fixture
async def settled(database: AsyncEngine) -> AsyncEngine:
    """Give a ledger with deposits, transfers (one open), a trade, ticks and an audit record."""
    async with database.begin() as conn:
        await deposit(conn, "d-1", 1, "ETH", 11 * 10**18)
        await deposit(conn, "d-2", 2, "USDT", 9000 * DOLLAR)
        await to_trading(conn, 1, 1, "ETH", 10 * 10**18)
        await to_trading(conn, 2, 2, "USDT", 9000 * DOLLAR)
        await to_trading(conn, 3, 1, "ETH", 10**18)
        await AuditStore().append(conn, "market-1", "admin", "list", "a-1", {"tick": "0.01"})
        await AuditStore().append(conn, "market-1", "admin", "open", "a-2", {})
    store = SettlementStore(database)
    funding = [
        credited(1, UUID(int=1), 1, 2, 10 * ETHER),
        credited(2, UUID(int=2), 2, 1, 9000 * DOLLAR),
    ]
    await store.settle(0, 1, 2, encode_events(funding))
    filled = trade(3, 1, 1, maker=1, taker=2, base_units=ETHER, quote_units=2500 * DOLLAR)
    await store.settle(0, 3, 4, encode_events([accepted(3, 2, Side.BUY), filled, tick(4)]))
    return database


async def test_whole_ledger_has_no_violation(settled: AsyncEngine) -> None:
    """Every invariant that has rows looks at some and holds."""
    checked = await check(settled)
    assert checked.report.violations == ()
    assert checked.sequences == {0: 4}
    names = {result.name for result in checked.report.invariants if result.rows > 0}
    assert {
        "journal_positions_dense",
        "hash_chain_unbroken",
        "requests_unchanged",
        "lines_equal_entries",
        "journals_balance",
        "entries_equal_balances",
        "assets_sum_to_zero",
        "floors_respected",
        "cursor_follows_journal",
        "engine_equals_ledger",
        "trades_settled_once",
        "transit_equals_open_transfers",
        "audit_chain_unbroken",
    } <= names


async def test_next_check_begins_where_a_clean_one_ended(settled: AsyncEngine) -> None:
    """A run reads only what is new since the last clean run, and still checks all balances."""
    first = await check(settled)
    log = ReconciliationLog(settled)
    await log.append(0, 4, first.report, first.closing, full=True)
    opening = await log.last_clean(0)
    assert opening == first.closing
    again = await check(settled, opening)
    assert again.report.ok
    rows = {result.name: result.rows for result in again.report.invariants}
    assert "hash_chain_unbroken" not in rows
    assert rows["engine_equals_ledger"] == 6
    async with settled.begin() as conn:
        await deposit(conn, "d-3", 2, "USDT", 5)
    third = await check(settled, opening)
    assert third.report.ok
    assert {r.name: r.rows for r in third.report.invariants}["hash_chain_unbroken"] == 1


DAMAGES: Sequence[tuple[str, str, str]] = [
    ("DELETE FROM entry WHERE amount = 6", "lines_equal_entries", "fees.0:USDT"),
    ("UPDATE entry SET amount = amount + 1 WHERE amount = 6", "lines_equal_entries", "fees.0:USDT"),
    (
        "UPDATE trade_event SET quote_units = quote_units + 1",
        "lines_equal_entries",
        "customer:1:trading.0:USDT",
    ),
    (
        (
            "UPDATE entry SET amount = amount + 1, balance_after = balance_after + 1"
            " WHERE amount = 6"
        ),
        "journals_balance",
        "",
    ),
    ("UPDATE trade_event SET price_ticks = price_ticks + 1", "requests_unchanged", ""),
    ("UPDATE trade_event SET trade_id = 2", "trades_settled_once", ""),
    ("DELETE FROM trade_event", "lines_equal_entries", "customer:1:trading.0:ETH"),
    (
        "UPDATE balance_event SET amount_units = amount_units + 1 WHERE sequence = 1",
        "lines_equal_entries",
        "transit.0:ETH",
    ),
    ("UPDATE balance_event SET time_us = 0 WHERE sequence = 1", "requests_unchanged", ""),
    (
        "UPDATE ledger_account SET balance = balance + 1 WHERE code = 'customer:1:main:ETH'",
        "assets_sum_to_zero",
        "",
    ),
    (
        "UPDATE ledger_account SET balance = balance + 1 WHERE code = 'customer:1:main:ETH'",
        "entries_equal_balances",
        "customer:1:main:ETH",
    ),
    (
        "UPDATE ledger_account SET balance = balance - 1 WHERE code = 'customer:1:trading.0:ETH'",
        "engine_equals_ledger",
        "customer:1:trading.0:ETH",
    ),
    (
        "UPDATE ledger_account SET floor = NULL, balance = -1 WHERE code = 'customer:2:main:USDT'",
        "floors_respected",
        "customer:2:main:USDT",
    ),
    ("UPDATE cursor SET last_sequence = 2", "cursor_follows_journal", ""),
    ("UPDATE journal SET hash = set_byte(hash, 0, 7) WHERE key = 'd-1'", "hash_chain_unbroken", ""),
    (
        (
            "UPDATE journal SET detail = jsonb_set(detail, '{postings,0,3}', '\"7\"')"
            " WHERE key = 'd-1'"
        ),
        "requests_unchanged",
        "",
    ),
    ("UPDATE journal SET detail = '{}' WHERE key = 'd-1'", "hash_chain_unbroken", ""),
    ("UPDATE journal SET position = 9 WHERE key = 'd-1'", "journal_positions_dense", ""),
    (
        "UPDATE journal SET first_sequence = 1 WHERE first_sequence = 3",
        "sequences_in_order",
        "",
    ),
    (
        "UPDATE transfer SET state = 'posted' WHERE state = 'open'",
        "transit_equals_open_transfers",
        "transit.0:ETH",
    ),
    ("UPDATE audit_log SET actor = 'nobody' WHERE audit_id = 1", "audit_chain_unbroken", ""),
    ("DELETE FROM audit_log WHERE audit_id = 1", "audit_chain_unbroken", ""),
    (
        (
            "WITH gone AS (DELETE FROM entry WHERE journal_id ="
            " (SELECT journal_id FROM journal WHERE key = 'd-2'))"
            " SELECT 1"
        ),
        "lines_equal_entries",
        "customer:2:main:USDT",
    ),
]


@pytest.mark.parametrize(("damage", "invariant", "account"), DAMAGES)
async def test_damage_is_named(
    settled: AsyncEngine, damage: str, invariant: str, account: str
) -> None:
    """Each way of damaging the stored rows is named by its invariant, with the account."""
    async with settled.begin() as conn:
        await conn.execute(sa.text("SET LOCAL session_replication_role = replica"))  # no triggers
        await conn.execute(sa.text(damage))
    report = (await check(settled)).report
    named = [found for found in report.violations if found.invariant == invariant]
    assert named, [found.text for found in report.violations]
    if account:
        assert account in {found.account for found in named}
    assert not {result.name: result.ok for result in report.invariants}[invariant]
