"""A small exchange in one process: the real application and engine, stores in memory."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx
from fastapi import FastAPI

from api.access_tokens import AccessToken, AccessTokens
from api.app import create_app
from api.auth import SignedParts, sign
from api.limits import Limiter
from api.login_ports import WebServices
from api.ports import EngineAway, EngineOutcomeUnknown, EventsForgotten
from api.services import Services
from api.websocket.account_hub import AccountHub
from api.websocket.hub import FeedHub
from domain.commands import Command, Credit, PlaceOrder, PlaceOrderList, Tick
from domain.customer import ApiKey
from domain.events import Event
from domain.market import Listings, Market
from domain.market_data import Level
from domain.order_record import DryRun, OrderRecord
from domain.perpetual_record import Holdings, PerpetualNow
from domain.shard_transfer import NewShardTransfer, NotFree, ShardTransfer, ShardTransferState
from domain.trading_status import TradingStatus
from domain.web_login import Where
from matching.batches import Batch
from matching.codec import decode_events, encode_command
from matching.engine import create_engine
from tests.api.key_memory import EndedKeyMemory, KeyMemory
from tests.api.listen_key_memory import ListenKeyMemory, ListNameMemory
from tests.api.login_memory import InvitationMemory, LinkMemory, LoginMemory
from tests.api.memory import (
    ALICE,
    BOB,
    BTC_LISTING,
    BTC_USDT,
    ETH,
    ETH_USDT,
    LISTINGS,
    USDT,
    ComplianceMemory,
    Memory,
)
from tests.domain.records import Records
from workers.withdrawals import WithdrawalRules


class LocalDoor:
    """The API's door straight into an engine of this process; `failure` plays a broken link.

    With `loses_answers` commands take effect and nobody hears of it.
    """

    def __init__(self, shard: int = 0) -> None:
        self.engine = create_engine(shard)
        self.events: list[Event] = []
        self.log: list[bytes] = []  # by sequence, from 1
        self.kept_after = 0  # events up to here are forgotten
        self.failure: Exception | None = None
        self.loses_answers = False
        self.time_us = 1_700_000_000_000_000

    def wait(self, seconds: int) -> None:
        """Let engine time pass."""
        self.time_us += seconds * 1_000_000
        self.apply(Tick())

    def apply(self, command: Command) -> tuple[Event, ...]:
        """Apply one command with the next number."""
        self.time_us += 1_000
        stripes = encode_command(command, sequence=self.engine.sequence + 1, time_us=self.time_us)
        raw = bytes(self.engine.apply(stripes))
        events = tuple(decode_events(raw))
        self.log.append(raw)
        self.events += events
        return events

    async def submit(self, command: Command) -> tuple[Event, ...]:
        if self.failure is not None:
            raise self.failure
        events = self.apply(command)
        if self.loses_answers:
            raise EngineOutcomeUnknown("played")
        return events

    async def submit_many(self, commands: Sequence[Command]) -> list[tuple[Event, ...]]:
        return [await self.submit(command) for command in commands]

    async def balances(self, account_id: int) -> tuple[int, dict[int, tuple[int, int]]]:
        self._check()
        return self.engine.sequence, self.engine.account_balances(account_id)

    async def open_orders(self, account_id: int, symbol_id: int) -> tuple[int, list[OrderRecord]]:
        self._check()
        return self.engine.sequence, self.engine.open_orders(account_id, symbol_id)

    async def order(
        self, account_id: int, order_id: int = 0, client_key: int = 0
    ) -> OrderRecord | None:
        self._check()
        return self.engine.order(account_id, order_id, client_key)

    async def dry_run(self, order: PlaceOrder | PlaceOrderList) -> tuple[int, DryRun]:
        self._check()
        return self.engine.sequence, self.engine.dry_run(encode_command(order))

    async def perpetuals(self) -> tuple[int, list[PerpetualNow]]:
        self._check()
        return self.engine.sequence, [PerpetualNow.of(one) for one in self.engine.perpetuals()]

    async def holdings(self, account_id: int) -> tuple[int, Holdings]:
        self._check()
        found = self.engine.positions(account_id)
        scopes = {one.scope for one in found} | {0}
        margins = {scope: self.engine.scope(account_id, scope) for scope in scopes}
        return self.engine.sequence, Holdings(found, margins)

    async def book(self, symbol_id: int, depth: int) -> tuple[int, list[Level], list[Level]]:
        self._check()
        bids, asks = self.engine.book(symbol_id, depth)
        return self.engine.sequence, bids, asks

    async def trading_status(self) -> TradingStatus:
        self._check()
        markets = {m.symbol_id: (m.state, m.status) for m in self.engine.symbols()}
        return TradingStatus(self.engine.mode, self.engine.status, markets)

    async def read(self, after: int, max_wait_seconds: float) -> Batch | None:
        """Read its log as the gateway reads a shard's, two commands at a time."""
        self._check()
        if not self.kept_after <= after <= len(self.log):
            raise EventsForgotten("played")
        if after == len(self.log):
            await asyncio.sleep(min(max_wait_seconds, 0.01))
            return None
        last = min(after + 2, len(self.log))
        return Batch(after + 1, last, b"".join(self.log[after:last]))

    def _check(self) -> None:
        if self.failure is not None:
            raise EngineAway("played")


