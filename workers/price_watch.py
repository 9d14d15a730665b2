"""Listens to price sources for a while and says what came: for whoever sets an exchange up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from domain.index_price import IndexRules, SourcePrice, index_ticks, used_sources
from domain.instrument import grid_text
from infra.ending import end
from infra.prices.collector import IndexCollector
from infra.prices.source import PricedMarket, PriceSource


def clock_us() -> int:
    """Return the time in microseconds since 1970."""
    return time.time_ns() // 1000


async def listen(
    sources: Sequence[PriceSource], markets: Sequence[PricedMarket], seconds: float
) -> dict[str, Any]:
    """Follow the sources for `seconds`, or until each market has an index; return the report."""
    newest: dict[int, list[SourcePrice]] = {}

    async def keep(symbol_id: int, prices: Sequence[SourcePrice], now_us: int) -> None:
        del now_us
        newest[symbol_id] = list(prices)

    rules = IndexRules()
    collector = IndexCollector(
        sources, keep, clock_us, max_age_us=rules.max_age_us, period_seconds=0.1
    )
    collector.watch(markets)
    following = asyncio.create_task(collector.run())
    try:
        async with asyncio.timeout(seconds):
            while not all(
                index_ticks(newest.get(one.symbol_id, ()), clock_us(), rules) for one in markets
            ):
                if following.done():
                    following.result()
                await asyncio.sleep(0.05)
    except TimeoutError:
        pass  # the report says what is missing
    finally:
        await end(following)
    now_us = clock_us()
    return {
        "markets": [
            _market(one, collector.fresh(one.symbol_id, now_us), now_us, rules) for one in markets
        ],
        "sources": [_source(one) for one in sources],
    }


def _market(
    market: PricedMarket, prices: Sequence[SourcePrice], now_us: int, rules: IndexRules
) -> dict[str, Any]:
    index = index_ticks(prices, now_us, rules)
    used = {one.source_id for one in used_sources(prices, now_us, rules)}
    return {
        "market": market.symbol,
        "index": None if index is None else grid_text(index, market.tick_size),
        "prices": [
            {
                "source_id": one.source_id,
                "price": grid_text(one.price_ticks, market.tick_size),
                "age_ms": (now_us - one.time_us) // 1000,
                "used": one.source_id in used,
            }
            for one in prices
        ],
    }


def _source(source: PriceSource) -> dict[str, Any]:
    health = source.health
    return {
        "source_id": source.source_id,
        "name": source.name,
        "sessions": health.sessions,
        "frames": health.frames,
        "prices": health.taken,
        "refused": {reason.name.lower(): count for reason, count in health.refused.items()},
        "failure": health.failure,
    }
