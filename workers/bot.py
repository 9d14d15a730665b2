"""What every bot of the demo is: a customer with a connection, and what it knows of a market."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpx

from workers.api_client import ApiAccount

LEVELS = 5


@dataclass(frozen=True, slots=True)
class BotMarket:
    """What a bot knows about a market; prices in ticks, quantities in lots."""

    symbol: str
    tick_size: float
    tick_decimals: int
    lot_size: float
    lot_decimals: int
    start_ticks: int
    quote_worth: float = 1.0  # of one unit of quote, in the currency that bots think in

    def price(self, ticks: int) -> str:
        """Return a price as the API wants it."""
        return f"{ticks * self.tick_size:.{self.tick_decimals}f}"

    def quantity(self, value: float, ticks: int) -> str:
        """Return base worth about `value`, at least one lot."""
        price = ticks * self.tick_size * self.quote_worth
        lots = max(1, round(value / price / self.lot_size))
        return f"{lots * self.lot_size:.{self.lot_decimals}f}"


class Bot:
    """One customer with a connection of its own; `order_count` is for the heartbeat."""

    def __init__(self, account: ApiAccount, http: httpx.AsyncClient, seed: int) -> None:
        self.account = account
        self.random = random.Random(f"{seed}/{account.name}")  # noqa: S311
        self.order_count = 0
        self._http = http

    async def request(self, method: str, target: str, body: Any = None) -> httpx.Response:
        """Send one signed request."""
        text = "" if body is None else json.dumps(body, separators=(",", ":"))
        headers = self.account.headers(method, target, text)
        return await self._http.request(method, target, content=text, headers=headers)

    async def owns(self, codes: set[str]) -> bool:
        """Return whether the account has free trading balance of each of these assets."""
        try:
            answer = await self.request("GET", "/v1/balances")
            rows = answer.raise_for_status().json()["balances"]
        except httpx.HTTPError:
            return False
        return codes <= {row["asset"] for row in rows if float(row["available"])}

    async def close(self) -> None:
        """Cancel everything that is open and hang up."""
        with contextlib.suppress(httpx.HTTPError):
            await self.request("DELETE", "/v1/orders")
        await self._http.aclose()


def placed(market: BotMarket, side: str, ticks: int, worth: float) -> dict[str, Any]:
    """Return a batch's operation: a limit order worth about `worth`."""
    return {
        "op": "place",
        "symbol": market.symbol,
        "side": side,
        "price": market.price(ticks),
        "quantity": market.quantity(worth, ticks),
    }


def cancelled(market: BotMarket, names: Iterable[str]) -> list[dict[str, Any]]:
    """Return a batch's operations: cancels of these client order ids."""
    return [{"op": "cancel", "symbol": market.symbol, "client_order_id": name} for name in names]


def quotes(
    market: BotMarket,
    chance: random.Random,
    prices: tuple[int, int],
    worth: tuple[float, float],
    name: str,
) -> list[dict[str, Any]]:
    """Return `LEVELS` orders on each side of `prices`, a middle and a spread, the outer larger.

    `worth` is from where to where the innermost are; client order ids begin with `name`.
    """
    middle, spread = prices
    found = []
    for level, side in itertools.product(range(LEVELS), ("buy", "sell")):
        away = spread * (level + 1) + chance.randrange(spread + 1)
        ticks = middle - away if side == "buy" else middle + away
        order = placed(market, side, ticks, chance.uniform(*worth) * (level + 1))
        found.append(order | {"client_order_id": f"{name}-{side[0]}{level}"})
    return found