class TransferMemory:
    """Transfers between main and shards, in memory; remembers whose workflow was started."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, str], tuple[NewShardTransfer, ShardTransfer]] = {}
        self.started: list[UUID] = []

    async def create(
        self, request: NewShardTransfer
    ) -> tuple[ShardTransfer, bool] | NotFree | None:
        key = (request.customer_id, request.idempotency_key)
        if key in self.rows:
            first, row = self.rows[key]
            return (row, False) if first == replace(request, free=first.free) else None
        if request.free is not None and request.is_short:
            return NotFree(request.free)
        row = ShardTransfer(
            shard_transfer_id=uuid4(),
            customer_id=request.customer_id,
            asset=USDT,
            amount=request.amount,
            from_shard=request.from_shard,
            to_shard=request.to_shard,
            state=ShardTransferState.REQUESTED,
            reason=None,
            created_at=dt.datetime.now(dt.UTC),
            expires_at=dt.datetime.now(dt.UTC) + dt.timedelta(hours=1),
        )
        self.rows[key] = (request, row)
        return row, True

    async def of_customer(self, customer_id: int, shard_transfer_id: UUID) -> ShardTransfer | None:
        rows = (row for _, row in self.rows.values() if row.customer_id == customer_id)
        return next((row for row in rows if row.shard_transfer_id == shard_transfer_id), None)

    async def start(self, shard_transfer_id: UUID, request_id: str) -> bool:
        self.started.append(shard_transfer_id)
        return True


_APPLICATIONS: list[FastAPI] = []


def _application(services: Services) -> FastAPI:
    """Return the application around `services`; its routes are built once for all tests."""
    if not _APPLICATIONS:
        _APPLICATIONS.append(create_app(services))
    _APPLICATIONS[0].state.services = services
    return _APPLICATIONS[0]


class Exchange:
    """The application with its engine, and a client for each customer."""

    def __init__(self) -> None:
        self.clock_ms = 0  # 0: the real clock
        self.door = LocalDoor()
        self.doors = {0: self.door}
        self.memory = Memory()
        self.own_keys, self.ended_keys = KeyMemory(self.memory.keys), EndedKeyMemory()
        self.logins = LoginMemory(self.memory.keys, self.now, "alice", "bob")
        self.links = LinkMemory(self.logins)
        self.web = WebServices(
            self.logins,
            self.logins,
            InvitationMemory(self.logins),
            AccessTokens(b"a key of gateways"),
            links=self.links,
        )
        self.listen_keys, self.list_names = ListenKeyMemory(), ListNameMemory()
        self.transfers = TransferMemory()
        self.filed = ComplianceMemory()
        self._signed_ms = 0
        self.services = Services(
            doors=self.doors,
            listings_directory=self.memory,
            keys=self.memory,
            own_keys=self.own_keys,
            ended_keys=self.ended_keys,
            web=self.web,
            listen_keys=self.listen_keys,
            list_names=self.list_names,
            orders=self.memory,
            wallet=self.memory,
            compliance=self.filed,
            market_data=self.memory,
            limiter=Limiter(self.memory),
            board=self.memory,
            hub=FeedHub(self.memory, lambda: ["ETH/USDT"]),
            accounts=AccountHub(self.doors, self.memory.calls),
            withdrawal_addresses=self.memory.addresses,
            withdrawal_rules=WithdrawalRules(),
            withdrawal_starter=self.memory,
            fee_tiers=self.memory,
            funding=self.memory,
            positions=self.memory,
            margin_calls=self.memory.calls,
            lights=self.memory,
            transfers=self.transfers,
            transfer_starter=self.transfers,
            now_ms=self.now_ms,
            version="test",
        )
        self.app = _application(self.services)
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False),
            base_url="http://rialto",
        )
        self.door.apply(ETH_USDT.listing())
        for customer_id in (ALICE, BOB):
            self.add_key(customer_id, f"key-{customer_id}")
            for asset in (USDT, ETH):
                self.door.apply(
                    Credit(
                        key=customer_id * 10 + asset.asset_id,
                        account_id=customer_id,
                        asset_id=asset.asset_id,
                        amount_units=asset.engine_units("10000"),
                        created_at_us=1_700_000_000_000_000,
                    )
                )

    def now_ms(self) -> int:
        """Return the exchange's time: `clock_ms`, or the real one."""
        return self.clock_ms or time.time_ns() // 1_000_000

    def now(self) -> dt.datetime:
        """Return the exchange's time."""
        return dt.datetime.fromtimestamp(self.now_ms() / 1000, dt.UTC)

    def session(self, customer_id: int, *, stepped_up: bool = True) -> dict[str, str]:
        """Return the header of a new session's requests; with a second factor shown, or long ago.

        The session's id is the token's first part.
        """
        opened = self.logins.begin(customer_id, Where("127.0.0.1", "a test"))
        now_ms = self.now_ms()
        until_ms = now_ms + 300_000 if stepped_up else now_ms
        token = AccessToken(opened.session_id, now_ms + 600_000, until_ms)
        return {"Authorization": f"Bearer {self.web.tokens.sealed(token)}"}

    def follow(self) -> None:
        """Let the order history catch up with the engine."""
        self.memory.history = Records()
        self.memory.history.read(self.door.events)

    def add_shard(self) -> LocalDoor:
        """Open a second shard, which trades BTC/USDT; return its door."""
        door = self.doors[1] = LocalDoor(1)
        door.apply(BTC_USDT.listing())
        self.memory.listings = Listings(
            [*LISTINGS.markets, Market(BTC_USDT, 1)], [*LISTINGS.assets, BTC_LISTING]
        )
        return door

    def add_key(
        self, customer_id: int, key_id: str, scopes: str = "read trade withdraw", **other: Any
    ) -> None:
        """Add an API key whose secret is its id reversed."""
        fields = {
            "rate_class": "standard",
            "customer_status": "active",
            "expires_at": None,
            "secret": key_id[::-1].encode(),
            **other,
        }
        self.memory.keys[key_id] = ApiKey(
            key_id=key_id,
            customer_id=customer_id,
            scopes=frozenset(scopes.split()),
            **fields,
        )

    def signed(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        key_id: str = "key-1",
        timestamp_ms: int | None = None,
        idempotency_key: str = "",
    ) -> dict[str, str]:
        """Return the headers of a signed request."""
        if timestamp_ms is None:  # no two requests are signed in the same millisecond
            timestamp_ms = self._signed_ms = max(self.services.now_ms(), self._signed_ms + 1)
        timestamp = str(timestamp_ms)
        path, _, query = target.partition("?")
        parts = SignedParts(method, path.encode(), query.encode(), idempotency_key.encode(), body)
        return {
            "RIALTO-KEY": key_id,
            "RIALTO-TIMESTAMP": timestamp,
            "RIALTO-SIGNATURE": sign(key_id[::-1].encode(), timestamp, parts),
        }

    def credentials(self, key_id: str = "key-1") -> dict[str, str]:
        """Return a fresh signature of `GET /v1/ws`, as a socket's login has it."""
        headers = self.signed("GET", "/v1/ws", key_id=key_id)
        return {name.removeprefix("RIALTO-").lower(): text for name, text in headers.items()}

    async def call(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        key_id: str = "key-1",
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Send a signed request; `body` is bytes, or a value to send as JSON."""
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        key = (headers or {}).get("Idempotency-Key", "")
        return await self.http.request(
            method,
            target,
            content=raw,
            headers={
                "Content-Type": "application/json",
                **self.signed(method, target, raw, key_id=key_id, idempotency_key=key),
                **(headers or {}),
            },
        )

    async def amend(
        self, order: httpx.Response, key_id: str = "key-1", **fields: Any
    ) -> httpx.Response:
        """Amend the order that `order` is the answer to."""
        return await self.call(
            "PATCH", f"/v1/orders/{order.json()['order_id']}", fields, key_id=key_id
        )

    async def place(
        self, key_id: str = "key-1", *, target: str = "/v1/orders", **fields: Any
    ) -> httpx.Response:
        """Place an order: a buy of 1 ETH at 2500 unless `fields` say otherwise."""
        order = {
            "symbol": "ETH/USDT",
            "side": "buy",
            "type": "limit",
            "price": "2500",
            "quantity": "1",
            **fields,
        }
        kept = {name: value for name, value in order.items() if value is not ...}
        return await self.call("POST", target, kept, key_id=key_id)
