"""A running exchange without wallet and Temporal: engine, market data and gateway as processes."""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from api.client.account import ApiAccount
from domain.commands import Credit
from domain.events import Credited, SymbolListed
from domain.instrument import Asset, Instrument
from infra.embedded.ports import own_port
from infra.embedded.server import stop_process
from infra.engine_grpc import EngineGrpc
from infra.postgres import engine as postgres
from infra.postgres import tables
from infra.postgres.customers import CustomerStore, IssuedKey
from infra.postgres.market_rows import market_row
from infra.secret_box import SecretBox, gateway_key_path
from infra.settings import Settings
from infra.wallet.keys import create_wallet
from tests.api.memory import ETH, ETH_USDT, USDT
from tests.api.perpetual_exchange import ETH_PERP, TERMS
from tests.forks import Forked, fork_main
from tests.offline import NO_SERVERS
from tests.quick_seed import make_quick_seed

_READY_SECONDS = 60.0
# Nobody quotes it all the time: an empty side, or an index that is late on a busy machine,
# does not guard it.
PERPETUAL = replace(
    ETH_PERP,
    terms=replace(
        TERMS,
        basis_window_us=2_000_000,
        breaker_max_empty_us=3_600_000_000,
        index_max_age_us=120_000_000,
    ),
)


