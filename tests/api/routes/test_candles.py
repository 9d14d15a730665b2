"""Candles of every interval: which minutes they are made of."""

from __future__ import annotations

import pytest

from tests.api.exchange import Exchange

NOW_MS = 1_700_000_123_456  # 22:15:23 UTC
DAYS_60_US = 60 * 86_400_000_000


@pytest.mark.parametrize(
    ("interval", "seconds", "limit", "count"),
    [
        ("1s", 1, 1_000, 1_000),
        ("5m", 300, 3, 3),
        ("1h", 3_600, 1, 1),
        ("1d", 86_400, 1_000, 60),
        ("4h", 14_400, 1_000, 360),
    ],
)
async def test_candles_begin_at_whole_intervals(
    exchange: Exchange, interval: str, seconds: int, limit: int, count: int
) -> None:
    """As many as were asked for, up to now, and never more than sixty days of minutes."""
    exchange.clock_ms = NOW_MS
    query = f"interval={interval}&limit={limit}"
    answer = await exchange.http.get(f"/v1/markets/ETH-USDT/candles?{query}")
    assert answer.json() == {"symbol": "ETH/USDT", "interval": interval, "candles": []}
    symbol_id, step, since_us, until_us = exchange.memory.candles_wanted
    assert (symbol_id, step, until_us) == (1, seconds, NOW_MS * 1_000)
    assert since_us % (seconds * 1_000_000) == 0
    assert (until_us - since_us) // (seconds * 1_000_000) == count - 1
    assert until_us - since_us <= DAYS_60_US


async def test_an_unknown_interval_is_refused(exchange: Exchange) -> None:
    """With the field's name."""
    answer = await exchange.http.get("/v1/markets/ETH-USDT/candles?interval=7m")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
    assert "interval" in answer.json()["detail"]
