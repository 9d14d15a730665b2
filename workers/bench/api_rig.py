"""A gateway as it runs in production, with what it needs: PostgreSQL, Valkey, engine, market data.

Every process is one of its own. Customers are of the class that no rate limit slows down.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psutil
import sqlalchemy as sa

from domain.commands import Credit
from domain.events import Credited, SymbolListed
from domain.instrument import Asset, Instrument
from infra.embedded.ports import LOOPBACK, free_port, listens
from infra.embedded.server import Child
from infra.postgres import tables
from infra.postgres.customers import CustomerStore, IssuedKey
from infra.postgres.engine import create
from infra.postgres.market_rows import market_row
from infra.secret_box import SecretBox, gateway_key_path
from workers import bench_servers
from workers.bench.rig import ROOT, EngineRig, Process

QUOTE = Asset(asset_id=1, code="USDT", chain_decimals=6, engine_decimals=6)
BASE = Asset(asset_id=2, code="ETH", chain_decimals=18, engine_decimals=9)
OTHER = Asset(asset_id=3, code="BTC", chain_decimals=8, engine_decimals=8)
MARKET = Instrument.listed(
    symbol_id=1,
    base=BASE,
    quote=QUOTE,
    tick_size="0.01",
    lot_size="0.0001",
    listing_price="2500",
    maker_fee_ppm=100,
    taker_fee_ppm=200,
    band_ppm=500_000,
    max_order="1000",
    max_open_orders=1_000_000,
)
QUIET = Instrument.listed(
    symbol_id=2,
    base=OTHER,
    quote=QUOTE,
    tick_size="0.01",
    lot_size="0.0001",
    listing_price="2500",
    maker_fee_ppm=100,
    taker_fee_ppm=200,
    band_ppm=500_000,
    max_order="1000",
    max_open_orders=1_000,
)
"""A second market that nobody trades: its feed is the measurement's own."""

_RICH = "1000000000"


class Program(Child):
    """A Python module of ours that listens on a port of loopback."""

    def __init__(self, name: str, module: str, folder: Path, port: int) -> None:
        super().__init__(name, folder / "logs" / f"{name}.log")
        self._module = module
        self.port = port

    def command(self) -> list[str]:
        """Return the command line."""
        return [sys.executable, "-m", self._module, str(self.port)]

    def working_dir(self) -> Path:
        """Return the project's folder, so that its packages are found."""
        return ROOT

    def answers(self) -> bool:
        """Tell whether it listens."""
        return listens(self.port)


class ApiRig(EngineRig):
    """Two markets, `customers` rich customers with a key each, a gateway and market data."""

    def __init__(self, folder: Path, database_url: str, policy: str, customers: int) -> None:
        self.database_url = database_url
        self.port = free_port()
        super().__init__(folder, policy)
        self._count = customers
        self.keys: list[IssuedKey] = []
        self.gateway = Process("gateway", "workers.gateway", folder, self.settings())
        self.market_data = Process("market-data-0", "workers.market_data", folder, self.settings())
        self.echo = Program("echo", "workers.bench.bare_echo", folder, free_port())

    def settings(self) -> dict[str, str]:
        """Return the environment of its processes."""
        return super().settings() | {
            "RIALTO_DATABASE_URL": self.database_url,
            "RIALTO_GATEWAY_HOST": LOOPBACK,
            "RIALTO_GATEWAY_PORT": str(self.port),
        }

    @property
    def redis_url(self) -> str:
        """Return where the market data feed is published."""
        return self.settings()["RIALTO_REDIS_URL"]

    async def open_market(self) -> None:
        """List the markets, make the customers, start the gateway."""
        await self._write_rows()
        admin = self.connect("admin")
        for market in (MARKET, QUIET):
            assert isinstance((await admin.submit(market.listing()))[0], SymbolListed)
        await self._make_customers()
        for process in (self.market_data, self.gateway):
            self._stack.callback(process.stop)
            await asyncio.to_thread(process.start)

    async def start_echo(self) -> None:
        """Start the bare FastAPI application that is the control of the REST figures."""
        self._stack.callback(self.echo.stop)
        await asyncio.to_thread(self.echo.start)

    async def _write_rows(self) -> None:
        database = create(self.database_url)
        async with database.begin() as connection:
            for asset in (QUOTE, BASE, OTHER):
                row = {
                    "asset_id": asset.asset_id,
                    "code": asset.code,
                    "chain": "ETH",
                    "chain_decimals": asset.chain_decimals,
                    "engine_decimals": asset.engine_decimals,
                    "confirmations": 2,
                    "deposit_minimum": 1,
                    "withdrawal_minimum": 10,
                    "withdrawal_fee": 1,
                    "approval_above": 10**30,
                }
                await connection.execute(sa.insert(tables.asset).values(row))
            for market in (MARKET, QUIET):
                row = market_row(market) | {"listed_sequence": market.symbol_id}
                await connection.execute(sa.insert(tables.instrument).values(row))
        await database.dispose()

    async def _make_customers(self) -> None:
        database = create(self.database_url)
        box = SecretBox.from_file(gateway_key_path(self.folder / "secrets"))
        store, treasury = CustomerStore(database, box), self.connect("treasury")
        for number in range(self._count + 1):
            usual = number == self._count  # the last one has the limits that customers have
            rate_class = "standard" if usual else "house"
            customer = await store.create_customer(f"trader-{number}", rate_class=rate_class)
            self.keys.append(await store.create_api_key(customer.customer_id))
            for asset in (QUOTE, BASE):
                credit = Credit(
                    key=number * 4 + asset.asset_id,
                    account_id=customer.customer_id,
                    asset_id=asset.asset_id,
                    amount_units=asset.engine_units(_RICH),
                    created_at_us=time.time_ns() // 1_000,
                )
                assert isinstance((await treasury.submit(credit))[0], Credited)
        await database.dispose()

    def gateway_cpu_seconds(self) -> float:
        """Return the processor time that the gateway has used."""
        times = psutil.Process(self.gateway.pid).cpu_times()
        return float(times.user + times.system)

    def gateway_memory_bytes(self) -> int:
        """Return the gateway's resident set."""
        return int(psutil.Process(self.gateway.pid).memory_info().rss)

    def gateway_file_count(self) -> int:
        """Return how many files and sockets the gateway has open."""
        return int(psutil.Process(self.gateway.pid).num_fds())


@asynccontextmanager
async def api_rig(policy: str, customers: int) -> AsyncIterator[ApiRig]:
    """Give a rig with servers of its own; all of it ends with the block."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(bench_servers.scratch_folder())
        url = stack.enter_context(bench_servers.postgres(folder))
        yield await stack.enter_async_context(ApiRig(folder, url, policy, customers))
