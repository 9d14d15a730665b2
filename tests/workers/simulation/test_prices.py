"""The weather of a simulation: drawn once, in whole numbers, and what it says is what happens."""

from __future__ import annotations

import random

import pytest

from domain.index_price import SourcePrice, index_ticks
from domain.perpetual_terms import PerpetualTerms
from domain.risk_commands import SetIndex
from workers.simulation.market import PERPETUALS
from workers.simulation.prices import STEP_US, Gap, Prices, Shock, Weather, forecast

NOW = 1_800_000_000_000_000
CALM = Weather((), (), frozenset())
ETH = PERPETUALS[0]


def test_a_period_has_everything() -> None:
    """Each 600 steps: the fall, the slide, the rise, three gaps, a crash; the same for a seed."""
    weather = forecast(random.Random(1), 1_200)
    moves = [shock.move_ppm for shock in weather.shocks]
    assert (moves.count(-300_000), moves.count(400_000), moves.count(-120_000)) == (2, 2, 2)
    assert len(weather.gaps) == 6
    assert {gap for _, _, gap in weather.gaps} == set(Gap)
    assert len(weather.crashes) == 2
    assert weather == forecast(random.Random(1), 1_200) != forecast(random.Random(2), 1_200)


@pytest.mark.parametrize("steps", [1, 3, 12])
def test_the_parts_of_a_shock_are_the_whole(steps: int) -> None:
    """They multiply to it, to a few millionths, and nothing moves before or after."""
    shock = Shock(10, steps, -300_000)
    left = 1.0
    for step in range(30):
        left *= 1 + shock.part_ppm(step) / 1_000_000
        assert step in range(10, 10 + steps) or shock.part_ppm(step) == 0
    assert left == pytest.approx(0.7, abs=1e-4)


def _index(said: SetIndex | None, now: int) -> int | None:
    assert said is not None
    sources = [
        SourcePrice(place, price, time_us)
        for place, (price, time_us) in enumerate(zip(said.prices_ticks, said.times_us, strict=True))
        if price
    ]
    rules = PerpetualTerms((), 1, 1, 1).index_rules
    return index_ticks(sources, now, rules)


def test_each_gap_is_what_it_says() -> None:
    """Two missing and three times stale make no index, one astray is dropped, silence is None."""
    prices = Prices(random.Random(1), CALM)
    prices.move(0)
    price = prices.ticks(ETH)
    fair = _index(prices.index(ETH, NOW, None), NOW)
    assert fair is not None
    assert abs(fair - price) <= 2
    astray = _index(prices.index(ETH, NOW, Gap.ASTRAY), NOW)
    assert astray is not None
    assert abs(astray - price) <= 2
    assert _index(prices.index(ETH, NOW, Gap.MISSING), NOW) is None
    prices.index(ETH, NOW, None)
    later = NOW + 3 * STEP_US
    assert _index(prices.index(ETH, later, Gap.STALE), later) is None
    assert prices.index(ETH, NOW, Gap.SILENT) is None


def test_trends() -> None:
    """Relative to so many steps ago; 0 while nobody knows."""
    prices = Prices(random.Random(1), Weather((Shock(5, 1, 100_000),), (), frozenset()))
    assert prices.trend_ppm(ETH, 1) == 0
    for step in range(6):
        prices.move(step)
    assert 90_000 < prices.trend_ppm(ETH, 1) < 110_000
