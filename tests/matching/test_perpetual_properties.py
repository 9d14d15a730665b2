"""What holds after any stream of commands about perpetuals: the invariants of docs/risk.md."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.commands import Command
from domain.events import (
    CommandRejected,
    Deleveraged,
    Event,
    FundingPaid,
    FundingSettled,
    IndexSet,
    LiquidationPlaced,
    OrderAccepted,
    OrderClosed,
    PerpetualTrade,
    ScopeState,
    Trade,
)
from domain.order import CloseReason, TimeInForce
from domain.perpetual_record import ScopeMargin
from domain.risk_commands import FUND_ACCOUNT
from matching.codec import encode_events
from matching.engine import restore_engine
from tests.examples import examples
from tests.matching.desk import USDT
from tests.matching.perpetual_desk import PERP, PerpetualDesk
from tests.matching.perpetual_draw import MAKER, OTHER, TRADERS, Draw, drawn_desk
from tests.matching.perpetual_mirror import PerpetualMirror

pytestmark = pytest.mark.usefixtures("each_engine")

chances = st.integers(0, 2**32)
ALL = (*TRADERS, MAKER, FUND_ACCOUNT)


class Watch:
    """Run commands on a desk and hold what they did against the invariants."""

    def __init__(self, desk: PerpetualDesk) -> None:
        self.desk = desk
        self.mirror = PerpetualMirror()
        self.mirror.read(desk.events)
        self.seen = defaultdict[type[Event], int](int)

    def run(self, command: Command) -> None:
        """Run one command and check what it did."""
        desk = self.desk
        scopes = {account: desk.scope(account) for account in ALL}
        before = desk.engine.seats(), desk.engine.balances(), desk.engine.frozen()
        events = desk.run(command)
        for event in events:
            self.seen[type(event)] += 1
        self.mirror.read(events)
        if isinstance(events[0], CommandRejected):
            assert (desk.engine.seats(), desk.engine.balances(), desk.engine.frozen()) == before
        self._sums()
        self._rebuilt()
        self._funding(events)
        self._deleveraging(events, scopes)
        self._step(events, scopes)
        self._fills(events, scopes)

    def _sums(self) -> None:
        """2: positions sum to 0. 3: cost bases are the clearing account. 4, 6: floors."""
        engine = self.desk.engine
        lots, costs, longs = defaultdict[int, int](int), defaultdict[int, int](int), 0
        for seat in engine.seats():
            lots[seat.symbol_id] += seat.lots
            costs[seat.symbol_id] += seat.cost_units
            longs += max(0, seat.lots)
        assert not any(lots.values())
        assert longs == sum(one.open_lots for one in engine.perpetuals())
        for symbol in (PERP, OTHER):
            assert self.mirror.clearing[symbol] == -costs[symbol]
        assert engine.balances().get((FUND_ACCOUNT, USDT), (0, 0))[0] >= 0
        assert engine.dust() >= 0
        assert self.desk.is_conserved()

    def _rebuilt(self) -> None:
        """11: events alone give positions and cash; 5: nobody flat and free owes anything."""
        engine = self.desk.engine
        frozen = {(one.account_id, one.symbol_id) for one in engine.frozen()}
        for account in ALL:
            total = engine.balances().get((account, USDT), (0, 0))[0]
            assert total == self.mirror.cash[account]
            assert engine.balances().get((account, USDT), (0, 0))[1] <= max(0, total)
            held = engine.positions(account)
            for one in held:
                place = (account, one.symbol_id)
                assert (one.lots, one.cost_units) == self.mirror.positions.get(place, (0, 0))
                assert one.margin_units == self.mirror.isolated[place]
                if one.lots == 0 and place not in frozen:
                    assert one.margin_units >= 0
            is_flat = not any(one.lots for one in held if not one.mode)
            if is_flat and (account, 0) not in frozen:
                assert total >= 0
        assert self.mirror.dust == engine.dust()
        assert self.mirror.fees == engine.fees()[USDT]

    def _funding(self, events: tuple[Event, ...]) -> None:
        """7: entries and rounding sum to 0, one entry an account."""
        if not isinstance(events[0], FundingSettled):
            return
        paid = [event for event in events if isinstance(event, FundingPaid)]
        assert sum(event.amount_units for event in paid) + events[0].rounding_units == 0
        assert len({event.account_id for event in paid}) == len(paid) == events[0].entries

    def _deleveraging(self, events: tuple[Event, ...], before: dict[int, ScopeMargin]) -> None:
        """8: pairs only, nobody ends insolvent. 9: the haircut is within what was missing."""
        pairs = [event for event in events if isinstance(event, Deleveraged)]
        for pair in pairs:
            symbol = pair.symbol_id if pair.counterparty_isolated else 0
            assert self.desk.scope(pair.counterparty_id, symbol).equity_units >= 0
        if pairs and not pairs[0].isolated:
            missing = max(0, -before[pairs[0].account_id].equity_units)
            assert sum(pair.haircut_units for pair in pairs) <= missing + len(pairs)

    def _step(self, events: tuple[Event, ...], before: dict[int, ScopeMargin]) -> None:
        """10: equity / MM does not fall through a step, a rounding unit aside."""
        if not isinstance(events[0], LiquidationPlaced):
            return
        (last,) = (event for event in events if isinstance(event, ScopeState))
        first = before[last.account_id]
        if last.symbol_id == 0 and first.equity_units >= 0:
            slack = 2 * (first.maintenance_units + abs(first.equity_units))
            then = first.equity_units * last.maintenance_units
            assert last.equity_units * first.maintenance_units >= then - slack

    def _fills(self, events: tuple[Event, ...], before: dict[int, ScopeMargin]) -> None:
        """5: no fill leaves anybody with less than nothing; all or nothing is either."""
        accepted = events[0]
        if isinstance(accepted, OrderAccepted) and accepted.time_in_force is TimeInForce.FOK:
            closed = [e for e in events if isinstance(e, OrderClosed)]
            reasons = [e.reason for e in closed if e.order_id == accepted.order_id]
            assert reasons == [CloseReason.FILLED]
        if not any(isinstance(event, Trade | PerpetualTrade) for event in events):
            return
        if any(isinstance(event, IndexSet | Deleveraged) for event in events):
            return
        frozen = {one.account_id for one in self.desk.engine.frozen()}
        for account in {*ALL} - frozen:
            now = self.desk.scope(account).equity_units
            assert now >= min(0, before[account].equity_units)


@settings(max_examples=examples(40))
@given(chances)
def test_the_invariants_hold_after_any_stream(seed: int) -> None:
    """Money, positions, funding, liquidation and deleveraging, command by command."""
    chance = random.Random(seed)
    watch = Watch(drawn_desk(chance))
    draw = Draw(watch.desk, chance)
    for _ in range(60):
        for command in draw.next():
            watch.run(command)


@settings(max_examples=examples(15))
@given(chances, st.integers(0, 60))
def test_snapshot_and_replay_give_the_same(seed: int, cut: int) -> None:
    """Restored anywhere the engine goes on the same; every event is what the codec writes."""
    chance = random.Random(seed)
    desk = drawn_desk(chance)
    draw = Draw(desk, chance)
    commands: list[tuple[int, Command]] = []
    copy = restore_engine(desk.engine.snapshot())
    start = desk.time_us
    for place in range(60):
        for command in draw.next():
            if place == cut:
                copy, start, commands = restore_engine(desk.engine.snapshot()), desk.time_us, []
            desk.run(command)
            commands.append((desk.time_us, command))
    assert encode_events(desk.events) == bytes(desk.raw)
    digest, desk.engine = desk.engine.digest(), copy
    desk.time_us = start
    for time_us, command in commands:
        desk.time_us = time_us - 1
        desk.run(command)
    assert copy.digest() == digest


REACHED = {
    "PerpetualTrade",
    "ScopeFrozen",
    "ScopeUnfrozen",
    "LiquidationPlaced",
    "TakenOver",
    "Deleveraged",
    "FundingPaid",
    "UnwindPlaced",
    "MarginMoved",
    "PerpetualStateSet",
}


def test_streams_reach_every_step() -> None:
    """The draw is worth its name: it liquidates, takes over, deleverages, pays, unwinds."""
    seen: set[str] = set()
    for seed in range(60):
        chance = random.Random(seed)
        watch = Watch(drawn_desk(chance))
        draw = Draw(watch.desk, chance)
        for _ in range(80):
            for command in draw.next():
                watch.run(command)
        seen |= {kind.__name__ for kind in watch.seen}
        if seen >= REACHED:
            return
    assert REACHED - seen == set()
