"""Seeding the demo: listings, tokens, customers, real deposits, two withdrawals to practise on.

Each step is idempotent and written down in `secrets/demo.json` when it is done, so a start that
was interrupted goes on where it ended, and a later start does nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from api.client import accounts
from api.client.account import ApiAccount
from api.client.errors import ClientError
from api.client.http import AsyncClient
from api.schemas.transfers import TransferIn
from domain.deposit import FINAL_STATES, DepositState
from domain.instrument import Instrument
from domain.market_change import ChangeState, MarketChange
from domain.withdrawal_limits import Tier
from infra.embedded.server import ServerFailedError
from infra.postgres import tables
from infra.postgres.customers import CustomerStore
from infra.postgres.market_rows import market_row
from infra.secret_box import SecretBox
from infra.settings import Settings
from infra.wallet import demo as chain_demo
from infra.wallet import setup
from infra.wallet.keys import WalletPublic, load_public
from infra.wallet.officers import DEMO_OFFICERS
from workers import demo_listings as listings
from workers import demo_perpetuals as perpetuals
from workers.data_folder import demo_record_path, read_json, write_json
from workers.demo_money import list_address, withdraw

_DEPOSIT_SECONDS = 60.0
_TRANSFER_SECONDS = 60.0
_WITHDRAWALS = {"waiting": listings.WAITING_WITHDRAWAL, "parked": listings.PARKED_WITHDRAWAL}


class DemoError(ServerFailedError):
    """The demo could not be seeded; the message says what was waited for."""


class Demo:
    """The demo's seeding, in the order in which `./rialto up` calls its steps."""

    def __init__(self, settings: Settings, engine: AsyncEngine, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._engine = engine
        self._say = say
        self._path = demo_record_path(settings.data_dir)
        self._record: dict[str, Any] = read_json(self._path)
        self._record.setdefault("done", [])
        self._record.setdefault("accounts", {})

    @property
    def accounts(self) -> list[ApiAccount]:
        """Return the two demo customers with their API keys."""
        return [self._account(person.name) for person in listings.PEOPLE]

    def withdrawal_id(self, name: str) -> str | None:
        """Return the id of the withdrawal to practise on called `waiting` or `parked`."""
        found = self._record.get(f"withdrawal_{name}")
        return str(found) if found else None

    def is_complete(self) -> bool:
        """Tell whether an earlier start seeded everything."""
        return "withdrawals" in self._record["done"]

    async def before_processes(self) -> None:
        """Write what the processes read when they start: listings, contracts, keys, customers."""
        if self._is_done("listings"):
            return
        await self._write_listings()
        self._say("deploying the tokens on the chain")
        wallet = await setup.prepare_demo_wallet(
            self._settings.data_dir, self._settings.chain_url, self._engine
        )
        await self._create_customers(wallet.public, self._everybody())
        self._write_bots()
        self._done("listings")

    async def list_markets(self) -> None:
        """List the markets in the engine; it answers that they are listed already after a crash."""
        if self._is_done("markets"):
            return
        for market in listings.MARKETS:
            await self._list_market(market, 0)
        self._done("markets")

    async def list_perpetuals(self) -> None:
        """Propose each perpetual and have the two officers sign it; workflows list it; once.

        They are proposed one after the other, as each takes the next number, and signed at once.
        """
        missing = {f"listed-{one.symbol}": one for one in perpetuals.PERPETUALS}
        missing = {step: one for step, one in missing.items() if not self._is_done(step)}
        if missing:
            symbols = ", ".join(listing.symbol for listing in missing.values())
            self._say(f"listing {symbols} by two officers' signatures")
        async with asyncio.TaskGroup() as group:
            for step, listing in missing.items():
                group.create_task(self._sign_listing(step, *await self._proposed(listing)))

    async def _proposed(
        self, listing: perpetuals.PerpetualListing
    ) -> tuple[MarketChange, Mapping[str, str]]:
        """Return the change that lists a perpetual, and who has signed it already."""
        from workers import market_desk as desk
        from workers.officer_desk import DeskError

        known = await desk.store_of(self._engine).recent(50)
        begun = [one for one in known if one[0].symbol == listing.symbol]
        if begun:
            return begun[0]
        wanted = desk.Wanted("the demo trades perpetuals")
        try:
            change = await desk.propose_listing(
                self._engine, self._settings, listing.symbol, 0, listing.terms, {}, wanted
            )
        except DeskError as error:
            raise DemoError(f"{listing.symbol} could not be proposed: {error}") from error
        return change, {}

    async def _sign_listing(
        self, step: str, change: MarketChange, signed: Mapping[str, str]
    ) -> None:
        from workers import market_desk as desk
        from workers.officer_desk import DeskError

        try:
            for officer in DEMO_OFFICERS:
                if change.is_open and officer not in signed:
                    _, change = await desk.sign(self._engine, self._settings, officer, change)
        except DeskError as error:
            raise DemoError(f"{change.symbol} could not be listed: {error}") from error
        if change.state is not ChangeState.APPLIED:
            raise DemoError(
                f"the listing of {change.symbol} is still {change.state} {change.failure}; see "
                f"the workflow market-change-{change.change_id} in the Temporal UI"
            )
        self._done(step)

    async def _list_market(self, market: Instrument, shard: int) -> None:
        from workers.engine_admin import list_market

        await list_market(self._settings, market, shard)

    async def fund(self) -> None:
        """Send coins to the hot wallet and to each customer, and wait until they can be traded."""
        if self._is_done("funds"):
            return
        public = load_public(self._settings.data_dir)
        hot = [(public.hot_address, code, amount) for code, amount in listings.HOT_WALLET.items()]
        await self._send_deposits(self._everybody(), hot)
        self._done("funds")

    async def _send_deposits(
        self,
        customers: Sequence[listings.DemoCustomer],
        others: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        """Send the customers' deposits, and `others` (address, asset code, amount), once."""
        public = load_public(self._settings.data_dir)
        wanted = list(others)
        for customer in customers:
            address = public.deposit_address(self._record["accounts"][customer.name]["index"])
            wanted += [(address, code, amount) for code, amount in customer.deposits.items()]
        self._say(f"sending {len(wanted)} deposits on the chain and waiting for confirmations")
        sent = self._record.setdefault("sent", {})
        missing = [item for item in wanted if f"{item[0]}:{item[1]}" not in sent]
        hashes = await asyncio.gather(*(self.send(*item) for item in missing))
        sent.update({f"{item[0]}:{item[1]}": tx for item, tx in zip(missing, hashes, strict=True)})
        self._save()
        await self.wait_for_deposits(sent.values())

    async def open_shard(self, shard: int, client: AsyncClient) -> None:
        """List a shard's market, fund its traders, and move their money there; once."""
        step = f"shard-{shard}"
        if self._is_done(step):
            return
        self._say(f"opening shard {shard}: a market, two traders, money from shard 0")
        bots = listings.SHARD_BOTS[shard]
        public = load_public(self._settings.data_dir)
        await self._list_market(await self._shard_market(shard), shard)
        await self._create_customers(public, bots)
        self._write_bots()
        await self._send_deposits(bots)
        wanted = listings.SHARD_FUNDS[shard]
        ids = []
        for name, code, amount in wanted:
            key = f"demo-{step}-{name}-{code}"
            ids.append(await self._transfer(client, (name, code, amount), (0, shard), key))
        for (name, code, _), transfer_id in zip(wanted, ids, strict=True):
            await self._until_moved(client, name, code, transfer_id)
        self._done(step)

    async def _shard_market(self, shard: int) -> Instrument:
        """Return the shard's market, with a number that no market has had; its row is written."""
        market, row = listings.SHARD_MARKETS[shard], tables.instrument.c
        async with self._engine.begin() as connection:
            query = sa.select(row.symbol_id, row.shard).where(row.symbol == market.symbol)
            known = (await connection.execute(query)).one_or_none()
            if known is not None and known.shard != shard:
                raise DemoError(
                    f"shard {shard} is to trade {market.symbol}, which shard {known.shard} does: "
                    "start without --shards, or `rialto reset`"
                )
            if known is not None:
                return replace(market, symbol_id=known.symbol_id)
            last = int(await connection.scalar(sa.select(sa.func.max(row.symbol_id))) or 0)
            market = replace(market, symbol_id=max(market.symbol_id, last + 1))
            await connection.execute(sa.insert(tables.instrument).values(market_row(market, shard)))
        return market

    async def _transfer(
        self, client: AsyncClient, what: tuple[str, str, str], shards: tuple[int, int], key: str
    ) -> str:
        """Ask for a transfer; a market that the gateway has not heard of yet is waited for."""
        name, code, amount = what
        move = TransferIn(asset=code, amount=amount, from_shard=shards[0], to_shard=shards[1])
        call = accounts.transfer(move, key=key).waiting_for("invalid_field")
        try:
            return (await client.send(call, self._account(name))).transfer_id
        except ClientError as error:
            raise DemoError(f"the demo's transfer {key} was refused: {error}") from error

    async def _until_moved(
        self, client: AsyncClient, name: str, code: str, transfer_id: str
    ) -> None:
        deadline = time.monotonic() + _TRANSFER_SECONDS
        while True:
            found = await client.send(accounts.one_transfer(transfer_id), self._account(name))
            if found.state == "done":
                return
            if found.state in ("refused", "in_main") or time.monotonic() > deadline:
                raise DemoError(f"the transfer of {name}'s {code} is {found.state}: {found}")
            await asyncio.sleep(0.2)

    async def list_addresses(self, client: AsyncClient) -> None:
        """Let the addresses of the withdrawals to practise on begin to cool off."""
        if self._is_done("withdrawals"):
            return
        target = await self.outside_address()
        for owner, _, _ in _WITHDRAWALS.values():
            await list_address(client, self._account(owner), target)

    async def leave_withdrawals(self, client: AsyncClient) -> None:
        """Ask for two withdrawals: one needs an officer, one is larger than the hot wallet."""
        if self._is_done("withdrawals"):
            return
        target = await self.outside_address()
        for name, (owner, code, amount) in _WITHDRAWALS.items():
            try:
                self._record[f"withdrawal_{name}"] = await withdraw(
                    client, self._account(owner), code, amount, target, key=f"demo-{name}"
                )
            except ClientError as error:
                raise DemoError(f"the demo's withdrawal {name} was refused: {error}") from error
        self._done("withdrawals")

    async def send(self, address: str, code: str, amount: str) -> str:
        """Send coins from the demo's faucet; return the transaction's hash."""
        async with self._engine.connect() as connection:
            query = sa.select(tables.asset.c.contract).where(tables.asset.c.code == code)
            contract = (await connection.execute(query)).scalar_one()
        units = listings.ASSET_BY_CODE[code].chain_units(amount)
        return await chain_demo.fund(self._settings.chain_url, address, contract, units)

    async def deposit(self, name: str, code: str, amount: str) -> str:
        """Send coins to a customer's own deposit address; return the transaction's hash."""
        public = load_public(self._settings.data_dir)
        index = self._record["accounts"][name]["index"]
        return await self.send(public.deposit_address(index), code, amount)

    async def refill(self, code: str, amount: str) -> str:
        """Send coins to the hot wallet; return the transaction's hash."""
        return await self.send(load_public(self._settings.data_dir).hot_address, code, amount)

    async def outside_address(self) -> str:
        """Return an address on the chain that is not the exchange's."""
        from domain.evm_address import checksum_address
        from infra.wallet.keccak import keccak256
        from infra.wallet.rpc import JsonRpc

        async with JsonRpc(self._settings.chain_url) as rpc:
            return checksum_address((await rpc.call("eth_accounts"))[-1], keccak256)

    async def wait_for_deposits(self, tx_hashes: Iterable[str]) -> None:
        """Wait until each transaction's deposit is final and its money can be traded."""
        hashes = list(tx_hashes)
        deadline = time.monotonic() + _DEPOSIT_SECONDS
        query = sa.select(tables.deposit.c.state).where(tables.deposit.c.tx_hash.in_(hashes))
        while True:
            async with self._engine.connect() as connection:
                states = [row.state for row in await connection.execute(query)]
            final = [state for state in states if DepositState(state) in FINAL_STATES]
            if len(final) == len(hashes):
                return
            if time.monotonic() > deadline:
                raise DemoError(
                    f"{len(final)} of {len(hashes)} deposits were credited within "
                    f"{_DEPOSIT_SECONDS:.0f} s; look at the logs of chain-watcher and "
                    "temporal-worker, and at the Temporal UI"
                )
            await asyncio.sleep(0.2)

    async def _write_listings(self) -> None:
        async with self._engine.begin() as connection:
            for terms in listings.ASSETS:
                row = insert(tables.asset).values(terms.row())
                await connection.execute(row.on_conflict_do_nothing())
            for market in listings.MARKETS:
                row = insert(tables.instrument).values(market_row(market))
                await connection.execute(row.on_conflict_do_nothing())

    async def _create_customers(
        self, public: WalletPublic, customers: Sequence[listings.DemoCustomer]
    ) -> None:
        box = SecretBox.from_file(self._settings.secrets_dir / "gateway-key")
        store = CustomerStore(self._engine, box)
        for wanted in customers:
            rate_class = "market_maker" if wanted.kind == "bot" else "standard"
            customer = await store.create_customer(
                wanted.name, kind=wanted.kind, rate_class=rate_class, tier=Tier.VERIFIED
            )
            async with self._engine.begin() as connection:
                await setup.ensure_deposit_address(
                    connection, public, customer.customer_id, customer.deposit_index
                )
            if wanted.name not in self._record["accounts"]:
                key = await store.create_api_key(customer.customer_id)
                self._record["accounts"][wanted.name] = {
                    "customer_id": customer.customer_id,
                    "index": customer.deposit_index,
                    "api_key": key.api_key,
                    "api_secret": key.api_secret,
                }
                self._save()

    def _write_bots(self) -> None:
        known = self._record["accounts"]
        names = [
            bot.name for bots in (listings.BOTS, *listings.SHARD_BOTS.values()) for bot in bots
        ]
        traders = [bot.customer.name for bot in perpetuals.PERPETUAL_BOTS]
        accounts, perpetual = (
            [self._account(name).as_json() for name in group if name in known]
            for group in (names, traders)
        )
        content = {"accounts": accounts, "perpetual": perpetual}
        write_json(self._settings.secrets_dir / "bots.json", content)

    def _everybody(self) -> list[listings.DemoCustomer]:
        return [*listings.CUSTOMERS, *(bot.customer for bot in perpetuals.PERPETUAL_BOTS)]

    def _account(self, name: str) -> ApiAccount:
        found = self._record["accounts"][name]
        return ApiAccount(name, found["api_key"], found["api_secret"])

    def _is_done(self, step: str) -> bool:
        return step in self._record["done"]

    def _done(self, step: str) -> None:
        self._record["done"].append(step)
        self._save()

    def _save(self) -> None:
        write_json(self._path, self._record)
