"""The demo's traders of perpetuals, on the real API and engine."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest_asyncio

from api.client.account import ApiAccount
from api.client.http import AsyncClient
from domain.order import Side
from infra.prices.shocks import ShockFile
from tests.api.memory import ALICE
from tests.api.perpetual_exchange import ETH_PERP, MIDDLE, PerpetualExchange
from workers.bot import LEVELS, Bot, BotMarket
from workers.demo_listings import DemoCustomer
from workers.demo_perpetuals import PERPETUAL_BOTS, PERPETUALS, PerpetualBot, Role, Weather
from workers.perpetual_bots import PerpetualTrader, Surroundings

SYMBOL = "ETH/USDT-PERP"
MARKET = BotMarket(SYMBOL, 0.01, 2, 0.001, 3, MIDDLE)


@pytest_asyncio.fixture
async def perps() -> AsyncIterator[PerpetualExchange]:
    """Give an exchange whose perpetual trades."""
    made = PerpetualExchange()
    yield made
    await made.http.aclose()


def trader(
    perps: PerpetualExchange,
    role: Role,
    run_dir: Path = Path(),
    stake: str = "10000",
) -> PerpetualTrader:
    """Return customer 1 in a role."""
    who = PerpetualBot(
        DemoCustomer("one", "bot", {}), SYMBOL, role, 20, stake, Weather(12_000, 4_000_000, 5)
    )
    client = AsyncClient("http://rialto", transport=httpx.ASGITransport(perps.app))
    bot = Bot(ApiAccount("one", "key-1", "key-1"[::-1]), client, seed=3)
    return PerpetualTrader(bot, who, MARKET, Surroundings("http://127.0.0.1:1", run_dir))


async def test_a_maker_quotes_both_sides_of_the_mark(perps: PerpetualExchange) -> None:
    """Each turn replaces the last one's quotes, none of which meets the other side's."""
    perps.credit(ALICE)
    maker = trader(perps, Role.MAKER)
    for _ in range(3):
        await maker.turn()
        _, orders = await perps.door.open_orders(ALICE, ETH_PERP.symbol_id)
        sides = [[one.price_ticks for one in orders if one.side is side] for side in Side]
        assert [len(prices) for prices in sides] == [LEVELS, LEVELS]
        assert max(sides[0]) < MIDDLE < min(sides[1])


async def test_a_taker_trades_within_its_means(perps: PerpetualExchange) -> None:
    """Turn by turn at the market, with a position that stays small."""
    perps.credit(ALICE)
    taker = trader(perps, Role.TAKER)
    for _ in range(30):
        await taker.turn()
    position = await perps.position()
    assert position["leverage"] == 20
    assert abs(float(position["notional"])) < 40_000
    assert perps.door.engine.trades()


async def test_a_gambler_goes_all_in_and_prices_turn_against_him(
    perps: PerpetualExchange, tmp_path: Path
) -> None:
    """A position near what the leverage allows; then a shock against its side."""
    gambler = trader(perps, Role.GAMBLER, tmp_path)
    await gambler.turn()
    position = await perps.position()
    assert 0.7 * 20 * 10_000 < float(position["notional"]) < 20 * 10_000
    gambler._turning_at = time.monotonic()
    await gambler.turn()
    await gambler.turn()
    (shock,) = ShockFile(tmp_path).read()
    assert (shock.symbol, abs(shock.ppm)) == (SYMBOL, 12_000)
    assert (shock.ppm < 0) == (float(position["quantity"]) > 0)


def test_the_demo_has_each_role_in_both_markets() -> None:
    """Names are unique, gamblers have weather and a stake, leverage is what the market allows."""
    assert len({bot.customer.name for bot in PERPETUAL_BOTS}) == len(PERPETUAL_BOTS)
    for listing in PERPETUALS:
        here = [bot for bot in PERPETUAL_BOTS if bot.symbol == listing.symbol]
        assert {bot.role for bot in here} == set(Role)
        most = listing.terms["perpetual"]["max_leverage"]
        assert all(bot.leverage <= most for bot in here)
        for bot in here:
            assert (bot.weather is not None) == (bot.role is Role.GAMBLER) == bool(bot.stake)
