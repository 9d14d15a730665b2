"""A desk whose engine a risk service follows: events at once in the picture, doors that fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domain import risk_commands as r
from domain.commands import Command
from domain.errors import RejectReason
from domain.events import Event
from domain.liquidation_story import LiquidationRequest
from domain.risk_commands import FUND_ACCOUNT
from domain.risk_picture import FrozenScope, RiskPicture, ScopeKey
from matching.codec import encode_events
from tests.matching.desk import USDT
from tests.matching.perpetual_desk import PERP, PerpetualDesk, terms
from workers.risk_door import freezes_in
from workers.risk_news import ShardNews
from workers.risk_watch import RiskWatch

VICTIM = 5


class RiskDesk(PerpetualDesk):
    """A perpetual desk with its picture; implements the risk service's doors.

    `lost_before` and `lost_after` are numbers of commands, counted from 1 on: the door fails
    before the engine has had the command, or before its answer is there.
    """

    def __init__(self, **changed: Any) -> None:
        self.news = ShardNews(RiskPicture(), None, clock=lambda: self.time_us)
        self.by_sequence: dict[int, tuple[Event, ...]] = {}
        self.asked: list[Command] = []
        self.lost_before: set[int] = set()
        self.lost_after: set[int] = set()
        super().__init__(terms(**changed))
        self.fund(1, 2, 3)
        for account in (1, 2, 3):
            self.leverage(account, 20)
        self._key = 10**6

    def run(self, command: Command) -> tuple[Event, ...]:
        """Run a command and let the picture hear of it."""
        events = super().run(command)
        self.by_sequence[events[0].sequence] = events
        for event in events:
            self.news.picture.apply(event)
        return events

    def top_up(self, units: int) -> None:
        """Give the fund cash."""
        self._key += 1
        self.run(r.TopUpFund(self._key, USDT, units, self.time_us))

    def victim(self, lots: int = 99, account: int = VICTIM, against: int = 2) -> None:
        """Let an account be long with little cash, bought at 1,000."""
        self.fund(account, units=50_000)
        self.leverage(account, 20)
        self.pair(account, against, lots)

    # ---- the doors ------------------------------------------------------------------------------

    async def submit(self, command: Command) -> tuple[Event, ...]:
        """Run a command, or lose it or its answer where a test wants that."""
        self.asked.append(command)
        number = len(self.asked)
        if number in self.lost_before:
            raise ConnectionError("the engine was away")
        events = self.run(command)
        await self.news.tell()
        if number in self.lost_after:
            raise ConnectionError("the answer was lost")
        return events

    async def submit_many(self, commands: Sequence[Command]) -> list[tuple[Event, ...]]:
        """Run commands in order."""
        return [await self.submit(command) for command in commands]

    async def freeze(self, commands: Sequence[Command]) -> list[FrozenScope | RejectReason]:
        """Run FREEZE commands in order; what they came to is read as from a real engine."""
        answers = [await self.submit(command) for command in commands]
        return freezes_in(b"".join(encode_events(events) for events in answers))

    async def events_at(self, sequence: int) -> tuple[Event, ...]:
        """Return the events of one command."""
        return self.by_sequence[sequence]

    async def book(self, symbol_id: int, depth: int) -> tuple[int, Any, Any]:
        """Return (sequence, bids, asks)."""
        return self.engine.sequence, *self.engine.book(symbol_id, depth)

    async def watch(self) -> RiskWatch:
        """Let the monitor look once, and freeze."""
        await self.news.tell()
        watch = RiskWatch(self.news, self)
        await watch.look()
        await self.news.tell()
        return watch

    # ---- what tests compare ---------------------------------------------------------------------

    def request(self, account: int = VICTIM, symbol_id: int = 0) -> LiquidationRequest:
        """Return the request of a frozen scope's liquidation."""
        found = self.news.picture.frozen[ScopeKey(account, symbol_id)]
        return LiquidationRequest(0, account, symbol_id, f"{found.key:032x}", found.sequence)

    def books(self) -> dict[str, Any]:
        """Return all money and positions."""
        accounts = {account for account, _ in self.engine.balances()} | {FUND_ACCOUNT}
        return {
            "balances": self.engine.balances(),
            "fees": self.engine.fees(),
            "dust": self.engine.dust(),
            "positions": {
                account: [(one.symbol_id, one.lots, one.cost_units) for one in found]
                for account in sorted(accounts)
                if (found := self.engine.positions(account))
            },
        }


def fallen(price: int = 958, lots: int = 99, **changed: Any) -> RiskDesk:
    """Return a desk where the victim is below his margin, with a bid two ticks below the mark."""
    desk = RiskDesk(**changed)
    desk.victim(lots)
    desk.move(price)
    desk.buy(90, price - 2, 1_000)
    return desk


def without_bids(price: int, **changed: Any) -> RiskDesk:
    """Return the same where nobody buys near the mark."""
    desk = RiskDesk(**changed)
    desk.victim()
    desk.cancel_all(90)
    desk.buy(90, 880, 10)
    desk.sell(90, 1_020, 10)
    desk.move(price)
    return desk


__all__ = ["PERP", "VICTIM", "RiskDesk", "fallen", "without_bids"]
