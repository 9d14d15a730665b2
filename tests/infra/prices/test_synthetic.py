"""Synthetic prices: the same for the same seed and time, near each other, and shaken on demand."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.index_price import IndexRules, index_ticks, used_sources
from domain.money import PPM
from infra.prices.builder import build_sources
from infra.prices.shocks import Shock, ShockFile
from infra.prices.source import PriceSource
from infra.prices.synthetic import SYNTHETIC, path_ppm
from tests.infra.prices.venues import BTC, ETH, NOW_US

SECOND = 1_000_000


def _sources(run_dir: Path, seed: int = 1) -> list[PriceSource]:
    found = build_sources("synthetic", lambda: NOW_US, run_dir=run_dir, seed=seed)
    for source in found:
        source.watch((BTC, ETH))
    return found


def _prices(run_dir: Path, time_us: int = NOW_US, seed: int = 1) -> list[int]:
    found = [source.price(1, time_us) for source in _sources(run_dir, seed)]
    return [one.price_ticks for one in found if one]


KNOWN = [2_150, 2_153, 923, -20_359]


def test_a_path_is_its_seed_and_time(tmp_path: Path) -> None:
    """Known prices, so that another machine's can be compared; another seed goes elsewhere."""
    assert _prices(tmp_path) == _prices(tmp_path)
    assert _prices(tmp_path) != _prices(tmp_path, seed=2)
    assert _prices(tmp_path) != _prices(tmp_path, NOW_US + 60 * SECOND)
    assert [path_ppm(1, "BTC/USDT", second * SECOND) for second in (0, 1, 3_600, 86_400)] == KNOWN


@given(st.integers(0, 2**52), st.integers(0, 5))
def test_a_path_stays_in_reach_and_does_not_jump(time_us: int, seed: int) -> None:
    """Within 4 % of its start, and within a tenth of a second no more than a few ppm."""
    here, there = (path_ppm(seed, "BTC/USDT", time_us + step) for step in (0, 100_000))
    assert abs(here) <= 39_650
    assert abs(there - here) <= 10


def test_three_sources_make_an_index(tmp_path: Path) -> None:
    """They differ a little, as venues do, and all count."""
    found = [source.price(1, NOW_US) for source in _sources(tmp_path)]
    prices = [one for one in found if one]
    assert [one.source_id for one in prices] == [3, 4, 5]
    assert len(used_sources(prices, NOW_US, IndexRules())) == len(SYNTHETIC)
    index = index_ticks(prices, NOW_US, IndexRules())
    assert index is not None
    assert abs(index - BTC.start_ticks) * PPM <= BTC.start_ticks * 40_000


def test_nothing_is_known_of_other_markets(tmp_path: Path) -> None:
    """A market that is not watched has no price."""
    assert [source.price(3, NOW_US) for source in _sources(tmp_path)] == [None] * 3


def test_a_shock_ramps_holds_and_returns(tmp_path: Path) -> None:
    """It concerns its market and nothing else; afterwards the path is as if it had not been."""
    sources, before = _sources(tmp_path), _prices(tmp_path)
    quiet = {t: _prices(tmp_path, NOW_US + t * SECOND) for t in (5, 10, 15, 30)}
    eth = sources[0].price(2, NOW_US + 15 * SECOND)
    shock = Shock("BTC/USDT", NOW_US, -200_000, 10 * SECOND, 10 * SECOND)
    ShockFile(tmp_path).add(shock, NOW_US)
    for at, part in ((5, 900_000), (10, 800_000), (15, 800_000), (30, PPM)):
        for source, price in zip(sources, quiet[at], strict=True):
            found = source.price(1, NOW_US + at * SECOND)
            assert found is not None
            assert abs(found.price_ticks - price * part / PPM) <= 700 * 10  # the tenth's start
    assert sources[0].price(2, NOW_US + 15 * SECOND) == eth
    assert _prices(tmp_path) == before


def test_one_source_lies_and_is_left_out(tmp_path: Path) -> None:
    """A shock of one source is a venue that lies: the index does not follow it."""
    sources = _sources(tmp_path)
    lie = Shock("BTC/USDT", NOW_US - SECOND, -350_000, 0, 60 * SECOND, source="synthetic-2")
    ShockFile(tmp_path).add(lie, NOW_US)
    prices = [one for source in sources if (one := source.price(1, NOW_US))]
    assert prices[1].price_ticks < 460_000
    assert [one.source_id for one in used_sources(prices, NOW_US, IndexRules())] == [3, 5]


def test_silence_goes_stale(tmp_path: Path) -> None:
    """A silent source repeats what it said last, with the time of then."""
    ShockFile(tmp_path).add(Shock("BTC/USDT", NOW_US, 0, 0, 60 * SECOND, silent=True), NOW_US)
    source = _sources(tmp_path)[0]
    before, during, after = (source.price(1, NOW_US + t * SECOND) for t in (-1, 30, 61))
    assert before is not None
    assert during is not None
    assert after is not None
    assert during.time_us == NOW_US - NOW_US % 100_000
    assert after.time_us > NOW_US + 60 * SECOND


def test_the_file_of_shocks(tmp_path: Path) -> None:
    """Others see what one adds; what is over goes; a broken file shakes nothing."""
    ours, theirs = ShockFile(tmp_path), ShockFile(tmp_path)
    assert theirs.read() == ()
    first = Shock("BTC/USDT", NOW_US, 10, 0, SECOND)
    later = Shock("BTC/USDT", NOW_US + 5 * SECOND, 20, 0, SECOND)
    ours.add(first, NOW_US)
    assert theirs.read() == (first,)
    ours.add(later, NOW_US + 2 * SECOND)
    assert theirs.read() == (later,)
    (tmp_path / "price-shocks.json").write_text('[{"symbol": 5}]')
    assert theirs.read() == ()
    (tmp_path / "price-shocks.json").unlink()
    assert theirs.read() == ()


@pytest.mark.parametrize(
    ("ppm", "ramp_us", "hold_us"), [(-PPM, 0, 1), (10_000_001, 0, 1), (1, -1, 1), (1, 1, -1)]
)
def test_impossible_shocks(ppm: int, ramp_us: int, hold_us: int) -> None:
    """No price falls by all it is worth, and no time is below nothing."""
    with pytest.raises(ValueError, match="a shock"):
        Shock("BTC/USDT", NOW_US, ppm, ramp_us, hold_us)
