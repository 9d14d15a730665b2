"""ccxt.pro, unmodified, as its users make and await it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.api.binance.clients import ccxt_options
from tests.api.running import RunningExchange

PATIENCE_SECONDS = 60.0


@asynccontextmanager
async def client_of(rig: RunningExchange, name: str, **more: Any) -> AsyncIterator[Any]:
    """Give a customer's client."""
    import ccxt.pro as ccxt

    client = ccxt.binance(ccxt_options(rig.base_url, rig.accounts[name], **more))
    try:
        await client.load_markets()
        yield client
    finally:
        await client.close()


async def while_it_trades(
    trade: Callable[[], Awaitable[None]], **wanted: Awaitable[Any]
) -> dict[str, Any]:
    """Return what each awaits; trades go on until all have come, whenever they subscribe."""
    tasks = {name: asyncio.ensure_future(one) for name, one in wanted.items()}
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not all(task.done() for task in tasks.values()):
            await trade()
            await asyncio.wait(tasks.values(), timeout=0.5)
    return {name: task.result() for name, task in tasks.items()}


@asynccontextmanager
async def always(trade: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Let trades go on during the block."""

    async def go_on() -> None:
        while True:
            await trade()
            await asyncio.sleep(0.3)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
