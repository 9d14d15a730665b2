"""One run of `rialto feed`: two funded accounts, the flow through the gateway, the comparison."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from api.client import accounts as account_calls
from api.client import orders
from api.client.account import ApiAccount
from api.client.errors import ClientError
from api.client.http import AsyncClient
from domain.instrument import Instrument
from infra.postgres import engine as postgres
from infra.postgres import tables
from infra.postgres.customers import CustomerStore
from infra.postgres.markets import MarketStore
from infra.secret_box import SecretBox, gateway_key_path
from infra.settings import Settings
from infra.wallet import demo as chain_demo
from workers.feed_file import agreement, playable, read_flow, read_trades
from workers.feed_player import FeedPlayer

FEED_SYMBOL = "BTC/USDX"
_FUNDS = {"bid": ("feed-buyers", "USDX", "300000000"), "ask": ("feed-sellers", "BTC", "200000")}
_LOW_SHARE = 4  # funds are topped up when less than a quarter is left
_DEPOSIT_SECONDS = 90.0
_SETTLE_SECONDS = 60.0
_PATIENCE_SECONDS = 600.0  # a flow is long, and its client order ids make a repeat harmless

Progress = Callable[[str, int, int], None]


class FeedRunError(RuntimeError):
    """The flow could not be played; the message says why."""


async def run_feed(
    demo: dict[str, Any],
    settings: Settings,
    flow: Path,
    speed: float | None,
    limit: int,
    progress: Progress,
) -> dict[str, Any]:
    """Play the flow and return the report as JSON members."""
    recorded = read_flow(flow)
    rows = playable(recorded)[: limit or None]
    database = postgres.create(settings.database_url)
    try:
        url = str(demo["base_url"])
        async with AsyncClient(url, patience_seconds=_PATIENCE_SECONDS) as client:
            instrument = await _instrument(database)
            accounts = {
                direction: await _account(database, client, settings, direction, progress)
                for direction in _FUNDS
            }
            player = FeedPlayer(client, instrument, accounts, format(time.time_ns() // 10**6, "x"))
            done = 0

            def advance(count: int) -> None:
                nonlocal done
                done += count
                progress("playing", done, len(rows))

            result = await player.play(rows, speed, advance)
            progress("waiting for settlement", 0, 0)
            fills = await player.settled_fills(_SETTLE_SECONDS)
            await _cancel_all(client, accounts)
    except ClientError as error:
        raise FeedRunError(f"the gateway does not answer: {error}") from error
    finally:
        await database.dispose()
    log = _log_beside(flow)
    until_ms = rows[-1].time_ms if rows and limit else None
    compared = None
    if log is not None:
        trades = [
            trade
            for trade in read_trades(log, recorded)
            if until_ms is None or trade.time_ms <= until_ms
        ]
        compared = asdict(agreement(trades, fills))
    return {
        "flow": flow.name,
        "market": FEED_SYMBOL,
        "events": len(rows),
        "seconds": round(result.seconds, 3),
        "orders": result.orders,
        "cancels": result.cancels,
        "already_gone": result.already_gone,
        "refused": dict(result.refused),
        "trades": player.trade_count,
        "settled_trades": len(fills),
        "last_sequence": result.last_sequence,
        "agreement": compared,
    }


def _log_beside(flow: Path) -> Path | None:
    """Return the recording of the flow's trades: its own name, else the only one there."""
    own = flow.with_name(flow.name.removesuffix(".csv.xz") + ".log.xz")
    if own.exists():
        return own
    logs = sorted(flow.parent.glob("*.log.xz"))
    return logs[0] if len(logs) == 1 else None


async def _instrument(database: AsyncEngine) -> Instrument:
    market = (await MarketStore(database).listings()).market(FEED_SYMBOL)
    if market is None:
        raise FeedRunError(f"{FEED_SYMBOL} is not listed")
    return market.instrument


async def _account(
    database: AsyncEngine,
    client: AsyncClient,
    settings: Settings,
    direction: str,
    progress: Progress,
) -> ApiAccount:
    """Return the account of a side, created and funded from the chain when it has too little."""
    name, code, amount = _FUNDS[direction]
    box = SecretBox.from_file(gateway_key_path(settings.secrets_dir))
    store = CustomerStore(database, box)
    customer = await store.create_customer(name, kind="bot", rate_class="house")
    key = await store.create_api_key(customer.customer_id, scopes=("read", "trade"))
    account = ApiAccount(name, key.api_key, key.api_secret)
    await _cancel_all(client, {direction: account})
    if await _available(client, account, code) * _LOW_SHARE >= int(amount):
        return account
    progress(f"funding {name} on the chain", 0, 0)
    address = await _deposit_address(client, account, code)
    async with database.connect() as connection:
        query = sa.select(tables.asset.c.contract, tables.asset.c.chain_decimals).where(
            tables.asset.c.code == code
        )
        row = (await connection.execute(query)).one()
    units = int(amount) * 10**row.chain_decimals
    await chain_demo.fund(settings.chain_url, address, row.contract, units)
    deadline = time.monotonic() + _DEPOSIT_SECONDS
    while await _available(client, account, code) < int(amount):
        if time.monotonic() > deadline:
            raise FeedRunError(
                f"the deposit of {name} was not credited in {_DEPOSIT_SECONDS:.0f} s"
            )
        await asyncio.sleep(0.5)
    return account


async def _available(client: AsyncClient, account: ApiAccount, code: str) -> int:
    """Return the available balance in whole coins."""
    balances = (await client.send(account_calls.balances(), account)).balances
    found = next(balance for balance in balances if balance.asset == code)
    return int(found.available.split(".")[0])


async def _deposit_address(client: AsyncClient, account: ApiAccount, code: str) -> str:
    lines = (await client.send(account_calls.deposit_addresses(), account)).deposit_addresses
    return next(line.address for line in lines if line.asset == code)


async def _cancel_all(client: AsyncClient, accounts: dict[str, ApiAccount]) -> None:
    """Take back what a run leaves in the book."""
    for account in accounts.values():
        await client.send(orders.cancel_all(), account)