class RunningExchange:
    """Starts the processes in `folder` against the given servers; `stop` ends them."""

    def __init__(self, folder: Path, database_url: str, redis_url: str) -> None:
        self.port = own_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/v1/ws"
        self.redis_url = redis_url
        self.environment = {
            **NO_SERVERS,
            "RIALTO_DATA_DIR": str(folder),
            "RIALTO_DATABASE_URL": database_url,
            "RIALTO_REDIS_URL": redis_url,
            "RIALTO_GATEWAY_PORT": str(self.port),
            "RIALTO_ENGINE_KIND": "auto",
            "RIALTO_DEMO_LINKS": "true",
            "RIALTO_WITHDRAWAL_COOLING_SECONDS": "0",
        }
        self.settings = Settings.of(self.environment)
        self.settings.run_dir.mkdir(parents=True, exist_ok=True)
        self.settings.secrets_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.processes: dict[str, Forked] = {}
        self.accounts: dict[str, ApiAccount] = {}
        self.customer_ids: dict[str, int] = {}
        self.perpetual: Instrument | None = None

    async def start(self) -> None:
        """List the test market, start the processes, make and fund two customers."""
        await self._write_listing()
        make_quick_seed(self.settings.data_dir)
        create_wallet(self.settings.data_dir)
        self.launch("matching-engine-0", "workers.matching_engine")
        await self.ready("matching-engine-0")
        async with self.engine("admin") as engine:
            assert isinstance((await engine.submit(ETH_USDT.listing()))[0], SymbolListed)
        self.launch("market-data-0", "workers.market_data")
        self.launch("gateway", "workers.gateway")
        await asyncio.gather(self.ready("market-data-0"), self.ready("gateway"))
        for name in ("alice", "bob"):
            await self.add_customer(name)
            await self.credit(name, USDT, "1000000")
            await self.credit(name, ETH, "1000")

    async def add_perpetual(self) -> None:
        """List a perpetual as well, once; return when its mark is fresh, with alice and bob set.

        The market data process feeds it with synthetic prices.
        """
        if self.perpetual is not None:
            return
        database = postgres.create(self.environment["RIALTO_DATABASE_URL"])
        async with self.engine("admin") as engine:
            listed = (await engine.submit(PERPETUAL.listing()))[0]
        assert isinstance(listed, SymbolListed), listed
        async with database.begin() as connection:
            row = market_row(PERPETUAL) | {"listed_sequence": listed.sequence}
            await connection.execute(sa.insert(tables.instrument).values(row))
        await database.dispose()
        await self._until("mark_price")
        await self._quote()
        await self._until("mark_is_fresh")
        self.perpetual = PERPETUAL
        for name in ("alice", "bob"):
            await self.choose_leverage(name)

    async def choose_leverage(self, name: str) -> None:
        """Let a customer have 10 times leverage in the perpetual."""
        body = {"symbol": PERPETUAL.symbol, "leverage": 10}
        assert (await self.request(name, "POST", "/v1/leverage", body)).is_success

    async def add_perpetual_customers(self, *names: str) -> None:
        """List the perpetual, and create customers who have money and leverage for it."""
        await self.add_perpetual()
        for name in names:
            await self.add_customer(name)
            await self.credit(name, USDT, "100000")
            await self.choose_leverage(name)

    async def _quote(self) -> None:
        """Let a third customer stand 2 % from the mark on both sides: an empty one trips."""
        await self.add_customer("maker")
        await self.credit("maker", USDT, "1000000")
        mark = float((await self.funding_now())["mark_price"])
        for side, price in (("buy", mark * 0.98), ("sell", mark * 1.02)):
            body = {"symbol": PERPETUAL.symbol, "side": side, "price": f"{price:.2f}"}
            placed = await self.request("maker", "POST", "/v1/orders", {**body, "quantity": "50"})
            assert placed.is_success, placed.text

    async def funding_now(self) -> dict[str, Any]:
        """Return mark and funding of the perpetual; {} while the gateway does not know it."""
        async with httpx.AsyncClient(base_url=self.base_url, verify=False) as http:
            answer = await http.get("/v1/funding", params={"symbol": PERPETUAL.symbol})
            return dict(answer.json()["now"]) if answer.is_success else {}

    async def _until(self, member: str) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not (await self.funding_now()).get(member):
            assert time.monotonic() < deadline, f"no {member}"
            await asyncio.sleep(0.25)

    async def open_position(self, long: str, short: str, quantity: str) -> str:
        """Let one customer buy from the other in the perpetual, near the mark; return the price."""
        symbol = PERPETUAL.symbol
        price = str((await self.funding_now())["mark_price"])
        for name, side in ((short, "sell"), (long, "buy")):
            order = {"symbol": symbol, "side": side, "price": price, "quantity": quantity}
            placed = await self.request(name, "POST", "/v1/orders", order)
            assert placed.is_success, placed.text
        return price

    async def close_positions(self) -> None:
        """Let alice and bob close what they have against each other in the perpetual."""
        answer = await self.request("alice", "GET", "/v1/positions")
        lots = [one["quantity"] for one in answer.json()["positions"] if one["quantity"] != "0"]
        for quantity in lots:
            names = ("alice", "bob") if quantity.startswith("-") else ("bob", "alice")
            await self.open_position(*names, quantity.removeprefix("-"))

    def engine(self, role: str) -> EngineConnection:
        """Return a connection to the engine in a role."""
        tokens = json.loads((self.settings.secrets_dir / "engine-tokens.json").read_text())
        return EngineConnection(
            EngineGrpc(self.settings.engine_grpc_target(0), role=role, token=tokens[role])
        )

    async def add_customer(self, name: str, *, scopes: tuple[str, ...] = ()) -> ApiAccount:
        """Create a customer (or another key of one), with the scopes given or all."""
        database = postgres.create(self.environment["RIALTO_DATABASE_URL"])
        store = CustomerStore(
            database, SecretBox.from_file(gateway_key_path(self.settings.secrets_dir))
        )
        customer = await store.create_customer(name, rate_class="market_maker")
        key: IssuedKey = await (
            store.create_api_key(customer.customer_id, scopes=scopes)
            if scopes
            else store.create_api_key(customer.customer_id)
        )
        await database.dispose()
        self.customer_ids[name] = customer.customer_id
        self.accounts[name] = ApiAccount(name, key.api_key, key.api_secret)
        return self.accounts[name]

    async def credit(self, name: str, asset: Asset, amount: str) -> None:
        """Give a customer trading balance, straight in the engine."""
        async with self.engine("treasury") as engine:
            command = Credit(
                key=time.time_ns(),
                account_id=self.customer_ids[name],
                asset_id=asset.asset_id,
                amount_units=asset.engine_units(amount),
                created_at_us=time.time_ns() // 1000,
            )
            assert isinstance((await engine.submit(command))[0], Credited)

    def launch(self, process: str, module: str, **settings: str) -> None:
        """Start one process of the exchange, with settings of its own."""
        self.processes[process] = fork_main(
            module,
            self.settings.data_dir / f"{process}.log",
            {**os.environ, **self.environment, **settings},
        )

    async def ready(self, process: str) -> None:
        """Wait until the process' own heartbeat shows."""
        path = self.settings.run_dir / f"{process}.json"
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            child = self.processes[process]
            if child.poll() is not None:
                break
            if path.exists() and json.loads(path.read_text())["pid"] == child.pid:
                return
            await asyncio.sleep(0.05)
        log = (self.settings.data_dir / f"{process}.log").read_text()
        raise AssertionError(f"{process} is not ready:\n{log[-3000:]}")

    async def pause(self) -> None:
        """Wait a little before looking again."""
        await asyncio.sleep(0.05)

    def kill(self, process: str) -> None:
        """End a process without a chance to clean up."""
        self.processes[process].kill()
        self.processes[process].wait()

    def stop(self) -> None:
        """End everything."""
        for process in reversed(self.processes.values()):
            if process.poll() is None:
                stop_process(process)

    async def request(
        self, name: str, method: str, target: str, body: object = None, **headers: str
    ) -> httpx.Response:
        """Send a request signed by `name`."""
        text = "" if body is None else json.dumps(body)
        async with httpx.AsyncClient(base_url=self.base_url, verify=False) as http:
            key = headers.get("Idempotency-Key", "")
            signed = self.accounts[name].headers(method, target, text.encode(), key)
            return await http.request(method, target, content=text, headers={**signed, **headers})

    async def place(self, name: str, side: str, price: str, quantity: str) -> httpx.Response:
        """Place a limit order in the test market."""
        order = {"symbol": "ETH/USDT", "side": side, "price": price, "quantity": quantity}
        return await self.request(name, "POST", "/v1/orders", order)

    async def trades(self) -> list[dict[str, Any]]:
        """Return the market's newest trades as everyone sees them."""
        async with httpx.AsyncClient(base_url=self.base_url, verify=False) as http:
            answer = await http.get("/v1/markets/ETH-USDT/trades?limit=100")
            return list(answer.json()["trades"])

    async def settle_fill(
        self, maker: str, taker: str, order: dict[str, Any], market: Instrument = ETH_USDT
    ) -> None:
        """Write the row that settlement would write of the first fill of a taker's sell.

        On a perpetual neither side has made a profit by it.
        """
        (fill,) = order["fills"]
        lots = market.quantity_lots(fill["quantity"])
        ticks = market.price_ticks(fill["price"])
        row = {
            "shard": 0,
            "sequence": order["sequence"],
            "index": 1,
            "trade_id": int(fill["trade_id"]),
            "symbol_id": market.symbol_id,
            "time_us": order["time_us"],
            "taker_side": 1,
            "maker_order_id": 1,
            "taker_order_id": int(order["order_id"]),
            "maker_account_id": self.customer_ids[maker],
            "taker_account_id": self.customer_ids[taker],
            "price_ticks": ticks,
            "quantity_lots": lots,
            "base_units": market.base_units(lots),
            "quote_units": market.quote_units(ticks, lots),
            "maker_fee_units": 1,
            "taker_fee_units": 2,
            "journal_id": 1,
        }
        if market.terms is not None:
            row |= {"maker_realised_units": 0, "taker_realised_units": 0, "insurance_units": 0}
        database = postgres.create(self.environment["RIALTO_DATABASE_URL"])
        async with database.begin() as connection:
            await connection.execute(tables.trade_event.insert().values(row))
        await database.dispose()

    async def book_deposit(self, name: str, asset: Asset, amount: int) -> None:
        """Write the row of a deposit that is credited, in chain units."""
        tx_hash = f"0x{time.time_ns():064x}"
        row = {
            "deposit_id": f"deposit-ETH-{tx_hash}-0",
            "chain": "ETH",
            "tx_hash": tx_hash,
            "log_index": 0,
            "block_number": 1,
            "block_hash": "0x",
            "address": "0x",
            "customer_id": self.customer_ids[name],
            "asset_id": asset.asset_id,
            "amount": amount,
            "state": "credited",
        }
        database = postgres.create(self.environment["RIALTO_DATABASE_URL"])
        async with database.begin() as connection:
            await connection.execute(tables.deposit.insert().values(row))
        await database.dispose()

    async def _write_listing(self) -> None:
        database = postgres.create(self.environment["RIALTO_DATABASE_URL"])
        async with database.begin() as connection:
            for asset in (USDT, ETH):
                await connection.execute(
                    tables.asset.insert().values(
                        asset_id=asset.asset_id,
                        code=asset.code,
                        chain="ETH",
                        chain_decimals=asset.chain_decimals,
                        engine_decimals=asset.engine_decimals,
                        confirmations=2,
                        deposit_minimum=1,
                        withdrawal_minimum=10,
                        withdrawal_fee=1,
                        approval_above=10**30,
                    )
                )
            row = market_row(ETH_USDT) | {"listed_sequence": 1}  # what order-history would write
            await connection.execute(sa.insert(tables.instrument).values(row))
        await database.dispose()


class EngineConnection:
    """Closes the channel at the end of the block."""

    def __init__(self, engine: EngineGrpc) -> None:
        self._engine = engine

    async def __aenter__(self) -> EngineGrpc:
        return self._engine

    async def __aexit__(self, *_: object) -> None:
        await self._engine.close()
