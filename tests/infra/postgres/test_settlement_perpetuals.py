"""Perpetuals on a real PostgreSQL: rows, view, positions and balances, and what breaks them."""

from __future__ import annotations

from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.reconciliation import Checked, check_exchange
from domain.checker_markets import EngineMarkets
from domain.checker_records import EngineRecord, Opening
from domain.events import DustSwept, Event
from domain.ledger import LedgerInvariantError
from domain.risk_commands import FUND_ACCOUNT
from infra.postgres import tables
from infra.postgres.position_store import positions_of
from infra.postgres.record_reader import RecordReader
from infra.postgres.settlement_store import SettlementStore
from infra.postgres.statements import StatementStore
from matching.event_codec import encode_events
from tests.domain.perpetual_flow import PerpetualFlow
from tests.infra.postgres.flows import credited
from tests.infra.postgres.transfers import deposit, to_trading

pytestmark = pytest.mark.servers

START = 50_000_000
RULES = {"quote_asset_id": 1}


class FlowEngine:
    """The engine that made a flow's events, as it is now."""

    def __init__(self, flow: PerpetualFlow) -> None:
        self.flow = flow

    async def at(self, shard: int, sequence: int) -> EngineRecord:
        flow = self.flow
        if sequence != flow.sequence:  # the cursor of the markets' rows, which nobody moves here
            return EngineRecord(shard, sequence, {}, {}, 0)
        return EngineRecord(
            shard=shard,
            sequence=sequence,
            balances_units={
                (account, 1): flow.cash[account]
                for account in (*range(1, flow.accounts + 1), FUND_ACCOUNT)
            },
            fees_units={1: flow.fees},
            trades=flow.trade_id,
            administration=EngineMarkets(dict.fromkeys(flow.symbols, (RULES, False))),
            positions=dict(flow.positions),
            rounding_units={1: flow.rounding},
        )


async def check(
    database: AsyncEngine, flow: PerpetualFlow, opening: Opening | None = None
) -> Checked:
    return await check_exchange(RecordReader(database), FlowEngine(flow), None, [0], opening)


def broken(checked: Checked) -> set[str]:
    """Return the broken invariants, but for markets: these books have only what trades need."""
    names = {violation.invariant for violation in checked.report.violations}
    return names - {"markets_equal_engine"}


async def prepare(database: AsyncEngine) -> tuple[PerpetualFlow, list[Event]]:
    """List two perpetuals, credit six customers, and fill the fund; return flow and events."""
    flow = PerpetualFlow(11)
    async with database.begin() as conn:
        row = (await conn.execute(sa.select(tables.instrument))).mappings().one()
        await conn.execute(
            sa.insert(tables.instrument),
            [{**row, "symbol_id": n, "symbol": f"ETH-{n}"} for n in flow.symbols],
        )
        for customer in range(1, flow.accounts + 1):
            await deposit(conn, f"d-{customer}", customer, "USDT", START)
            await to_trading(conn, customer, customer, "USDT", START)
    events: list[Event] = []
    for customer in range(1, flow.accounts + 1):
        flow.sequence += 1
        flow.cash[customer] += START
        events.append(credited(flow.sequence, UUID(int=customer), customer, 1, START))
    flow.sequence += 1
    events += flow._pay()
    return flow, events


