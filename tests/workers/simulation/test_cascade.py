"""Forced sales in a thin book, October 2025: how far they can move the mark in a minute."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.commands import Command, Credit, PlaceOrder
from domain.events import Event, LiquidationPlaced, PerpetualTrade
from domain.money import PPM
from domain.order import OrderType, Side, TimeInForce
from domain.perpetual_terms import MAX_SOURCES
from domain.risk_commands import SetIndex, SetLeverage
from workers.simulation.market import ETH_PERP, USDT, WHOLE, listings, lots_of
from workers.simulation.prices import STEP_US
from workers.simulation.risk_service import RiskService
from workers.simulation.shard import SimulatedShard

PRICE = 20_000
FALLEN = PRICE * 98 // 100
SCOPES = 150
WHALE, MAKER, FIRST = 1, 2, 1_000
MINUTE = 12  # steps


class Thin(SimulatedShard):
    """A market whose book is small beside what may have to be sold; remembers every forced sale."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.sales: list[int] = []  # each sale's price less the mark, ppm of it
        self._keys = iter(range(1, 1 << 40))
        super().__init__(folder, kind)

    def _read(self, data: bytes) -> list[tuple[Event, ...]]:
        answers = super()._read(data)
        for events in answers:
            if isinstance(events[0], LiquidationPlaced):
                mark = self.picture.markets[ETH_PERP].mark_ticks
                trades = [event for event in events if isinstance(event, PerpetualTrade)]
                self.sales += [(trade.price_ticks - mark) * PPM // mark for trade in trades]
        return answers

    @property
    def mark(self) -> int:
        return self.picture.markets[ETH_PERP].mark_ticks

    def order(self, account: int, side: Side, price: int, lots: int, **terms: Any) -> PlaceOrder:
        how_long = terms.get("how_long", TimeInForce.GTC)
        key = next(self._keys)
        return PlaceOrder(account, key, ETH_PERP, side, OrderType.LIMIT, how_long, price, lots)

    def index(self, price: int) -> None:
        """Let time pass, and three sources say a price."""
        self.now_us += STEP_US
        none = (0,) * (MAX_SOURCES - 3)
        times = (*(self.now_us,) * 3, *none)
        self.run([SetIndex(ETH_PERP, (*(price,) * 3, *none), times)])

    def credit(self, account: int, units: int) -> Credit:
        return Credit(next(self._keys), account, USDT.asset_id, units, self.now_us)

    def open(self, chance: random.Random) -> None:
        """Fill the market: one whale short, many long with little."""
        self.run(listings(3_600))
        self.run([self.credit(account, 10**7 * WHOLE) for account in (WHALE, MAKER)])
        for _ in range(40):
            self.index(PRICE)
        self.run(list(self._entries(chance)))
        self.index(PRICE)

    def fall(self) -> None:
        """Let everything fall by 2 %; the bids below are few, and nobody bids anew behind them."""
        lots = lots_of(1_000 * WHOLE, PRICE)
        self.run([self.order(MAKER, Side.BUY, FALLEN, 1), self.order(WHALE, Side.SELL, FALLEN, 1)])
        self.run([self.order(MAKER, Side.SELL, FALLEN + 40, lots)])
        for place in range(100):
            self.run([self.order(MAKER, Side.BUY, FALLEN - 40 - 10 * place, lots // 5)])
        self.index(FALLEN)

    def _entries(self, chance: random.Random) -> Iterator[Command]:
        lots = lots_of(1_000 * WHOLE, PRICE)
        yield SetLeverage(WHALE, ETH_PERP, 10)
        yield SetLeverage(MAKER, ETH_PERP, 10)
        for account in range(FIRST, FIRST + SCOPES):
            yield self.credit(account, chance.randint(22, 40) * WHOLE)
            yield SetLeverage(account, ETH_PERP, 50)
            yield self.order(WHALE, Side.SELL, PRICE, lots)
            yield self.order(account, Side.BUY, PRICE, lots, how_long=TimeInForce.IOC)


async def _cascade(shard: Thin, steps: int) -> tuple[RiskService, list[int]]:
    """Let the index fall by 2 % and stand; return the marks, a step each."""
    chance = random.Random(3)
    service = RiskService(shard, chance)
    shard.open(chance)
    service.top_up(SCOPES * WHOLE)
    marks = [shard.mark]
    shard.fall()
    for step in range(steps):
        marks.append(shard.mark)
        await service.look()
        await service.work()
        if step == steps // 2:  # who waits for a book has one again
            bid = lots_of(SCOPES * 1_000 * WHOLE, PRICE)
            shard.run([shard.order(MAKER, Side.BUY, shard.mark - 20, bid)])
        shard.index(FALLEN)
    return service, marks


@pytest.mark.parametrize("kind", ["core", "reference"])
def test_slices_and_band_bound_the_mark_move_a_minute(tmp_path: Path, kind: str) -> None:
    """Each sale lowers the last price and the book, of which the next mark is made.

    No sale reaches below the band around the mark that it met. The mark is a median with the index
    and with the mean basis of minutes, so in a minute it moves by the index's own fall and no more
    than the band besides; what the book does not take goes to the fund and to the other side.
    """
    shard = Thin(tmp_path, kind)
    service, marks = asyncio.run(_cascade(shard, 60))
    shard.sweep()
    shard.close()
    assert shard.findings.report().violations == ()
    assert service.counts["frozen"] > SCOPES // 4
    assert service.open_count == 0
    assert len(shard.sales) >= 10
    assert min(shard.sales) >= -50_000
    moves = [
        abs(after - before) * PPM // before
        for place, before in enumerate(marks)
        for after in marks[place : place + MINUTE + 1]
    ]
    assert 20_000 <= max(moves) <= 20_000 + 50_000
