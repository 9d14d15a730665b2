"""Prices without any venue: a path that a seed and a time determine, and shocks on demand.

Three such sources make the index of an exchange that runs by itself. They share one path, each
with a little noise of its own, as venues do. Everything is integers and hashes, so the same seed
gives the same price at the same microsecond on every machine, whenever it is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from hashlib import blake2b

from domain.index_price import SourcePrice
from domain.money import PPM
from domain.rounding import half_even_div
from infra.prices.shocks import Shock
from infra.prices.source import SOURCE_IDS, PricedMarket, SourceHealth

_SECOND_US = 1_000_000
_SWINGS = (  # (seconds from one turn to the next, how far in ppm)
    (21_600, 30_000),
    (1_800, 8_000),
    (120, 1_500),
    (10, 150),
)
_OWN_SWING = (3, 40)
_PRICE_EVERY_US = 100_000  # as if somebody traded ten times a second

SYNTHETIC = tuple(name for name in SOURCE_IDS if name.startswith("synthetic-"))


def path_ppm(seed: int, symbol: str, time_us: int) -> int:
    """Return how far a market is from its start, in ppm, within the sum of the swings (4 %)."""
    return sum(_swing_ppm(f"{seed}/{symbol}", time_us, *swing) for swing in _SWINGS)


def _swing_ppm(name: str, time_us: int, seconds: int, reach_ppm: int) -> int:
    """Return one swing: straight from turn to turn, each turn where its hash says; rounded down."""
    period_us = seconds * _SECOND_US
    turn, since_us = divmod(time_us, period_us)
    here, there = (_turn_ppm(f"{name}/{seconds}/{turn + n}", reach_ppm) for n in (0, 1))
    return here + (there - here) * since_us // period_us


def _turn_ppm(name: str, reach_ppm: int) -> int:
    drawn = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")
    return drawn % (2 * reach_ppm + 1) - reach_ppm


class SyntheticSource:
    """One of the three; `shocks` returns what is asked for at the moment."""

    def __init__(self, name: str, seed: int, shocks: Callable[[], Sequence[Shock]]) -> None:
        self.name = name
        self.source_id = SOURCE_IDS[name]
        self.health = SourceHealth(is_connected=True, sessions=1)
        self._seed = seed
        self._shocks = shocks
        self._markets: dict[int, PricedMarket] = {}

    def watch(self, markets: Sequence[PricedMarket]) -> None:
        """Have prices of exactly these markets."""
        self._markets = {market.symbol_id: market for market in markets}

    async def run(self) -> None:
        """Do nothing: a price is made when it is asked for."""
        await asyncio.Event().wait()

    def price(self, symbol_id: int, now_us: int) -> SourcePrice | None:
        """Return the price of the last tenth of a second, half-even to the tick.

        start x (1 + path + own noise) x (1 + shock); while a shock silences the source, the price
        is the one before the silence, and goes stale.
        """
        market = self._markets.get(symbol_id)
        if market is None:
            return None
        shocks = [one for one in self._shocks() if one.concerns(market.symbol, self.name)]
        time_us = min([now_us, *(one.start_us for one in shocks if one.silences(now_us))])
        time_us -= time_us % _PRICE_EVERY_US
        own = _swing_ppm(f"{self._seed}/{market.symbol}/{self.name}", time_us, *_OWN_SWING)
        ppm = PPM + path_ppm(self._seed, market.symbol, time_us) + own
        shocked = PPM + sum(one.ppm_at(time_us) for one in shocks)
        ticks = half_even_div(market.start_ticks * ppm * max(0, shocked), PPM * PPM)
        return SourcePrice(self.source_id, max(1, ticks), time_us)
