"""Whatever an engine says of perpetuals, settlement makes of it exactly what the engine has."""

from __future__ import annotations

import random

import pytest

from domain import ledger
from domain.checker import Checker
from domain.checker_records import Assets
from domain.event_postings import MONEY_EVENTS, Pair, postings_for
from domain.events import EventType
from domain.instrument import Asset
from domain.position import Position
from infra.postgres.settlement_rows import net_by_account, rows_from
from infra.second_engine import record_of
from tests.matching.desk import BTC, ETH, ETH_USDT, USDT
from tests.matching.perpetual_desk import PERP
from tests.matching.perpetual_draw import OTHER, Draw, drawn_desk

ASSETS = {
    USDT: Asset(USDT, "USDT", 6, 6),
    BTC: Asset(BTC, "BTC", 8, 8),
    ETH: Asset(ETH, "ETH", 9, 9),
}
PAIRS = {
    PERP: Pair(ASSETS[BTC], ASSETS[USDT]),
    OTHER: Pair(ASSETS[BTC], ASSETS[USDT]),
    ETH_USDT: Pair(ASSETS[ETH], ASSETS[USDT]),
}
OUTSIDE = ("transit", "capital")


@pytest.mark.parametrize("seed", range(8))
def test_the_ledger_is_the_engine(seed: int) -> None:
    """Balances with isolated cash, fees, fund, rounding, positions; clearing is minus the cost."""
    chance = random.Random(seed)
    desk = drawn_desk(chance)
    draw = Draw(desk, chance)
    for _ in range(300):
        for command in draw.next():
            desk.run(command)
    rows = rows_from(0, 1, desk.engine.sequence, bytes(desk.raw))
    net = net_by_account(rows, ASSETS, PAIRS)
    assert net == ledger.net_of(
        posting
        for event in desk.events
        if isinstance(event, MONEY_EVENTS)
        for posting in postings_for(event, shard=0, assets=ASSETS, pairs=PAIRS)
    )
    record = record_of(0, desk.engine)
    expected = Checker(Assets(ASSETS)).engine_accounts(record)
    for symbol in (PERP, OTHER):
        cost = sum(p.cost_units for (_, one), p in record.positions.items() if one == symbol)
        expected[ledger.pnl_clearing(0, symbol, "USDT")] = -cost
    assert {code: units for code, units in net.items() if not code.startswith(OUTSIDE)} == {
        code: units for code, units in expected.items() if units
    }
    after = {(one.account_id, one.symbol_id): one for one in rows.positions_after()}
    open_now = {place: Position(p.lots, p.cost_units) for place, p in after.items() if p.lots}
    assert open_now == record.positions
    assert rows.trade_count == record.trades
    assert all(net.get(code, 0) >= 0 for code in ("insurance.0:USDT", "rounding.0:USDT"))


def test_the_draws_meet_every_kind_of_money() -> None:
    """Else the test above would be about less than it says."""
    kinds: set[EventType] = set()
    for seed in range(8):
        chance = random.Random(seed)
        desk = drawn_desk(chance)
        draw = Draw(desk, chance)
        for _ in range(300):
            for command in draw.next():
                kinds |= {event.event_type for event in desk.run(command)}
    rare = {EventType.TRADE, EventType.POSITION_SETTLED}  # settled by other tests
    assert {kind.event_type for kind in MONEY_EVENTS} - kinds <= rare
