"""Where prices go, and what the index sources say of it: drawn whole, so that a seed is a story.

Only whole numbers: the same seed gives the same prices on every machine.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from domain.money import PPM
from domain.perpetual_terms import MAX_SOURCES
from domain.risk_commands import SetIndex
from workers.simulation.market import MARKETS, Listed

STEP_US = 5_000_000
"""How much time a step takes."""
PERIOD = 600
"""Each so many steps have a fall, a rise, gaps and a crash; a shorter run has one of each."""
_FINE = 1_000  # parts of a tick that prices are kept in
_WIGGLE_PPM = 350
_SOURCES = 4


class Gap(StrEnum):
    """What is wrong with the index sources."""

    MISSING = "two sources are missing"
    STALE = "sources repeat what they said"
    SILENT = "nobody says anything"
    ASTRAY = "one source is far off"


@dataclass(frozen=True, slots=True)
class Shock:
    """A move of all prices by `move_ppm` in all, in equal parts over `steps` steps."""

    first: int
    steps: int
    move_ppm: int

    def part_ppm(self, step: int) -> int:
        """Return by how much prices move in a step; the parts multiply to about the whole."""
        if not self.first <= step < self.first + self.steps:
            return 0
        if self.steps == 1:
            return self.move_ppm
        done = step - self.first
        before = PPM + self.move_ppm * done // self.steps
        return (PPM + self.move_ppm * (done + 1) // self.steps) * PPM // before - PPM


@dataclass(frozen=True, slots=True)
class Weather:
    """All that happens from outside, by step."""

    shocks: tuple[Shock, ...]
    gaps: tuple[tuple[int, int, Gap], ...]  # first step, end, what
    crashes: frozenset[int]

    def gap(self, step: int) -> Gap | None:
        """Return what is wrong with the sources in a step."""
        return next((gap for first, end, gap in self.gaps if first <= step < end), None)

    def move_ppm(self, step: int) -> int:
        """Return by how much the shocks move prices in a step."""
        return sum(shock.part_ppm(step) for shock in self.shocks)


def forecast(chance: random.Random, steps: int) -> Weather:
    """Draw the weather: in each period a fall of 30 %, a slide, a rise of 40 %, gaps, a crash."""
    shocks: list[Shock] = []
    gaps: list[tuple[int, int, Gap]] = []
    crashes: set[int] = set()
    kinds = list(Gap)
    for start in range(0, steps, PERIOD):
        length = min(PERIOD, steps - start)
        for share, move in ((20, -300_000), (55, 400_000)):
            over = min(chance.choice((1, 1, 3, 12)), max(1, length // 20))
            shocks.append(Shock(start + length * share // 100, over, move))
        shocks.append(Shock(start + length * 33 // 100, max(3, length // 7), -120_000))
        for share in (10, 45, 70):
            first = start + length * share // 100
            kind = kinds[len(gaps) % len(kinds)]
            gaps.append((first, first + max(1, min(chance.randint(3, 12), length // 15)), kind))
        crashes.add(start + length * 80 // 100)
        for _ in range(length // 200):
            move = chance.choice((-150_000, -80_000, 90_000, 160_000))
            shocks.append(Shock(start + chance.randrange(length), chance.choice((1, 6, 30)), move))
    return Weather(tuple(shocks), tuple(gaps), frozenset(crashes))


class Prices:
    """The true price of each market, and what sources say of it; a spot market follows its perp."""

    def __init__(self, chance: random.Random, weather: Weather) -> None:
        self._chance = chance
        self._weather = weather
        self._fine = {market.base.code: market.price_ticks * _FINE for market in MARKETS}
        self._said: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        self.past: list[dict[str, int]] = []

    def move(self, step: int) -> None:
        """Move all prices by a step: wiggles of their own, shocks for all."""
        shock = self._weather.move_ppm(step)
        for code, price in self._fine.items():
            wiggle = sum(self._chance.randint(-_WIGGLE_PPM, _WIGGLE_PPM) for _ in range(4))
            moved = price * (PPM + wiggle) // PPM * (PPM + shock) // PPM
            self._fine[code] = max(100 * _FINE, moved)
        self.past.append(dict(self._fine))
        del self.past[:-40]

    def ticks(self, market: Listed) -> int:
        """Return a market's true price."""
        return self._fine[market.base.code] // _FINE

    def trend_ppm(self, market: Listed, steps: int) -> int:
        """Return by how much the price has moved in the last steps."""
        if len(self.past) <= steps:
            return 0
        before = self.past[-1 - steps][market.base.code]
        return self._fine[market.base.code] * PPM // before - PPM

    def index(self, market: Listed, now_us: int, gap: Gap | None) -> SetIndex | None:
        """Return what the sources say now; None when they say nothing."""
        price = self.ticks(market)
        said = [max(1, price + self._chance.randint(-2, 2)) for _ in range(_SOURCES)]
        times = [now_us - self._chance.randint(0, 900_000) for _ in range(_SOURCES)]
        match gap:
            case Gap.SILENT:
                return None
            case Gap.MISSING:
                said[2:] = times[2:] = [0] * (_SOURCES - 2)
            case Gap.ASTRAY:
                said[0] = price * 65 // 100
            case Gap.STALE if market.symbol_id in self._said:
                return SetIndex(market.symbol_id, *self._said[market.symbol_id])
        none = [0] * (MAX_SOURCES - _SOURCES)
        words = (*said, *none), (*times, *none)
        self._said[market.symbol_id] = words
        return SetIndex(market.symbol_id, *words)
