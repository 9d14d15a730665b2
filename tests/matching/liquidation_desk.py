"""A perpetual's desk with a liquidation of account 5 under way."""

from __future__ import annotations

from dataclasses import replace

from domain import risk_commands as r
from domain.events import (
    Event,
    MarginMoved,
)
from domain.risk_commands import MarginMode
from tests.matching.desk import USDT
from tests.matching.perpetual_desk import PERP, PerpetualDesk, terms


class Liquidation(PerpetualDesk):
    """A desk with a liquidation of account 5 under way, and keys for its steps."""

    def __init__(self, **changed: object) -> None:
        super().__init__(terms(**{"max_slices": 1, **changed}))
        self.fund(1, 2, 3)
        for account in (1, 2, 3):
            self.leverage(account, 20)
        self.key = 10**6

    def top_up(self, units: int) -> Event:
        """Give the fund cash."""
        self.key += 1
        return self.run(r.TopUpFund(self.key, USDT, units, self.time_us))[0]

    def version(self, account: int = 5, symbol_id: int = 0) -> int:
        """Return the version of a frozen scope."""
        return self.scope(account, symbol_id).version

    def freeze(self, account: int = 5, symbol_id: int = 0) -> tuple[Event, ...]:
        """Freeze a scope."""
        self.key += 1
        return self.run(r.Freeze(self.key, account, symbol_id))

    def unfreeze(self, account: int = 5, symbol_id: int = 0) -> tuple[Event, ...]:
        """Unfreeze a scope."""
        self.key += 1
        version = self.version(account, symbol_id)
        return self.run(r.Unfreeze(self.key, account, symbol_id, version))

    def liquidate(self, lots: int, limit: int = 0, **other: object) -> tuple[Event, ...]:
        """Close some of account 5's position in the book."""
        self.key += 1
        command = r.Liquidate(self.key, 5, PERP, lots, limit, self.version())
        return self.run(replace(command, **other))  # type: ignore[arg-type]

    def take_over(self, lots: int, **other: object) -> tuple[Event, ...]:
        """Let the fund take over some of account 5's position."""
        self.key += 1
        command = r.TakeOver(self.key, 5, PERP, lots, self.version())
        return self.run(replace(command, **other))  # type: ignore[arg-type]

    def deleverage(self, counterparty: int, lots: int, **other: object) -> tuple[Event, ...]:
        """Close some of account 5's position against a counterparty."""
        self.key += 1
        command = r.Deleverage(self.key, 5, PERP, counterparty, lots, self.version())
        return self.run(replace(command, **other))  # type: ignore[arg-type]

    def unwind(self, lots: int, limit: int = 0) -> tuple[Event, ...]:
        """Sell some of the fund's position."""
        self.key += 1
        return self.run(r.Unwind(self.key, PERP, lots, limit))


def below(price: int = 958, lots: int = 99, **changed: object) -> Liquidation:
    """Return a desk where account 5 is long, bought at 1,000, and the mark has fallen.

    There is a bid two ticks below the mark.
    """
    desk = Liquidation(**changed)
    desk.fund(5, units=50_000)
    desk.leverage(5, 20)
    desk.pair(5, 2, lots)
    desk.move(price)
    desk.buy(90, price - 2, 1_000)
    return desk


def sliced(price: int = 945, **changed: object) -> Liquidation:
    """Return a desk whose account 5 has had its slice in an empty book, and is insolvent."""
    desk = below(price, 99, **changed)
    desk.cancel_all(90)
    desk.freeze()
    desk.liquidate(1)
    return desk


def isolated() -> Liquidation:
    """Return a desk where account 5 is long on isolated margin, with much beside it."""
    desk = Liquidation()
    desk.fund(5, units=10**6)
    desk.run(r.SetMarginMode(5, PERP, MarginMode.ISOLATED))
    desk.leverage(5, 20)
    moved = desk.run(r.MoveMargin(5_000, 5, PERP, 50_000, desk.time_us))[0]
    assert isinstance(moved, MarginMoved)
    desk.pair(5, 2, 99)
    return desk
