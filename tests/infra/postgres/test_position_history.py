"""What settlement has written of positions and of the fund, as customers may read it."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.events import (
    Deleveraged,
    Event,
    FundingPaid,
    FundingSettled,
    PositionSettled,
    TakenOver,
)
from domain.perpetual_record import PositionEvent, PositionEventKind
from domain.risk_commands import FUND_ACCOUNT
from infra.postgres.order_history_store import OrderHistoryStore
from infra.postgres.position_history import PositionHistory
from infra.postgres.settlement_store import SettlementStore
from matching.event_codec import encode_events
from tests.domain.perpetual_flow import PerpetualFlow
from tests.infra.postgres.test_settlement_perpetuals import prepare

pytestmark = pytest.mark.servers


async def settled(database: AsyncEngine) -> tuple[PerpetualFlow, list[Event]]:
    """Settle a flow in two batches; return it with its events."""
    flow, events = await prepare(database)
    store = SettlementStore(database)
    await store.settle(0, 1, flow.sequence, encode_events(events))
    for _ in range(2):
        first = flow.sequence + 1
        more = flow.commands(120)
        events += more
        await store.settle(0, first, flow.sequence, encode_events(more))
    fundings = [event for event in events if isinstance(event, FundingSettled)]
    await OrderHistoryStore(database).apply(0, 1, flow.sequence, [], fundings)
    return flow, events


def expected(events: list[Event], account: int) -> list[tuple[int, PositionEventKind, int, int]]:
    """Return (sequence, kind, amount, lots) of what happened to an account, newest first."""
    found = []
    for event in events:
        match event:
            case FundingPaid() if event.account_id == account:
                told = (PositionEventKind.FUNDING, event.amount_units, event.lots)
            case PositionSettled() if event.account_id == account:
                told = (PositionEventKind.SETTLEMENT, event.realised_units, 0)
            case TakenOver() if event.account_id == account:
                told = (PositionEventKind.TAKEOVER, event.realised_units, event.lots)
            case Deleveraged() if event.account_id == account:
                told = (PositionEventKind.DELEVERAGING, event.realised_units, event.lots)
            case Deleveraged() if event.counterparty_id == account:
                realised, lots = event.counterparty_realised_units, event.counterparty_lots
                told = (PositionEventKind.DELEVERAGING, realised, lots)
            case _:
                continue
        found.append((event.sequence, event.index, *told))
    return [(one[0], *one[2:]) for one in sorted(found, reverse=True)]


def told(found: list[PositionEvent]) -> list[tuple[int, PositionEventKind, int, int]]:
    return [(one.sequence, one.kind, one.amount_units, one.lots) for one in found]


async def test_everybody_sees_ones_own_events(database: AsyncEngine) -> None:
    """All of them, in order, page by page; realised profits are the sums of all batches."""
    flow, events = await settled(database)
    history = PositionHistory(database)
    kinds = set()
    for account in range(1, flow.accounts + 1):
        wanted = expected(events, account)
        kinds |= {one[1] for one in wanted}
        pages: list[PositionEvent] = []
        before: tuple[int, ...] | None = None
        while page := await history.events(account, 0, None, before, 3):
            pages += page
            last = page[-1]
            before = (last.time_us, last.shard, last.sequence, last.index)
        assert told(pages) == wanted
        fundings = await history.events(account, 3, PositionEventKind.FUNDING, None, 500)
        assert all(one.symbol_id == 3 and one.rate_ppm is not None for one in fundings)
        realised = await history.realised(account)
        sums = {symbol: units for (who, symbol), units in flow.realised.items() if who == account}
        assert realised == sums
    assert kinds == set(PositionEventKind)


async def test_the_funds_cash_is_told_change_by_change(database: AsyncEngine) -> None:
    """Each booking leads to the cash after it; the newest has what the engine's fund has."""
    flow, _ = await settled(database)
    history = PositionHistory(database)
    changes = await history.fund_changes(0, "USDT", None, 500)
    assert changes[0].cash == flow.cash[FUND_ACCOUNT]
    for newer, older in itertools.pairwise(changes):
        assert newer.cash - newer.change == older.cash
    (second,) = await history.fund_changes(0, "USDT", (changes[0].journal_id,), 1)
    assert second == changes[1]
    assert await history.fund_changes(1, "USDT", None, 5) == []