async def settled(database: AsyncEngine, commands: int = 150) -> PerpetualFlow:
    flow, events = await prepare(database)
    store = SettlementStore(database)
    await store.settle(0, 1, flow.sequence, encode_events(events))
    for _ in range(3):
        first = flow.sequence + 1
        more = flow.commands(commands // 3)
        await store.settle(0, first, flow.sequence, encode_events(more))
    return flow


async def test_everything_adds_up(database: AsyncEngine) -> None:
    """After 150 commands of every kind: balances, view, positions, clearing, fundings, hashes."""
    flow = await settled(database)
    checked = await check(database, flow)
    assert broken(checked) == set()
    rows = {result.name: result.rows for result in checked.report.invariants}
    for name in (
        "requests_unchanged",
        "lines_equal_entries",
        "trades_settled_once",
        "positions_equal_engine",
        "positions_net_to_zero",
        "clearing_equals_cost",
        "debt_only_with_positions",
        "funding_sums_to_zero",
        "funding_paid_once",
    ):
        assert rows[name] > 0, name
    async with database.connect() as conn:
        assert await positions_of(conn, 0) == flow.positions


async def test_a_check_goes_on_where_one_ended(database: AsyncEngine) -> None:
    """Only new fundings are read, all positions are compared."""
    flow = await settled(database, 60)
    first = await check(database, flow)
    begin = flow.sequence + 1
    await SettlementStore(database).settle(0, begin, begin + 39, encode_events(flow.commands(40)))
    again = await check(database, flow, first.closing)
    assert broken(again) == set()
    rows = [
        {result.name: result.rows for result in checked.report.invariants}
        for checked in (first, again)
    ]
    assert rows[1]["positions_equal_engine"] >= len(flow.positions)
    assert rows[1].get("funding_sums_to_zero", 0) < 40


@pytest.mark.parametrize(
    ("change", "invariants"),
    [
        ("UPDATE position SET lots = lots + 1 WHERE account_id = 1", {"positions_net_to_zero"}),
        (
            (
                "UPDATE position SET cost_units = cost_units + 1"
                " WHERE (account_id, symbol_id) = (SELECT account_id, symbol_id FROM position"
                " WHERE lots <> 0 LIMIT 1)"
            ),
            {"positions_equal_engine", "clearing_equals_cost"},
        ),
        (
            (
                "DELETE FROM perpetual_event WHERE (sequence, index) = (SELECT sequence, index"
                " FROM perpetual_event WHERE event_type = 48 AND amount_units <> 0 LIMIT 1)"
            ),
            {"requests_unchanged", "lines_equal_entries", "funding_sums_to_zero"}
            | {"funding_paid_once"},
        ),
        (
            "UPDATE perpetual_event SET funding_time_us = 1 WHERE event_type IN (47, 48)",
            {"requests_unchanged", "funding_paid_once"},
        ),
        (
            (
                "UPDATE trade_event SET taker_realised_units = taker_realised_units + 1"
                " WHERE trade_id = 3"
            ),
            {"requests_unchanged", "lines_equal_entries"},
        ),
        (
            "UPDATE trade_event SET maker_cost_units = maker_cost_units + 1 WHERE trade_id = 3",
            {"requests_unchanged"},
        ),
        (
            "UPDATE perpetual_event SET amount_units = amount_units + 1 WHERE event_type = 53",
            {"requests_unchanged", "lines_equal_entries"},
        ),
    ],
)
async def test_what_is_changed_behind_the_books_is_named(
    database: AsyncEngine, change: str, invariants: set[str]
) -> None:
    """Each change of a row breaks at least these."""
    flow = await settled(database)
    assert broken(await check(database, flow)) == set()
    async with database.begin() as conn:
        changed = await conn.execute(sa.text(change))
        assert changed.rowcount > 0
    assert invariants <= broken(await check(database, flow))


async def test_the_fund_and_the_dust_never_go_below_zero(database: AsyncEngine) -> None:
    """More dust than there is cannot be swept: nothing is settled, and the account is named."""
    flow, events = await prepare(database)
    store = SettlementStore(database)
    await store.settle(0, 1, flow.sequence, encode_events(events))
    swept = DustSwept(flow.sequence + 1, 0, 1, 5, FUND_ACCOUNT, 1, 1)
    with pytest.raises(LedgerInvariantError, match=r"rounding\.0:USDT would fall to -1"):
        await store.settle(0, swept.sequence, swept.sequence, encode_events([swept]))
    assert await store.cursor(0) == flow.sequence


async def test_a_statement_tells_profit_and_funding(database: AsyncEngine) -> None:
    """Its lines lead from the opening to the closing balance, each with what it was."""
    import datetime as dt

    flow = await settled(database)
    day = dt.datetime.now(dt.UTC)
    statement = await StatementStore(database).statement(
        2, day - dt.timedelta(days=1), day + dt.timedelta(days=1)
    )
    (dollars,) = [part for part in statement.assets if part.asset.code == "USDT"]
    assert dollars.closing == flow.cash[2]
    kinds = {line.kind for line in dollars.lines}
    assert {"buy", "sell", "funding", "transfer"} <= kinds
    assert not [part for part in statement.assets if part.asset.code == "ETH"]
