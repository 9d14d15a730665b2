"""Parts of the wallet's rig: listings, the engine in this process, a gate for activities."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

from temporalio import activity as temporal_activity
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from domain.commands import Command, ListSymbol
from domain.events import Event
from domain.fees import flat_fees
from infra.postgres.settlement_store import SettlementStore
from infra.temporal.runs import OPEN, list_runs
from matching.codec import encode_command
from matching.event_decoder import decode_events
from matching.reference import ReferenceEngine
from tests.infra.postgres.conftest import SPOT_ROW

OUTSIDE = "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720"
ASSET_ROWS: list[dict[str, Any]] = [
    {
        "asset_id": 1,
        "code": "USDT",
        "chain": "ETH",
        "chain_decimals": 6,
        "engine_decimals": 6,
        "confirmations": 2,
        "deposit_minimum": 10**6,
        "withdrawal_minimum": 10**7,
        "withdrawal_fee": 10**6,
        "approval_above": 1_000 * 10**6,
    },
    {
        "asset_id": 2,
        "code": "ETH",
        "chain": "ETH",
        "chain_decimals": 18,
        "engine_decimals": 9,
        "confirmations": 2,
        "deposit_minimum": 10**15,
        "withdrawal_minimum": 10**16,
        "withdrawal_fee": 2 * 10**15,
        "approval_above": 4 * 10**18,
    },
]


ETH_USDT = ListSymbol(
    symbol_id=1,
    base_asset_id=2,
    quote_asset_id=1,
    base_units_per_lot=10**5,
    quote_units_per_tick_lot=1,
    fees=flat_fees(1000, 2000),
    max_taker_fee_ppm=2000,
    band_ppm=100_000,
    listing_price_ticks=250_000,
    max_order_lots=10**7,
    max_open_orders=1000,
)


ETH_USDT_ROW = {**SPOT_ROW, "max_open_orders": ETH_USDT.max_open_orders}


class EngineInProcess:
    """The reference engine with settlement behind it; counts what it was asked."""

    def __init__(self, settlement: SettlementStore, shard: int = 0) -> None:
        self._engine = ReferenceEngine(shard)
        self._shard = shard
        self._settlement = settlement
        self._lock = asyncio.Lock()
        self._unsettled: list[tuple[int, bytes]] = []
        self.sequence = 0
        self.settles = True
        self.fails_after_commands = 0
        self.away = ""  # "silent": carries out and never answers; "down": is not there
        self.missed = 0  # commands that had no answer because it was away
        self.ahead_us = 0  # how far the engine's clock is ahead of ours

    async def submit(self, command: Command) -> tuple[Event, ...]:
        """Apply one command, settle it, answer; or lose the answer where a test wants that."""
        if self.away == "down":
            self.missed += 1
            raise ConnectionError("nobody is there")
        async with self._lock:
            self.sequence += 1
            stamped = encode_command(
                command, sequence=self.sequence, time_us=time.time_ns() // 1_000 + self.ahead_us
            )
            raw = self._engine.apply(stamped)
            self._unsettled.append((self.sequence, raw))
            if self.settles:
                await self.settle()
            if self.fails_after_commands:
                self.fails_after_commands -= 1
                raise ConnectionError("the answer was lost")
            if self.away:
                self.missed += 1
                raise ConnectionError("no answer in time")
            return tuple(decode_events(raw))

    async def close(self) -> None:
        """Close nothing: it is in this process."""

    async def settle(self) -> None:
        """Settle what was held back."""
        while self._unsettled:
            sequence, raw = self._unsettled.pop(0)
            await self._settlement.settle(self._shard, sequence, sequence, raw)


class Gate(Interceptor):
    """Stops one activity after its work is done and before it can report, as a crash would."""

    def __init__(self) -> None:
        self.activity = ""
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    def close_after(self, activity: str) -> None:
        """Stop the next run of `activity`."""
        self.activity = activity
        self.reached.clear()
        self.opened.clear()

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Put the gate around every activity."""
        return _GatedActivity(next, self)


class _GatedActivity(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, gate: Gate) -> None:
        super().__init__(following)
        self._gate = gate

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        result = await super().execute_activity(input)
        if temporal_activity.info().activity_type == self._gate.activity:
            self._gate.activity = ""
            self._gate.reached.set()
            await self._gate.opened.wait()
            raise ConnectionError("the worker died before it could report")
        return result


async def terminate_all(client: Client) -> None:
    """End what a test has left open: the next test's worker has another database."""
    async for found in list_runs(client, OPEN):
        with suppress(RPCError):  # it has ended meanwhile
            await client.get_workflow_handle(found.workflow_id).terminate("the test is over")
