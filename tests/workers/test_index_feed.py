"""The index feed: prices of the listed perpetuals reach a real engine, and make its index."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.commands import Command
from domain.events import Event, IndexSet
from domain.instrument import Asset, Instrument
from domain.market import Listings, Market
from infra.engine_errors import EngineUnavailable
from infra.prices.builder import build_sources
from infra.prices.shocks import Shock, ShockFile
from tests.matching.perpetual_desk import PERP, PerpetualDesk
from workers.index_feed import IndexFeed

USDT, BTC = Asset(1, "USDT", 6, 6), Asset(2, "BTC", 8, 8)


class Rows:
    """The rows of one perpetual market, which may be delisted."""

    def __init__(self) -> None:
        self.listed = {PERP}

    async def perpetuals(self, shard: int) -> set[int]:
        return self.listed if shard == 0 else set()

    async def listings(self) -> Listings:
        instrument = Instrument.listed(
            symbol_id=PERP,
            base=BTC,
            quote=USDT,
            tick_size="1",
            lot_size="0.001",
            listing_price="1000",
            maker_fee_ppm=0,
            taker_fee_ppm=0,
            band_ppm=100_000,
            max_order="100",
            max_open_orders=10,
        )
        return Listings([Market(instrument, 0)], [])


class Door:
    """The engine's door, in this process; away for as long as it is told to be."""

    def __init__(self, desk: PerpetualDesk) -> None:
        self.desk = desk
        self.is_away = False
        self.answers: list[Event] = []

    async def submit(self, command: Command) -> tuple[Event, ...]:
        if self.is_away:
            raise EngineUnavailable("gone")
        events: tuple[Event, ...] = self.desk.run(command)
        self.answers += events
        return events


class Setting:
    """A feed between a desk's engine and synthetic prices, on the desk's clock."""

    def __init__(self, run_dir: Path) -> None:
        self.desk = PerpetualDesk(is_open=False)
        self.door, self.rows = Door(self.desk), Rows()
        sources = build_sources("synthetic", self.now_us, run_dir=run_dir)
        self.feed = IndexFeed(0, self.rows, self.door, sources, self.now_us)  # type: ignore[arg-type]

    def now_us(self) -> int:
        return self.desk.time_us + 1

    @property
    def last(self) -> IndexSet:
        found = self.door.answers[-1]
        assert isinstance(found, IndexSet)
        return found


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


async def test_three_sources_make_the_engines_index(setting: Setting) -> None:
    """Each at its place; the engine takes the median of them."""
    await setting.feed.refresh()
    await setting.feed.collector.send_once()
    assert (setting.last.symbol_id, setting.last.sources) == (PERP, 3)
    assert 960 <= setting.last.index_ticks <= 1_040
    assert setting.last.mark_ticks > 0


async def test_a_source_that_lies_is_left_out_by_the_engine(
    setting: Setting, tmp_path: Path
) -> None:
    """The command carries what it said; two sources that agree are too few."""
    await setting.feed.refresh()
    await setting.feed.collector.send_once()
    before = setting.last.index_ticks
    now_us = setting.now_us()
    lie = Shock("BTC/USDT", now_us - 10**6, -500_000, 0, 10**9, source="synthetic-3")
    ShockFile(tmp_path).add(lie, now_us)
    await setting.feed.collector.send_once()
    assert (setting.last.sources, setting.last.index_ticks) == (2, before)


async def test_an_engine_that_is_away_costs_a_period(setting: Setting) -> None:
    """And nothing else."""
    await setting.feed.refresh()
    setting.door.is_away = True
    await setting.feed.collector.send_once()
    assert (setting.door.answers, setting.feed.collector.sent) == ([], 0)
    setting.door.is_away = False
    await setting.feed.collector.send_once()
    assert setting.feed.collector.sent == 1


async def test_a_delisted_market_is_not_fed(setting: Setting) -> None:
    """Nor is one before its terms are there."""
    setting.rows.listed = set()
    await setting.feed.refresh()
    await setting.feed.collector.send_once()
    assert setting.door.answers == []
