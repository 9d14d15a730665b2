"""The client's page: its snippets run as they stand."""

from __future__ import annotations

import asyncio
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from api.client import orders
from api.client.http import AsyncClient
from api.schemas.orders import PlaceOrderIn
from tests.api.running import RunningExchange

_PAGE = (Path(__file__).parents[3] / "docs" / "client.md").read_text()


def snippets() -> list[str]:
    """Return the page's indented blocks."""
    blocks = re.findall(r"(?:^(?:    .*)?\n)+", _PAGE, flags=re.M)
    return [textwrap.dedent(block).strip() for block in blocks if block.strip()]


@pytest.mark.servers
async def test_every_snippet_runs(running: RunningExchange) -> None:
    """An order from its placing to its cancel, a repeated call, a stream up to a live book."""
    account = running.accounts["alice"]
    names: dict[str, Any] = {
        "base_url": running.base_url,
        "api_key": account.api_key,
        "api_secret": account.api_secret,
    }
    first, second, with_login, third = snippets()
    exec(with_login, names)
    await asyncio.to_thread(exec, first, names)
    exec(second, names)
    exec(third, names)
    order = PlaceOrderIn(symbol="ETH/USDT", side="buy", price="2300", quantity="0.1")
    async with AsyncClient(running.base_url, account) as client:
        placed = await names["place_once"](client, orders.place(order))
        bids: Any = []
        async with asyncio.timeout(30):
            while not bids:  # the market data follows the engine by a moment
                bids, after = await names["follow"](running.base_url, account, set())
        await client.send(orders.cancel(placed.order_id))
    assert bids
    assert after.keys() == {0}
