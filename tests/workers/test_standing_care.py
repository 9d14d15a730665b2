"""Whoever may trade no more has no open orders, whatever was away when that was said."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import replace

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.commands import Command, Credit, PlaceOrder, SetSymbolState
from domain.customer import Standing
from domain.events import Event
from domain.order import OrderType, Side, StateCause, SymbolState, TimeInForce
from domain.order_history import fold
from infra.postgres import tables
from infra.postgres.audit_store import AuditStore
from infra.postgres.customer_file import CustomerFileStore
from infra.postgres.order_history_store import OrderHistoryStore
from infra.postgres.orders_due import OrdersDueStore
from infra.postgres.settlement_store import SettlementStore
from tests.workflows.wallet_parts import ETH_USDT, EngineInProcess
from workers.standing_care import StandingCare

pytestmark = pytest.mark.servers
USDT = 10**6


class Exchange:
    """An engine with the order history behind it."""

    def __init__(self, database: AsyncEngine) -> None:
        self.engine = EngineInProcess(SettlementStore(database))
        self.engine.settles = False
        self._history = OrderHistoryStore(database)

    async def submit(self, command: Command) -> tuple[Event, ...]:
        events = await self.engine.submit(command)
        last = self.engine.sequence
        await self._history.apply(0, last, last, fold(events))
        return events

    async def close(self) -> None:
        """Close nothing."""

    async def set_market(self, state: SymbolState) -> None:
        await self.submit(SetSymbolState(1, state, StateCause.OPERATOR, "test", "test"))


async def _with_order(database: AsyncEngine) -> Exchange:
    """Return an exchange where customer 1 has a resting order."""
    exchange = Exchange(database)
    for command in (
        ETH_USDT,
        Credit(7, 1, 1, 100 * USDT, time.time_ns() // 1_000),
        PlaceOrder(1, 5, 1, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, 240_000, 100),
    ):
        await exchange.submit(command)
    return exchange


async def _passed(database: AsyncEngine, seconds: int) -> None:
    """Let the standing have been changed so long ago."""
    due = tables.customer.c.orders_due_at
    async with database.begin() as connection:
        ago = due - dt.timedelta(seconds=seconds)
        await connection.execute(
            sa.update(tables.customer).where(due.is_not(None)).values(orders_due_at=ago)
        )


async def _records(database: AsyncEngine) -> list[tuple[str, dict[str, object]]]:
    async with database.connect() as connection:
        found = await AuditStore().read(connection, "customer-1")
    return [(record.action, dict(record.detail)) for record in found]


async def test_orders_go_whatever_was_away_or_halted(database: AsyncEngine) -> None:
    """The engine is away, then the market halted; nothing is called done before nothing is left."""
    exchange = await _with_order(database)
    store = OrdersDueStore(database, AuditStore())
    care = StandingCare(store, lambda: {0: exchange}, "chain-watcher")
    await care.round()
    assert exchange.engine.sequence == 3  # nothing is due, and nobody is asked
    files = CustomerFileStore(database, AuditStore())
    await files.set_standing(1, Standing.FROZEN, "staff:clara", "case 17")
    exchange.engine.away = "down"
    await _passed(database, 100)
    await care.round()
    assert care.trouble == "open orders not cancelled of customers 1"
    exchange.engine.away = ""
    await exchange.set_market(SymbolState.HALTED)
    care = StandingCare(store, lambda: {0: exchange}, "chain-watcher")  # the process died
    await care.round()
    assert [due.customer_id for due in await store.due()] == [1]
    await exchange.set_market(SymbolState.OPEN)
    care = StandingCare(store, lambda: {0: exchange}, "chain-watcher")
    (due,) = await store.due()
    assert await care.cancel(due) == "orders may still come in"
    assert not await store.has_open_orders(1)
    assert await care.cancel(due) == ""
    assert await store.due() == []
    assert (await _records(database))[-1] == ("orders_cancelled", {"shard_0": 1})


async def test_nothing_is_done_before_every_gateway_has_heard(database: AsyncEngine) -> None:
    """An order that a gateway let pass a moment after the change is cancelled as well."""
    exchange = await _with_order(database)
    store = OrdersDueStore(database, AuditStore())
    care = StandingCare(store, lambda: {0: exchange}, "chain-watcher")
    files = CustomerFileStore(database, AuditStore())
    await files.set_standing(1, Standing.WITHDRAW_ONLY, "staff:clara", "case 17")
    (due,) = await store.due()
    fresh = replace(due, seconds=0.1)
    for _ in range(2):
        assert await care.cancel(fresh) == "orders may still come in"
    late = PlaceOrder(1, 6, 1, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, 240_000, 100)
    await exchange.submit(late)
    old = replace(due, seconds=3.0)
    assert await care.cancel(old) == "orders may still come in"
    assert await care.cancel(old) == ""
    assert (await _records(database))[-1] == ("orders_cancelled", {"shard_0": 2})


async def test_a_customer_who_is_active_again_keeps_his_orders(database: AsyncEngine) -> None:
    """What was due ends with the standing; one who looked before that writes nothing down."""
    exchange = await _with_order(database)
    store, files = OrdersDueStore(database, AuditStore()), CustomerFileStore(database, AuditStore())
    await files.set_standing(1, Standing.FROZEN, "staff:clara", "case 17")
    (due,) = await store.due()
    await files.set_standing(1, Standing.ACTIVE, "staff:clara", "closed")
    assert await store.due() == []
    assert not await store.done(due, "chain-watcher", {0: 0})
    assert await store.has_open_orders(1)
    assert [action for action, _ in await _records(database)] == ["standing_changed"] * 2
    assert exchange.engine.sequence == 3


async def test_without_the_exchanges_tokens_it_stays_due(database: AsyncEngine) -> None:
    """A process that may not reach the engines says so, and calls nothing done."""

    def no_doors() -> dict[int, Exchange]:
        raise FileNotFoundError("engine-tokens.json")

    store = OrdersDueStore(database, AuditStore())
    await CustomerFileStore(database, AuditStore()).set_standing(
        1, Standing.FROZEN, "staff:clara", "case 17"
    )
    care = StandingCare(store, no_doors, "chain-watcher")
    await _passed(database, 100)
    await care.round()
    assert care.trouble == "open orders not cancelled of customers 1"
    assert len(await store.due()) == 1
