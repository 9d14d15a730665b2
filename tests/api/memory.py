"""The API's stores in memory, and the listings of the tests' market."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from domain.candles import Candle
from domain.customer import ApiKey
from domain.fee_tiers import CustomerTier
from domain.hash_chain import JsonValue
from domain.instrument import Asset, Instrument
from domain.margin_call import MarginCall
from domain.market import AssetListing, Listings, Market
from domain.order_record import FillRecord, OrderRecord
from domain.perpetual_record import FundChange, PastFunding, PositionEvent, PositionEventKind
from domain.process_beat import ProcessBeat
from domain.rate_limit import Charge, Charged
from domain.wallet_record import (
    Barred,
    DepositRecord,
    FiledWithdrawal,
    NewWithdrawal,
    RowPlace,
    Unfunded,
    WithdrawalFilter,
    WithdrawalRecord,
)
from domain.withdrawal import CANCELLABLE_STATES
from tests.api.address_memory import AddressMemory
from tests.domain.records import Records

Placed = TypeVar("Placed", DepositRecord, WithdrawalRecord, FiledWithdrawal)

USDT = Asset(asset_id=1, code="USDT", chain_decimals=6, engine_decimals=6)
ETH = Asset(asset_id=2, code="ETH", chain_decimals=18, engine_decimals=9)
BTC = Asset(asset_id=3, code="BTC", chain_decimals=8, engine_decimals=8)
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
BTC_USDT = Instrument.listed(
    symbol_id=2,
    base=BTC,
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
BTC_LISTING = AssetListing(BTC, "ETH", None, 2, 10**4, 10**5, 10**4, 10**8)
ALICE, BOB = 1, 2
LISTINGS = Listings(
    [Market(ETH_USDT, 0)],
    [
        AssetListing(USDT, "ETH", "0x" + "11" * 20, 2, 10**6, 10**7, 10**6, 10**10),
        AssetListing(ETH, "ETH", None, 2, 10**15, 10**16, 10**15, 10**18),
    ],
)


def _content(request: NewWithdrawal) -> NewWithdrawal:
    return replace(request, request_id="", free=None)


class CallMemory:
    """Margin calls: those written, and those told to who listens."""

    def __init__(self) -> None:
        self.written: list[MarginCall] = []
        self.told: asyncio.Queue[MarginCall] = asyncio.Queue()

    async def of(
        self, account_id: int, before: tuple[int, ...] | None, limit: int
    ) -> list[MarginCall]:
        def place(one: MarginCall) -> tuple[int, ...]:
            return one.time_us, one.sequence, one.shard, one.symbol_id

        mine = [one for one in self.written if one.account_id == account_id]
        newest = sorted(mine, key=place, reverse=True)
        return [one for one in newest if before is None or place(one) < before][:limit]

    async def messages(self) -> AsyncIterator[MarginCall]:
        while True:
            yield await self.told.get()


@dataclass
class Memory:
    """Every store of the API, in memory; `away` plays a database that is gone."""

    keys: dict[str, ApiKey] = field(default_factory=dict)
    listings: Listings = LISTINGS
    withdrawals_written: dict[tuple[int, str], tuple[NewWithdrawal, WithdrawalRecord]] = field(
        default_factory=dict
    )
    started: list[uuid.UUID] = field(default_factory=list)
    told: list[uuid.UUID] = field(default_factory=list)
    refusals: list[tuple[int, dict[str, JsonValue]]] = field(default_factory=list)
    addresses: AddressMemory = field(default_factory=AddressMemory)
    taken: dict[int, int] = field(default_factory=dict)
    used: dict[tuple[str, str], int] = field(default_factory=dict)
    history: Records = field(default_factory=Records)
    tiers: dict[int, CustomerTier] = field(default_factory=dict)
    past_fundings: list[PastFunding] = field(default_factory=list)
    lights: dict[tuple[int, int], int] = field(default_factory=dict)
    realised_units: dict[tuple[int, int], int] = field(default_factory=dict)
    position_events: dict[int, list[PositionEvent]] = field(default_factory=dict)
    fund_history: list[FundChange] = field(default_factory=list)
    calls: CallMemory = field(default_factory=lambda: CallMemory())
    own_fills: dict[int, list[FillRecord]] = field(default_factory=dict)
    own_deposits: dict[int, list[DepositRecord]] = field(default_factory=dict)
    away: bool = False
    keys_away: bool = False
    redis_away: bool = False

    def _check(self) -> None:
        if self.away:
            raise ConnectionError("played")

    def remembers(self, key_id: str) -> bool:
        return key_id in self.keys

    async def find(self, key_id: str) -> ApiKey | None:
        if self.keys_away:
            raise ConnectionError("played")
        return self.keys.get(key_id)

    async def orders(
        self, customer_id: int, symbol_id: int, before: tuple[int, ...] | None, limit: int
    ) -> list[OrderRecord]:
        self._check()
        mine = [one for one in self.history.by_id.values() if one.account_id == customer_id]
        placed = sorted(((one.accepted_at_us, one.order_id), one) for one in mine)
        return [record for place, record in reversed(placed) if before is None or place < before][
            :limit
        ]

    async def order(self, customer_id: int, order_id: int) -> OrderRecord | None:
        self._check()
        found = self.history.by_id.get(order_id)
        return found if found is not None and found.account_id == customer_id else None

    async def order_by_client_key(self, customer_id: int, client_key: int) -> OrderRecord | None:
        mine = await self.orders(customer_id, 0, None, 10**6)
        return next((record for record in mine if record.client_key == client_key), None)

    async def fills(
        self,
        customer_id: int,
        symbol_id: int,
        order_id: int,
        before: tuple[int, ...] | None,
        limit: int,
    ) -> list[FillRecord]:
        self._check()
        mine = self.own_fills.get(customer_id, [])
        placed = sorted(((one.time_us, one.trade_id, int(one.is_maker)), one) for one in mine)
        return [
            fill
            for place, fill in reversed(placed)
            if (before is None or place < before)
            and symbol_id in (0, fill.symbol_id)
            and order_id in (0, fill.order_id)
        ][:limit]

    async def fundings(
        self, symbol_id: int, before: tuple[int, ...] | None, limit: int
    ) -> list[PastFunding]:
        self._check()
        newest = sorted(self.past_fundings, key=lambda one: -one.funding_time_us)
        return [one for one in newest if before is None or one.funding_time_us < before[0]][:limit]

    async def realised(self, customer_id: int) -> dict[int, int]:
        self._check()
        return {
            symbol_id: units
            for (owner, symbol_id), units in self.realised_units.items()
            if owner == customer_id
        }

    async def events(
        self,
        customer_id: int,
        symbol_id: int,
        kind: PositionEventKind | None,
        before: tuple[int, ...] | None,
        limit: int,
    ) -> list[PositionEvent]:
        self._check()
        mine = self.position_events.get(customer_id, [])
        placed = sorted(((e.time_us, e.shard, e.sequence, e.index), e) for e in mine)
        return [
            event
            for place, event in reversed(placed)
            if (before is None or place < before)
            and symbol_id in (0, event.symbol_id)
            and kind in (None, event.kind)
        ][:limit]

    async def fund_changes(
        self, shard: int, asset: str, before: tuple[int, ...] | None, limit: int
    ) -> list[FundChange]:
        self._check()
        newest = sorted(self.fund_history, key=lambda one: -one.journal_id)
        return [one for one in newest if before is None or one.journal_id < before[0]][:limit]

    async def of(self, account_id: int, symbol_id: int) -> int | None:
        return self.lights.get((account_id, symbol_id))

    async def main_balances(self, customer_id: int) -> dict[str, int]:
        self._check()
        return {"ETH": 5} if customer_id == ALICE else {}

    async def withdrawing(self, customer_id: int) -> dict[int, int]:
        self._check()
        return dict(self.taken) if customer_id == ALICE else {}

    async def deposit_address(self, customer_id: int, chain: str) -> str:
        self._check()
        return f"0x{customer_id:040x}"

    async def deposits(
        self, customer_id: int, before: RowPlace | None, limit: int
    ) -> list[DepositRecord]:
        self._check()
        return _page(self.own_deposits.get(customer_id, []), before, limit)

    async def withdrawals(
        self, customer_id: int, before: RowPlace | None, limit: int
    ) -> list[WithdrawalRecord]:
        self._check()
        written = self.withdrawals_written.values()
        mine = [record for request, record in written if request.customer_id == customer_id]
        return _page(mine, before, limit)

    async def withdrawal(
        self, customer_id: int, withdrawal_id: uuid.UUID
    ) -> WithdrawalRecord | None:
        found = await self.withdrawals(customer_id, None, len(self.withdrawals_written))
        return next((item for item in found if item.withdrawal_id == withdrawal_id), None)

    async def create_withdrawal(
        self, request: NewWithdrawal
    ) -> tuple[WithdrawalRecord, bool] | Barred | Unfunded | None:
        self._check()
        key = (request.customer_id, request.idempotency_key)
        if key in self.withdrawals_written:
            first, record = self.withdrawals_written[key]
            return (record, False) if _content(first) == _content(request) else None
        barred = self.addresses.barred(request)
        if barred is not None:
            return barred
        awaiting = sum(
            other.amount
            for other, _ in self.withdrawals_written.values()
            if (other.customer_id, other.asset_id) == (request.customer_id, request.asset_id)
        )
        if request.free is not None and request.amount > request.free - awaiting:
            return Unfunded(awaiting)
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

    async def note_refusal(self, customer_id: int, detail: Mapping[str, JsonValue]) -> None:
        self._check()
        self.refusals.append((customer_id, dict(detail)))

    async def request_cancel(
        self, customer_id: int, withdrawal_id: uuid.UUID, request_id: str
    ) -> WithdrawalRecord | None:
        self._check()
        for key, (request, record) in self.withdrawals_written.items():
            if record.withdrawal_id == withdrawal_id and request.customer_id == customer_id:
                if record.state in CANCELLABLE_STATES:
                    record = replace(record, cancel_requested=True)
                    self.withdrawals_written[key] = (request, record)
                return record
        return None

    async def start(self, withdrawal_id: uuid.UUID, request_id: str) -> bool:
        self.started.append(withdrawal_id)
        return True

    async def tell_cancelled(self, withdrawal_id: uuid.UUID) -> bool:
        self.told.append(withdrawal_id)
        return True

    async def of_customer(self, customer_id: int) -> CustomerTier:
        self._check()
        return self.tiers.get(customer_id, CustomerTier("", 0, {}))

    async def candles(self, *_: Any) -> list[Any]:
        self._check()
        return []

    async def combined_candles(self, *wanted: Any) -> list[Candle]:
        self._check()
        self.candles_wanted = wanted
        return []

    trades = candles

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
        left = tuple(
            max(0, charge.quota - total + (0 if allowed else charge.cost))
            for charge, total in used.items()
        )
        return Charged(allowed, left, window_seconds)

    async def first_use(self, name: str, seconds: int) -> bool:
        if self.redis_away:
            raise ConnectionError("played")
        is_first = ("once", name) not in self.used
        self.used["once", name] = 1
        return is_first

    def current(self) -> Listings:
        return self.listings

    async def messages(self) -> AsyncIterator[bytes]:
        raise ConnectionError("no feed")
        yield b""

    async def hot(self, kind: str, symbol: str) -> bytes | None:
        return None


@dataclass
class ComplianceMemory:
    """What staff can read, in memory; `readers` are who has looked at what."""

    filed: list[FiledWithdrawal] = field(default_factory=list)
    stories: dict[uuid.UUID, dict[str, Any]] = field(default_factory=dict)
    readers: list[tuple[uuid.UUID, str]] = field(default_factory=list)
    asked: list[tuple[WithdrawalFilter, RowPlace | None, int]] = field(default_factory=list)

    async def withdrawals(
        self, wanted: WithdrawalFilter, before: RowPlace | None, limit: int
    ) -> list[FiledWithdrawal]:
        self.asked.append((wanted, before, limit))
        return _page(self.filed, before, limit)

    async def withdrawal(self, withdrawal_id: uuid.UUID, reader: str) -> dict[str, Any] | None:
        self.readers.append((withdrawal_id, reader))
        return self.stories.get(withdrawal_id)


def _page(rows: Iterable[Placed], before: RowPlace | None, limit: int) -> list[Placed]:
    """Return a page, newest first, before a place; rows of one time go by their ids."""
    newest = sorted(rows, key=lambda one: one.place, reverse=True)
    return [one for one in newest if before is None or one.place < before][:limit]
