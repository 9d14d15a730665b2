"""Rebates through the real books: what the engine says and what the ledger holds are one."""

from __future__ import annotations

import random
from dataclasses import replace
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from domain import ledger
from domain.commands import SetAccountTier
from domain.event_postings import Pair, postings_for
from domain.events import Credited, Debited, Trade
from domain.fees import FeeRates, fee_table
from domain.instrument import Asset
from domain.order import Side, TimeInForce
from infra.postgres import tables
from infra.postgres.settlement_store import SettlementStore
from tests.infra.postgres.transfers import deposit, to_trading
from tests.matching.desk import ETH, LISTING, USDT, Desk

pytestmark = pytest.mark.servers

ASSETS = {USDT: Asset(USDT, "USDT", 6, 6), ETH: Asset(ETH, "ETH", 18, 9)}
PAIRS = {1: Pair(ASSETS[ETH], ASSETS[USDT])}
FEES = fee_table(FeeRates(1_000, 2_000), FeeRates(-500, 500))  # tier 1: all of the fee goes back
MONEY = {USDT: 9 * 10**9, ETH: 10**9}


async def traded(database: AsyncEngine) -> Desk:
    """Return an engine's day in which accounts of both tiers make and take, deposits included."""
    desk = Desk(listings=(replace(LISTING, fees=FEES),))
    async with database.begin() as conn:
        for number, (account, asset) in enumerate(((1, ETH), (1, USDT), (2, ETH), (2, USDT)), 1):
            units, code = MONEY[asset], ASSETS[asset].code
            amount = units * ASSETS[asset].chain_units_per_engine_unit
            await deposit(conn, f"d-{number}", account, code, amount)
            await to_trading(conn, number, account, code, amount)
            desk.credit(account, asset, units, key=UUID(int=number).int)
    chance = random.Random(5)
    desk.run(SetAccountTier(1, 1))
    for turn in range(120):
        maker, taker = chance.choice(((1, 2), (2, 1)))
        if turn == 60:
            desk.run(SetAccountTier(2, 1))
        side = Side(chance.randint(0, 1))
        desk.order(maker, side, chance.randint(990, 1_010), chance.randint(1, 900))
        price = 1_050 if side is Side.SELL else 950
        desk.order(
            taker, side.opposite, price, chance.randint(1, 900), time_in_force=TimeInForce.IOC
        )
        desk.cancel_all(maker)
    return desk


def ledger_view(desk: Desk) -> dict[str, int]:
    """Return the engine's money as the codes and chain units of the ledger."""
    found = {
        ledger.trading(account, 0, ASSETS[asset].code): total
        * ASSETS[asset].chain_units_per_engine_unit
        for (account, asset), (total, _) in desk.engine.balances().items()
    }
    return found | {ledger.fees(0, "USDT"): desk.engine.fees()[USDT]}


async def test_the_ledger_at_n_is_the_engine_at_n(database: AsyncEngine) -> None:
    """After a day of rebates every trading account and the fees are the engine's, to the unit."""
    desk = await traded(database)
    settled = await SettlementStore(database).settle(0, 1, desk.engine.sequence, bytes(desk.raw))
    assert settled.trades == desk.engine.trades() > 100
    account = tables.ledger_account.c
    async with database.connect() as conn:
        rows = (await conn.execute(sa.select(account.code, account.balance))).all()
    held = {row.code: int(row.balance) for row in rows if row.balance}
    assert {code: held[code] for code in held if ".0:" in code} == ledger_view(desk)


async def test_no_posting_order_overdraws_the_fees(database: AsyncEngine) -> None:
    """Posted one by one in the rule's order, the fees never fall below zero."""
    desk = await traded(database)
    balances: dict[str, int] = {}
    rebates = 0
    for event in desk.events:
        if not isinstance(event, Trade | Credited | Debited):
            continue
        for posting in postings_for(event, shard=0, assets=ASSETS, pairs=PAIRS):
            balances[posting.source] = balances.get(posting.source, 0) - posting.amount
            balances[posting.destination] = balances.get(posting.destination, 0) + posting.amount
            assert balances[posting.source] >= 0 or posting.source.startswith("transit")
        rebates += isinstance(event, Trade) and event.maker_fee_units < 0
    assert rebates > 20
    view = ledger_view(desk)
    assert {code: balances[code] for code in view} == view
