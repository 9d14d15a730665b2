"""A small exchange in one process: the real application and engine, stores in memory."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from fastapi import FastAPI

from api.app import create_app
from api.auth import SignedParts, sign
from api.limits import Limiter
from api.ports import EngineAway
from api.services import Services
from api.websocket.hub import FeedHub
from domain.commands import Command, Credit, ListSymbol
from domain.customer import ApiKey
from domain.events import Event
from domain.instrument import Asset, Instrument
from domain.market import AssetListing, Listings, Market
from domain.market_data import Candle, Level, PublicTrade
from domain.order_record import FillRecord, OrderRecord
from domain.process_beat import ProcessBeat
from domain.rate_limit import Charge, Charged
from domain.wallet_record import DepositRecord, NewWithdrawal, WithdrawalRecord
from matching.codec import decode_events, encode_command
from matching.engine import Engine, OrderView
from workers.withdrawals import WithdrawalRules

USDT = Asset(asset_id=1, code="USDT", chain_decimals=6, engine_decimals=6)
ETH = Asset(asset_id=2, code="ETH", chain_decimals=18, engine_decimals=9)
ETH_USDT = Instrument.listed(
    symbol_id=1,
    base=ETH,
    quote=USDT,
    tick_size="0.01",
    lot_size="0.0001",
    listing_price="2500",
    maker_fee_ppm=1000,
    taker_fee_ppm=2000,
    band_ppm=100_000,
    max_order="1000",
    max_open_orders=60,
)
ALICE, BOB = 1, 2
LISTINGS = Listings(
    [Market(ETH_USDT, 0)],
    [
        AssetListing(USDT, "ETH", "0x" + "11" * 20, 2, 10**6, 10**7, 10**6, 10**10),
        AssetListing(ETH, "ETH", None, 2, 10**15, 10**16, 10**15, 10**18),
    ],
)


def list_symbol(instrument: Instrument) -> ListSymbol:
    """Return the command that lists `instrument`."""
    return ListSymbol(
        symbol_id=instrument.symbol_id,
        base_asset_id=instrument.base.asset_id,
        quote_asset_id=instrument.quote.asset_id,
        base_units_per_lot=instrument.base_units_per_lot,
        quote_units_per_tick_lot=instrument.quote_units_per_tick_lot,
        maker_fee_ppm=instrument.maker_fee_ppm,
        taker_fee_ppm=instrument.taker_fee_ppm,
        band_ppm=instrument.band_ppm,
        listing_price_ticks=instrument.listing_price_ticks,
        max_order_lots=instrument.max_order_lots,
        max_open_orders=instrument.max_open_orders,
    )


class LocalDoor:
    """The API's door straight into an engine of this process; `failure` plays a broken link."""

    def __init__(self) -> None:
        self.engine = create_engine()
        self.events: list[Event] = []
        self.failure: Exception | None = None
        self._time_us = 1_700_000_000_000_000

    def apply(self, command: Command) -> tuple[Event, ...]:
        """Apply one command with the next number."""
        self._time_us += 1_000
        stripes = encode_command(command, sequence=self.engine.sequence + 1, time_us=self._time_us)
        events = tuple(decode_events(self.engine.apply(stripes)))
        self.events += events
        return events

    async def submit(self, command: Command) -> tuple[Event, ...]:
        if self.failure is not None:
            raise self.failure
        return self.apply(command)

    async def submit_many(self, commands: Sequence[Command]) -> list[tuple[Event, ...]]:
        return [await self.submit(command) for command in commands]

    async def balances(self, account_id: int) -> tuple[int, dict[int, tuple[int, int]]]:
        self._check()
        return self.engine.sequence, self.engine.account_balances(account_id)

    async def open_orders(self, account_id: int, symbol_id: int) -> tuple[int, list[OrderRecord]]:
        self._check()
        found = self.engine.open_orders(account_id, symbol_id)
        return self.engine.sequence, [_record(order) for order in found]

    async def order(
        self, account_id: int, order_id: int = 0, client_key: int = 0
    ) -> OrderRecord | None:
        self._check()
        found = self.engine.order(account_id, order_id, client_key)
        return _record(found) if found is not None else None

    async def book(self, symbol_id: int, depth: int) -> tuple[int, list[Level], list[Level]]:
        self._check()
        bids, asks = self.engine.book(symbol_id, depth)
        return self.engine.sequence, bids, asks

    def _check(self) -> None:
        if self.failure is not None:
            raise EngineAway("played")


def _record(order: OrderView) -> OrderRecord:
    return OrderRecord(
        order_id=order.order_id,
        account_id=order.account_id,
        symbol_id=order.symbol_id,
        client_order_id=order.client_text,
        side=order.side,
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        post_only=order.post_only,
        price_ticks=order.price_ticks,
        quantity_lots=order.quantity_lots,
        filled_lots=order.filled_lots,
        status=order.status,
        accepted_sequence=order.accepted_sequence,
        accepted_at_us=order.accepted_time_us,
        updated_at_us=order.accepted_time_us,
    )


