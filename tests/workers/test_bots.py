"""The demo's traders: the same seed quotes the same prices, and they leave nothing behind."""

from __future__ import annotations

import asyncio
import json
from itertools import islice
from typing import Any

import pytest

from api.client.account import ApiAccount
from api.client.http import AsyncClient
from tests.api.memory import ETH, USDT
from tests.api.running import RunningExchange
from workers.bot import LEVELS, Bot, BotMarket
from workers.bots import run
from workers.spot_bots import RandomWalk, SpotTrader

MARKET = BotMarket("ETH/USDT", 0.01, 2, 0.0001, 4, 250_000)


def _turns(name: str, seed: int, count: int) -> list[Any]:
    bot = Bot(ApiAccount(name, "k", "s"), AsyncClient("http://nobody"), seed)
    turns = SpotTrader(bot, MARKET).turns()
    return [
        [item.model_dump(exclude_unset=True, exclude={"client_order_id"}) for item in turn]
        for turn, _ in islice(turns, count)
    ]


@pytest.mark.parametrize("name", ["maker-1", "taker-1"])
def test_a_seed_trades_the_same_way(name: str) -> None:
    """Prices, sides and sizes follow from the seed and the bot's name alone."""
    assert _turns(name, 7, 20) == _turns(name, 7, 20)
    assert _turns(name, 7, 20) != _turns(name, 8, 20)


def test_a_maker_never_crosses_itself() -> None:
    """Each turn replaces the last quotes by as many on both sides of the walk, on the grid."""
    for turn in _turns("maker-1", 3, 50):
        placed = [item for item in turn if item["op"] == "place"]
        assert len(placed) == 2 * LEVELS
        assert len(turn) <= 20
        bids = [float(item["price"]) for item in placed if item["side"] == "buy"]
        asks = [float(item["price"]) for item in placed if item["side"] == "sell"]
        assert max(bids) < min(asks)
        assert all(len(item["price"].partition(".")[2]) == 2 for item in placed)


def test_the_walk_stays_near_home() -> None:
    """A long demo must not run out of the price band or of funds."""
    walk = RandomWalk(1, 250_000)
    steps = [walk.step() for _ in range(50_000)]
    assert 0.8 * 250_000 < min(steps) < max(steps) < 1.25 * 250_000


@pytest.mark.servers
async def test_bots_trade_and_clean_up(running: RunningExchange) -> None:
    """They trade through the signed API; told to stop, they cancel what is open."""
    names = ("maker-1", "taker-1")
    accounts = [await running.add_customer(name) for name in names]
    for name in names:
        for asset in (USDT, ETH):
            await running.credit(name, asset, "1000000")
    path = running.settings.secrets_dir / "bots.json"
    path.write_text(json.dumps({"accounts": [account.as_json() for account in accounts]}))
    running.settings.gateway_public_url = running.base_url
    before = len(await running.trades())
    stopping = asyncio.Event()
    trading = asyncio.create_task(run(running.settings, 5, stopping))
    async with asyncio.timeout(30):
        while len(await running.trades()) < before + 3:
            await running.pause()
    stopping.set()
    await trading
    for name in names:
        orders = (await running.request(name, "GET", "/v1/orders")).json()["orders"]
        assert orders == []
