"""Thousands of scopes below their margin at one mark, and how everybody reaches the end."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from domain.checker_positions import RUIN
from domain.commands import CancelAll, Command, Credit, PlaceOrder
from domain.order import OrderType, Side, TimeInForce
from domain.perpetual_terms import MAX_SOURCES
from domain.risk_commands import SetIndex, SetLeverage
from workers.simulation.market import ETH_PERP, PERPETUALS, USDT, WHOLE, listings, lots_of
from workers.simulation.prices import STEP_US
from workers.simulation.risk_service import RiskService
from workers.simulation.run import invariants_of, violations_of
from workers.simulation.shard import SimulatedShard

_WHALES = tuple(range(1, 21))
_FIRST = 1_000
_NOTIONAL = 1_000 * WHOLE
_FALL = 94, 100  # what is left of the price
_CASH = (53 * WHOLE, 64 * WHOLE)
_MOST_STEPS = 2_000


class _Crash:
    """Whales are short, `scopes` accounts long with little cash; then the price falls."""

    def __init__(self, shard: SimulatedShard, scopes: int, chance: random.Random) -> None:
        self._shard = shard
        self._accounts = range(_FIRST, _FIRST + scopes)
        self._chance = chance
        self._keys = iter(range(1, 1 << 62))
        self._prices = {market.symbol_id: market.price_ticks for market in PERPETUALS}

    def open(self) -> None:
        """Open every position, with a fresh mark."""
        self._shard.run(listings(3_600))
        self._shard.run([self._credit(whale, 50_000_000 * WHOLE) for whale in _WHALES])
        self._shard.run([SetLeverage(whale, ETH_PERP, 10) for whale in _WHALES])
        for _ in range(34):
            self.step()
        self._shard.run(list(self._entries()))

    def fall(self) -> None:
        """Let the price fall, and everybody be breached."""
        left, of = _FALL
        self._prices[ETH_PERP] = self._prices[ETH_PERP] * left // of

    def step(self) -> None:
        """Let time pass: sources speak, whales quote, and bid for some of what has to be sold."""
        shard, price = self._shard, self._prices[ETH_PERP]
        shard.now_us += STEP_US
        commands: list[Command] = []
        for whale in _WHALES[:4]:
            commands += [CancelAll(whale, ETH_PERP)]
            commands += self._quotes(whale, price)
        for symbol_id, said in self._prices.items():
            none = (0,) * (MAX_SOURCES - 3)
            times = (*(shard.now_us,) * 3, *none)
            commands.append(SetIndex(symbol_id, (*(said,) * 3, *none), times))
        shard.run(commands)

    def _quotes(self, whale: int, price: int) -> Iterator[Command]:
        lots = lots_of(20 * _NOTIONAL, price)
        yield self._order(whale, Side.BUY, price - price // 500, lots, TimeInForce.GTC)
        yield self._order(whale, Side.SELL, price + price // 500, lots, TimeInForce.GTC)

    def _entries(self) -> Iterator[Command]:
        price = self._prices[ETH_PERP]
        lots = lots_of(_NOTIONAL, price)
        for account_id in self._accounts:
            yield self._credit(account_id, self._chance.randint(*_CASH))
            yield SetLeverage(account_id, ETH_PERP, 50)
            whale = self._chance.choice(_WHALES[4:])
            yield self._order(whale, Side.SELL, price, lots, TimeInForce.GTC)
            yield self._order(account_id, Side.BUY, price, lots, TimeInForce.IOC)

    def _credit(self, account_id: int, units: int) -> Credit:
        return Credit(next(self._keys), account_id, USDT.asset_id, units, self._shard.now_us)

    def _order(
        self, account_id: int, side: Side, price: int, lots: int, how_long: TimeInForce
    ) -> PlaceOrder:
        key = next(self._keys)
        return PlaceOrder(account_id, key, ETH_PERP, side, OrderType.LIMIT, how_long, price, lots)


def breach(
    scopes: int, seed: int, kind: str, progress: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Breach so many scopes at one mark and go on until none is left; return how it went."""
    with tempfile.TemporaryDirectory(prefix="rialto-simulate-") as folder:
        return asyncio.run(_breach(scopes, seed, kind, Path(folder), progress))


async def _breach(
    scopes: int, seed: int, kind: str, folder: Path, progress: Callable[[int], None]
) -> dict[str, Any]:
    shard = SimulatedShard(folder, kind)
    chance = random.Random(seed)  # noqa: S311 - a story, not a secret
    crash, service = _Crash(shard, scopes, chance), RiskService(shard, chance)
    crash.open()
    service.top_up(scopes * WHOLE // 2)
    crash.fall()
    crash.step()
    begun = time.perf_counter()
    await service.look()
    freeze_ms = (time.perf_counter() - begun) * 1_000
    frozen, steps = service.open_count, 0
    while service.open_count and steps < _MOST_STEPS:
        await service.work()
        progress(frozen - service.open_count)
        crash.step()
        await service.look()
        steps += 1
    left, sequence = service.open_count, shard.engine.sequence
    text = f"after {steps} steps {left} liquidations have not ended"
    shard.findings.expect(RUIN, left == 0, text, sequence=sequence)
    seconds = time.perf_counter() - begun
    shard.sweep()
    shard.replay()
    shard.close()
    report, counts = shard.findings.report(), service.counts
    return {
        "seed": seed,
        "scopes": scopes,
        "engine": kind,
        "ok": report.ok,
        "frozen_at_once": frozen,
        "freeze_ms": round(freeze_ms),
        "finished": counts["finished"],
        "left": left,
        "steps": steps,
        "seconds": round(seconds, 1),
        "slices": shard.counts["LiquidationPlaced"],
        "takeovers": shard.counts["TakenOver"],
        "adl_fills": shard.invariants.deleveraged.pairs,
        "haircut_units": shard.invariants.deleveraged.haircut_units,
        "shortfall_units": shard.invariants.deleveraged.shortfall_units,
        "fund_units": shard.picture.fund_units(),
        "shortfalls": counts["shortfalls"],
        "invariants": invariants_of(report.invariants),
        "violations": violations_of(report.violations),
        "digest": shard.engine.digest().hex(),
    }