@dataclass
class Memory:
    """Every store of the API, in memory; `away` plays a database that is gone."""

    keys: dict[str, ApiKey] = field(default_factory=dict)
    withdrawals_written: dict[tuple[int, str], tuple[NewWithdrawal, WithdrawalRecord]] = field(
        default_factory=dict
    )
    started: list[uuid.UUID] = field(default_factory=list)
    used: dict[tuple[str, str], int] = field(default_factory=dict)
    away: bool = False
    keys_away: bool = False
    redis_away: bool = False

    def _check(self) -> None:
        if self.away:
            raise ConnectionError("played")

    async def find(self, key_id: str) -> ApiKey | None:
        if self.keys_away:
            raise ConnectionError("played")
        return self.keys.get(key_id)

    async def orders(self, *_: Any) -> list[OrderRecord]:
        self._check()
        return []

    async def order(self, *_: Any) -> OrderRecord | None:
        self._check()
        return None

    async def order_by_client_key(self, *_: Any) -> OrderRecord | None:
        self._check()
        return None

    async def fills(self, *_: Any) -> list[FillRecord]:
        self._check()
        return []

    async def main_balances(self, customer_id: int) -> dict[str, int]:
        self._check()
        return {"ETH": 5} if customer_id == ALICE else {}

    async def deposit_address(self, customer_id: int, chain: str) -> str:
        self._check()
        return f"0x{customer_id:040x}"

    async def deposits(self, *_: Any) -> list[DepositRecord]:
        self._check()
        return []

    async def withdrawals(
        self, customer_id: int, before: tuple[int, ...] | None, limit: int
    ) -> list[WithdrawalRecord]:
        self._check()
        return [
            record
            for request, record in self.withdrawals_written.values()
            if request.customer_id == customer_id
        ]

    async def withdrawal(
        self, customer_id: int, withdrawal_id: uuid.UUID
    ) -> WithdrawalRecord | None:
        found = await self.withdrawals(customer_id, None, 1)
        return next((item for item in found if item.withdrawal_id == withdrawal_id), None)

    async def create_withdrawal(
        self, request: NewWithdrawal
    ) -> tuple[WithdrawalRecord, bool] | None:
        self._check()
        key = (request.customer_id, request.idempotency_key)
        if key in self.withdrawals_written:
            first, record = self.withdrawals_written[key]
            same = replace(first, request_id="") == replace(request, request_id="")
            return (record, False) if same else None
        record = WithdrawalRecord(
            withdrawal_id=uuid.uuid4(),
            idempotency_key=request.idempotency_key,
            asset_id=request.asset_id,
            amount=request.amount,
            fee=request.fee,
            address=request.address,
            state="requested",
            stage="hold",
            reason=None,
            tx_hash=None,
            created_at_us=1,
        )
        self.withdrawals_written[key] = (request, record)
        return record, True

    async def start(self, withdrawal_id: uuid.UUID, request_id: str) -> bool:
        self.started.append(withdrawal_id)
        return True

    async def candles(self, *_: Any) -> list[Candle]:
        self._check()
        return []

    async def trades(self, *_: Any) -> list[PublicTrade]:
        self._check()
        return []

    async def beats(self) -> dict[str, ProcessBeat]:
        now = time.time()
        return {"gateway": ProcessBeat("gateway", "1", now, now)}

    async def cursors(self) -> dict[str, int]:
        return {"settlement.0": 1}

    async def charge(self, charges: Sequence[Charge], window_seconds: int) -> Charged:
        if self.redis_away:
            raise ConnectionError("played")
        used = {
            charge: self.used.get((charge.bucket, charge.subject), 0) + charge.cost
            for charge in charges
        }
        allowed = all(total <= charge.quota for charge, total in used.items())
        if allowed:
            for charge, total in used.items():
                self.used[charge.bucket, charge.subject] = total
        left = tuple(max(0, charge.quota - total) for charge, total in used.items())
        return Charged(allowed, left, window_seconds)

    async def first_use(self, name: str, seconds: int) -> bool:
        if self.redis_away:
            raise ConnectionError("played")
        is_first = ("once", name) not in self.used
        self.used["once", name] = 1
        return is_first

    def current(self) -> Listings:
        return LISTINGS

    async def messages(self) -> AsyncIterator[bytes]:
        raise ConnectionError("no feed")
        yield b""

    async def hot(self, kind: str, symbol: str) -> bytes | None:
        return None


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
        self.door = LocalDoor()
        self.memory = Memory()
        self.clock_ms = 0  # 0: the real clock
        self.services = Services(
            doors={0: self.door},
            listings_directory=self.memory,
            keys=self.memory,
            orders=self.memory,
            wallet=self.memory,
            market_data=self.memory,
            limiter=Limiter(self.memory),
            board=self.memory,
            hub=FeedHub(self.memory, lambda: ["ETH/USDT"]),
            withdrawal_rules=WithdrawalRules(),
            withdrawal_starter=self.memory,
            now_ms=lambda: self.clock_ms or time.time_ns() // 1_000_000,
            version="test",
        )
        self.app = _application(self.services)
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False),
            base_url="http://rialto",
        )
        self.door.apply(list_symbol(ETH_USDT))
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

    def add_key(
        self, customer_id: int, key_id: str, scopes: str = "read trade withdraw", **other: Any
    ) -> None:
        """Add an API key whose secret is its id reversed."""
        fields = {
            "rate_class": "standard",
            "customer_status": "active",
            "expires_at": None,
            **other,
        }
        self.memory.keys[key_id] = ApiKey(
            key_id=key_id,
            customer_id=customer_id,
            secret=key_id[::-1].encode(),
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
    ) -> dict[str, str]:
        """Return the headers of a signed request."""
        timestamp = str(timestamp_ms or self.services.now_ms())
        path, _, query = target.partition("?")
        parts = SignedParts(method, path.encode(), query.encode(), body)
        return {
            "RIALTO-KEY": key_id,
            "RIALTO-TIMESTAMP": timestamp,
            "RIALTO-SIGNATURE": sign(key_id[::-1].encode(), timestamp, parts),
        }

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
        return await self.http.request(
            method,
            target,
            content=raw,
            headers={
                "Content-Type": "application/json",
                **self.signed(method, target, raw, key_id=key_id),
                **(headers or {}),
            },
        )

    async def place(self, key_id: str = "key-1", **fields: Any) -> httpx.Response:
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
        return await self.call("POST", "/v1/orders", kept, key_id=key_id)
