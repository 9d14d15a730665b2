"""The collector: one command a market and period, of what is fresh; faults cost one period."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from domain.index_price import IndexRules, SourcePrice, index_ticks
from infra.prices.builder import build_sources
from infra.prices.collector import IndexCollector
from infra.prices.source import PriceSource
from infra.prices.venue import VenueSource
from tests.infra.prices.venues import BTC, ETH, NOW_US, QUICK, VENUES, door, saying, until


class Inbox:
    """Keeps what was sent; away for as long as it is told to be."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, list[SourcePrice], int]] = []
        self.is_away = False

    async def send(self, symbol_id: int, prices: Sequence[SourcePrice], now_us: int) -> None:
        if self.is_away:
            raise ConnectionError("the engine is away")
        self.sent.append((symbol_id, list(prices), now_us))


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_us = NOW_US

    def __call__(self) -> int:
        return self.now_us


async def test_three_venues_make_an_index() -> None:
    """From three sockets to what an engine needs; a venue that goes away ages out at 10 s."""
    clock, inbox = Clock(), Inbox()
    texts = {"binance": "67000.1", "coinbase": "67000.3", "kraken": "66999.9"}
    async with (
        door(saying(VENUES["binance"].trade("BTC", texts["binance"]))) as one,
        door(saying(VENUES["coinbase"].trade("BTC", texts["coinbase"]))) as two,
        door(saying(VENUES["kraken"].trade("BTC", texts["kraken"]))) as three,
    ):
        urls = {"binance": one.url, "coinbase": two.url, "kraken": three.url}
        sources: list[PriceSource] = [
            VenueSource(VENUES[name].dialect, clock, url=url, patience=QUICK)
            for name, url in urls.items()
        ]
        collector = IndexCollector(sources, inbox.send, clock, period_seconds=0.01)
        collector.watch((BTC, ETH))
        task = asyncio.create_task(collector.run())
        await until(lambda: bool(inbox.sent) and len(inbox.sent[-1][1]) == 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    symbol_id, prices, now_us = inbox.sent[-1]
    assert (symbol_id, now_us) == (BTC.symbol_id, NOW_US)
    assert [(price.source_id, price.price_ticks) for price in prices] == [
        (0, 670_001),
        (1, 670_003),
        (2, 669_999),
    ]
    assert index_ticks(prices, now_us, IndexRules()) == 670_001
    assert all(symbol_id == BTC.symbol_id for symbol_id, _, _ in inbox.sent)  # ETH: no source
    clock.now_us = NOW_US + 10_000_000
    assert len(collector.fresh(BTC.symbol_id, clock.now_us)) == 3
    clock.now_us += 1
    assert collector.fresh(BTC.symbol_id, clock.now_us) == []


async def test_an_engine_that_is_away_costs_a_period(tmp_path: Path) -> None:
    """What could not be sent is not kept: the next period has newer prices."""
    clock, inbox = Clock(), Inbox()
    sources = build_sources("synthetic", clock, run_dir=tmp_path)
    collector = IndexCollector(sources, inbox.send, clock)
    collector.watch((BTC, ETH))
    inbox.is_away = True
    await collector.send_once()
    clock.now_us += 1_000_000
    inbox.is_away = False
    await collector.send_once()
    assert [(symbol_id, now_us) for symbol_id, _, now_us in inbox.sent] == [
        (1, NOW_US + 1_000_000),
        (2, NOW_US + 1_000_000),
    ]
    assert collector.sent == 2


async def test_a_defect_ends_the_collector(tmp_path: Path) -> None:
    """It is not swallowed: the process ends, and starting again is the recovery."""

    async def broken(symbol_id: int, prices: Sequence[SourcePrice], now_us: int) -> None:
        raise ZeroDivisionError

    sources = build_sources("synthetic", lambda: NOW_US, run_dir=tmp_path)
    collector = IndexCollector(sources, broken, lambda: NOW_US, period_seconds=0.01)
    collector.watch((BTC,))
    with pytest.raises(ExceptionGroup):
        async with asyncio.timeout(30):
            await collector.run()


def test_names_of_sources(tmp_path: Path) -> None:
    """Each name gives its sources once; a name that is none is said."""
    found = build_sources("kraken, synthetic,kraken", lambda: 0, run_dir=tmp_path)
    assert [one.name for one in found] == ["kraken", "synthetic-1", "synthetic-2", "synthetic-3"]
    with pytest.raises(ValueError, match="no price source binanse; there are: synthetic, binance"):
        build_sources("binanse,kraken", lambda: 0, run_dir=tmp_path)
    with pytest.raises(ValueError, match="no price source ''"):
        build_sources("", lambda: 0, run_dir=tmp_path)
