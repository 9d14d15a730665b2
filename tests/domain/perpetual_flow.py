"""Made-up commands of perpetuals whose events hang together: every kind that moves money."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from domain.events import (
    Deleveraged,
    DustSwept,
    Event,
    FundingPaid,
    FundingSettled,
    FundToppedUp,
    MarketSettled,
    PerpetualTrade,
    PositionSettled,
    TakenOver,
    Ticked,
)
from domain.order import Side
from domain.position import Position, PositionChange, after_fill
from domain.risk_commands import FUND_ACCOUNT

UNITS_PER_TICK_LOT = 7
INTERVAL_US = 28_800_000_000


@dataclass
class PerpetualFlow:
    """A shard that trades between random accounts; `cash`, `fees` are engine units of `asset_id`.

    Market 1 is spot's elsewhere; here `symbols` are the perpetuals, all settled in one asset.
    """

    seed: int
    symbols: tuple[int, ...] = (3, 4)
    accounts: int = 6
    asset_id: int = 1
    sequence: int = 0
    trade_id: int = 0
    positions: dict[tuple[int, int], Position] = field(default_factory=dict)
    realised: Counter[tuple[int, int]] = field(default_factory=Counter)
    cash: Counter[int] = field(default_factory=Counter)
    fees: int = 0
    rounding: int = 0
    topped_up: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def position(self, account: int, symbol: int) -> Position:
        return self.positions.get((account, symbol), Position())

    def commands(self, count: int) -> list[Event]:
        """Return the events of `count` commands, dense from the next sequence."""
        events: list[Event] = []
        for _ in range(count):
            self.sequence += 1
            act = self._random.choices(
                (self._trade, self._fund, self._take, self._deleverage, self._pay, self._close),
                (60, 8, 8, 8, 8, 2),
            )[0]
            events += act() or [Ticked(self.sequence, 0, self.sequence * 1000)]
        return events

    def _change(self, account: int, symbol: int, lots: int, cost: int) -> PositionChange:
        change = after_fill(self.position(account, symbol), lots, cost)
        self.positions[account, symbol] = change.position
        if not change.position.lots:
            del self.positions[account, symbol]
        self.cash[account] += change.realised_units
        self.realised[account, symbol] += change.realised_units
        return change

    def _trade(self) -> list[Event]:
        chance = self._random
        events: list[Event] = [Ticked(self.sequence, 0, self.sequence * 1000)]
        everyone = [*range(1, self.accounts + 1), FUND_ACCOUNT]
        taker, symbol = chance.choice(everyone), chance.choice(self.symbols)
        side = Side(chance.randint(0, 1))
        for index in range(1, chance.randint(2, 4)):
            maker = chance.choice([one for one in everyone if one != taker])
            lots, price = chance.randint(1, 40), chance.randint(90, 110)
            quote = lots * price * UNITS_PER_TICK_LOT
            sign = 1 if side is Side.BUY else -1
            ours = self._change(maker, symbol, -sign * lots, -sign * quote)
            theirs = self._change(taker, symbol, sign * lots, sign * quote)
            insurance = 0 if FUND_ACCOUNT in (maker, taker) else chance.choice((0, 0, 5, -3))
            maker_fee, taker_fee = chance.randint(-2, 4), chance.randint(2, 9)
            self.trade_id += 1
            self.cash[maker] -= maker_fee
            self.cash[taker] -= taker_fee + insurance
            self.cash[FUND_ACCOUNT] += insurance
            self.fees += maker_fee + taker_fee
            events.append(
                PerpetualTrade(
                    sequence=self.sequence,
                    index=index,
                    symbol_id=symbol,
                    trade_id=self.trade_id,
                    taker_side=side,
                    maker_order_id=self.trade_id * 2,
                    taker_order_id=self.sequence,
                    maker_account_id=maker,
                    taker_account_id=taker,
                    price_ticks=price,
                    quantity_lots=lots,
                    quote_units=quote,
                    maker_fee_units=maker_fee,
                    taker_fee_units=taker_fee,
                    insurance_units=insurance,
                    maker_lots=ours.position.lots,
                    maker_cost_units=ours.position.cost_units,
                    maker_realised_units=ours.realised_units,
                    taker_lots=theirs.position.lots,
                    taker_cost_units=theirs.position.cost_units,
                    taker_realised_units=theirs.realised_units,
                    maker_isolated=chance.random() < 0.2,
                    taker_isolated=chance.random() < 0.2,
                )
            )
        return events

    def _fund(self) -> list[Event]:
        """Funding: each entry rounded down, what that leaves goes to the rounding account."""
        symbol, rate = self._random.choice(self.symbols), self._random.randint(-900, 900)
        held = sorted((a, p.lots) for (a, s), p in self.positions.items() if s == symbol)
        amounts = [-lots * 100 * UNITS_PER_TICK_LOT * rate // 1_000_000 for _, lots in held]
        dust = -sum(amounts)
        self.rounding += dust
        instant = self.sequence * INTERVAL_US
        head = (self.sequence, 0, self.sequence * 1000, symbol, instant, rate, rate, 100)
        events: list[Event] = [FundingSettled(*head, dust, len(held))]
        for index, ((account, lots), amount) in enumerate(zip(held, amounts, strict=True), 1):
            self.cash[account] += amount
            events.append(
                FundingPaid(self.sequence, index, symbol, account, lots, amount, isolated=False)
            )
        return events

    def _opposites(self) -> tuple[int, int, int] | None:
        """Return a symbol, and two accounts (not the fund's) with positions against each other."""
        for symbol in self._random.sample(self.symbols, len(self.symbols)):
            held = {
                account: position.lots
                for (account, s), position in self.positions.items()
                if s == symbol and account != FUND_ACCOUNT
            }
            longs = [account for account, lots in held.items() if lots > 0]
            shorts = [account for account, lots in held.items() if lots < 0]
            if longs and shorts:
                return symbol, self._random.choice(longs), self._random.choice(shorts)
        return None

    def _deleverage(self) -> list[Event]:
        found = self._opposites()
        if found is None:
            return []
        symbol, one, other = found
        reach = min(abs(self.position(who, symbol).lots) for who in (one, other))
        lots = self._random.randint(1, reach)
        quote = lots * self._random.randint(80, 120) * UNITS_PER_TICK_LOT + 3
        ours = self._change(one, symbol, -lots, -quote)
        theirs = self._change(other, symbol, lots, quote)
        return [
            Deleveraged(
                *(self.sequence, 0, self.sequence * 1000, self.sequence, one, other, symbol),
                *(-lots, quote, 0),
                *(ours.position.lots, ours.position.cost_units, ours.realised_units),
                *(theirs.position.lots, theirs.position.cost_units, theirs.realised_units),
                isolated=False,
                counterparty_isolated=False,
            )
        ]

    def _take(self) -> list[Event]:
        found = self._opposites()
        if found is None:
            return []
        symbol, account, _ = found
        lots = self.position(account, symbol).lots
        quote = lots * self._random.randint(80, 120) * UNITS_PER_TICK_LOT - 5
        ours = self._change(account, symbol, -lots, -quote)
        theirs = self._change(FUND_ACCOUNT, symbol, lots, quote)
        return [
            TakenOver(
                *(self.sequence, 0, self.sequence * 1000, self.sequence, account, symbol),
                *(-lots, quote),
                *(ours.position.lots, ours.position.cost_units, ours.realised_units),
                *(theirs.position.lots, theirs.position.cost_units, theirs.realised_units),
                isolated=False,
            )
        ]

    def _pay(self) -> list[Event]:
        head = (self.sequence, 0, self.sequence * 1000, self.sequence, FUND_ACCOUNT, self.asset_id)
        if self.rounding and self._random.random() < 0.5:
            amount, self.rounding = self.rounding, 0
            self.cash[FUND_ACCOUNT] += amount
            return [DustSwept(*head, amount)]
        amount = self._random.randint(10**6, 10**7)
        self.topped_up += amount
        self.cash[FUND_ACCOUNT] += amount
        return [FundToppedUp(*head, amount)]

    def _close(self) -> list[Event]:
        """Close every position of a market at one price."""
        symbol = self._random.choice(self.symbols)
        held = sorted(account for account, s in self.positions if s == symbol)
        head = (self.sequence, 0, self.sequence * 1000, self.sequence, symbol, 100, len(held))
        events: list[Event] = [MarketSettled(*head)]
        for index, account in enumerate(held, 1):
            before = self.position(account, symbol)
            change = self._change(
                account, symbol, -before.lots, -before.lots * 100 * UNITS_PER_TICK_LOT
            )
            place = (self.sequence, index, symbol, account, before.lots, before.cost_units)
            events.append(PositionSettled(*place, change.realised_units, isolated=False))
        return events
