"""What every bot of the demo is: a customer with a connection, and what it knows of a market."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from api.client import accounts, orders
from api.client.account import ApiAccount
from api.client.call import Answer, Call
from api.client.errors import ClientError
from api.client.http import AsyncClient
from api.schemas.orders import BatchAmend, BatchCancel, BatchPlace, BatchResult, SideText

LEVELS = 5
Operation = BatchPlace | BatchCancel | BatchAmend


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

    def __init__(self, account: ApiAccount, client: AsyncClient, seed: int) -> None:
        self.account = account
        self.random = random.Random(f"{seed}/{account.name}")  # noqa: S311
        self.order_count = 0
        self._client = client

    async def send(self, call: Call[Answer]) -> Answer:
        """Send a call, signed by its key."""
        return await self._client.send(call, self.account)

    async def trade(self, operations: Sequence[Operation]) -> list[BatchResult]:
        """Send a batch of orders and cancels; return their results."""
        answer = await self.send(orders.batch(operations))
        self.order_count += sum(isinstance(one, BatchPlace) for one in operations)
        return answer.results

    async def owns(self, codes: set[str]) -> bool:
        """Return whether the account has free trading balance of each of these assets."""
        try:
            found = await self.send(accounts.balances())
        except ClientError:
            return False
        return codes <= {row.asset for row in found.balances if float(row.available)}

    async def close(self) -> None:
        """Cancel everything that is open and hang up."""
        with contextlib.suppress(ClientError):
            await self.send(orders.cancel_all())
        await self._client.close()


def placed(market: BotMarket, side: SideText, ticks: int, worth: float) -> BatchPlace:
    """Return a batch's operation: a limit order worth about `worth`."""
    return BatchPlace(
        op="place",
        symbol=market.symbol,
        side=side,
        price=market.price(ticks),
        quantity=market.quantity(worth, ticks),
    )


def taken(market: BotMarket, side: SideText, ticks: int, worth: float) -> BatchPlace:
    """Return a batch's operation: a market order worth about `worth` at a price of `ticks`."""
    return BatchPlace(
        op="place",
        symbol=market.symbol,
        side=side,
        type="market",
        quantity=market.quantity(worth, ticks),
    )


def cancelled(market: BotMarket, names: Iterable[str]) -> list[BatchCancel]:
    """Return a batch's operations: cancels of these client order ids."""
    return [BatchCancel(op="cancel", symbol=market.symbol, client_order_id=name) for name in names]


def quotes(
    market: BotMarket,
    chance: random.Random,
    prices: tuple[int, int],
    worth: tuple[float, float],
    name: str,
) -> dict[str, BatchPlace]:
    """Return `LEVELS` orders on each side of `prices`, a middle and a spread, the outer larger.

    `worth` is from where to where the innermost are; the keys, which begin with `name`, are their
    client order ids.
    """
    middle, spread = prices
    found = {}
    sides: tuple[SideText, ...] = ("buy", "sell")
    for level, side in itertools.product(range(LEVELS), sides):
        away = spread * (level + 1) + chance.randrange(spread + 1)
        ticks = middle - away if side == "buy" else middle + away
        order = placed(market, side, ticks, chance.uniform(*worth) * (level + 1))
        own = f"{name}-{side[0]}{level}"
        found[own] = order.model_copy(update={"client_order_id": own})
    return found
